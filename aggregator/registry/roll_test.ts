import assert from "assert";
import fc from "fast-check";
import type { Database } from "../database/database.ts";
import { judge } from "../../shared/judge.ts";
import { outcomeName } from "../../shared/outcome.ts";
import { countRecord, emptyCount, type Participations, type RollEntry } from "../../shared/tally.ts";
import { type BallotBox, openBallotBox, testVoter, testVoters } from "../../tests/ballot_box.ts";
import { MASTER, NOON_MS, testVoterKey } from "../../tests/fixture.ts";
import { reachesAll } from "../../tests/reaches_all.ts";
import { testDatabase, withDatabase } from "../../tests/test_database.ts";
import { publishManifest } from "./elections.ts";
import { OfficeError } from "./office_error.ts";
import { ageGroupOf, importRoll, lockRoll, rebuildRoll, voterSchema } from "./roll.ts";

const db = await testDatabase();
const iso = (ms: number) => new Date(ms).toISOString();

for (
  const [birthDate, day, group] of [
    ["", "2026-11-03", "unknown"],
    ["2027-01-01", "2026-11-03", "unknown"],
    ["2026-11-03", "2026-11-03", "under-18"],
    ["2008-11-04", "2026-11-03", "under-18"],
    ["2008-11-03", "2026-11-03", "18-24"],
    ["2008-11-02", "2026-11-03", "18-24"],
    ["2001-11-04", "2026-11-03", "18-24"],
    ["2001-11-03", "2026-11-03", "25-34"],
    ["1991-11-04", "2026-11-03", "25-34"],
    ["1991-11-03", "2026-11-03", "35-44"],
    ["1981-11-03", "2026-11-03", "45-54"],
    ["1971-11-03", "2026-11-03", "55-64"],
    ["1961-11-03", "2026-11-03", "65-74"],
    ["1951-11-04", "2026-11-03", "65-74"],
    ["1951-11-03", "2026-11-03", "75+"],
    ["1900-01-01", "2026-11-03", "75+"],
    // Born on 29 February: a birthday on 1 March where there is no 29th.
    ["2008-02-29", "2026-02-28", "under-18"],
    ["2008-02-29", "2026-03-01", "18-24"],
    ["2000-02-29", "2024-02-28", "18-24"],
    ["1999-02-28", "2024-02-29", "25-34"],
    ["2003-02-28", "2028-02-28", "25-34"],
    ["2004-02-29", "2028-02-29", "18-24"],
  ] as const
) {
  Deno.test(`ageGroupOf() puts one born ${birthDate || "on a day unknown"} among ${group} on ${day}`, () => {
    assert.equal(ageGroupOf(birthDate, day), group);
  });
}

for (
  const [field, value] of [
    ["voter_id", ""],
    ["voter_id", "a b"],
    ["voter_id", "é"],
    ["voter_id", "x".repeat(65)],
    ["region", ""],
    ["region", "North"],
    ["station", "n_1"],
    ["birth_date", "2026-02-29"],
    ["birth_date", "0000-01-01"],
    ["birth_date", "1.5.1980"],
    ["birth_date", "1980-05-17T00:00:00Z"],
    ["gender", "f"],
    ["gender", ""],
  ]
) {
  Deno.test(`voterSchema refuses the ${field} ${JSON.stringify(value.slice(0, 30))}`, () => {
    const { error } = voterSchema.safeParse({ ...testVoter("a"), [field]: value });
    assert.deepEqual(error?.issues.map(({ path }) => path.join(".")), [field]);
  });
}

/** The roll of an election as counting knows it, by voter key. */
async function rollOf(election: string): Promise<Map<string, Record<string, unknown>>> {
  const rows = await db.query<{ key: string }>(
    `SELECT encode(voter_key, 'hex') AS key, revision::int, region, station, age_group, gender
     FROM counting.roll WHERE election = $1`,
    [election],
  );
  return new Map(rows.map(({ key, ...row }) => [key, row]));
}

