import assert from "assert";
import { type BallotBox, openBallotBox, testVoters } from "../../tests/ballot_box.ts";
import { NOON_MS } from "../../tests/fixture.ts";
import { testDatabase } from "../../tests/test_database.ts";
import type { StoredRecord } from "../../shared/log/vote_log.ts";
import { type Database, DatabaseUnavailable } from "../database/database.ts";
import { revokeGatewayKey } from "../registry/gateway_keys.ts";
import { BatchAbandoned, type CounterOptions, createCounter } from "./count.ts";
import { GATHER_MAX_WAIT_MS, gatheredVotes } from "./gather.ts";
import { Fenced } from "./positions.ts";
import { recount } from "./recount.ts";
import { readTables } from "./tables.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const db = await testDatabase();
const VOTERS = 40;
let boxes = 0;

/** A box with votes on all three partitions, and a counter of it whose database, timer and clock are the test's. */
class Scene {
  nowMs = 0;
  /** Transactions of counting, once all partitions were taken. */
  transactions = 0;
  /** What becomes of the next transaction. */
  trouble?: "before commit" | "answer lost" | "silent";
  /** Records that were committed, by transaction. */
  readonly counted: number[] = [];
  readonly stop = new AbortController();
  readonly silent = Promise.withResolvers<void>();
  #isTaken = false;
  #gathered: (() => void)[] = [];

  constructor(readonly box: BallotBox, readonly k: number) {}

