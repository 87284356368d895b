import assert from "assert";
import { setTimeout as delay } from "node:timers/promises";
import { createCounter } from "../../aggregator/counting/count.ts";
import { type Database, isPassing } from "../../aggregator/database/database.ts";
import { migrate } from "../../aggregator/database/migrate.ts";
import { openPostgres } from "../../aggregator/database/postgres.ts";
import { rebuild } from "../../aggregator/counting/rebuild.ts";
import { recount } from "../../aggregator/counting/recount.ts";
import { type BallotBox, openBallotBox, stationOfVoter, testVoters } from "../ballot_box.ts";
import { withdrawUnfounded } from "../../aggregator/results/withdraw.ts";
import { MASTER } from "../fixture.ts";
import { eventually } from "../eventually.ts";
import { TEST_SESSIONS, testTarget } from "../test_database.ts";
import { type Cluster, isWithoutServer, startCluster } from "./cluster.ts";
import { startProxy } from "./cutting_proxy.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const VOTERS = 1_200;
const PARTITIONS = 6;
const WORKERS = 3;
const BATCH_RECORDS = 10;

/** An election on a server, with every voter's vote on the log, and every tenth's twice. */
async function fullBox(db: Database, election: string, voters = VOTERS): Promise<BallotBox> {
  const box = await openBallotBox(db, election, { partitions: PARTITIONS });
  await box.enrol(testVoters(voters));
  const records = Array.from(
    { length: voters },
    (_, i) => box.seal(`voter-${i}`, { station: stationOfVoter(i) }),
  );
  await box.log.append(records);
  await box.log.append(records.filter((_, i) => i % 10 === 0));
  return box;
}

type Counting = Readonly<{ onCounted?: (records: number) => void; onTakenAgain?: (error: unknown) => void }>;

/** Counts one partition, and takes it again after everything that may pass: what an aggregator's runner does. */
async function countPartition(
  db: Database,
  box: BallotBox,
  partition: number,
  options: Counting,
): Promise<void> {
  const { signal } = new AbortController();
  while (true) {
    const counter = createCounter({
      db,
      log: box.log,
      history: box.history,
      signal,
      wait: delay,
      onCounted: (_, records) => options.onCounted?.(records),
    });
    try {
      let from = await counter.take(partition);
      for (let batch; (batch = await box.log.read(partition, from, BATCH_RECORDS)).length > 0;) {
        await counter.batch(partition, batch);
        from = batch.at(-1)!.offset + 1;
      }
      return;
    } catch (error) {
      if (!isPassing(error)) throw error;
      options.onTakenAgain?.(error);
      await delay(50);
    }
  }
}

async function countAll(db: Database, box: BallotBox, options: Counting = {}): Promise<void> {
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition);
  await Promise.all(Array.from({ length: WORKERS }, async () => {
    for (let partition; (partition = partitions.pop()) !== undefined;) {
      await countPartition(db, box, partition, options);
    }
  }));
}

async function assertCountedOnce(db: Database, box: BallotBox, voters = VOTERS): Promise<void> {
  const { differences, counted, records, shown } = await recount(db, box.log, box.history);
  assert.deepEqual({ differences, shown, counted, records }, {
    differences: 0,
    shown: [],
    counted: voters,
    records: voters + Math.ceil(voters / 10),
  });
}

/** Starts a server with an empty database, migrated. */
async function withServer(
  work: (cluster: Cluster, db: Database, name: string) => Promise<void>,
): Promise<void> {
  const cluster = await startCluster({ fsync: "off" });
  try {
    const name = await cluster.createDatabase();
    const db = await openPostgres(testTarget(cluster.url(name)), {
      ...TEST_SESSIONS,
      connections: WORKERS + 1,
    });
    try {
      await migrate(db);
      await work(cluster, db, name);
    } finally {
      await db.close();
    }
  } finally {
    await cluster.remove();
  }
}

const ignore = isWithoutServer();

