import assert from "assert";
import {
  GATHER_MAX_VOTES,
  GATHER_MAX_WAIT_MS,
  GATHER_MS,
  type GatheredBatch,
  gatheredVotes,
  Gathering,
  isDue,
  TRANSACTION_RECORDS,
} from "./gather.ts";

Deno.test.sanitizer({ ops: true, resources: true });

function batch(partition: number, votes: number, change: { records?: number; sinceMs?: number } = {}) {
  const records = Array<number>(change.records ?? votes).fill(partition);
  return { partition, votes, records, sinceMs: change.sinceMs ?? 0 };
}

Deno.test("isDue() waits for min(k, 10) votes of all partitions, or for 2 s", () => {
  const table: readonly (readonly [batches: GatheredBatch[], k: number, nowMs: number, due: boolean])[] = [
    [[batch(0, 1)], 1, 0, true],
    [[batch(0, 1)], 2, 0, false],
    [[batch(0, 1), batch(1, 1)], 2, 0, true],
    [[batch(0, 4)], 5, GATHER_MAX_WAIT_MS - 1, false],
    [[batch(0, 4)], 5, GATHER_MAX_WAIT_MS, true],
    [[batch(0, 1, { sinceMs: 9_000 }), batch(1, 1, { sinceMs: 7_000 })], 5, 9_000, true],
    [[batch(0, 5), batch(1, 4)], 1_000, 0, false],
    [[batch(0, 5), batch(1, 5)], 1_000, 0, true],
    [[batch(0, 0, { records: 3 })], 10, 0, true],
    [[batch(0, 1, { records: 3 })], 10, 0, false],
    [[batch(0, 1, { records: TRANSACTION_RECORDS })], 10, 0, true],
  ];
  for (const [batches, k, nowMs, due] of table) {
    assert.equal(isDue(batches, gatheredVotes(k), nowMs), due, JSON.stringify([batches.length, k, nowMs]));
  }
});

Deno.test("gatheredVotes() is k, and at most 10", () => {
  assert.deepEqual([1, 2, 9, 10, 11, 1_000].map(gatheredVotes), [1, 2, 9, 10, 10, 10]);
  assert.deepEqual([GATHER_MAX_VOTES, GATHER_MAX_WAIT_MS, GATHER_MS], [10, 2_000, 3]);
});

/** A gathering whose timer and transactions are the test's. */
function gathering(leastVotes: number) {
  const stop = new AbortController();
  const scene = {
    nowMs: 0,
    stop,
    /** Ends the wait for the other batches of a fetch. */
    pass: () => {},
    /** Partitions of each transaction. */
    transactions: [] as number[][],
    count: (batches: readonly GatheredBatch[]): Promise<Map<GatheredBatch, string>> =>
      Promise.resolve(new Map(batches.map((each) => [each, "counted"]))),
  };
  const gather = new Gathering<GatheredBatch, string>(
    (batches) => {
      scene.transactions.push(batches.map(({ partition }) => partition));
      return scene.count(batches);
    },
    stop.signal,
    {
      leastVotes: () => leastVotes,
      nowMs: () => scene.nowMs,
      wait(ms) {
        assert.equal(ms, GATHER_MS);
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        scene.pass = resolve;
        stop.signal.addEventListener("abort", () => reject(new Error("aborted")), { once: true });
        return promise;
      },
    },
  );
  return {
    scene,
    gather: {
      join: (each: GatheredBatch) => gather.join(Promise.resolve(each)),
      joinWhen: (ready: Promise<GatheredBatch>) => gather.join(ready),
      withdraw: (partition: number) => gather.withdraw(partition),
    },
  };
}

Deno.test("Gathering counts what joins within 3 ms together", async () => {
  const { scene, gather } = gathering(1);
  const joined = [gather.join(batch(0, 1)), gather.join(batch(3, 1))];
  assert.deepEqual(scene.transactions, []);
  scene.pass();
  assert.deepEqual(await Promise.all(joined), ["counted", "counted"]);
  assert.deepEqual(scene.transactions, [[0, 3]]);
});

Deno.test("Gathering waits for a batch that came within 3 ms and is not judged yet, also when judging fails", async () => {
  const { scene, gather } = gathering(1);
  const [judged, failed] = [
    Promise.withResolvers<GatheredBatch>(),
    Promise.withResolvers<GatheredBatch>(),
  ];
  const joined = [gather.joinWhen(judged.promise), gather.join(batch(1, 1))];
  const rejected = assert.rejects(gather.joinWhen(failed.promise), /^Error: gone$/);
  scene.pass();
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.deepEqual(scene.transactions, []);
  judged.resolve(batch(0, 1));
  failed.reject(new Error("gone"));
  await Promise.all([...joined, rejected]);
  assert.deepEqual(scene.transactions, [[1, 0]]);
});

Deno.test("Gathering counts one transaction at a time, and then all that came meanwhile", async () => {
  const { scene, gather } = gathering(1);
  const { count } = scene;
  const gate = Promise.withResolvers<void>();
  scene.count = async (batches) => (await gate.promise, await count(batches));
  const first = gather.join(batch(0, 1));
  scene.pass();
  await new Promise((resolve) => setTimeout(resolve, 0));
  const later = [gather.join(batch(1, 1)), gather.join(batch(2, 1))];
  assert.deepEqual(scene.transactions, [[0]]);
  gate.resolve();
  await Promise.all([first, ...later]);
  assert.deepEqual(scene.transactions, [[0], [1, 2]]);
});

Deno.test("Gathering leaves too few votes until later, and counts them with the next", async () => {
  const { scene, gather } = gathering(3);
  const first = gather.join(batch(0, 2));
  scene.pass();
  assert.equal(await first, "later");
  const second = gather.join(batch(1, 1));
  scene.pass();
  assert.equal(await second, "counted");
  assert.deepEqual(scene.transactions, [[1, 0]]);
});

Deno.test("Gathering counts nothing of a partition whose batch was withdrawn", async () => {
  const { scene, gather } = gathering(3);
  const first = gather.join(batch(0, 2));
  scene.pass();
  assert.equal(await first, "later");
  gather.withdraw(0);
  const second = gather.join(batch(1, 3));
  scene.pass();
  assert.equal(await second, "counted");
  assert.deepEqual(scene.transactions, [[1]]);
});

Deno.test("Gathering does not wait when a transaction is full, and lets none hold more", async () => {
  const { scene, gather } = gathering(1);
  const half = TRANSACTION_RECORDS / 2;
  const joined = [0, 1, 2].map((partition) => gather.join(batch(partition, half)));
  assert.deepEqual(await Promise.all(joined.slice(0, 2)), ["counted", "counted"]);
  scene.pass();
  assert.equal(await joined[2], "counted");
  assert.deepEqual(scene.transactions, [[0, 1], [2]]);
});

Deno.test("Gathering rejects every batch of a failed transaction, and continues", async () => {
  const { scene, gather } = gathering(1);
  const { count } = scene;
  scene.count = () => Promise.reject(new Error("gone"));
  const joined = [gather.join(batch(0, 1)), gather.join(batch(1, 1))];
  scene.pass();
  for (const each of joined) await assert.rejects(each, /^Error: gone$/);
  scene.count = count;
  const next = gather.join(batch(2, 1));
  scene.pass();
  assert.equal(await next, "counted");
});

Deno.test("Gathering counts nothing more once the signal has aborted while it gathers", async () => {
  const { scene, gather } = gathering(1);
  const joined = gather.join(batch(0, 1));
  scene.stop.abort();
  assert.equal(await joined, "later");
  assert.deepEqual(scene.transactions, []);
});
