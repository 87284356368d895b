import assert from "assert";
import { fromHex } from "../../shared/bytes.ts";
import { judge } from "../../shared/judge.ts";
import { partitionOf } from "../../shared/partition.ts";
import { type BallotBox, fillBallotBox, openBallotBox, testVoter } from "../../tests/ballot_box.ts";
import { inTime } from "../../tests/eventually.ts";
import { MASTER, NOON_MS, testDevice, testVoterKey } from "../../tests/fixture.ts";
import { voteOf } from "../../tests/tallies.ts";
import { tamper, testDatabase } from "../../tests/test_database.ts";
import type { Database, Parameter, Query } from "../database/database.ts";
import { publishManifest } from "../registry/elections.ts";
import { CELL_VOTES } from "./layouts.ts";
import { type Recount, recount } from "./recount.ts";

const db = await testDatabase();
const iso = (ms: number) => new Date(ms).toISOString();
let boxes = 0;

/** A box of everything, counted. */
async function countedBox(): Promise<BallotBox> {
  const box = await openBallotBox(db, `box-${boxes++}`);
  await fillBallotBox(box);
  await box.count();
  return box;
}

/** Recounts, and checks that only what may be shown is shown: lines by their names, and never a voter key. */
async function recounted({ log, history }: BallotBox): Promise<Recount> {
  const found = await recount(db, log, history);
  const shown = JSON.stringify(found.shown);
  assert.doesNotMatch(shown, /[0-9a-f]{64}/, "it names a voter key");
  assert.equal(found.shown.length, Math.min(found.differences, 100));
  return found;
}

const linesOf = ({ shown }: Recount) => shown.map(({ line }) => line).sort();

Deno.test("recount() finds no difference after a count of everything there is", async () => {
  const box = await countedBox();
  let read = 0;
  const found = await recount(db, box.log, box.history, (records) => read += records);
  const { lines, devices, ...rest } = found;
  assert.equal(devices.reduce((sum, { counted }) => sum + counted, 0), 25, "each vote has its device");
  for (const { device, station, received, counted } of devices) {
    assert.equal(device, testDevice(station));
    assert.ok(received >= counted);
  }
  // 24 of the first round, and one of the two that are the same.
  const records = box.log.stored.flat().length;
  assert.deepEqual(rest, {
    records,
    counted: 25,
    altered: 0,
    reused: 0,
    differences: 0,
    shown: [],
    deleted: [],
  });
  assert.equal(read, records);
  assert.ok(lines > 80, `${lines} lines were compared`);
  const gaps = await db.query("SELECT FROM counting.gaps WHERE election = $1", [box.election]);
  assert.ok(gaps.length > 0, "the log has gaps");
});

Deno.test("recount() finds no difference when a later manifest shuffles and adds candidates, and moves a station", async () => {
  const box = await openBallotBox(db, `box-${boxes++}`);
  await box.enrol(Array.from({ length: 24 }, (_, i) => testVoter(`voter-${i}`, { station: "n-2" })));
  const cast = async (from: number, candidates: readonly string[]) => {
    for (let i = from; i < from + 12; i++) {
      const selections = [{ contest: "mayor", candidate: candidates[i % candidates.length]! }];
      await box.cast(`voter-${i}`, { station: "n-2", mode: "early", selections });
    }
  };
  await cast(0, ["ann", "bob", "bob"]);
  await publishManifest(
    db,
    box.election,
    MASTER,
    new Date(NOON_MS - 3_600_000),
    ({ contests, ...newest }) => ({
      ...newest,
      contests: contests.map((contest) => ({
        ...contest,
        candidates: [{ id: "zoe", name: "Zoe" }, ...contest.candidates.toReversed()],
      })),
      stations: newest.stations.map((station) =>
        station.id === "n-2" ? { ...station, region: "south" } : station
      ),
    }),
  );
  await box.history.reload(db.query);
  await cast(12, ["zoe", "ann", "ann"]);
  await box.count(100);
  const { counted, differences, shown } = await recounted(box);
  assert.deepEqual([counted, differences], [24, 0], JSON.stringify(shown));
  const votes = await db.query<{ candidate: string; votes: number }>(
    `SELECT candidate, sum(votes)::float8 AS votes FROM ${CELL_VOTES} v
     WHERE election = $1 AND candidate NOT LIKE '#%' GROUP BY 1 ORDER BY 1`,
    [box.election],
  );
  assert.deepEqual(votes, [
    { candidate: "ann", votes: 12 },
    { candidate: "bob", votes: 8 },
    { candidate: "zoe", votes: 4 },
  ]);
});

