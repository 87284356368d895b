import assert from "assert";
import { jittered } from "./jitter.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("jittered() keeps within a fifth of the interval, and is the interval in the middle", () => {
  assert.deepEqual([0, 0.25, 0.5, 0.75, 1].map((random) => jittered(2_000, () => random)), [
    1_600,
    1_800,
    2_000,
    2_200,
    2_400,
  ]);
});

Deno.test("jittered() spreads gateways that started together over the interval within a few polls", () => {
  // A linear congruential generator (Numerical Recipes), so that a run repeats.
  let state = 1;
  const random = () => (state = (1_664_525 * state + 1_013_904_223) % 2 ** 32) / 2 ** 32;
  const everyMs = 5_000;
  const pollsAtMs = Array.from({ length: 2_000 }, () => {
    let atMs = 0;
    for (let poll = 0; poll < 20; poll++) atMs += jittered(everyMs, random);
    return atMs % everyMs;
  });
  // 400 polls a second: no tenth of a second has twice its share.
  const tenths = Array.from(
    { length: 50 },
    (_, i) => pollsAtMs.filter((ms) => Math.floor(ms / 100) === i).length,
  );
  assert.ok(Math.max(...tenths) < 80, `${Math.max(...tenths)}`);
});