  readonly db: Database = {
    ...db,
    transaction: async (work, isolation) => {
      if (!this.#isTaken) return await db.transaction(work, isolation);
      this.transactions++;
      const { trouble } = this;
      this.trouble = undefined;
      if (trouble === "silent") {
        await this.silent.promise;
        throw new DatabaseUnavailable("no answer");
      }
      const done = await db.transaction(async (query) => {
        const result = await work(query);
        if (trouble === "before commit") throw new DatabaseUnavailable("the connection broke before COMMIT");
        return result;
      }, isolation);
      if (trouble === "answer lost") throw new DatabaseUnavailable("the connection broke after COMMIT");
      return done;
    },
  };

  async counter(change: Partial<CounterOptions> = {}) {
    const { log, history } = this.box;
    const { signal } = this.stop;
    const counter = createCounter({
      db: this.db,
      log,
      history,
      signal,
      wait: () => Promise.resolve(),
      onCounted: (_outcomes, records) => this.counted.push(records),
      gather: {
        leastVotes: () => gatheredVotes(this.k),
        nowMs: () => this.nowMs,
        wait: () =>
          new Promise<void>((resolve, reject) => {
            this.#gathered.push(resolve);
            const abort = () => reject(new Error("aborted"));
            if (signal.aborted) abort();
            else signal.addEventListener("abort", abort, { once: true });
          }),
      },
      ...change,
    });
    for (let partition = 0; partition < log.partitions; partition++) await counter.take(partition);
    this.#isTaken = true;
    return counter;
  }

  /** Ends the wait for the other batches of a fetch, as soon as somebody waits. */
  async pass(): Promise<void> {
    while (this.#gathered.length === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    for (const resolve of this.#gathered.splice(0)) resolve();
  }

  async outcomes(): Promise<[string, number][]> {
    const { outcomes } = await readTables(db.query, this.box.election);
    return [...outcomes].toSorted(([one], [other]) => one < other ? -1 : 1);
  }

  /** Whether a recount of the log finds what was counted. */
  async assertRecounted(): Promise<void> {
    assert.equal((await recount(db, this.box.log, this.box.history)).differences, 0);
  }
}

async function openScene(k = 1): Promise<Scene> {
  const box = await openBallotBox(db, `together-${boxes++}`, { releaseThreshold: k });
  await box.enrol(testVoters(VOTERS).map((voter) => ({ ...voter, region: "north" })));
  await box.history.reload(db.query);
  return new Scene(box, k);
}

/** The first records of each partition: so many of each. */
async function cast({ box }: Scene, ...wanted: number[]): Promise<StoredRecord[][]> {
  const placed = wanted.map((): Awaited<ReturnType<typeof box.seal>>[] => []);
  for (let i = 0; i < VOTERS && placed.some((each, p) => each.length < wanted[p]!); i++) {
    const record = box.seal(`voter-${i}`);
    const partition = placed[record.partition]!;
    if (partition.length < wanted[record.partition]!) partition.push(record);
  }
  await box.log.append(placed.flat());
  return await Promise.all(wanted.map((n, partition) => box.log.read(partition, 0, n)));
}

Deno.test("batches of two partitions that come together are counted in one transaction", async () => {
  const scene = await openScene();
  const [first, , third] = await cast(scene, 2, 0, 3);
  const counter = await scene.counter();
  const done = [counter.batch(0, first!), counter.batch(2, third!)];
  await scene.pass();
  assert.deepEqual(await Promise.all(done), [undefined, undefined]);
  assert.equal(scene.transactions, 1);
  assert.deepEqual(scene.counted, [5]);
  assert.deepEqual(await scene.outcomes(), [["0/counted", 2], ["2/counted", 3]]);
  await scene.assertRecounted();
});

Deno.test("a partition that another process has taken keeps none of the others from being counted", async () => {
  const scene = await openScene();
  const entries = await cast(scene, 2, 2, 2);
  const counter = await scene.counter();
  await new Scene(scene.box, 1).counter().then((heir) => heir.take(1)).catch(() => {});
  // The other took all three: this one takes two back.
  await counter.take(0);
  await counter.take(2);
  scene.transactions = 0;
  const done = entries.map((each, partition) => counter.batch(partition, each));
  const fenced = assert.rejects(
    Promise.resolve(done[1]),
    (error) => error instanceof Fenced && /partition 1: another process has taken it/.test(error.message),
  );
  await scene.pass();
  await Promise.all([done[0], done[2], fenced]);
  assert.equal(scene.transactions, 1);
  assert.deepEqual(await scene.outcomes(), [["0/counted", 2], ["2/counted", 2]]);
  await assert.rejects(counter.batch(1, entries[1]!), Fenced);
});

Deno.test("partitions whose history has changed are judged again, and the others' work is kept", async () => {
  const scene = await openScene();
  const entries = await cast(scene, 2, 2, 0);
  const counter = await scene.counter();
  // One position names the new revision at first, as if the change were under way.
  await revokeGatewayKey(db, scene.box.election, "g-1", 1, new Date(NOON_MS + 60_000), [0, 0, 0]);
  await db.query("UPDATE counting.log_positions SET revision = $2 WHERE election = $1 AND partition = 0", [
    scene.box.election,
    scene.box.history.revision,
  ]);
  const done = [counter.batch(0, entries[0]!), counter.batch(1, entries[1]!)];
  await scene.pass();
  await done[0];
  assert.deepEqual(await scene.outcomes(), [["0/counted", 2]]);
  await scene.pass();
  await done[1];
  assert.deepEqual(await scene.outcomes(), [["0/counted", 2], ["1/held/gateway_revoked", 2]]);
  assert.equal(scene.transactions, 2);
});

for (const trouble of ["before commit", "answer lost"] as const) {
  Deno.test(`several partitions are counted once when the connection breaks: ${trouble}`, async () => {
    const scene = await openScene();
    const entries = await cast(scene, 2, 3, 4);
    const counter = await scene.counter();
    scene.trouble = trouble;
    const done = entries.map((each, partition) => counter.batch(partition, each));
    await scene.pass();
    await Promise.all(done);
    assert.equal(scene.transactions, trouble === "answer lost" ? 1 : 2);
    assert.deepEqual(scene.counted, [9], "what was committed is reported once");
    assert.deepEqual(await scene.outcomes(), [["0/counted", 2], ["1/counted", 3], ["2/counted", 4]]);
    await scene.assertRecounted();
  });
}

Deno.test("when COMMIT's answer was lost and a partition taken, each partition is asked for itself", async () => {
  const scene = await openScene();
  const entries = await cast(scene, 2, 2, 0);
  let isTaken = false;
  const counter = await scene.counter({
    wait: async () => {
      if (isTaken) return;
      isTaken = true;
      await db.query(
        "UPDATE counting.log_positions SET epoch = epoch + 1 WHERE election = $1 AND partition = 1",
        [
          scene.box.election,
        ],
      );
    },
  });
  scene.trouble = "answer lost";
  const done = [counter.batch(0, entries[0]!), counter.batch(1, entries[1]!)];
  const fenced = assert.rejects(Promise.resolve(done[1]), Fenced);
  await scene.pass();
  await Promise.all([done[0], fenced]);
  assert.deepEqual(await scene.outcomes(), [["0/counted", 2], ["1/counted", 2]]);
});

Deno.test("with k = 10 three records wait, and are counted in one transaction after 2 s", async () => {
  const scene = await openScene(10);
  const entries = await cast(scene, 2, 1, 0);
  const counter = await scene.counter();
  const deliver = async () => {
    const done = [counter.batch(0, entries[0]!), counter.batch(1, entries[1]!)];
    await scene.pass();
    return await Promise.all(done);
  };
  assert.deepEqual(await deliver(), ["again", "again"]);
  scene.nowMs = GATHER_MAX_WAIT_MS - 1;
  assert.deepEqual(await deliver(), ["again", "again"]);
  assert.equal(scene.transactions, 0);
  scene.nowMs = GATHER_MAX_WAIT_MS;
  assert.deepEqual(await deliver(), [undefined, undefined]);
  assert.deepEqual([scene.transactions, scene.counted], [1, [3]]);
  await scene.assertRecounted();
});

Deno.test("with k = 10 ten records are counted at once, also those that waited on another partition", async () => {
  const scene = await openScene(10);
  const entries = await cast(scene, 4, 6, 0);
  const counter = await scene.counter();
  const waiting = counter.batch(0, entries[0]!);
  await scene.pass();
  assert.equal(await waiting, "again");
  const done = counter.batch(1, entries[1]!);
  await scene.pass();
  await done;
  assert.deepEqual([scene.transactions, scene.counted], [1, [10]]);
  assert.equal(await counter.batch(0, entries[0]!), undefined, "they are counted, and come again");
  assert.equal(scene.transactions, 1);
  await scene.assertRecounted();
});

Deno.test("with k = 10 a record that comes while others wait is counted with them", async () => {
  const scene = await openScene(10);
  const entries = await cast(scene, 10, 0, 0);
  const counter = await scene.counter();
  const waiting = counter.batch(0, entries[0]!.slice(0, 3));
  await scene.pass();
  assert.equal(await waiting, "again");
  const done = counter.batch(0, entries[0]!);
  await scene.pass();
  await done;
  assert.deepEqual([scene.transactions, scene.counted], [1, [10]]);
});

Deno.test("a partition that is taken again while its records wait counts them once", async () => {
  const scene = await openScene(10);
  const entries = await cast(scene, 3, 7, 0);
  const counter = await scene.counter();
  const waiting = counter.batch(0, entries[0]!);
  await scene.pass();
  assert.equal(await waiting, "again");
  scene.transactions = -1;
  assert.equal(await counter.take(0), 0);
  const done = [counter.batch(0, entries[0]!), counter.batch(1, entries[1]!)];
  await scene.pass();
  await Promise.all(done);
  assert.deepEqual([scene.transactions, scene.counted], [1, [10]]);
  await scene.assertRecounted();
});

Deno.test("counting ends at once when it is aborted while it gathers, and the next counter counts all", async () => {
  const scene = await openScene();
  const entries = await cast(scene, 2, 2, 0);
  const counter = await scene.counter();
  const done = [counter.batch(0, entries[0]!), counter.batch(1, entries[1]!)];
  scene.stop.abort();
  assert.deepEqual(await Promise.all(done), ["again", "again"]);
  assert.equal(scene.transactions, 0);
  await scene.box.count();
  assert.deepEqual(await scene.outcomes(), [["0/counted", 2], ["1/counted", 2]]);
});

Deno.test("counting gives up all partitions of a transaction for which the database does not answer", async () => {
  const scene = await openScene();
  const entries = await cast(scene, 2, 2, 0);
  const counter = await scene.counter({ finishMs: 1 });
  scene.trouble = "silent";
  const done = [counter.batch(0, entries[0]!), counter.batch(1, entries[1]!)];
  const ended = Promise.all(done.map((each) => assert.rejects(Promise.resolve(each), BatchAbandoned)));
  await scene.pass();
  while (scene.transactions === 0) await new Promise((resolve) => setTimeout(resolve, 0));
  scene.stop.abort();
  await ended;
  scene.silent.resolve();
  assert.deepEqual(await scene.outcomes(), []);
});
