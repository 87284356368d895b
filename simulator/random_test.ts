import assert from "assert";
import { normal, runningSums, seededRandom, weighted } from "./random.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

Deno.test("seededRandom() gives the same numbers for the same seed, others for another", strict, () => {
  const draw = (...seed: (number | string)[]) => {
    const random = seededRandom(...seed);
    return Array.from({ length: 20 }, () => random.below(1_000));
  };
  assert.deepEqual(draw(1, "a"), draw(1, "a"));
  assert.notDeepEqual(draw(1, "a"), draw(1, "b"));
  assert.notDeepEqual(draw(1, "a"), draw(2, "a"));
});

Deno.test("seededRandom() stays stable from one version to the next", strict, () => {
  const random = seededRandom(2026, "stable");
  assert.deepEqual([random.below(1e6), random.below(1e6), random.below(1e6)], [420_200, 740_995, 823_025]);
});

Deno.test("seededRandom() spreads evenly", strict, () => {
  const counts = new Array(10).fill(0);
  const random = seededRandom(5);
  for (let i = 0; i < 100_000; i++) counts[random.below(10)]++;
  for (const count of counts) assert.ok(Math.abs(count - 10_000) < 500, String(counts));
});

Deno.test("weighted() draws by weight", strict, () => {
  const random = seededRandom(6);
  const sums = runningSums([1, 0, 3]);
  const counts = [0, 0, 0];
  for (let i = 0; i < 40_000; i++) counts[weighted(random, sums)]!++;
  assert.equal(counts[1], 0);
  assert.ok(Math.abs(counts[2]! - 30_000) < 600, String(counts));
});

Deno.test("normal() has mean 0 and deviation 1", strict, () => {
  const random = seededRandom(7);
  const drawn = Array.from({ length: 40_000 }, () => normal(random));
  const mean = drawn.reduce((sum, each) => sum + each, 0) / drawn.length;
  const variance = drawn.reduce((sum, each) => sum + (each - mean) ** 2, 0) / drawn.length;
  assert.ok(Math.abs(mean) < 0.02 && Math.abs(variance - 1) < 0.03, `${mean}, ${variance}`);
});
