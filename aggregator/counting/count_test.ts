import assert from "assert";
import fc from "fast-check";
import { judge } from "../../shared/judge.ts";
import { indexElection, type Manifest } from "../../shared/election.ts";
import type { KeyName } from "../../shared/keys.ts";
import { HELD_REASONS, REJECTION_REASONS } from "../../shared/outcome.ts";
import { LogFault, type PlacedRecord } from "../../shared/log/vote_log.ts";
import { MAX_ENTRY_RECORDS } from "../../shared/record.ts";
import { countRecord, emptyCount, type Participations, type RollEntry } from "../../shared/tally.ts";
import { VOTING_MODES } from "../../shared/mode.ts";
import {
  NOON_MS,
  placed,
  testDefinition,
  testHistory,
  testManifest,
  testRecord,
  testSealer,
  testVoterKey,
} from "../../tests/fixture.ts";
import { MemoryLog } from "../../tests/memory_log.ts";
import { reachesAll } from "../../tests/reaches_all.ts";
import { FULL_RUN, runs } from "../../tests/runs.ts";
import { withDatabase } from "../../tests/test_database.ts";
import { COUNT_BATCH_RECORDS, createCounter, type GrowingHistory } from "./count.ts";
import { checkLog, countGroup, Fenced } from "./positions.ts";
import { readTables } from "./tables.ts";
import { type Database, DatabaseUnavailable, type Query } from "../database/database.ts";

const never = new AbortController().signal;

async function enrol(db: Database, election: string, entries: readonly RollEntry[]): Promise<void> {
  for (
    const { voterKey, revision, struckRevision, struckAtMs, region, station, ageGroup, gender } of entries
  ) {
    await db.query(
      `INSERT INTO counting.roll
         (election, voter_key, revision, struck_revision, struck_at, region, station, age_group, gender)
       VALUES ($1, decode($2, 'hex'), $3::int, $4::int, $5::timestamptz, $6, $7, $8, $9)`,
      [
        election,
        voterKey,
        revision,
        struckRevision,
        struckAtMs === null ? null : iso(struckAtMs),
        region,
        station,
        ageGroup,
        gender,
      ],
    );
  }
}

const iso = (ms: number) => new Date(ms).toISOString();

function entry(voterKey: string, change: Partial<RollEntry> = {}): RollEntry {
  return {
    voterKey,
    revision: 0,
    struckRevision: null,
    struckAtMs: null,
    region: "north",
    station: null,
    ageGroup: "25-34",
    gender: "female",
    ...change,
  };
}

const VOTERS = 7;
const PARTITIONS = 3;

/** Generates the usual value 24 times of 25, else one of the others. */
function mostly<T>(usual: fc.Arbitrary<T>, ...others: T[]): fc.Arbitrary<T> {
  return fc.oneof({ weight: 24, arbitrary: usual }, { weight: 1, arbitrary: fc.constantFrom(...others) });
}

const COUNTED_MODES = VOTING_MODES.filter((mode) => mode !== "provisional");

/** One record of a generated log: mostly in order, sometimes wrong in one way. */
const generatedRecord = fc.record({
  voter: fc.integer({ min: 0, max: VOTERS - 1 }),
  voteId: fc.integer({ min: 0, max: 1 }),
  station: mostly(fc.constantFrom("n-1", "s-1"), "n-2", "s-2", "x-9"),
  device: mostly<string | undefined>(fc.constant(undefined), "n-2-a"),
  // Provisional votes are held for that, whatever else they would be held for.
  mode: fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...COUNTED_MODES) }, {
    weight: 1,
    arbitrary: fc.constant("provisional" as const),
  }),
  mayor: mostly(fc.constantFrom(undefined, "ann", "bob", "cyd"), "zed"),
  council: mostly(fc.uniqueArray(fc.constantFrom("dan", "eve", "fay"), { maxLength: 2 }), [
    "dan",
    "eve",
    "fay",
  ], ["eve", "eve"]),
  castMinute: mostly(fc.constant(0), 900),
  // A clock ahead is held only where the log's time is out of hours too: both must come together often enough.
  acceptedMinute: fc.oneof(
    { weight: 7, arbitrary: fc.integer({ min: 0, max: 3 }) },
    { weight: 1, arbitrary: fc.constantFrom(-1, 4, 30, 700) },
  ),
  appendedMinute: mostly(fc.integer({ min: 0, max: 4 }), 40),
  version: mostly(fc.constant(1), 2, 3),
  gateway: mostly(fc.constant("g-1"), "g-2", "g-9"),
  fault: mostly<string | undefined>(
    fc.constantFrom(undefined, "again"),
    "signature",
    "noise",
    "partition",
    "proof",
    "statement",
    "joined",
  ),
  gap: mostly(fc.constant(0), 1, 5),
  /** Voters whose records stand in the same entry, after this one. Some belong on another partition. */
  beside: fc.oneof(
    { weight: 2, arbitrary: fc.constant<number[]>([]) },
    { weight: 1, arbitrary: fc.array(fc.integer({ min: 0, max: VOTERS - 1 }), { maxLength: 6 }) },
  ),
});