async function importedEvents(election: string): Promise<Record<string, unknown>[]> {
  const rows = await db.query<{ details: Record<string, unknown> }>(
    "SELECT (details #>> '{}')::json AS details FROM audit.events WHERE election = $1 AND event = 'roll_imported' ORDER BY number",
    [election],
  );
  return rows.map(({ details }) => details);
}

Deno.test("importRoll() puts voters on the roll by voter key, in one change of history", async () => {
  const box = await openBallotBox(db, "new");
  const odd = `{"}\\',NULL`;
  const progress: number[] = [];
  const done = await importRoll(
    db,
    "new",
    MASTER,
    [
      testVoter("v-1", { station: "n-2", birth_date: "2008-11-03", gender: "male" }),
      testVoter(odd, { region: "south", birth_date: "", gender: "unknown" }),
    ],
    () => NOON_MS,
    { onProgress: (voters) => progress.push(voters) },
  );
  assert.deepEqual(done, { added: 2, known: 0 });
  assert.deepEqual(progress, [2]);
  assert.deepEqual(
    await rollOf("new"),
    new Map([
      [testVoterKey("v-1", "new"), {
        revision: 2,
        region: "north",
        station: "n-2",
        age_group: "18-24",
        gender: "male",
      }],
      [testVoterKey(odd, "new"), {
        revision: 2,
        region: "south",
        station: null,
        age_group: "unknown",
        gender: "unknown",
      }],
    ]),
  );
  assert.deepEqual(
    await db.query(
      `SELECT voter_id, region, station, birth_date::text, gender FROM registry.voters
       WHERE election = 'new' AND voter_id = $1`,
      [odd],
    ),
    [{ voter_id: odd, region: "south", station: null, birth_date: null, gender: "unknown" }],
  );
  assert.deepEqual(await importedEvents("new"), [{ added: 2, known: 0 }]);
  assert.equal(box.history.newest.manifest.version, 1);
});

Deno.test("importRoll() leaves voters alone that are on the roll already, whatever the file says now", async () => {
  await openBallotBox(db, "twice");
  await importRoll(db, "twice", MASTER, [testVoter("a"), testVoter("b")], () => NOON_MS);
  const before = await rollOf("twice");
  const moved = testVoter("b", { region: "south", gender: "male" });
  const done = await importRoll(db, "twice", MASTER, [moved, testVoter("c")], () => NOON_MS);
  assert.deepEqual(done, { added: 1, known: 1 });
  const after = await rollOf("twice");
  assert.deepEqual([...before].map(([key]) => after.get(key)), [...before.values()]);
  assert.equal(after.size, 3);
});

Deno.test("importRoll() takes the first line of a voter who is given twice, in registry and roll alike", async () => {
  await openBallotBox(db, "doubled");
  const lines = [
    testVoter("a", { gender: "male" }),
    testVoter("b"),
    testVoter("a", { region: "south", gender: "other" }),
  ];
  assert.deepEqual(await importRoll(db, "doubled", MASTER, lines, () => NOON_MS), { added: 2, known: 1 });
  const entry = (await rollOf("doubled")).get(testVoterKey("a", "doubled"))!;
  assert.deepEqual([entry.region, entry.gender], ["north", "male"]);
  assert.deepEqual(
    await db.query(
      "SELECT region, gender FROM registry.voters WHERE election = 'doubled' AND voter_id = 'a'",
    ),
    [{ region: "north", gender: "male" }],
  );
});

for (
  const [what, change, message] of [
    ["a region", { region: "west" }, "Cannot import voter bad: the election has no region west"],
    ["a station", { station: "n-9" }, "Cannot import voter bad: the election has no station n-9"],
    [
      "a station of another region",
      { station: "s-1" },
      "Cannot import voter bad: station s-1 lies in south, not in north",
    ],
  ] as const
) {
  Deno.test(`importRoll() names the voter and ${what} that the election does not have there`, async () => {
    const election = `no-${what.replaceAll(" ", "-")}`;
    await openBallotBox(db, election);
    await assert.rejects(
      importRoll(db, election, MASTER, [testVoter("good"), testVoter("bad", change)], () => NOON_MS),
      (error) => error instanceof OfficeError && error.message === message,
    );
    assert.equal((await rollOf(election)).size, 0, "nothing of its transaction was written");
    assert.deepEqual(await importedEvents(election), []);
  });
}

