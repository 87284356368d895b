import assert from "assert";
import { openSqliteLog, type SqliteLog } from "../shared/log/sqlite.ts";
import type { VoteLog } from "../shared/log/vote_log.ts";
import type { ElectionDefinition } from "../shared/election.ts";
import { openBallotBox, testVoters } from "../tests/ballot_box.ts";
import { withDirectory } from "../tests/directory.ts";
import { eventually } from "../tests/eventually.ts";
import { MASTER, NOON_MS } from "../tests/fixture.ts";
import { addTally } from "../tests/tallies.ts";
import { testDatabase } from "../tests/test_database.ts";
import { ALL_VOTERS } from "../shared/marks.ts";
import { countGroup } from "./counting/positions.ts";
import { type Database, oneForAll } from "./database/database.ts";
import { ElectionRunner, type RunnerOptions } from "./election_runner.ts";
import { Publisher } from "./publisher.ts";
import { rebuild } from "./counting/rebuild.ts";
import { withdrawUnfounded } from "./results/withdraw.ts";
import { publishManifest } from "./registry/elections.ts";
import { recount } from "./counting/recount.ts";
import { readTables } from "./counting/tables.ts";

const db = await testDatabase();
const CLOSED_MS = Date.parse("2026-11-03T23:00:00.001Z");

/** An election with ten voters and an embedded log of its own, and a runner of it that can be started. */
class Scene {
  nowMs = NOON_MS;
  counted = 0;
  released = 0;
  readonly faults: string[] = [];
  #stop = new AbortController();
  #running?: Promise<void>;

  constructor(
    readonly box: Awaited<ReturnType<typeof openBallotBox>>,
    readonly log: SqliteLog,
    readonly directory: string,
  ) {}

  get election(): string {
    return this.box.election;
  }