Deno.test("recount() finds no difference when nothing was counted", async () => {
  const { records, counted, differences } = await recounted(await openBallotBox(db, `box-${boxes++}`));
  assert.deepEqual([records, counted, differences], [0, 0, 0]);
});

Deno.test("recount() leaves out what has come onto the log since", async () => {
  const box = await countedBox();
  const { records } = await recounted(box);
  await box.cast("voter-28");
  const found = await recounted(box);
  assert.deepEqual([found.records, found.differences], [records, 0]);
  await box.count();
  assert.deepEqual([(await recounted(box)).records, (await recounted(box)).differences], [records + 1, 0]);
});

Deno.test("recount() lets others use an embedded database, while nothing is counted", async () => {
  const box = await countedBox();
  const read = box.log.read.bind(box.log);
  box.log.read = async (partition, from, limit) => {
    await inTime("another's statement", db.query("SELECT 1"));
    return await read(partition, from, limit);
  };
  assert.equal((await recounted(box)).differences, 0);
});

/** Has work done when the log is read next. */
function onFirstRead({ log }: BallotBox, work: () => Promise<unknown>): void {
  const read = log.read.bind(log);
  log.read = async (partition, from, limit) => {
    log.read = read;
    await work();
    return await read(partition, from, limit);
  };
}

Deno.test("recount() begins again when something is counted meanwhile, and then sees one moment", async () => {
  const box = await countedBox();
  const before = await recounted(box);
  await box.cast("voter-28");
  onFirstRead(box, () => box.count());
  let entries = 0;
  const found = await recount(db, box.log, box.history, (read) => entries += read);
  assert.deepEqual([found.records, found.differences], [before.records + 1, 0], JSON.stringify(found.shown));
  assert.equal(entries, box.log.stored.flat().length, "what was read again is told once");
});

Deno.test("recount() reads of the roll only those whose records it reads", async () => {
  const box = await countedBox();
  const voters = await db.query("SELECT FROM counting.roll WHERE election = $1", [box.election]);
  await box.enrol(Array.from({ length: 300 }, (_, i) => testVoter(`absent-${i}`)));
  await box.history.reload(db.query);
  let rows = 0;
  const watched =
    (query: Query): Query => async <Row extends object>(sql: string, params?: readonly Parameter[]) => {
      const found = await query<Row>(sql, params);
      if (/FROM counting\.roll/.test(sql)) rows += found.length;
      return found;
    };
  const watchedDb: Database = {
    ...db,
    query: watched(db.query),
    transaction: (work, isolation) => db.transaction((query) => work(watched(query)), isolation),
  };
  assert.equal((await recount(watchedDb, box.log, box.history)).differences, 0);
  assert.ok(rows > 0 && rows <= voters.length, `${rows} rows were read, and ${voters.length} are of voters`);
});

Deno.test("recount() does not mind in which lanes the tables have their sums", async () => {
  const box = await countedBox();
  for (const table of ["tallies", "turnout_counts", "turnout_groups"]) {
    await db.query(
      `UPDATE counting.${table} SET lane = 5 WHERE election = $1 AND ctid IN
      (SELECT ctid FROM counting.${table} WHERE election = $1 LIMIT 2)`,
      [box.election],
    );
  }
  assert.equal((await recounted(box)).differences, 0);
});

const OF_N2 = `FROM counting.layouts l
     WHERE l.election = t.election AND l.layout = t.layout AND t.election = $1 AND t.station = 'n-2' AND t.mode = 'early'`;

