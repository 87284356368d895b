import assert from "assert";
import { stationSizeSums } from "./sizes.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Sizes again, from their running sums. */
const sizes = (seed: number, regionOf: readonly number[]) =>
  stationSizeSums(seed, regionOf).map((sum, i, sums) => sum - (sums[i - 1] ?? 0));

Deno.test("stationSizeSums() makes stations of different sizes, the same for the same seed", () => {
  const regionOf = Array.from({ length: 40 }, (_, i) => i % 4);
  const drawn = sizes(3, regionOf);
  assert.deepEqual(drawn, sizes(3, regionOf));
  assert.notDeepEqual(drawn, sizes(4, regionOf));
  assert.ok(Math.min(...drawn) > 0);
  assert.ok(Math.max(...drawn) > 3 * Math.min(...drawn));
});

Deno.test("stationSizeSums() gives a region its size however many stations share it", () => {
  const [alone, ...pair] = sizes(5, [0, 1, 1]);
  const [first, second, ...rest] = sizes(5, [0, 1, 0, 0]);
  assert.ok(Math.abs(first! + rest[0]! + rest[1]! - alone!) < 1e-12);
  assert.ok(Math.abs(second! - pair[0]! - pair[1]!) < 1e-12);
  assert.notEqual(alone, second);
});