Deno.test("importRoll() says that there is no such election", async () => {
  await assert.rejects(
    importRoll(db, "nowhere", MASTER, [testVoter("a")], () => NOON_MS),
    (error) =>
      error instanceof OfficeError && error.message === "Cannot import a roll: there is no election nowhere",
  );
});

Deno.test("importRoll() says that the election is gone when it went while the file was read", async () => {
  await withDatabase(async (own) => {
    const { election } = await openBallotBox(own, "gone");
    await assert.rejects(
      importRoll(own, election, MASTER, goneWhileRead(own), Date.now),
      new OfficeError(`Cannot import a roll: there is no election ${election}`),
    );
  });
});

/** A voter, and no history of any election. */
async function* goneWhileRead({ query }: Database) {
  yield testVoter("late");
  await query("SET session_replication_role = replica");
  for (const table of ["changes", "revisions", "elections"]) await query(`DELETE FROM registry.${table}`);
}

Deno.test("lockRoll() locks one election's roll", async () => {
  const locks = await db.transaction(async (query) => {
    for (const election of ["a", "b", "a"]) await lockRoll(query, election);
    return await query("SELECT FROM pg_locks WHERE locktype = 'advisory'");
  });
  assert.equal(locks.length, 2);
});

Deno.test("importRoll() writes what came before a fault, tells of it, and goes on from there", async () => {
  await openBallotBox(db, "broken-off");
  const voters = testVoters(5_002);
  const bad = [...voters.slice(0, 5_001), { ...voters[5_001], region: "west" }];
  await assert.rejects(importRoll(db, "broken-off", MASTER, bad, () => NOON_MS), OfficeError);
  assert.equal((await rollOf("broken-off")).size, 5_000);
  const progress: number[] = [];
  const done = await importRoll(db, "broken-off", MASTER, voters, () => NOON_MS, {
    onProgress: (n) => progress.push(n),
  });
  assert.deepEqual(done, { added: 2, known: 5_000 });
  assert.deepEqual(progress, [5_000, 2]);
  assert.deepEqual(await importedEvents("broken-off"), [
    { added: 5_000, known: 0 },
    { added: 0, known: 5_000 },
    { added: 2, known: 0 },
  ]);
});

Deno.test("importRoll() reckons ages by the day on which the election was first to open", async () => {
  const box = await openBallotBox(db, "postponed");
  const seventeen = testVoter("a", { birth_date: "2008-11-04" });
  await box.enrol([seventeen]);
  await publishManifest(db, "postponed", MASTER, new Date(NOON_MS), (newest) => ({
    ...newest,
    opensAt: "2026-11-10T07:00:00.000Z",
    closesAt: "2026-11-10T21:00:00.000Z",
    acceptsUntil: "2026-11-10T21:00:00.000Z",
  }));
  await box.enrol([{ ...seventeen, voter_id: "b" }]);
  const groups = async () => [...(await rollOf("postponed")).values()].map(({ age_group }) => age_group);
  assert.deepEqual(await groups(), ["under-18", "under-18"]);
  await db.transaction((query) => rebuildRoll(query, "postponed", MASTER));
  assert.deepEqual(await groups(), ["under-18", "under-18"]);
});