  start(change: Partial<RunnerOptions> = {}): ElectionRunner {
    this.#stop = new AbortController();
    const runner = new ElectionRunner({
      databases: oneForAll(db),
      databaseState: { away: undefined, outage: new AbortController().signal },
      log: this.log,
      gatherMaxWaitMs: 0,
      history: this.box.history,
      // From there on it goes as the clock on the wall does.
      now: () => this.nowMs + performance.now(),
      signal: this.#stop.signal,
      onCounted: (_, records) => this.counted += records,
      onReleased: (releases) => this.released += releases,
      onFault: (what, error) => this.faults.push(`${what}: ${(error as Error).message}`),
      ...change,
    });
    const publisher = new Publisher({ db: change.databases?.publishing ?? db, signal: this.#stop.signal });
    publisher.add(runner);
    this.#running = Promise.all([runner.run(), publisher.run()]).then(() => {});
    return runner;
  }

  /** Puts votes of these voters on the log. */
  async cast(...voters: number[]): Promise<void> {
    await this.log.append(voters.map((voter) => this.box.seal(`voter-${voter}`)));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** What is shown of a station so far: voters of the newest release. */
  async shownAt(station: string, mode = "in_person"): Promise<number | undefined> {
    const [row] = await db.query<{ voters: number }>(
      "SELECT voters::float8 AS voters FROM results.current WHERE election = $1 AND station = $2 AND mode = $3",
      [this.election, station, mode],
    );
    return row?.voters;
  }

  /** Voters at a station's last snapshot: what k > 1 publishes next. */
  async snapshotOf(station: string): Promise<number | undefined> {
    const [row] = await db.query<{ voters: number }>(
      "SELECT snapshot::float8 AS voters FROM results.cells WHERE election = $1 AND station = $2 AND contest = $3",
      [this.election, station, ALL_VOTERS],
    );
    return row?.voters;
  }

  /** Whether the final release was made. */
  async isFinal(): Promise<boolean> {
    const rows = await db.query(
      "SELECT FROM results.elections WHERE election = $1 AND final_at IS NOT NULL",
      [
        this.election,
      ],
    );
    return rows.length > 0;
  }
}

async function withScene(
  election: string,
  work: (scene: Scene) => Promise<void>,
  change: Partial<ElectionDefinition> = {},
): Promise<void> {
  await withDirectory(async (directory) => {
    const box = await openBallotBox(db, election, change);
    await box.enrol(testVoters(10).map((voter) => ({ ...voter, region: "north" })));
    const log = openSqliteLog(directory, election, box.history.partitions, () => NOON_MS + 1_000);
    const scene = new Scene(box, log, directory);
    try {
      await work(scene);
    } finally {
      await scene.stop();
      await log.close();
    }
  });
}

const publish = (scene: Scene, change: Parameters<typeof publishManifest>[4]) =>
  publishManifest(db, scene.election, MASTER, new Date(scene.nowMs), change);

Deno.test("ElectionRunner counts what is on the log and what comes onto it, and publishes the snapshot before", async () => {
  await withScene("runs", async (scene) => {
    await scene.cast(0, 1, 2);
    scene.start();
    await eventually("a snapshot of three is taken", async () => await scene.snapshotOf("n-1") === 3);
    await scene.cast(3, 4);
    await eventually("five are counted", () => scene.counted === 5);
    assert.equal(await scene.shownAt("n-1"), undefined, "five are not three more than three");
    await scene.cast(5);
    await eventually("three are shown", async () => await scene.shownAt("n-1") === 3);
    assert.equal(await scene.snapshotOf("n-1"), 6);
    await scene.stop();
    assert.equal(scene.counted, 6);
    assert.equal(scene.released, 1);
    assert.deepEqual(scene.faults, []);
    assert.equal((await recount(db, scene.log, scene.box.history)).differences, 0);
  });
});

Deno.test("ElectionRunner publishes as it comes where k is 1", async () => {
  await withScene("at-once", async (scene) => {
    await scene.cast(0);
    scene.start();
    await eventually("one is shown", async () => await scene.shownAt("n-1") === 1);
    await scene.cast(1, 2);
    await eventually("three are shown", async () => await scene.shownAt("n-1") === 3);
  }, { releaseThreshold: 1 });
});

Deno.test("ElectionRunner goes on where the one before it ended, and shows what that one had left", async () => {
  await withScene("goes-on", async (scene) => {
    await scene.cast(0, 1, 2);
    // The first counts, and is stopped before it can publish.
    const mute: Database = {
      ...db,
      query: (sql, params) =>
        sql.includes("counting.changes") ? Promise.reject(new Error("mute")) : db.query(sql, params),
      transaction: (work, isolation) =>
        db.transaction(
          (query) =>
            work((sql, params) =>
              sql.includes("results.releases") ? Promise.reject(new Error("mute")) : query(sql, params)
            ),
          isolation,
        ),
    };
    scene.start({ databases: oneForAll(mute) });
    await eventually("three are counted", () => scene.counted === 3);
    await scene.stop();
    assert.equal(await scene.shownAt("n-1"), undefined);
    const { log } = scene.start();
    assert.equal(log, scene.log);
    await eventually("three are shown", async () => await scene.shownAt("n-1") === 3);
    assert.equal(scene.counted, 3, "nothing was counted again");
  }, { releaseThreshold: 1 });
});

Deno.test("ElectionRunner follows the manifest, and shows by its rules what was counted before", async () => {
  await withScene("follows", async (scene) => {
    await scene.cast(0, 1, 2);
    scene.start();
    await eventually("three are counted", () => scene.counted === 3);
    await publish(scene, (newest) => ({ ...newest, name: "Another name" }));
    await eventually("version 2 is taken up", () => scene.box.history.newest.manifest.version === 2);
    assert.equal(await scene.shownAt("n-1"), undefined, "results are not for showing before closing");
    await publish(scene, (newest) => ({ ...newest, resultsBeforeClosing: true }));
    await eventually("three are shown", async () => await scene.shownAt("n-1") === 3);
  }, { resultsBeforeClosing: false, releaseThreshold: 1 });
});

Deno.test("ElectionRunner publishes nothing while results are withheld, and all of them once they are released", async () => {
  await withScene("withheld", async (scene) => {
    await scene.cast(0, 1, 2);
    scene.nowMs = CLOSED_MS;
    let [allowed, ends] = [0, 0];
    const runner = scene.start({
      log: withLog(scene.log, { end: (partition) => (ends++, scene.log.end(partition)) }),
      gate: { finalAllowed: () => (allowed++, Promise.resolve({ allowed: true })) },
    });
    await eventually("three are counted", () => scene.counted === 3);
    await eventually("the final release may be made", () => allowed > 0);
    const before = ends;
    await eventually(
      "the log was read to its end, and that was published",
      () => ends > before + 6 * scene.box.history.partitions && !runner.hasNews(),
    );
    assert.deepEqual([await scene.shownAt("n-1"), await scene.isFinal()], [undefined, false]);
    await publish(scene, ({ withheld: _, ...newest }) => newest);
    await eventually("three are shown", async () => await scene.shownAt("n-1") === 3);
    assert.equal(await scene.isFinal(), true);
  }, { publish: "manual", resultsBeforeClosing: false, releaseThreshold: 1 });
});

Deno.test("ElectionRunner makes the final release once the time is over and the log is counted", async () => {
  await withScene("closes", async (scene) => {
    await scene.cast(0, 1);
    // The log says that there is more than it delivers, as one does whose broker is slow.
    const last = scene.box.seal("voter-2");
    let undelivered = 1;
    const slow = withLog(scene.log, {
      end: async (partition) =>
        await scene.log.end(partition) + (partition === last.partition ? undelivered : 0),
    });
    let [asked, allowed] = [0, 0];
    scene.start({
      log: slow,
      gate: { finalAllowed: () => (allowed++, Promise.resolve({ allowed: true })) },
      now: () => {
        asked++;
        return scene.nowMs;
      },
    });
    await eventually("two are counted", () => scene.counted === 2);
    assert.equal(allowed, 0, "the time is not over");
    scene.nowMs = CLOSED_MS;
    await eventually("the log's end is known", () => allowed === 1);
    const before = asked;
    await eventually("it has looked again", () => asked > before + 2);
    assert.equal(await scene.isFinal(), false, "the last votes are still to come");
    undelivered = 0;
    await scene.log.append([last]);
    await eventually("the final release is shown", async () => await scene.shownAt("n-1") === 3);
    assert.deepEqual([await scene.isFinal(), scene.released], [true, 1]);
    const twoLate = asked;
    await eventually("it has looked again", () => asked > twoLate + 2);
    assert.equal(scene.released, 1, "the final release is made once");
  });
});

Deno.test("ElectionRunner makes the final release at the last moment's end, and not before", async () => {
  await withScene("in-time", async (scene) => {
    await scene.cast(0, 1, 2);
    scene.nowMs = CLOSED_MS - 1;
    let asked = 0;
    scene.start({ now: () => (asked++, scene.nowMs) });
    await eventually("three are counted", () => scene.counted === 3);
    const before = asked;
    await eventually("it has looked", () => asked > before + 2);
    assert.deepEqual([await scene.isFinal(), scene.released], [false, 0]);
    scene.nowMs = CLOSED_MS;
    await eventually("three are shown", async () => await scene.shownAt("n-1") === 3);
  });
});

Deno.test("ElectionRunner waits for the gate before it makes the final release", async () => {
  await withScene("gated", async (scene) => {
    await scene.cast(0, 1, 2);
    scene.nowMs = CLOSED_MS;
    let [isOpen, asked] = [false, 0];
    const finalAllowed = () => {
      asked++;
      return Promise.resolve(
        isOpen ? { allowed: true as const } : { allowed: false as const, reason: "a key has no statement" },
      );
    };
    scene.start({ gate: { finalAllowed } });
    await eventually("three are counted, and it was asked", () => scene.counted === 3 && asked > 1);
    assert.deepEqual([await scene.isFinal(), scene.released], [false, 0]);
    isOpen = true;
    await eventually("three are shown", async () => await scene.shownAt("n-1") === 3);
  });
});

Deno.test("ElectionRunner shows what comes after the final release in the unit where it belongs", async () => {
  await withScene("late", async (scene) => {
    await scene.cast(0, 1, 2);
    scene.nowMs = CLOSED_MS;
    scene.start();
    await eventually("three are shown", async () => await scene.shownAt("n-1") === 3);
    const late = (voter: number) => scene.box.seal(`voter-${voter}`, { mode: "early" });
    await scene.log.append([late(3), late(4)]);
    await eventually("five are counted", () => scene.counted === 5);
    scene.nowMs += 10_000;
    await scene.log.append([late(5)]);
    await eventually("six are shown", async () => await scene.shownAt("n-1") === 6);
    assert.equal(scene.released, 2, "nothing was shown of two");
    assert.equal(
      await scene.shownAt("n-1", "early"),
      undefined,
      "the mode had no voters when units were made",
    );
  });
});

Deno.test("ElectionRunner counts votes together where k > 1: two wait for the third", async () => {
  await withScene("gathers", async (scene) => {
    const transactions: number[] = [];
    await scene.cast(0, 1);
    let looks = 0;
    const runner = scene.start({
      pollEveryMs: 5,
      gatherMaxWaitMs: Infinity,
      onCounted: (_, records) => transactions.push(records),
      log: withLog(scene.log, { start: (partition) => (looks++, scene.log.start(partition)) }),
    });
    await eventually(
      "it counts, and has looked at the log often",
      () => runner.standing.isCounting && looks > 100,
    );
    assert.deepEqual(transactions, []);
    await scene.cast(2);
    await eventually("three are counted", () => transactions.length > 0);
    assert.deepEqual(transactions, [3]);
  }, { releaseThreshold: 3 });
});

/** Lets the positions say that another log was counted. */
async function countAnotherLog({ election }: Scene): Promise<void> {
  await db.query("UPDATE counting.log_positions SET log_identity = 'the first log' WHERE election = $1", [
    election,
  ]);
}

Deno.test("ElectionRunner stops counting for good when the log is another one, says so, and keeps showing results", async () => {
  await withScene("stops", async (scene) => {
    await scene.cast(0, 1, 2);
    await countAnotherLog(scene);
    await addTally(db.query, { election: scene.election, station: "s-1", mode: "in_person", voters: 3 });
    const runner = scene.start();
    await eventually("it has stopped", () => runner.stopped !== undefined);
    assert.match(runner.stopped!, /^Cannot count election stops, partition \d: the log is another one/);
    await eventually("what was counted is shown", async () => await scene.shownAt("s-1") === 3);
    await eventually(
      "it is on the audit trail",
      async () => (await stoppedEvents(scene.election)).length === 1,
    );
    assert.deepEqual(await stoppedEvents(scene.election), [{ why: runner.stopped }]);
    assert.deepEqual(scene.faults, [`counting of stops has stopped: ${runner.stopped}`]);
    assert.equal(scene.counted, 0);
  }, { releaseThreshold: 1 });
});

Deno.test("ElectionRunner stops counting when the log is another one that is empty, and closes nothing", async () => {
  await withScene("emptied", async (scene) => {
    await scene.cast(0, 1, 2);
    scene.start();
    await eventually("they are counted", () => scene.counted === 3);
    await scene.stop();
    await withDirectory(async (directory) => {
      const log = openSqliteLog(directory, scene.election, scene.log.partitions);
      try {
        scene.nowMs = CLOSED_MS;
        const runner = scene.start({ log });
        await eventually("it has stopped", () => runner.stopped !== undefined);
        assert.match(runner.stopped!, /the log is another one/);
        await scene.stop();
        assert.equal(await scene.isFinal(), false);
      } finally {
        await scene.stop();
        await log.close();
      }
    });
  });
});

async function stoppedEvents(election: string): Promise<unknown[]> {
  const rows = await db.query<{ details: unknown }>(
    "SELECT (details #>> '{}')::json AS details FROM audit.events WHERE election = $1 AND event = 'counting_stopped'",
    [election],
  );
  return rows.map(({ details }) => details);
}

Deno.test("ElectionRunner does not close an election whose counting has stopped", async () => {
  await withScene("halted", async (scene) => {
    await scene.cast(0);
    await countAnotherLog(scene);
    scene.nowMs = CLOSED_MS;
    let asked = 0;
    const runner = scene.start({ now: () => (asked++, scene.nowMs) });
    await eventually("it has stopped, and looked again", () => runner.stopped !== undefined && asked > 4);
    assert.deepEqual([await scene.isFinal(), scene.released], [false, 0]);
  });
});

Deno.test("ElectionRunner counts on after faults that are not the log's, each reported", async () => {
  await withScene("recovers", async (scene) => {
    await scene.cast(0, 1, 2);
    let faults = 2;
    const failing: Database = {
      ...db,
      transaction: (work, isolation) =>
        faults-- > 0
          ? Promise.reject(Object.assign(new Error("out of order"), { code: "XX000" }))
          : db.transaction(work, isolation),
    };
    const runner = scene.start({ databases: oneForAll(failing) });
    await eventually("three are shown", async () => await scene.shownAt("n-1") === 3);
    assert.equal(runner.stopped, undefined);
    assert.equal(scene.faults.length, 2);
    for (const fault of scene.faults) {
      assert.match(fault, /^(?:counting|publishing) of recovers failed: out of order$/);
    }
    const { outcomes } = await readTables(db.query, scene.election);
    assert.equal([...outcomes.values()].reduce((a, b) => a + b), 3);
  }, { releaseThreshold: 1 });
});

/** A log with some of its methods replaced. */
function withLog(log: SqliteLog, change: Partial<VoteLog>): VoteLog {
  return new Proxy<VoteLog>(log, {
    get(target, name) {
      if (name in change) return change[name as keyof VoteLog];
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** Ends when it is told to, and delivers nothing. */
const deliverNothing: VoteLog["consume"] = (_consumer, { signal }) =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve()));

Deno.test("ElectionRunner stops counting when records are deleted that it never hears of", async () => {
  await withScene("deleted", async (scene) => {
    await scene.cast(0, 1, 2);
    scene.start();
    await eventually("three are counted", () => scene.counted === 3);
    await scene.stop();
    let deleted = 0;
    const start = async (partition: number) => partition === 0 ? deleted : await scene.log.start(partition);
    const runner = scene.start({
      pollEveryMs: 5,
      log: withLog(scene.log, {
        start,
        end: async (n) => deleted + await scene.log.end(n),
        consume: deliverNothing,
      }),
    });
    await eventually("it counts", () => runner.standing.isCounting);
    deleted = 20;
    await eventually("it has stopped", () => runner.stopped !== undefined);
    assert.match(runner.stopped!, /records were deleted from the front of the log \(it starts at 20\)/);
    assert.deepEqual(runner.standing, { isCounting: false, reason: runner.stopped });
    await eventually(
      "it is on the audit trail",
      async () => (await stoppedEvents(scene.election)).length === 1,
    );
    await eventually("it says how many are missing", () => runner.deleted === 20);
  });
});

Deno.test("ElectionRunner says why nothing is counted, and that something is again", async () => {
  await withScene("fails", async (scene) => {
    await scene.cast(0);
    let fails = true;
    const failing: Database = {
      ...db,
      transaction: (work, isolation) =>
        fails
          ? Promise.reject(Object.assign(new Error("No space left on device"), { code: "53100" }))
          : db.transaction(work, isolation),
    };
    const runner = scene.start({ databases: oneForAll(failing), failingAfterMs: 5, pollEveryMs: 5 });
    assert.deepEqual(runner.standing, { isCounting: false, reason: "counting has not begun yet" });
    await eventually("it says why", () => runner.standing.reason === "No space left on device");
    assert.equal(runner.standing.isCounting, false);
    fails = false;
    await eventually("it is counted", () => scene.counted === 1);
    await eventually("it says so", () => runner.standing.isCounting);
    assert.equal(runner.standing.reason, undefined);
  });
});

Deno.test("ElectionRunner says that the log does not answer", async () => {
  await withScene("unanswered", async (scene) => {
    let isAway = false;
    const end = async (partition: number) => {
      if (isAway) throw new Error("no broker is reached");
      return await scene.log.end(partition);
    };
    const runner = scene.start({ log: withLog(scene.log, { end, consume: deliverNothing }), pollEveryMs: 5 });
    await eventually("it counts", () => runner.standing.isCounting);
    isAway = true;
    await eventually("it does not", () => !runner.standing.isCounting);
    assert.equal(runner.standing.reason, "the log does not answer: no broker is reached");
    isAway = false;
    await eventually("it counts again", () => runner.standing.isCounting);
  });
});

Deno.test("ElectionRunner waits until the log's settings delete nothing", async () => {
  await withScene("retention", async (scene) => {
    await scene.cast(0);
    let faults = ["retention.ms is 1000, and must be -1"];
    const runner = scene.start({
      log: withLog(scene.log, { retentionFaults: () => Promise.resolve(faults) }),
    });
    await eventually("a fault was reported", () => scene.faults.length > 0);
    assert.match(runner.standing.reason!, /retention\.ms is 1000, and must be -1/);
    assert.deepEqual([runner.stopped, scene.counted], [undefined, 0]);
    faults = [];
    await eventually("one is counted", () => scene.counted === 1);
  });
});

Deno.test("ElectionRunner stops consuming the log while the database is away, and then continues", async () => {
  await withScene("outage", async (scene) => {
    await scene.cast(0);
    let outage = new AbortController();
    const state: { away?: string } = {};
    const runner = scene.start({
      databaseState: {
        get away() {
          return state.away;
        },
        get outage() {
          return outage.signal;
        },
      },
    });
    await eventually("one is counted", () => scene.counted === 1);
    state.away = "it has not answered";
    outage.abort();
    assert.deepEqual(runner.standing, {
      isCounting: false,
      reason: "the database is away: it has not answered",
    });
    // Only one may consume: who else does, has been let.
    const other = new AbortController();
    await eventually("another may count", async () => {
      const consumption = scene.log.consume({
        take() {
          other.abort();
          return Promise.resolve(0);
        },
        batch: () => Promise.resolve(),
      }, { group: countGroup(scene.election), batchRecords: 1, signal: other.signal });
      return await consumption.then(() => true, () => false);
    });
    await scene.cast(1);
    outage = new AbortController();
    state.away = undefined;
    await eventually("two are counted", () => scene.counted === 2);
  });
});

Deno.test("ElectionRunner takes a partition back that another process took", async () => {
  await withScene("fenced", async (scene) => {
    await scene.cast(0);
    scene.start();
    await eventually("one is counted", () => scene.counted === 1);
    await db.query("UPDATE counting.log_positions SET epoch = epoch + 1 WHERE election = $1", [
      scene.election,
    ]);
    await scene.cast(1);
    await eventually("two are counted", () => scene.counted === 2);
    assert.deepEqual(scene.faults, [
      "another process counts fenced: Cannot count partition 0: another process has taken it",
    ]);
    assert.equal((await recount(db, scene.log, scene.box.history)).differences, 0);
  }, { partitions: 1 });
});

Deno.test("ElectionRunner waits while another process consumes the log, and then counts", async () => {
  await withScene("queues", async (scene) => {
    await scene.cast(0);
    const abort = new AbortController();
    const [taken, released] = [Promise.withResolvers<void>(), Promise.withResolvers<number>()];
    const other = scene.log.consume({
      take() {
        taken.resolve();
        return released.promise;
      },
      batch: () => Promise.resolve(),
    }, { group: countGroup(scene.election), batchRecords: 1, signal: abort.signal });
    await taken.promise;
    const runner = scene.start();
    await eventually("the wait was reported", () => scene.faults.length > 0);
    assert.match(scene.faults[0], /^another process counts queues: Cannot take the lock/);
    assert.deepEqual([runner.stopped, scene.counted], [undefined, 0]);
    abort.abort();
    released.resolve(0);
    await other;
    await eventually("one is counted", () => scene.counted === 1);
  });
});

Deno.test("ElectionRunner ends when it is aborted, whatever it waits for, and notes its positions", async () => {
  await withScene("ends", async (scene) => {
    await scene.cast(0, 1);
    scene.start();
    await eventually("two are counted", () => scene.counted === 2);
    await scene.stop();
    await scene.cast(2);
    assert.equal((await readTables(db.query, scene.election)).participations.size, 2);
    let noted = 0;
    for (let partition = 0; partition < scene.log.partitions; partition++) {
      noted += await scene.log.committed(countGroup(scene.election), partition);
    }
    assert.equal(noted, 2);
  });
});

Deno.test("ElectionRunner goes on publishing while the log is away after closing", async () => {
  await withScene("away-at-closing", async (scene) => {
    await scene.cast(0);
    let isAway = false;
    const log = withLog(scene.log, {
      end: async (partition) => {
        if (isAway) throw new Error("no broker answers");
        return await scene.log.end(partition);
      },
    });
    scene.start({ log });
    await scene.cast(1, 2, 3, 4);
    await eventually("five are shown", async () => await scene.shownAt("n-1") === 5);
    isAway = true;
    scene.nowMs = CLOSED_MS;
    await scene.cast(5);
    await eventually("six are shown all the same", async () => await scene.shownAt("n-1") === 6);
    await eventually("three faults were reported", () => scene.faults.length >= 3);
    for (const fault of scene.faults) {
      assert.match(fault, /no broker answers/);
    }
    isAway = false;
    await eventually("the final release is made", () => scene.isFinal());
  }, { releaseThreshold: 1 });
});

Deno.test("ElectionRunner goes on after a rebuild without a restart, also when it had stopped", async () => {
  await withScene("rebuilt", async (scene) => {
    await scene.cast(0, 1, 2);
    const runner = scene.start();
    await eventually("three are shown", async () => await scene.shownAt("n-1") === 3);
    const again = () =>
      rebuild(db, scene.log, scene.box.history, MASTER, new Date(NOON_MS), withdrawUnfounded);
    await again();
    await scene.cast(3);
    await eventually("four are shown", async () => await scene.shownAt("n-1") === 4);
    assert.equal(runner.stopped, undefined);
    // As after a backup was restored: the database is behind the log.
    await db.query(
      "UPDATE counting.log_positions SET epoch = epoch + 1, log_identity = 'another' WHERE election = $1",
      [scene.election],
    );
    await scene.cast(4);
    await eventually("it has stopped", () => runner.stopped !== undefined);
    await again();
    await eventually("it counts again", () => runner.stopped === undefined);
    await scene.cast(5);
    await eventually("six are shown", async () => await scene.shownAt("n-1") === 6);
    assert.equal((await recount(db, scene.log, scene.box.history)).differences, 0);
  }, { releaseThreshold: 1 });
});