/** How the log is delivered: batch sizes, and the failure before each batch is counted. */
const generatedDelivery = fc.array(
  fc.record({
    size: fc.integer({ min: 1, max: 9 }),
    trouble: fc.constantFrom("none", "none", "redelivered", "rolled back", "answer lost", "taken again"),
  }),
  { minLength: 1, maxLength: 6 },
);

const generatedRoll = fc.array(
  fc.record({
    from: mostly(fc.constant(1), 2),
    struck: mostly(fc.constant(false), true),
    struckMinute: fc.integer({ min: 1, max: 4 }),
    station: mostly<string | null>(fc.constant(null), "n-1", "s-1"),
    region: mostly(fc.constant("north"), "south"),
    on: mostly(fc.constant(1), 0),
  }),
  { minLength: VOTERS, maxLength: VOTERS },
);

/** The offset of each partition from which the second revision applies. */
const generatedChange = fc.record({
  positions: fc.array(fc.integer({ min: 0, max: 12 }), { minLength: PARTITIONS, maxLength: PARTITIONS }),
  // Frequent enough that a full run always holds a record for each of the two.
  revokes: fc.constantFrom(...Array<undefined>(8).fill(undefined), "gateway", "device"),
});

Deno.test("the counting statement comes to what the fold comes to, however records are delivered", async () => {
  await withDatabase(async (db) => {
    let run = 0;
    const reached = new Set<string>();
    const property = () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(generatedRecord, { maxLength: 40 }),
          generatedDelivery,
          generatedRoll,
          generatedChange,
          async (records, deliveries, rollSketch, change) => {
            const election = `run-${run++}`;
            const world = await buildWorld(election, records, rollSketch, change);
            await enrol(db, election, world.roll);
            await deliver(db, world, deliveries);
            const tables = await db.transaction((query) => readTables(query, election), "snapshot");
            const expected = foldLog(world);
            assert.deepEqual(tables, expected);
            for (const key of expected.outcomes.keys()) reached.add(key.slice(key.indexOf("/") + 1));
          },
        ),
        { numRuns: runs(1_000) },
      );
    // A short run does not reach every outcome.
    if (!FULL_RUN) return await property();
    const wanted = ["counted", "duplicate/retransmission", "duplicate/double_vote", "statement"]
      .concat(Object.keys(REJECTION_REASONS).map((reason) => `rejected/${reason}`))
      .concat(Object.keys(HELD_REASONS).map((reason) => `held/${reason}`))
      .filter((outcome) => !ELSEWHERE.includes(outcome));
    await reachesAll(property, () => wanted.filter((outcome) => !reached.has(outcome)));
  });
});

/** Outcomes that need a log made by hand, which judge_test.ts has, or a decision. */
const ELSEWHERE = [
  "after_certification",
  "wrong_election",
  "cannot_open",
  "malformed",
  "invalid_vote",
  "by_decision",
  "foreign_station",
]
  .map((reason) => `rejected/${reason}`);

type World = Awaited<ReturnType<typeof buildWorld>>;
type Sketch<T> = T extends fc.Arbitrary<infer U> ? U : never;