Deno.test("importRoll() makes a change of history for each transaction that puts anyone on the roll", async () => {
  await openBallotBox(db, "batches");
  const voters = testVoters(5_001);
  await importRoll(db, "batches", MASTER, voters, () => NOON_MS);
  await importRoll(db, "batches", MASTER, voters, () => NOON_MS);
  const rows = await db.query<{ revision: number; voters: number }>(
    `SELECT c.revision::int, count(r.voter_key)::int AS voters
     FROM registry.changes c LEFT JOIN counting.roll r USING (election, revision)
     WHERE c.election = 'batches' GROUP BY c.revision ORDER BY c.revision`,
  );
  assert.deepEqual(rows, [{ revision: 1, voters: 0 }, { revision: 2, voters: 5_000 }, {
    revision: 3,
    voters: 1,
  }]);
});

Deno.test("importRoll() applies from the log's end where the caller knows it", async () => {
  const box = await openBallotBox(db, "known-ends");
  const ends = () => Promise.resolve([7, 0, 2]);
  await importRoll(db, box.election, MASTER, [testVoter("a")], () => NOON_MS, { logEnds: ends });
  await box.history.reload(db.query);
  assert.deepEqual([box.history.at(0, 6).revision, box.history.at(0, 7).revision], [1, 2]);
});

/** Every entry of an election's roll, as the fold takes them. */
async function rollEntries(election: string): Promise<(voterKey: string) => RollEntry[]> {
  const rows = await db.query<RollEntry>(
    `SELECT encode(voter_key, 'hex') AS "voterKey", revision::float8 AS revision,
       struck_revision::float8 AS "struckRevision", (extract(epoch FROM struck_at) * 1000)::float8 AS "struckAtMs",
       region, station, age_group AS "ageGroup", gender
     FROM counting.roll WHERE election = $1`,
    [election],
  );
  return (voterKey) => rows.filter((row) => row.voterKey === voterKey);
}

/** Counts as a counting transaction does, with the pure fold: what is on the log, with what the registry says now. */
class LiveCount {
  readonly outcomes: string[][];
  readonly #next: number[];
  readonly #participations: Participations = new Map();

  constructor(readonly box: BallotBox) {
    this.#next = new Array(box.log.partitions).fill(0);
    this.outcomes = this.#next.map(() => []);
  }