/** Ways to falsify one figure of the tables, and the lines that a recount finds. */
const FORGERIES: readonly [what: string, sql: string, lines: RegExp[]][] = [
  [
    "a candidate's votes",
    `UPDATE counting.tallies t SET ${voteOf("bob")} = ${voteOf("bob")} + 1 ${OF_N2}`,
    [/^votes mayor\/bob\/n-2\/early$/],
  ],
  [
    "votes moved from one candidate to another",
    `UPDATE counting.tallies t SET ${voteOf("cyd")} = ${voteOf("cyd")} + ${voteOf("bob")}, ${
      voteOf("bob")
    } = 0 ${OF_N2}`,
    [/^votes mayor\/(?:bob|cyd)\/n-2\/early$/, /^votes mayor\/(?:bob|cyd)\/n-2\/early$/],
  ],
  [
    "votes that nobody cast",
    `INSERT INTO counting.tallies SELECT election, 's-2', 'in_person', layout, 3, 0,
       ARRAY(SELECT CASE o.candidate WHEN 'ann' THEN 7 ELSE 0 END FROM unnest(candidates) AS o (candidate))
     FROM counting.layouts WHERE election = $1 LIMIT 1`,
    [/^votes mayor\/ann\/s-2\/in_person$/],
  ],
  [
    "votes that are gone",
    `UPDATE counting.tallies t SET ${voteOf("bob")} = 0 ${OF_N2}`,
    [/^votes mayor\/bob\/n-2\/early$/],
  ],
  [
    "an outcome's counter",
    "UPDATE counting.outcome_counts SET records = records - 1 WHERE election = $1 AND reason = 'bad_signature'",
    [/^outcomes \d\/rejected\/bad_signature$/],
  ],
  [
    "an outcome that no record had",
    "INSERT INTO counting.outcome_counts VALUES ($1, 2, 'rejected', 'not_open', 1)",
    [/^outcomes 2\/rejected\/not_open$/],
  ],
  [
    "turnout moved to another minute",
    `UPDATE counting.turnout_counts SET minute = minute + interval '1 hour'
     WHERE election = $1 AND station = 'n-2' AND mode = 'early' AND minute = '2026-11-03T11:59:00Z'`,
    [/^turnout n-2\/early\/2026-11-03T11:59Z$/, /^turnout n-2\/early\/2026-11-03T12:59Z$/],
  ],
  [
    "a group's turnout",
    `UPDATE counting.turnout_groups SET voters = voters + 1 WHERE election = $1 AND ctid =
     (SELECT ctid FROM counting.turnout_groups WHERE election = $1 LIMIT 1)`,
    [/^groups (?:north|south)\/[0-9+-]+\/(?:female|male)$/],
  ],
  [
    "voters at a station",
    "UPDATE counting.tallies SET voters = voters + 2 WHERE election = $1 AND station = 'n-2' AND mode = 'early'",
    [/^voters at stations n-2\/early$/],
  ],
  [
    "the number of records read",
    "UPDATE counting.log_positions SET records_read = records_read + 1 WHERE election = $1 AND partition = 1",
    [/^partition 1 records read$/],
  ],
  [
    "a partition that the log does not have",
    "INSERT INTO counting.log_positions (election, partition, next_offset, records_read) VALUES ($1, 3, 5, 5)",
    [/^partition 3 records read$/],
  ],
];

for (const [what, sql, lines] of FORGERIES) {
  Deno.test(`recount() finds ${what}, and names the line`, async () => {
    const box = await countedBox();
    await db.query(sql, [box.election]);
    const found = await recounted(box);
    assert.equal(found.differences, lines.length, JSON.stringify(found.shown));
    linesOf(found).forEach((line, i) => assert.match(line, lines[i]));
  });
}

Deno.test("recount() says what the tables say, and what it comes to", async () => {
  const box = await countedBox();
  const [{ votes }] = await db.query<{ votes: number }>(
    `SELECT votes::float8 AS votes FROM ${CELL_VOTES} v
     WHERE election = $1 AND candidate = 'bob' AND station = 'n-2' AND mode = 'early'`,
    [box.election],
  );
  await db.query(FORGERIES[0][1], [box.election]);
  await db.query(FORGERIES[2][1], [box.election]);
  assert.deepEqual((await recounted(box)).shown, [
    { line: "votes mayor/bob/n-2/early", tables: String(votes + 1), recount: String(votes) },
    { line: "votes mayor/ann/s-2/in_person", tables: "7", recount: "nothing" },
  ]);
  await db.query(FORGERIES[3][1], [box.election]);
  assert.deepEqual((await recounted(box)).shown[0], {
    line: "votes mayor/bob/n-2/early",
    tables: "nothing",
    recount: String(votes),
  });
});

