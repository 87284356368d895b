import assert from "assert";
import { AggregatorClock, MAX_CLOCK_DIFFERENCE_MS } from "./clock.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const NOW_MS = 1_800_000_000_000;

/** A clock that was told once that the gateway is so far ahead. */
function ahead(differenceMs: number): AggregatorClock {
  const clock = new AggregatorClock();
  clock.note(String(NOW_MS - differenceMs), NOW_MS, 0);
  return clock;
}

Deno.test("AggregatorClock knows nothing before an answer has told the time, and finds no fault", () => {
  const clock = new AggregatorClock();
  for (const header of [null, "", "-5", "1e9", "Tue, 03 Nov 2026 07:00:00 GMT", "9".repeat(16)]) {
    clock.note(header, NOW_MS, 0);
  }
  assert.deepEqual([clock.differenceMs, clock.fault], [undefined, undefined]);
});

Deno.test("AggregatorClock takes the answer's time for that of half-way", () => {
  const clock = new AggregatorClock();
  clock.note(String(NOW_MS + 2_000), NOW_MS, 4_000);
  assert.equal(clock.differenceMs, 0);
});

Deno.test("AggregatorClock allows a minute either way, and says how far and in which direction beyond", () => {
  for (const differenceMs of [MAX_CLOCK_DIFFERENCE_MS, -MAX_CLOCK_DIFFERENCE_MS, 0]) {
    assert.equal(ahead(differenceMs).fault, undefined);
  }
  assert.equal(
    ahead(360_400).fault,
    "this gateway's clock is 360 s ahead of the aggregator's, and may differ by 60 s: set whichever of the two is wrong",
  );
  assert.match(ahead(-MAX_CLOCK_DIFFERENCE_MS - 1).fault!, /60 s behind the aggregator's/);
});

Deno.test("AggregatorClock finds no fault any more once an answer says so", () => {
  const clock = ahead(400_000);
  assert.ok(clock.fault);
  clock.note(null, NOW_MS, 0);
  assert.ok(clock.fault, "an answer without the time changes nothing");
  clock.note(String(NOW_MS), NOW_MS, 0);
  assert.equal(clock.fault, undefined);
});

Deno.test("AggregatorClock finds no fault any more once a genuine answer follows a forged one", () => {
  for (const forgedMs of [0, 999_999_999_999_999]) {
    const clock = new AggregatorClock();
    clock.note(String(forgedMs), NOW_MS, 0);
    assert.ok(clock.fault?.includes("set whichever of the two is wrong"));
    clock.note(String(NOW_MS + 2_000), NOW_MS + 2_000, 0);
    assert.deepEqual([clock.differenceMs, clock.fault], [0, undefined]);
  }
});
