import assert from "assert";
import { AggregatorAway, AggregatorRefused, type Reconciliation } from "./aggregator.ts";
import { isReadThrough, settleDifferences, untilAnswered, waitForReconciliation } from "./wait.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

function reconciliation(read: number, logEnd: number | null = read): Reconciliation {
  const line = { read, counted: read, duplicate: 0, rejected: 0, held: 0, statements: 0, balanced: true };
  return { total: line, partitions: [{ partition: 0, ...line, nextOffset: read, logEnd }], outcomes: [] };
}

function clock() {
  let nowMs = 0;
  return {
    now: () => nowMs,
    sleep: (ms: number) => {
      nowMs += ms;
      return Promise.resolve();
    },
  };
}

/** An aggregator that answers with each of these in turn, and then for ever with the last. */
function aggregator(...answers: (Reconciliation | undefined)[]) {
  let next = 0;
  return {
    reconciliation: () => {
      const answer = answers[Math.min(next++, answers.length - 1)];
      return answer === undefined ? Promise.reject(new AggregatorAway("away")) : Promise.resolve(answer);
    },
  };
}

Deno.test(
  "waitForReconciliation() waits until the reconciliation is as wanted, over an aggregator that goes away",
  strict,
  async () => {
    const read: number[] = [];
    const waited = await waitForReconciliation(
      aggregator(reconciliation(10), undefined, reconciliation(10), reconciliation(25), reconciliation(40)),
      "e",
      ({ total }) => total.read >= 40,
      { clock: clock(), onRead: (records) => read.push(records) },
    );
    assert.deepEqual([waited.done, waited.reconciliation.total.read], [true, 40]);
    assert.deepEqual(read, [10, 15, 15]);
  },
);

Deno.test(
  "waitForReconciliation() does not believe an answer that may be older than the wait",
  strict,
  async () => {
    const answers = [10, 10, 10, 10, 10, 25].map((read) => reconciliation(read));
    const waited = await waitForReconciliation(aggregator(...answers), "e", isReadThrough, {
      clock: clock(),
    });
    assert.deepEqual([waited.done, waited.reconciliation.total.read], [true, 25]);
  },
);

Deno.test(
  "waitForReconciliation() waits as long as the aggregator gets on, and no longer",
  strict,
  async () => {
    const time = clock();
    const slowly = Array.from({ length: 2_000 }, (_, i) => reconciliation(Math.floor(i / 100)));
    const waited = await waitForReconciliation(aggregator(...slowly), "e", () => false, {
      clock: time,
      stalledMs: 30_000,
    });
    assert.deepEqual([waited.done, waited.reconciliation.total.read], [false, 19]);
    assert.ok(time.now() > 2_000 * 200);
  },
);

Deno.test("waitForReconciliation() says when the aggregator never answered", strict, async () => {
  await assert.rejects(waitForReconciliation(aggregator(undefined), "e", () => true, { clock: clock() }), {
    name: "AggregatorAway",
    message: "away",
  });
});

Deno.test("waitForReconciliation() does not wait over a fault that will not pass", strict, async () => {
  const broken = { reconciliation: () => Promise.reject(new TypeError("odd answer")) };
  await assert.rejects(waitForReconciliation(broken, "e", () => true, { clock: clock() }), /odd answer/);
});

Deno.test("isReadThrough() knows whether anything is left on the log", strict, () => {
  assert.ok(isReadThrough(reconciliation(5)));
  assert.ok(!isReadThrough(reconciliation(5, 6)));
  assert.ok(!isReadThrough(reconciliation(5, null)));
});

Deno.test("untilAnswered() asks an aggregator that is away again, and says so once", strict, async () => {
  const told: string[] = [];
  let asked = 0;
  const ask = () => asked++ < 5 ? Promise.reject(new AggregatorAway("away")) : Promise.resolve("answer");
  assert.equal(await untilAnswered(ask, clock(), ({ message }) => told.push(message)), "answer");
  assert.deepEqual(told, ["away"]);
});

Deno.test("untilAnswered() gives up after its limit, and at once when it is refused", strict, async () => {
  const away = clock();
  const never = () => Promise.reject(new AggregatorAway("away"));
  await assert.rejects(untilAnswered(never, away, () => {}, 5_000), { name: "AggregatorAway" });
  assert.ok(away.now() >= 5_000);
  const refusing = clock();
  const refused = () => Promise.reject(new AggregatorRefused("no such election", 404));
  await assert.rejects(untilAnswered(refused, refusing, () => {}), { name: "AggregatorRefused" });
  assert.equal(refusing.now(), 0);
});

Deno.test("settleDifferences() returns as soon as nothing differs", strict, async () => {
  const counts = [9, 4, 0];
  const compare = () => Promise.resolve({ count: counts.shift()!, named: [] });
  assert.equal((await settleDifferences(compare, clock(), 20_000)).count, 0);
});

Deno.test("settleDifferences() returns what differs once that has settled", strict, async () => {
  let n = 0;
  const compare = () =>
    n++ % 2 === 1
      ? Promise.reject(new AggregatorAway("away"))
      : Promise.resolve({ count: Math.max(3, 9 - n), named: ["a"] });
  assert.deepEqual(await settleDifferences(compare, clock(), 20_000), { count: 3, named: ["a"] });
  const never = await settleDifferences(() => Promise.reject(new AggregatorAway("away")), clock(), 20_000);
  assert.deepEqual(never, { count: 1, named: ["away"] });
});