/** The partition of a voter of a box. */
const partitionOfVoter = ({ election, log }: BallotBox, voterId: string) =>
  partitionOf(fromHex(testVoterKey(voterId, election)), log.partitions);

const insertParticipation = ({ election }: BallotBox, voterId: string) =>
  db.query("INSERT INTO counting.participations VALUES ($1, decode($2, 'hex'), $3::uuid)", [
    election,
    testVoterKey(voterId, election),
    crypto.randomUUID(),
  ]);

const deleteParticipation = ({ election }: BallotBox, voterId: string) =>
  tamper(db, "DELETE FROM counting.participations WHERE election = $1 AND voter_key = decode($2, 'hex')", [
    election,
    testVoterKey(voterId, election),
  ]);

Deno.test("recount() finds a participation that was added", async () => {
  const box = await countedBox();
  await insertParticipation(box, "voter-29");
  const partition = partitionOfVoter(box, "voter-29");
  const found = await recounted(box);
  assert.equal(found.differences, 2);
  const [added, number] = linesOf(found);
  assert.match(added, new RegExp(`^participation \\d+ of partition ${partition}$`));
  assert.equal(number, `participations of partition ${partition}`);
});

Deno.test("recount() finds a participation that was added where nothing was read", async () => {
  const box = await openBallotBox(db, `box-${boxes++}`);
  await insertParticipation(box, "voter-1");
  const partition = partitionOfVoter(box, "voter-1");
  assert.deepEqual(linesOf(await recounted(box)), [
    `participation 1 of partition ${partition}`,
    `participations of partition ${partition}`,
  ]);
});

Deno.test("recount() finds a participation that was removed", async () => {
  const box = await countedBox();
  await deleteParticipation(box, "voter-3");
  assert.deepEqual(linesOf(await recounted(box)), [
    `participations of partition ${partitionOfVoter(box, "voter-3")}`,
  ]);
});

Deno.test("recount() finds a participation that was put in another's place", async () => {
  const box = await countedBox();
  const partition = partitionOfVoter(box, "voter-3");
  await deleteParticipation(box, "voter-3");
  const other = Array.from({ length: 100 }, (_, i) => `other-${i}`)
    .find((voter) => partitionOfVoter(box, voter) === partition)!;
  await insertParticipation(box, other);
  const lines = linesOf(await recounted(box));
  assert.equal(lines.length, 1);
  assert.match(lines[0], new RegExp(`^participation \\d+ of partition ${partition}$`));
});

Deno.test("recount() finds a participation with another vote id", async () => {
  const box = await countedBox();
  const voteId = crypto.randomUUID();
  await tamper(
    db,
    "UPDATE counting.participations SET vote_id = $3::uuid WHERE election = $1 AND voter_key = decode($2, 'hex')",
    [box.election, testVoterKey("voter-3", box.election), voteId],
  );
  const { shown, differences } = await recounted(box);
  assert.equal(differences, 1);
  assert.match(
    shown[0].line,
    new RegExp(`^participation \\d+ of partition ${partitionOfVoter(box, "voter-3")}$`),
  );
  assert.equal(shown[0].tables, voteId);
});

/** The place on the log of a voter's first record. */
function placeOf(box: BallotBox, voterId: string): { partition: number; at: number } {
  const partition = partitionOfVoter(box, voterId);
  const own = box.log.stored[partition];
  return {
    partition,
    at: own.findIndex((stored) => openedVoter(box, stored) === testVoterKey(voterId, box.election)),
  };
}

function openedVoter(box: BallotBox, stored: BallotBox["log"]["stored"][number][number]): string | undefined {
  const [judgement] = judge(stored, box.history);
  return judgement !== undefined && "record" in judgement ? judgement.record?.voterKey : undefined;
}

Deno.test("recount() finds a record that is gone from the log", async () => {
  const box = await countedBox();
  const { partition, at } = placeOf(box, "voter-4");
  box.log.stored[partition].splice(at, 1);
  const lines = linesOf(await recounted(box));
  assert.ok(lines.includes(`partition ${partition} records read`), lines.join("\n"));
  assert.ok(lines.includes(`outcomes ${partition}/counted`), lines.join("\n"));
  assert.ok(lines.includes("votes mayor/bob/n-2/in_person"), lines.join("\n"));
});