async function buildWorld(
  election: string,
  sketches: Sketch<typeof generatedRecord>[],
  rollSketch: Sketch<typeof generatedRoll>,
  { positions, revokes }: Sketch<typeof generatedChange>,
) {
  const first = testManifest(
    testDefinition({ election, partitions: PARTITIONS, heldModes: ["provisional"] }),
  );
  const second = {
    ...first,
    version: 2,
    closesAt: iso(NOON_MS + 120_000),
    acceptsUntil: iso(NOON_MS + 120_000),
  };
  const history = changingHistory(first, second, positions, revokes);
  const sealers = new Map(["g-1", "g-2", "g-9"].map((id) => [id, testSealer(first, id)]));
  let logMs = NOON_MS;
  const log = new MemoryLog(PARTITIONS, "one", () => logMs);
  let previous: PlacedRecord | undefined;
  for (const sketch of sketches) {
    logMs = NOON_MS + sketch.appendedMinute * 60_000 + 1_000;
    const appended = appendedOf(sketch, election, sealers.get(sketch.gateway)!, previous);
    log.skip(appended.partition, sketch.gap);
    await log.append([appended]);
    previous = appended;
  }
  const roll = rollSketch.flatMap(({ from, struck, struckMinute, station, region, on }, voter) => {
    if (on === 0) return [];
    const voterKey = testVoterKey(`voter-${voter}`, election);
    const groups = { station, region, ageGroup: `age-${voter % 3}`, gender: voter % 2 ? "female" : "male" };
    const struckBy = struck ? { struckRevision: 2, struckAtMs: NOON_MS + struckMinute * 60_000 } : {};
    return [entry(voterKey, { revision: from, ...struckBy, ...groups })];
  });
  return { election, history, log, roll };
}

/** What a sketch puts on the log. */
function appendedOf(
  sketch: Sketch<typeof generatedRecord>,
  election: string,
  sealer: ReturnType<typeof testSealer>,
  previous: PlacedRecord | undefined,
): PlacedRecord {
  const record = testRecord(`voter-${sketch.voter}`, {
    voteId: `00000000-0000-4000-8000-${String(sketch.voter * 10 + sketch.voteId).padStart(12, "0")}`,
    station: sketch.station,
    ...sketch.device !== undefined && { device: sketch.device },
    // Station x-9 does not exist and has no device, so device n-1-a is used.
    ...sketch.station === "x-9" && { device: "n-1-a" },
    mode: sketch.mode,
    selections: [
      ...(sketch.mayor ? [{ contest: "mayor", candidate: sketch.mayor }] : []),
      ...sketch.council.map((candidate) => ({ contest: "council", candidate })),
    ],
    castAt: iso(NOON_MS + sketch.castMinute * 60_000),
    manifestVersion: sketch.version,
    acceptedAt: iso(NOON_MS + sketch.acceptedMinute * 60_000),
    ...sketch.fault === "proof" && { proof: new Uint8Array(32) },
  }, election);
  const beside = sketch.beside.map((voter) =>
    testRecord(`voter-${voter}`, {
      voteId: `00000000-0000-4000-8000-${String(voter * 10 + sketch.voteId).padStart(12, "0")}`,
      acceptedAt: record.acceptedAt,
      castAt: record.castAt,
    }, election)
  );
  const { partition } = placed(sealer, record, PARTITIONS);
  const appended = { ...sealer.seal(record, ...beside), partition };
  switch (sketch.fault) {
    case "signature":
      return { ...appended, signature: new Uint8Array(32) };
    case "noise":
      return { ...appended, value: new Uint8Array(7), version: "?" };
    case "partition":
      return { ...appended, partition: (appended.partition + 1) % PARTITIONS };
    case "statement":
      return { ...sealer.state(), partition: appended.partition };
    case "joined":
      return {
        ...sealer.seal(record, { ...record, voteId: crypto.randomUUID() }),
        partition: appended.partition,
      };
    case "again":
      return previous ?? appended;
    default:
      return appended;
  }
}

