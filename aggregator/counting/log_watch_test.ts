import assert from "assert";
import { openBallotBox, testVoters } from "../../tests/ballot_box.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { LogWatch } from "./log_watch.ts";

const db = await testDatabase();
let boxes = 0;

/** A box in which ten have voted, who were counted, and a watch of its log by a clock of the test's. */
async function watchedBox() {
  const box = await openBallotBox(db, `watched-${boxes++}`, { partitions: 1 });
  await box.enrol(testVoters(20));
  for (let voter = 0; voter < 10; voter++) await box.cast(`voter-${voter}`);
  await box.count();
  const clock = { nowMs: 0 };
  const watch = new LogWatch(box.log, box.election, () => clock.nowMs);
  return { box, clock, poll: () => watch.poll(db.query) };
}

Deno.test("LogWatch.poll() finds nothing wrong with a log that was counted", async () => {
  const { poll } = await watchedBox();
  assert.deepEqual(await poll(), {
    isSuspect: false,
    lag: 0,
    deleted: 0,
    notCounting: undefined,
    warning: undefined,
  });
});

Deno.test("LogWatch.poll() suspects a log that starts behind the position, or ends before it", async () => {
  const { box, poll } = await watchedBox();
  await box.cast("voter-10");
  box.log.deleteBefore(0, 10);
  assert.equal((await poll()).isSuspect, false, "what was deleted was counted");
  box.log.deleteBefore(0, 11);
  const { isSuspect, deleted } = await poll();
  assert.deepEqual([isSuspect, deleted], [true, 11]);
  const other = await watchedBox();
  other.box.log.truncate(0, 9);
  assert.equal((await other.poll()).isSuspect, true);
});

Deno.test("LogWatch.poll() warns of records that were deleted after they were counted", async () => {
  const { box, poll } = await watchedBox();
  box.log.deleteBefore(0, 4);
  const { warning, notCounting, isSuspect } = await poll();
  assert.match(
    warning!,
    /^records that were counted were deleted from the front of the log \(partition 0 starts at 4\)/,
  );
  assert.deepEqual([notCounting, isSuspect], [undefined, false]);
});

Deno.test("LogWatch.poll() says that nothing is counted once that has been so for a while", async () => {
  const { box, clock, poll } = await watchedBox();
  await box.cast("voter-10");
  assert.deepEqual([(await poll()).notCounting, (await poll()).lag], [undefined, 1]);
  clock.nowMs = 7_999;
  assert.equal((await poll()).notCounting, undefined);
  clock.nowMs = 8_000;
  assert.equal(
    (await poll()).notCounting,
    "nothing was counted for 8 s, and partition 0 has records from offset 10 on",
  );
  await box.count();
  assert.equal((await poll()).notCounting, undefined);
});

Deno.test("LogWatch.poll() does not mind offsets at the end that hold no record", async () => {
  const { box, clock, poll } = await watchedBox();
  box.log.skip(0, 1);
  await poll();
  clock.nowMs = 60_000;
  assert.equal((await poll()).notCounting, undefined);
});

Deno.test("LogWatch.poll() says that the log does not answer, and throws what the database throws", async () => {
  const { box, poll } = await watchedBox();
  const { end } = box.log;
  box.log.end = () => Promise.reject(new Error("no broker is reached"));
  assert.equal((await poll()).notCounting, "the log does not answer: no broker is reached");
  box.log.end = end;
  const watch = new LogWatch(box.log, box.election, () => 0);
  await assert.rejects(
    watch.poll(() => Promise.reject(new Error("the database is away"))),
    /the database is away/,
  );
});