Deno.test("recount() says of a log whose front was deleted where it begins, and compares nothing", async () => {
  const box = await countedBox();
  const partition = box.log.stored.findIndex(({ length }) => length > 3);
  const start = box.log.stored[partition][3].offset;
  box.log.deleteBefore(partition, start);
  assert.deepEqual(await recounted(box), {
    records: 0,
    counted: 0,
    altered: 0,
    reused: 0,
    lines: 1,
    differences: 1,
    shown: [{ line: `partition ${partition} first offset`, tables: "0", recount: `${start}` }],
    deleted: [{ partition, start, isAccepted: false }],
    devices: [],
  });
});

Deno.test("recount() finds a front that is deleted while it reads", async () => {
  const box = await countedBox();
  const read = box.log.read.bind(box.log);
  box.log.read = async (partition, from, limit) => {
    const records = await read(partition, from, limit);
    if (partition === 0 && records.length > 0) box.log.deleteBefore(0, records[1].offset);
    return records;
  };
  const { differences, deleted } = await recounted(box);
  assert.deepEqual([differences, deleted.map(({ partition }) => partition)], [1, [0]]);
});

Deno.test("recount() finds a log that ends before what was read of it", async () => {
  const box = await countedBox();
  const partition = box.log.stored.findIndex((records) => records.length > 0);
  box.log.truncate(partition, box.log.stored[partition].at(-1)!.offset);
  assert.ok(linesOf(await recounted(box)).includes(`partition ${partition} records read`));
});

Deno.test("recount() finds a record that was altered on the log", async () => {
  const box = await countedBox();
  const { partition, at } = placeOf(box, "voter-4");
  const stored = box.log.stored[partition][at];
  box.log.stored[partition][at] = { ...stored, value: stored.value.with(40, stored.value[40] ^ 1) };
  const found = await recounted(box);
  const forged = found.shown.filter(({ line }) => line === `outcomes ${partition}/rejected/bad_signature`);
  assert.equal(forged.length, 1, JSON.stringify(found.shown));
});

Deno.test("recount() finds a record that was put in another's place", async () => {
  const box = await countedBox();
  const { partition, at } = placeOf(box, "voter-4");
  const other = Array.from({ length: 5 }, (_, i) => `voter-${25 + i}`)
    .find((voter) => partitionOfVoter(box, voter) === partition);
  const { offset, appendedAtMs } = box.log.stored[partition][at];
  const replacement = box.seal(other ?? "voter-4", { station: "s-1", mode: "provisional" });
  box.log.stored[partition][at] = { ...replacement, offset, appendedAtMs };
  const lines = linesOf(await recounted(box));
  assert.ok(lines.includes("voters at stations n-2/in_person"), lines.join("\n"));
});

Deno.test("recount() finds a position that was put back", async () => {
  const box = await countedBox();
  const { partition } = placeOf(box, "voter-4");
  await db.query(
    `UPDATE counting.log_positions SET next_offset = 0, records_read = 0 WHERE election = $1 AND partition = $2`,
    [box.election, partition],
  );
  assert.ok(linesOf(await recounted(box)).includes(`outcomes ${partition}/counted`));
  await db.query("DELETE FROM counting.log_positions WHERE election = $1 AND partition = $2", [
    box.election,
    partition,
  ]);
  assert.ok(linesOf(await recounted(box)).includes(`outcomes ${partition}/counted`));
});

Deno.test("recount() finds a voter who was taken off the roll, or changed on it", async () => {
  const box = await countedBox();
  const key = testVoterKey("voter-4", box.election);
  await db.query(
    "UPDATE counting.roll SET age_group = '75+' WHERE election = $1 AND voter_key = decode($2, 'hex')",
    [box.election, key],
  );
  const moved = linesOf(await recounted(box));
  assert.equal(moved.length, 2);
  assert.ok(moved.every((line) => line.startsWith("groups ")), moved.join("\n"));
  await db.query("DELETE FROM counting.roll WHERE election = $1 AND voter_key = decode($2, 'hex')", [
    box.election,
    key,
  ]);
  const gone = linesOf(await recounted(box));
  assert.ok(
    gone.includes(`outcomes ${partitionOfVoter(box, "voter-4")}/rejected/unknown_voter`),
    gone.join("\n"),
  );
});