/** A history of two revisions: the second closes the election, and may revoke a gateway or a device. */
function changingHistory(
  first: Manifest,
  second: Manifest,
  positions: readonly number[],
  revokes: string | undefined,
): GrowingHistory {
  const before = testHistory(first).at(0, 0);
  const known = testHistory(first, second);
  const later = {
    ...known.at(0, 0),
    manifests: [
      ...before.manifests,
      { effectiveAtMs: NOON_MS + 60_000, index: indexElection(second) },
    ],
    gatewayKey: (name: KeyName) => {
      const key = before.gatewayKey(name);
      return key && { ...key, isRevoked: revokes === "gateway" && name.id === "g-1" };
    },
    deviceKey: (device: string, version: number) => {
      const key = before.deviceKey(device, version);
      return key && { ...key, isRevoked: revokes === "device" && device === "n-1-a" };
    },
  };
  return {
    ...known,
    revision: 0,
    at: (partition, offset) =>
      offset >= positions[partition] ? { ...later, revision: 2 } : { ...before, revision: 1 },
  };
}

/** Counts the whole log, with trouble on the way. */
async function deliver(db: Database, { history, log }: World, deliveries: Sketch<typeof generatedDelivery>) {
  let turn = 0;
  let failing: "before" | "after" | undefined;
  const troubled: Database = {
    ...db,
    transaction: async <T>(work: (query: Query) => Promise<T>) => {
      const how = failing;
      failing = undefined;
      const result = await db.transaction(async (query) => {
        const done = await work(query);
        if (how === "before") throw new DatabaseUnavailable("the connection broke before COMMIT");
        return done;
      });
      if (how === "after") throw new DatabaseUnavailable("the connection broke after COMMIT");
      return result;
    },
  };
  const make = () =>
    createCounter({
      db: troubled,
      log,
      history,
      signal: never,
      wait: () => Promise.resolve(),
    });
  for (let partition = 0; partition < PARTITIONS; partition++) {
    let counter = make();
    let from = await counter.take(partition);
    let last: Awaited<ReturnType<MemoryLog["read"]>> = [];
    while (true) {
      const { size, trouble } = deliveries[turn++ % deliveries.length];
      if (trouble === "taken again") {
        counter = make();
        from = await counter.take(partition);
      }
      if (trouble === "redelivered" && last.length > 0) await counter.batch(partition, last);
      const records = await log.read(partition, from, size);
      if (records.length === 0) break;
      if (trouble === "rolled back") failing = "before";
      if (trouble === "answer lost") failing = "after";
      const overlapping = trouble === "redelivered" ? [...last, ...records] : records;
      await counter.batch(partition, overlapping);
      last = records;
      from = records.at(-1)!.offset + 1;
    }
  }
}

/** What the pure fold makes of the same log. */
function foldLog({ history, log, roll }: World): Awaited<ReturnType<typeof readTables>> {
  const count = emptyCount();
  const outcomes = new Map<string, number>();
  const participations = new Map<string, string>();
  const read = new Map<number, number>();
  log.stored.forEach((entries, partition) => {
    const own = { ...count, outcomes: new Map<string, number>() };
    const seen: Participations = new Map();
    const judgements = entries.flatMap((entry) => judge(entry, history));
    for (const judgement of judgements) {
      countRecord(own, seen, judgement, (key) => roll.filter(({ voterKey }) => voterKey === key));
    }
    for (const [name, n] of own.outcomes) outcomes.set(`${partition}/${name}`, n);
    for (const [key, { voteId }] of seen) participations.set(key, voteId);
    if (judgements.length > 0) read.set(partition, judgements.length);
  });
  return { ...count, outcomes, participations, read } as Awaited<ReturnType<typeof readTables>>;
}

