import assert from "assert";
import { compare, isMet, median, perSecond, quantile, type Row, table } from "./measure.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const row: Row = { benchmark: "single", of: "64 connections", value: 6_543, unit: "votes/s" };

Deno.test("quantile() is the value below which that part of the values lies", () => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
  assert.deepEqual([0, 0.01, 0.5, 0.99, 1].map((q) => quantile(hundred, q)), [1, 1, 50, 99, 100]);
  assert.equal(quantile([7], 0.99), 7);
  assert.equal(median([3, 100, 1]), 3);
});

Deno.test("isMet() holds a row against its goal, and against none", () => {
  assert.equal(isMet(row), undefined);
  assert.equal(isMet({ ...row, goal: { value: 6_543 } }), true);
  assert.equal(isMet({ ...row, goal: { value: 6_544 } }), false);
  assert.equal(isMet({ ...row, floor: 10_000, ratio: 0.65, goal: { ratio: 0.6 } }), true);
  assert.equal(isMet({ ...row, floor: 10_000, ratio: 0.59, goal: { ratio: 0.6 } }), false);
});

Deno.test("compare() takes floor and candidate in turns, and leaves the first round out", async () => {
  const taken: string[] = [];
  const compared = await compare(3, (round) => {
    taken.push(`floor ${round}`);
    return [9_999, 10, 20, 40][round]!;
  }, (round) => {
    taken.push(`candidate ${round}`);
    return [1, 5, 20, 8][round]!;
  });
  assert.deepEqual(taken, [
    ...["floor 0", "candidate 0", "candidate 1", "floor 1"],
    ...["floor 2", "candidate 2", "candidate 3", "floor 3"],
  ]);
  // The rounds' ratios are 0.5, 1 and 0.2.
  assert.deepEqual(compared, { floor: 20, value: 8, ratio: 0.5 });
});

Deno.test("perSecond() divides the work by the time it took", async () => {
  const rate = await perSecond(1_000, () => new Promise((resolve) => setTimeout(resolve, 20)));
  assert.ok(rate > 0 && rate <= 1_000 / 0.019, `${rate}`);
});

Deno.test("table() says what was measured, the floor, the goal and whether it was met", () => {
  const lines = table([
    { ...row, floor: 9_876, ratio: 0.663, goal: { ratio: 0.6 }, notes: "p99 12 ms" },
    { ...row, of: "x", value: 0.25, goal: { value: 1 } },
  ]).split("\n").map((line) => line.split("|").map((cell) => cell.trim()).slice(1, -1));
  assert.deepEqual(lines[0], ["benchmark", "of", "measured", "floor", "ratio", "goal", "met", "notes"]);
  assert.deepEqual(lines[2], [
    ...["single", "64 connections", "6,540 votes/s", "9,880", "0.66", "0.60", "yes", "p99 12 ms"],
  ]);
  assert.deepEqual(lines[3], ["single", "x", "0.25 votes/s", "", "", "1 votes/s", "no", ""]);
});
