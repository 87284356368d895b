import assert from "assert";
import { duration, progress } from "./progress.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

function lines(total: number) {
  const written: string[] = [];
  let nowMs = 0;
  const shown = progress({ label: "casting", total, unit: "votes" }, {
    terminal: false,
    write: (line) => written.push(line),
    now: () => nowMs,
  });
  return { shown, written, pass: (ms: number) => nowMs += ms };
}

Deno.test("progress() writes a plain line at most every two seconds", strict, () => {
  const { shown, written, pass } = lines(10_000);
  for (let i = 0; i < 50; i++) {
    pass(100);
    shown.advance(100);
  }
  shown.done("all cast");
  assert.deepEqual(written, [
    "casting: 2,000 of 10,000 votes (20 %), 1,000/s, 8.0 s left",
    "casting: 4,000 of 10,000 votes (40 %), 1,000/s, 6.0 s left",
    "all cast",
  ]);
});

Deno.test("progress() shows the rate of the last seconds, not of the whole work", strict, () => {
  const { shown, written, pass } = lines(1_000_000);
  for (let i = 0; i < 30; i++) {
    pass(1_000);
    shown.advance(i < 15 ? 1_000 : 4_000);
  }
  const rate = Number(/([\d,]+)\/s/.exec(written.at(-1)!)![1]!.replaceAll(",", ""));
  assert.ok(rate > 3_500 && rate < 5_000, `${rate}`);
});

Deno.test("progress() copes with nothing to do", strict, () => {
  const { shown, written, pass } = lines(0);
  pass(3_000);
  shown.advance(0);
  shown.done("nothing");
  assert.deepEqual(written, ["casting: 0 of 0 votes", "nothing"]);
});

Deno.test("progress() shows a rate below one a second", strict, () => {
  const { shown, written, pass } = lines(100);
  for (let i = 0; i < 50; i++) {
    pass(4_000);
    shown.advance(1);
  }
  assert.match(written.at(-1)!, /50 of 100 votes \(50 %\), 0.3\/s, 3 min 20 s left/);
});

Deno.test("duration() spells spans for a reader", strict, () => {
  assert.deepEqual([0, 9.96, 59.4, 61, 3_725].map(duration), [
    "0.0 s",
    "10 s",
    "59 s",
    "1 min 1 s",
    "1 h 2 min",
  ]);
});