/** A log with votes of so many voters in it, on one partition, and all that counting them takes. */
async function ballotBox(db: Database, voters: number, id = "log-1") {
  const manifest = testManifest(testDefinition({ election: "box", partitions: 1 }));
  const history = { ...testHistory(manifest), revision: 0 };
  const sealer = testSealer(manifest);
  const log = new MemoryLog(1, id, () => NOON_MS);
  const keys = Array.from({ length: voters }, (_, i) => testVoterKey(`voter-${i}`, "box"));
  for (let i = 0; i < voters; i++) await log.append([placed(sealer, testRecord(`voter-${i}`, {}, "box"), 1)]);
  const rows = await db.query("SELECT 1 FROM counting.roll WHERE election = 'box' LIMIT 1");
  if (rows.length === 0) await enrol(db, "box", keys.map((key) => entry(key)));
  const count = async (counted: MemoryLog = log) => {
    const counter = createCounter({
      db,
      log: counted,
      history,
      signal: never,
      wait: () => Promise.resolve(),
    });
    await counted.consume(counter, { group: countGroup("box"), batchRecords: 4, signal: never });
  };
  return { log, count, history };
}

const refusal = (pattern: RegExp) => (error: unknown) =>
  error instanceof LogFault && pattern.test(error.message);

async function countedIn(db: Database): Promise<number> {
  return (await readTables(db.query, "box")).outcomes.get("0/counted") ?? 0;
}

Deno.test("counting stops and names it when the log is another one", async () => {
  await withDatabase(async (db) => {
    await (await ballotBox(db, 6)).count();
    const other = await ballotBox(db, 9, "log-2");
    await assert.rejects(
      other.count(),
      refusal(/the log is another one \(log-2\) than the one counted so far \(log-1\)/),
    );
    assert.equal(await countedIn(db), 6);
  });
});

Deno.test("counting stops and names it when the log was truncated", async () => {
  await withDatabase(async (db) => {
    const { log, count } = await ballotBox(db, 6);
    await count();
    log.truncate(0, 5);
    await assert.rejects(count(), refusal(/truncated: it ends at offset 5, and 6 records had been read/));
    assert.equal(await countedIn(db), 6);
  });
});

Deno.test("counting stops and names it when the log was truncated and written on", async () => {
  await withDatabase(async (db) => {
    const { log, count } = await ballotBox(db, 6);
    await count();
    log.truncate(0, 3);
    await log.append((await ballotBox(db, 5)).log.stored[0]);
    await assert.rejects(count(), refusal(/other contents: the record at offset 5/));
    assert.equal(await countedIn(db), 6);
  });
});

const FRONT_DELETED = (start: number) =>
  refusal(
    new RegExp(
      `records were deleted from the front of the log \\(it starts at ${start}\\): check the topic's retention`,
    ),
  );

Deno.test("counting stops when records were deleted before it read them", async () => {
  await withDatabase(async (db) => {
    const { log, count } = await ballotBox(db, 6);
    log.deleteBefore(0, 2);
    await assert.rejects(count(), FRONT_DELETED(2));
    assert.equal(await countedIn(db), 0);
  });
});

Deno.test("counting stops when records were deleted that it had counted, and some that it had not", async () => {
  await withDatabase(async (db) => {
    const more = (await ballotBox(db, 6)).log.stored[0].slice(3);
    const { log, count } = await ballotBox(db, 3);
    await count();
    await log.append(more);
    log.deleteBefore(0, 5);
    await assert.rejects(count(), FRONT_DELETED(5));
    assert.equal(await countedIn(db), 3);
  });
});

Deno.test("counting that runs stops when records are deleted before it reads them", async () => {
  await withDatabase(async (db) => {
    const { log, history } = await ballotBox(db, 9);
    const counter = createCounter({ db, log, history, signal: never, wait: () => Promise.resolve() });
    const from = await counter.take(0);
    await counter.batch(0, await log.read(0, from, 3));
    log.deleteBefore(0, 6);
    await assert.rejects(counter.batch(0, await log.read(0, 3, 3)), FRONT_DELETED(6));
    assert.equal(await countedIn(db), 3);
    assert.deepEqual(await db.query("SELECT FROM counting.gaps"), []);
  });
});

Deno.test("counting goes on over offsets that the log left out by itself, and notes the gap", async () => {
  await withDatabase(async (db) => {
    const more = (await ballotBox(db, 5)).log.stored[0].slice(3);
    const { log, count } = await ballotBox(db, 3);
    log.skip(0, 2);
    await log.append(more);
    await count();
    assert.equal(await countedIn(db), 5);
    assert.deepEqual(
      await db.query(
        `SELECT from_offset::float8 AS "from", until_offset::float8 AS until FROM counting.gaps`,
      ),
      [{ from: 3, until: 5 }],
    );
  });
});