Deno.test("recount() raises an alert, and no difference, for a vote id that came again with other contents", async () => {
  const box = await openBallotBox(db, `box-${boxes++}`);
  await box.enrol([testVoter("a"), testVoter("b")]);
  const voteId = crypto.randomUUID();
  const change = {
    voteId,
    selections: [{ contest: "mayor", candidate: "ann" }, { contest: "council", candidate: "dan" }],
  };
  await box.cast("a", change);
  // The same decision by way of another gateway, in another order, a minute later.
  await box.cast("a", {
    ...change,
    selections: change.selections.toReversed(),
    acceptedAt: iso(NOON_MS - 60_000),
  }, "g-2");
  await box.cast("b");
  await box.count();
  assert.deepEqual([(await recounted(box)).altered, (await recounted(box)).differences], [0, 0]);
  await box.cast("a", { voteId, selections: [{ contest: "mayor", candidate: "bob" }] });
  await box.cast("a", { voteId, mode: "provisional" });
  // Another vote id is a double vote, and alters nothing.
  await box.cast("b", { selections: [] });
  await box.count();
  assert.deepEqual([(await recounted(box)).altered, (await recounted(box)).differences], [2, 0]);
});

Deno.test("recount() finds a voter's entries on a roll of any length", async () => {
  const box = await openBallotBox(db, `box-${boxes++}`, { partitions: 1 });
  const key = testVoterKey("a", box.election);
  const fill = `INSERT INTO counting.roll (election, voter_key, revision, region, age_group, gender)
     SELECT $1, decode(lpad(to_hex(n), 8, '0') || repeat($2, 56), 'hex'), 1, 'north', '25-34', 'male'
     FROM generate_series($3::bigint, $4::bigint) AS n`;
  const own = parseInt(key.slice(0, 8), 16);
  await db.query(fill, [box.election, "0", own - 19_999, own - 1]);
  await db.query(fill, [box.election, "f", own + 1, own + 20_500]);
  for (const [revision, region] of [[0, "south"], [1, "north"]] as const) {
    await db.query(
      `INSERT INTO counting.roll (election, voter_key, revision, region, age_group, gender)
       VALUES ($1, decode($2, 'hex'), $3, $4, '25-34', 'female')`,
      [box.election, key, revision, region],
    );
  }
  await box.cast("a");
  await box.count();
  assert.deepEqual(
    await db.query("SELECT region FROM counting.turnout_groups WHERE election = $1", [box.election]),
    [
      { region: "north" },
    ],
  );
  const found = await recounted(box);
  assert.deepEqual([found.counted, found.differences], [1, 0], JSON.stringify(found.shown));
});

Deno.test("recount() reads participations of any number, and shows the first hundred differences", async () => {
  const box = await openBallotBox(db, `box-${boxes++}`, { partitions: 1 });
  await db.query(
    "INSERT INTO counting.participations SELECT $1, sha256(int8send(n)), gen_random_uuid() FROM generate_series(1, 40001) AS n",
    [box.election],
  );
  const found = await recounted(box);
  assert.equal(found.differences, 40_002, "each of them, and their number");
  assert.equal(found.shown.length, 100);
  assert.equal(found.shown[99].line, "participation 100 of partition 0");
});

Deno.test("recount() reads registry and tables in one moment while counting goes on, and else takes no transaction", async () => {
  const box = await countedBox();
  const isolations: unknown[] = [];
  let isInTransaction = false;
  const watched: Database = {
    ...db,
    query: (sql, params) =>
      isInTransaction ? Promise.reject(new Error("outside the snapshot")) : db.query(sql, params),
    transaction: async (work, isolation) => {
      isolations.push(isolation);
      isInTransaction = true;
      return await db.transaction(work, isolation).finally(() => isInTransaction = false);
    },
  };
  assert.equal((await recount(watched, box.log, box.history)).differences, 0);
  assert.deepEqual(isolations, []);
  onFirstRead(box, async () => {
    await box.cast("voter-28");
    await box.count();
  });
  assert.equal((await recount(watched, box.log, box.history)).differences, 0);
  assert.deepEqual(isolations, ["snapshot"]);
});