  async count(): Promise<void> {
    const { log, history, election } = this.box;
    await history.reload(db.query);
    const roll = await rollEntries(election);
    for (let partition = 0; partition < log.partitions; partition++) {
      for (const stored of await log.read(partition, this.#next[partition], Infinity)) {
        for (const judgement of judge(stored, history)) {
          const { outcome } = countRecord(emptyCount(), this.#participations, judgement, roll);
          this.outcomes[partition].push(outcomeName(outcome));
        }
        this.#next[partition] = stored.offset + 1;
      }
      await db.query(
        "UPDATE counting.log_positions SET next_offset = $3 WHERE election = $1 AND partition = $2",
        [election, partition, this.#next[partition]],
      );
    }
  }
}

Deno.test("a voter who is put on the roll while votes are counted may vote at once", async () => {
  const box = await openBallotBox(db, "at-once", { partitions: 1 });
  const live = new LiveCount(box);
  await box.cast("late");
  await live.count();
  await box.enrol([testVoter("late")], NOON_MS);
  // The same second, with a gateway's clock that is four minutes slow.
  await box.cast("late", { acceptedAt: iso(NOON_MS - 240_000) });
  await live.count();
  assert.deepEqual(live.outcomes, [["rejected/unknown_voter", "counted"]]);
  const recount = new LiveCount(box);
  await recount.count();
  assert.deepEqual(recount.outcomes, live.outcomes);
});

/** What happens in an election, one thing after the other. Times are in minutes; clocks may differ by five. */
const happening = fc.oneof(
  fc.record({
    what: fc.constant("vote" as const),
    voter: fc.nat(5),
    gatewayAhead: fc.constantFrom(-5, 0, 5),
  }),
  fc.record({
    what: fc.constant("enrol" as const),
    voters: fc.subarray([0, 1, 2, 3, 4, 5], { minLength: 1 }),
    knowsEnds: fc.boolean(),
  }),
  fc.record({ what: fc.constant("count" as const) }),
  fc.record({ what: fc.constant("wait" as const), minutes: fc.constantFrom(1, 4, 5, 10, 11) }),
);

Deno.test("a live count and one from the log's beginning agree, whenever voters are put on the roll", async () => {
  let run = 0;
  const reached = { added: 0, refused: 0, counted: 0 };
  const property = () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(happening, { minLength: 4, maxLength: 16 }),
        fc.constantFrom(-5, 0, 5),
        async (happenings, logAhead) => {
          const box = await openBallotBox(db, `mixed-${run++}`, { partitions: 2 });
          const live = new LiveCount(box);
          let minutes = 0;
          const clock = (ahead = 0) => NOON_MS + (minutes + ahead) * 60_000;
          for (const each of happenings) {
            box.logMs = clock(logAhead);
            if (each.what === "vote") {
              const acceptedAt = iso(clock(logAhead + each.gatewayAhead));
              await box.cast(`voter-${each.voter}`, { acceptedAt });
            } else if (each.what === "enrol") {
              const voters = each.voters.map((voter) => testVoter(`voter-${voter}`));
              const ends = each.knowsEnds ? () => Promise.all([0, 1].map((p) => box.log.end(p))) : undefined;
              const made = await importRoll(db, box.election, MASTER, voters, clock, { logEnds: ends });
              reached.added += made.added;
            } else if (each.what === "count") await live.count();
            else minutes += each.minutes;
          }
          await live.count();
          const again = new LiveCount(box);
          await again.count();
          assert.deepEqual(again.outcomes, live.outcomes);
          for (const name of live.outcomes.flat()) {
            if (name === "counted") reached.counted++;
            if (name === "rejected/unknown_voter") reached.refused++;
          }
        },
      ),
      { numRuns: 60 },
    );
  await reachesAll(
    property,
    () => Object.entries(reached).filter(([, times]) => times === 0).map(([what]) => what),
  );
});

Deno.test("rebuildRoll() makes the same roll again, with the spans of voters who were struck off", async () => {
  const box = await openBallotBox(db, "again");
  await box.enrol(testVoters(18));
  await box.enrol(testVoters(20));
  await db.query(
    "UPDATE registry.voters SET struck_revision = 3, struck_at = $2::timestamptz WHERE election = $1 AND voter_id = 'voter-3'",
    [
      "again",
      iso(NOON_MS),
    ],
  );
  await db.query(
    "UPDATE counting.roll SET struck_revision = 3, struck_at = $2::timestamptz WHERE election = $1 AND voter_key = decode($3, 'hex')",
    ["again", iso(NOON_MS), testVoterKey("voter-3", "again")],
  );
  const all = "SELECT * FROM counting.roll WHERE election = 'again' ORDER BY voter_key, revision";
  const before = await db.query(all);
  await db.query("DELETE FROM counting.roll WHERE election = 'again' AND gender = 'male'");
  await db.query("UPDATE counting.roll SET region = 'south' WHERE election = 'again'");
  assert.equal(await db.transaction((query) => rebuildRoll(query, "again", MASTER)), 20);
  assert.deepEqual(await db.query(all), before);
});

Deno.test("importRoll() and rebuildRoll() store the roll in another order than the registry its voters", async () => {
  // Where rows of other tests were deleted, new ones fill the gaps: in a database of its own there are none.
  await withDatabase(async (db) => {
    const box = await openBallotBox(db, "order");
    await box.enrol(testVoters(20));
    const stored = async () => {
      const rows = await db.query<{ key: string }>(
        "SELECT encode(voter_key, 'hex') AS key FROM counting.roll WHERE election = 'order' ORDER BY ctid",
      );
      return rows.map(({ key }) => key);
    };
    const keys = testVoters(20).map(({ voter_id }) => testVoterKey(voter_id, "order"));
    assert.deepEqual(await stored(), keys.toSorted());
    await db.transaction((query) => rebuildRoll(query, "order", MASTER));
    assert.deepEqual(await stored(), keys.toSorted());
  });
});