Deno.test("counting continues when the deleted records were counted before", async () => {
  await withDatabase(async (db) => {
    const more = (await ballotBox(db, 6)).log.stored[0].slice(4);
    const { log, count } = await ballotBox(db, 4);
    await count();
    await log.append(more);
    for (const start of [2, 4]) {
      log.deleteBefore(0, start);
      await count();
    }
    assert.equal(await countedIn(db), 6);
  });
});

Deno.test("counting does not begin on a log whose settings delete records", async () => {
  await withDatabase(async (db) => {
    const { log, history } = await ballotBox(db, 2);
    log.retention = ["retention.ms of votes.box is 604800000, and must be -1"];
    await assert.rejects(
      checkLog({ db, log, history }),
      /^RetentionFault: Cannot count election box: retention\.ms of votes\.box is 604800000, and must be -1/,
    );
  });
});

Deno.test("counting asks again whether a batch was committed until the database answers", async () => {
  await withDatabase(async (db) => {
    const { log, history } = await ballotBox(db, 4);
    let failures = 0;
    const waits: number[] = [];
    const away = (
      error = new DatabaseUnavailable("it is not reached"),
    ) => (failures++, Promise.reject(error));
    let isAway = false;
    const troubled: Database = {
      ...db,
      query: (sql, params) => isAway ? away() : db.query(sql, params),
      transaction: async (work) => {
        if (isAway) return await away();
        // The first commits, and its answer is lost, together with the database.
        const done = await db.transaction(work);
        isAway = failures === 0 && counting;
        return isAway ? await away() : done;
      },
    };
    let counting = false;
    const counter = createCounter({
      db: troubled,
      log,
      history,
      signal: never,
      wait(ms) {
        waits.push(ms);
        isAway = waits.length < 8;
        return Promise.resolve();
      },
    });
    const records = await log.read(0, await counter.take(0), 10);
    counting = true;
    await counter.batch(0, records);
    assert.equal(failures, 8);
    assert.deepEqual(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    assert.equal(await countedIn(db), 4);
  });
});

Deno.test("counting gives up at once on an error of its own", async () => {
  await withDatabase(async (db) => {
    const { log, history } = await ballotBox(db, 2);
    let tries = 0;
    const broken: Database = {
      ...db,
      transaction: (work) =>
        counting ? (tries++, Promise.reject(new TypeError("x is not a function"))) : db.transaction(work),
    };
    let counting = false;
    const counter = createCounter({ db: broken, log, history, signal: never, wait: () => Promise.resolve() });
    const records = await log.read(0, await counter.take(0), 10);
    counting = true;
    await assert.rejects(counter.batch(0, records), /^TypeError: x is not a function$/);
    assert.equal(tries, 1);
  });
});

Deno.test("counting gives up a batch for which the database does not answer, soon after it is aborted", async () => {
  await withDatabase(async (db) => {
    const { log, history } = await ballotBox(db, 2);
    const stop = new AbortController();
    const [begun, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const silent: Database = {
      ...db,
      async transaction(work) {
        if (!counting) return await db.transaction(work);
        begun.resolve();
        await answer.promise;
        throw new DatabaseUnavailable("no answer");
      },
    };
    let counting = false;
    const counter = createCounter({
      db: silent,
      log,
      history,
      signal: stop.signal,
      wait: () => Promise.resolve(),
      finishMs: 1,
    });
    const records = await log.read(0, await counter.take(0), 10);
    counting = true;
    const counted = counter.batch(0, records);
    await begun.promise;
    stop.abort();
    await assert.rejects(counted, /another process may count its partition/);
    answer.resolve();
  });
});

Deno.test("counting stops and names it when the database was restored from earlier", async () => {
  await withDatabase(async (db) => {
    const { log, count } = await ballotBox(db, 6);
    await count();
    log.commit(countGroup("box"), 0, 8);
    await assert.rejects(
      count(),
      refusal(/the database is older than the log: it stands at offset 6.*come to 8/),
    );
    assert.equal(await countedIn(db), 6);
  });
});

Deno.test("the older of two owners of a partition is fenced, and writes nothing", async () => {
  await withDatabase(async (db) => {
    const { log, history } = await ballotBox(db, 6);
    const make = () => createCounter({ db, log, history, signal: never, wait: () => Promise.resolve() });
    const zombie = make();
    const records = await log.read(0, await zombie.take(0), 3);
    const heir = make();
    await heir.take(0);
    await assert.rejects(zombie.batch(0, records), Fenced);
    assert.equal(await countedIn(db), 0);
    await heir.batch(0, records);
    assert.equal(await countedIn(db), 3);
  });
});

Deno.test("counting gives up at once on an error that will not pass", async () => {
  await withDatabase(async (db) => {
    const { count } = await ballotBox(db, 2);
    await db.query("ALTER TABLE counting.participations RENAME TO gone");
    await assert.rejects(count(), /participations.*does not exist/);
  });
});

Deno.test("a flood of forgeries is counted to the last, and its details are bounded", async () => {
  await withDatabase(async (db) => {
    const { log, count } = await ballotBox(db, 2);
    const [genuine] = log.stored[0];
    await log.append(Array.from({ length: 2_500 }, () => ({ ...genuine, signature: new Uint8Array(32) })));
    await count();
    const { outcomes } = await readTables(db.query, "box");
    assert.equal(outcomes.get("0/rejected/bad_signature"), 2_500);
    assert.equal(outcomes.get("0/counted"), 2);
    const [{ kept }] = await db.query<{ kept: number }>(
      "SELECT count(*)::float8 AS kept FROM counting.rejections",
    );
    assert.equal(kept, 1_000);
  });
});

Deno.test("a delivery of more records than a batch may hold is counted in several transactions", async () => {
  await withDatabase(async (db) => {
    const voters = COUNT_BATCH_RECORDS + 500;
    const manifest = testManifest(testDefinition({ election: "box", partitions: 1 }));
    const sealer = testSealer(manifest);
    const log = new MemoryLog(1, "log-1", () => NOON_MS);
    const records = Array.from({ length: voters }, (_, i) => testRecord(`voter-${i}`, {}, "box"));
    for (let from = 0; from < voters; from += MAX_ENTRY_RECORDS) {
      await log.append([{ ...sealer.seal(...records.slice(from, from + MAX_ENTRY_RECORDS)), partition: 0 }]);
    }
    await enrol(db, "box", records.map(({ voterKey }) => entry(voterKey)));
    const counted: number[] = [];
    const committed: number[] = [];
    let failing = true;
    let nowMs = 0;
    const counter = createCounter({
      // The answer to the first COMMIT is lost.
      db: {
        ...db,
        transaction: async <T>(work: (query: Query) => Promise<T>) => {
          const result = await db.transaction(work);
          if (failing) {
            failing = false;
            throw new DatabaseUnavailable("the connection broke after COMMIT");
          }
          return result;
        },
      },
      log,
      history: { ...testHistory(manifest), revision: 0, reload: () => Promise.resolve() },
      signal: never,
      wait: () => Promise.resolve(),
      onCounted: (_outcomes, records) => void counted.push(records),
      clockMs: () => nowMs += 5,
      onCommitted: (tookMs) => void committed.push(tookMs),
    });
    failing = false;
    await counter.take(0);
    failing = true;
    const delivered = await log.read(0, 0, 1_000);
    await counter.batch(0, delivered);
    const first = Math.floor(COUNT_BATCH_RECORDS / MAX_ENTRY_RECORDS) * MAX_ENTRY_RECORDS;
    assert.deepEqual(counted, [first, voters - first]);
    assert.deepEqual(committed, [5], "the time of a transaction whose answer was lost is not known");
    await counter.batch(0, delivered);
    assert.equal(await countedIn(db), voters, "what comes again counts no more");
    const { read } = await readTables(db.query, "box");
    assert.equal(read.get(0), voters);
  });
});
