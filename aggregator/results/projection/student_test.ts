import assert from "assert";
import { normalQuantile, studentQuantile } from "./student.ts";

Deno.test.sanitizer({ ops: true, resources: true });

function assertNear(actual: number, expected: number, within: number): void {
  assert.ok(Math.abs(actual - expected) <= within, `${actual} is not ${expected} ± ${within}`);
}

Deno.test("normalQuantile() gives what tables have, on both sides and in the tails", () => {
  const table = [[0.5, 0], [0.95, 1.6448536], [0.975, 1.959964], [0.99, 2.3263479], [0.001, -3.0902323]];
  for (const [p, z] of table) assertNear(normalQuantile(p), z, 1e-6);
  assert.throws(() => normalQuantile(1), RangeError);
});

Deno.test("studentQuantile() gives what tables have from 5 degrees of freedom on", () => {
  const table = [[0.95, 5, 2.0150], [0.95, 10, 1.8125], [0.975, 8, 2.3060], [0.95, 30, 1.6973], [
    0.95,
    1e6,
    1.6449,
  ]];
  for (const [p, freedom, t] of table) assertNear(studentQuantile(p, freedom), t, 0.01);
});