for (const how of ["fast", "immediate", "kill"] as const) {
  Deno.test({
    name:
      `a server that is ended (${how}) under counting workers and started again: nothing is lost, nothing is counted twice`,
    ignore,
    fn: () =>
      withServer(async (cluster, db) => {
        const box = await fullBox(db, "town");
        let counted = 0;
        const counting = countAll(db, box, { onCounted: (records) => counted += records });
        for (const until of [0.1, 0.3, 0.5].map((part) => part * VOTERS)) {
          await eventually(`${until} records are counted`, () => counted >= until);
          await cluster.stop(how);
          await cluster.start();
        }
        await counting;
        await assertCountedOnce(db, box);
      }),
  });
}

Deno.test({
  name: "a rebuild goes on when the server was away in the midst of it",
  ignore,
  fn: () =>
    withServer(async (cluster, db) => {
      const box = await fullBox(db, "town");
      await countAll(db, box);
      let outages = 0;
      const retried: unknown[] = [];
      await rebuild(db, box.log, box.history, MASTER, new Date(), withdrawUnfounded, {
        onRetry: (error) => retried.push(error),
        // Between one batch and the next, while the statements that follow are on their way.
        onProgress() {
          if (outages++ === 0) void cluster.stop("fast").then(() => cluster.start());
        },
      });
      assert.ok(retried.length > 0, "it was away");
      await assertCountedOnce(db, box);
    }),
});

Deno.test({
  name: "a connection that is cut at COMMIT, before it or behind it: the batch is counted once",
  ignore,
  fn: () =>
    withServer(async (cluster, direct, name) => {
      const proxy = startProxy(cluster.port);
      const target = { ...testTarget(cluster.url(name)), port: proxy.port };
      const db = await openPostgres(target, { ...TEST_SESSIONS, connections: WORKERS });
      try {
        const box = await fullBox(direct, "town", 300);
        let batches = 0;
        const cuts = ["after commit", "before commit"] as const;
        await countAll(db, box, {
          onCounted: () => proxy.next ??= cuts[batches++ % cuts.length],
          // A batch that is committed already is not tried again: that would find the position moved, and give up the partition.
          onTakenAgain: (error) => assert.notEqual((error as Error).name, "Fenced"),
        });
        assert.ok(proxy.done.filter((cut) => cut === "after commit").length > 5, proxy.done.join());
        assert.ok(proxy.done.filter((cut) => cut === "before commit").length > 5);
        await assertCountedOnce(direct, box, 300);
      } finally {
        await db.close();
        await proxy.close();
      }
    }),
});

Deno.test({
  name: "the connection to a silent server is considered dead at the deadline, and another one is made",
  ignore,
  fn: () =>
    withServer(async (cluster, _direct, name) => {
      const proxy = startProxy(cluster.port);
      const target = { ...testTarget(cluster.url(name)), port: proxy.port };
      const db = await openPostgres(target, { ...TEST_SESSIONS, statementTimeoutMs: 2_000, connections: 1 });
      try {
        proxy.next = "silence";
        await assert.rejects(db.query("SELECT 1"), (error: Error) => {
          assert.ok(isPassing(error));
          assert.match(error.message, /no answer in \d+ ms$/);
          return true;
        });
        assert.deepEqual(await db.query("SELECT 1 AS one"), [{ one: 1 }]);
      } finally {
        await db.close();
        await proxy.close();
      }
    }),
});

Deno.test({
  name: "two aggregators' workers that take partitions from one another count every vote once",
  ignore,
  fn: () =>
    withServer(async (cluster, db, name) => {
      const other = await openPostgres(testTarget(cluster.url(name)), {
        ...TEST_SESSIONS,
        connections: WORKERS,
      });
      try {
        const box = await fullBox(db, "town");
        const isFenced = (error: unknown) => (error as Error).name === "Fenced";
        const persist = async (each: Database) => {
          while (true) {
            try {
              return await countAll(each, box);
            } catch (error) {
              if (!isFenced(error)) throw error;
              await delay(20);
            }
          }
        };
        await Promise.all([persist(db), persist(other)]);
        await assertCountedOnce(db, box);
        const [{ lanes }] = await db.query<{ lanes: number }>(
          "SELECT count(DISTINCT lane)::float8 AS lanes FROM counting.tallies",
        );
        assert.ok(lanes > 1, "who counts at once has lanes of its own");
      } finally {
        await other.close();
      }
    }),
});
