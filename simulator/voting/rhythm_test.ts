import assert from "assert";
import { rhythmAt } from "./rhythm.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("rhythmAt() has a mean of 1 over a day", () => {
  const steps = 10_007;
  let sum = 0;
  for (let i = 0; i < steps; i++) sum += rhythmAt((i + 0.5) / steps);
  assert.ok(Math.abs(sum / steps - 1) < 1e-4, `${sum / steps}`);
});

Deno.test("rhythmAt() peaks at opening, at lunch and after work, and never stops", () => {
  const [opening, morning, lunch, afternoon, evening, closing] = [
    rhythmAt(0.03),
    rhythmAt(0.2),
    rhythmAt(0.42),
    rhythmAt(0.6),
    rhythmAt(0.83),
    rhythmAt(1),
  ];
  for (
    const [peak, lull] of [[opening, morning], [lunch, morning], [lunch, afternoon], [
      evening,
      afternoon,
    ]] as const
  ) {
    assert.ok(peak > 1.4 * lull);
  }
  assert.ok(evening > opening && evening > lunch && evening < 2.5);
  assert.ok(Math.min(morning, afternoon, closing) > 0.4);
});

Deno.test("rhythmAt() stays what it was outside the day", () => {
  assert.deepEqual([rhythmAt(-1), rhythmAt(7)], [rhythmAt(0), rhythmAt(1)]);
});
