import assert from "assert";
import { openBallotBox } from "../../../tests/ballot_box.ts";
import { CHECKED_AT, openCheckedElection } from "../../../tests/checked_election.ts";
import { eventually } from "../../../tests/eventually.ts";
import { MASTER, NOON_MS, uncontestedDefinition } from "../../../tests/fixture.ts";
import { MemoryLog } from "../../../tests/memory_log.ts";
import { TAMPER, testDatabase } from "../../../tests/test_database.ts";
import type { Database } from "../../database/database.ts";
import type { Keyring } from "../../registry/keyring.ts";
import { officeKeysOf } from "../office_key.ts";
import type { OfficeSources } from "../sources.ts";
import { CHECK_CODES, type CheckCode } from "./result.ts";
import { runChecks } from "./run.ts";
import { CHECK_EVERY_MS, checkDue, keepChecking } from "./schedule.ts";
import { newestRun } from "./store.ts";

const db = await testDatabase();
const box = await openCheckedElection(db, "sound");
await stateAll("sound");

/** As many voters signed in as voted at each station, and each device states what it has cast. */
async function stateAll(election: string): Promise<void> {
  await db.query(
    `INSERT INTO office.sign_ins (election, station, hour, voters, entered_at, entered_by)
     SELECT election, station, date_trunc('hour', min(minute)), sum(voters), now(), 'ann' FROM counting.turnout_counts
     WHERE election = $1 AND mode <> 'absentee' GROUP BY 1, 2`,
    [election],
  );
  await db.query(
    `INSERT INTO office.device_statements (election, device, key_version, station, kind, stated_at, sent, answered,
       statement, proof, received_at)
     SELECT t.election, t.station || '-a', 1, t.station, k.kind, k.at::timestamptz, k.share * t.voters, k.share * t.voters, '{}',
       decode(repeat('00', 32), 'hex'), now()
     FROM (SELECT election, station, sum(voters)::bigint AS voters FROM counting.tallies WHERE election = $1 GROUP BY 1, 2) t,
       (VALUES ('opening', 0, '2026-11-03T06:59:00Z'), ('closing', 1, '2026-11-03T21:05:00Z')) AS k (kind, share, at)`,
    [election],
  );
}

function sourcesOf(db: Database, log: MemoryLog): OfficeSources {
  return {
    db,
    now: () => CHECKED_AT.getTime(),
    keys: officeKeysOf(new Uint8Array(32).fill(7)),
    keyring: { master: () => MASTER } as unknown as Keyring,
    openLog: () => Promise.resolve(log),
  };
}

/** Runs all checks on data that a statement broke, and takes the change back. */
async function checkBroken(sql: string, election = "sound", log = box.log) {
  const undone = new Error("undone");
  let run: Awaited<ReturnType<typeof runChecks>> | undefined;
  await db.transaction(async (query) => {
    await query(TAMPER);
    for (const statement of sql.split(";")) await query(statement);
    const inner: Database = { ...db, query, transaction: (work) => work(query) };
    run = await runChecks(sourcesOf(inner, log), election, CHECKED_AT, { log: true });
    throw undone;
  }).catch((error) => {
    if (error !== undone) throw error;
  });
  return run!;
}

Deno.test("an election in which everything is right passes every check, and each has compared something", async () => {
  const { checks, recountDifferences } = await runChecks(sourcesOf(db, box.log), "sound", CHECKED_AT, {
    log: true,
  });
  assert.deepEqual(checks.map(({ code }) => code), CHECK_CODES);
  for (const check of checks) {
    assert.equal(check.result, "passed", JSON.stringify(check));
    assert.ok(check.expected > 0 || check.code === "gaps_explained", `${check.code} compared nothing`);
  }
  assert.equal(recountDifferences, 0);
});

/** What is done to the data, and exactly which checks then fail. The first is the one that it is about. */
const BREAKS: readonly (readonly [sql: string, CheckCode[]])[] = [
  ["UPDATE office.sign_ins SET voters = voters + 1 WHERE election = 'sound' AND station = 'n-1'", [
    "sign_ins",
  ]],
  ["UPDATE office.sign_ins SET voters = voters - 1 WHERE election = 'sound' AND station = 's-2'", [
    "sign_ins",
  ]],
  [
    "UPDATE office.sign_ins SET hour = hour - interval '2 hours' WHERE election = 'sound' AND station = 'n-1'; INSERT INTO office.sign_ins SELECT election, station, hour + interval '2 hours', 5, now(), 'ann' FROM office.sign_ins WHERE election = 'sound' AND station = 'n-1'; UPDATE office.sign_ins SET voters = voters - 5 WHERE election = 'sound' AND station = 'n-1' AND hour = (SELECT min(hour) FROM office.sign_ins WHERE election = 'sound' AND station = 'n-1'); UPDATE office.sign_ins SET hour = hour + interval '3 hours' WHERE election = 'sound' AND station = 'n-1' AND voters = 5; UPDATE office.sign_ins SET hour = hour + interval '2 hours' WHERE election = 'sound' AND station = 'n-1' AND voters <> 5",
    // As many have signed in, and five of them an hour after they voted.
    ["sign_ins"],
  ],
  [
    "DELETE FROM office.device_statements WHERE election = 'sound' AND device = 'n-1-a' AND kind = 'closing'",
    [
      "device_statements",
    ],
  ],
  [
    "UPDATE office.device_statements SET sent = sent + 1, answered = answered + 1 WHERE election = 'sound' AND device = 's-1-a' AND kind = 'closing'",
    [
      "device_statements",
    ],
  ],
  [
    "UPDATE office.device_statements SET answered = answered - 1 WHERE election = 'sound' AND device = 's-1-a' AND kind = 'closing'",
    [
      "device_statements",
    ],
  ],
  [
    "UPDATE office.device_statements SET sent = 1 WHERE election = 'sound' AND device = 'n-2-a' AND kind = 'opening'",
    [
      "device_statements",
    ],
  ],
  [
    "DELETE FROM counting.roll WHERE election = 'sound' AND voter_key IN (SELECT voter_key FROM counting.participations WHERE election = 'sound' ORDER BY voter_key LIMIT 2)",
    // As many voted as were on the roll, so now more have than are on it.
    [
      "participations_on_roll",
      "roll_complete",
      "votes_within_roll",
      "log_against_tables",
      "device_statements",
    ],
  ],
  [
    "INSERT INTO counting.tallies SELECT election, 'nowhere', mode, layout, 9, 0, votes[1:0] FROM counting.tallies WHERE election = 'sound' LIMIT 1",
    ["stations_exist"],
  ],
  ["UPDATE results.current SET station = 'nowhere' WHERE election = 'sound' AND unit = 's-2/in_person'", [
    "stations_exist",
    "releases_within_counts",
  ]],
  [
    "UPDATE counting.layouts SET candidates = array_replace(candidates, 'cyd', 'nobody') WHERE election = 'sound'",
    ["candidates_exist", "releases_within_counts", "log_against_tables"],
  ],
  [
    `UPDATE results.releases SET votes = replace(votes::text, '"council"', '"senate"')::jsonb, marks = replace(marks::text, '"council"', '"senate"')::jsonb WHERE election = 'sound'`,
    ["candidates_exist", "releases_within_counts"],
  ],
  [
    "UPDATE counting.roll SET region = 'east' WHERE election = 'sound' AND voter_key = (SELECT min(voter_key::text)::bytea FROM counting.roll WHERE election = 'sound')",
    ["roll_places", "log_against_tables", "device_statements"],
  ],
  ["DELETE FROM counting.layouts WHERE election = 'sound'", [
    "layouts_fit",
    "releases_within_counts",
    "log_against_tables",
  ]],
  ["UPDATE counting.tallies SET votes = votes || 1 WHERE election = 'sound' AND station = 'n-2'", [
    "layouts_fit",
    "log_against_tables",
  ]],
  ["DELETE FROM registry.candidates WHERE election = 'sound' AND candidate = 'fay'", ["definition_complete"]],
  ["DELETE FROM registry.stations WHERE election = 'sound' AND station = 's-2'", ["definition_complete"]],
  ["DELETE FROM registry.voters WHERE election = 'sound' AND voter_id = 'voter-1'", ["roll_complete"]],
  [
    "UPDATE counting.roll SET struck_at = now() WHERE election = 'sound' AND voter_key = (SELECT voter_key FROM counting.roll WHERE election = 'sound' LIMIT 1)",
    ["roll_complete"],
  ],
  ["UPDATE counting.roll SET station = 's-1' WHERE election = 'sound' AND region = 'south'", [
    "votes_within_roll",
    "log_against_tables",
    "device_statements",
  ]],
  [
    "UPDATE counting.tallies SET votes[array_position((SELECT candidates FROM counting.layouts l WHERE l.election = 'sound' AND l.layout = tallies.layout), 'bob')] = 1000 WHERE election = 'sound' AND station = 'n-1' AND mode = 'in_person'",
    ["sums", "log_against_tables"],
  ],
  ["UPDATE counting.tallies SET voters = voters - 3 WHERE election = 'sound' AND station = 'n-2'", [
    "sums",
    "turnout_ways",
    "turnout_stations",
    "releases_within_counts",
    "log_against_tables",
  ]],
  [
    `UPDATE results.releases SET marks = replace(marks::text, '"#undervotes"', '"#blank"')::jsonb WHERE election = 'sound'`,
    ["sums_released", "releases_within_counts"],
  ],
  [
    "DELETE FROM counting.participations WHERE election = 'sound' AND vote_id IN (SELECT vote_id FROM counting.participations WHERE election = 'sound' LIMIT 1)",
    ["turnout_ways", "log_against_tables"],
  ],
  [
    "UPDATE counting.turnout_groups SET voters = voters + 1 WHERE election = 'sound' AND region = 'south' AND gender = 'male' AND age_group = (SELECT min(age_group) FROM counting.turnout_groups WHERE election = 'sound' AND region = 'south' AND gender = 'male')",
    ["turnout_ways", "log_against_tables"],
  ],
  [
    "UPDATE counting.turnout_counts SET mode = 'early' WHERE election = 'sound' AND station = 'n-2' AND mode = 'absentee'",
    ["turnout_stations", "log_against_tables", "sign_ins"],
  ],
  [
    "UPDATE results.releases SET votes = jsonb_set(votes, '{0,votes}', '999') WHERE election = 'sound' AND unit = 's-1/in_person'",
    ["releases_within_counts", "sums_released"],
  ],
  ["UPDATE results.current SET voters = voters - 1 WHERE election = 'sound' AND unit = 'n-2/in_person'", [
    "releases_add_up",
    "sums_released",
  ]],
  [
    "UPDATE counting.log_positions SET records_read = records_read + 1 WHERE election = 'sound' AND partition = 1",
    ["outcomes_balance", "log_against_tables"],
  ],
  ["INSERT INTO counting.gaps VALUES ('sound', 1, 3, 5)", ["gaps_explained"]],
  ["UPDATE counting.sender_keys SET stated = stated + 2 WHERE election = 'sound' AND gateway = 'g-2'", [
    "sequence_numbers",
  ]],
  ["UPDATE counting.sender_keys SET stated = NULL WHERE election = 'sound' AND gateway = 'g-1'", [
    "sequence_numbers",
  ]],
  ["UPDATE counting.participations SET vote_id = gen_random_uuid() WHERE election = 'sound'", [
    "log_against_tables",
  ]],
  [
    `UPDATE results.releases SET marks = marks || '[{"contest":"mayor","candidate":"#blank","votes":1}]' WHERE election = 'sound' AND unit = 'n-1/in_person'`,
    ["blank_share", "sums_released", "releases_within_counts"],
  ],
  [
    `UPDATE results.releases t SET votes = s.votes, marks = s.marks FROM results.releases s
     WHERE t.election = 'sound' AND s.election = 'sound' AND s.station = 's-1' AND t.station = 's-2' AND s.mode = t.mode`,
    ["identical_stations", "releases_within_counts", "sums_released"],
  ],
  [
    "INSERT INTO counting.rejections (election, partition, log_offset, fate, reason, appended_at, gateway, station, vote_id) SELECT 'sound', 0, 9000 + n, 'rejected', 'unknown_voter', now(), 'g-1', 'n-1', gen_random_uuid() FROM generate_series(1, 15) n",
    ["station_differences"],
  ],
];

for (const [sql, codes] of BREAKS) {
  Deno.test(`${codes[0]} fails on: ${sql.replaceAll(/\s+/g, " ").slice(0, 100)}`, async () => {
    const { checks } = await checkBroken(sql);
    const broken = checks.filter(({ result }) => result !== "passed");
    assert.deepEqual(
      broken.map(({ code }) => code).toSorted(),
      codes.toSorted(),
      JSON.stringify(broken, null, 1),
    );
    for (const { result, rows, expected, found, more } of broken) {
      assert.equal(result, "failed");
      assert.equal(rows.length + more, expected - found);
      assert.ok(rows.every(({ what }) => what !== ""));
    }
  });
}

Deno.test("an uncontested contest changes no check, and a recount finds nothing of it", async () => {
  const other = await openCheckedElection(db, "unopposed", { contests: uncontestedDefinition().contests });
  await stateAll("unopposed");
  const of = async (election: string, log: MemoryLog) => {
    const run = await runChecks(sourcesOf(db, log), election, CHECKED_AT, { log: true });
    return {
      ...run,
      checks: run.checks.map(({ code, result, expected, found }) => [code, result, expected, found]),
    };
  };
  const [with_, without] = [await of("unopposed", other.log), await of("sound", box.log)];
  assert.equal(with_.recountDifferences, 0);
  assert.deepEqual(with_.checks, without.checks);
});

Deno.test("where k is 10, rows of what was counted name places and have no figures, and no digest tells them", async () => {
  const box = await openCheckedElection(db, "secret", { releaseThreshold: 10 });
  const sql =
    `UPDATE counting.tallies SET votes = array_replace(votes, votes[cardinality(votes)], 400) WHERE election = 'secret';
    UPDATE counting.turnout_counts SET voters = voters + 1 WHERE election = 'secret'`;
  const { checks } = await checkBroken(sql, "secret", box.log);
  const failed = (code: CheckCode) => {
    const check = checks.find((each) => each.code === code)!;
    assert.equal(check.result, "failed", code);
    return check;
  };
  for (const code of ["sums", "turnout_stations", "log_against_tables"] as const) {
    const { rows } = failed(code);
    assert.ok(rows.length > 0);
    for (const { expected, found } of rows) assert.deepEqual([expected, found], [null, null], code);
  }
  // The same lines are wrong, by another number: nothing that is answered differs.
  const other = await checkBroken(sql.replace("400", "500"), "secret", box.log);
  assert.deepEqual(other.checks, checks);
  // What is published may be shown, and whole numbers of voters are anyway.
  assert.ok(failed("turnout_ways").rows.every(({ found }) => typeof found === "number"));
});

Deno.test("before results may be shown, figures of counts are kept back where k is 1, too", async () => {
  const shy = await openBallotBox(db, "shy", { releaseThreshold: 1, resultsBeforeClosing: false });
  await shy.cast("voter-1");
  await shy.count();
  const { checks } = await checkBroken(
    "UPDATE counting.tallies SET voters = 9 WHERE election = 'shy'; INSERT INTO counting.tallies VALUES ('shy', 'n-1', 'early', 0, 0, 4, '{3}')",
    "shy",
    shy.log,
  );
  const rows = checks.filter(({ code }) => code === "turnout_stations" || code === "votes_within_roll")
    .flatMap(({ rows }) => rows);
  assert.ok(rows.length > 1);
  for (const { expected, found } of rows) assert.deepEqual([expected, found], [null, null]);
});

Deno.test("a check that breaks off says why, and fails", async () => {
  const { checks } = await runChecks(
    sourcesOf({
      ...db,
      query: async (sql, params) => {
        if (sql.includes("registry.voters")) throw new Error("canceling statement due to statement timeout");
        return await db.query(sql, params);
      },
    }, box.log),
    "sound",
    CHECKED_AT,
    { log: false },
  );
  const broken = checks.filter(({ result }) => result !== "passed");
  assert.deepEqual(broken.map(({ code, result, fault }) => [code, result, fault]), [
    ["roll_complete", "not_checked", "it broke off: canceling statement due to statement timeout"],
  ]);
});

Deno.test("elections are checked by themselves while they run, and the log once the canvass has begun", async () => {
  const sources = sourcesOf(db, box.log);
  const at = (ms: number) => new Date(NOON_MS + ms);
  const due = async (ms: number) => (await checkDue(sources, at(ms))).includes("due");
  const due0 = await openBallotBox(db, "due", { releaseThreshold: 1 });
  const own = { ...sources, openLog: () => Promise.resolve(due0.log) };
  assert.equal(
    (await checkDue(own, new Date("2026-11-03T06:00:00.000Z"))).includes("due"),
    false,
    "not before it opens",
  );
  assert.equal((await checkDue(own, at(0))).includes("due"), true);
  const first = (await newestRun(db.query, "due"))!;
  assert.deepEqual([
    first.logCheckedAt,
    first.checks.find(({ code }) => code === "log_against_tables")!.result,
  ], [null, "not_checked"]);
  assert.equal(await due(CHECK_EVERY_MS.open! - 1), false);
  await db.query("INSERT INTO office.lifecycles VALUES ('due', 'canvass', 1, now())");
  const told: string[] = [];
  await checkDue(own, at(CHECK_EVERY_MS.open!), {
    onChecked: (election, { run }) => told.push(`${election} ${run}`),
  });
  const second = (await newestRun(db.query, "due"))!;
  assert.deepEqual([told.includes("due 2"), second.logCheckedAt], [
    true,
    at(CHECK_EVERY_MS.open!).toISOString(),
  ]);
  await checkDue(own, at(2 * CHECK_EVERY_MS.open!));
  const third = (await newestRun(db.query, "due"))!;
  assert.equal(third.logCheckedAt, second.logCheckedAt, "the last recount stays beside the others for a day");
  assert.equal(third.checks.find(({ code }) => code === "log_against_tables")!.at, second.logCheckedAt);
});

Deno.test("a log that cannot be counted again is told of once in a while, and the other checks are made", async () => {
  await openBallotBox(db, "unlogged", { releaseThreshold: 1 });
  await db.query("INSERT INTO office.lifecycles VALUES ('unlogged', 'canvass', 1, now())");
  const tried = new Map<string, number>();
  const errors: string[] = [];
  const sources = {
    ...sourcesOf(db, box.log),
    openLog: () => Promise.reject(new Error("the log is away")),
  };
  const due = async (atMs: number) =>
    await checkDue(sources, new Date(NOON_MS + atMs), {
      tried,
      onError: (error) => errors.push((error as Error).message),
    });
  const late = 100 * 86_400_000;
  assert.equal((await due(late)).includes("unlogged"), true);
  const told = errors.filter((message) => message === "the log is away").length;
  assert.ok(told > 0);
  assert.equal((await newestRun(db.query, "unlogged"))!.logCheckedAt, null);
  await due(late + 1_000);
  assert.equal(errors.length, told, "not at once again");
  await due(late + CHECK_EVERY_MS.canvass!);
  assert.ok(errors.length > told);
});

Deno.test("of two processes one checks, and lets the other at once when it stops", async () => {
  await openBallotBox(db, "shared", { releaseThreshold: 1 });
  let answered = 0;
  const asking: Database = {
    ...db,
    query: async (sql, params) => {
      const rows = await db.query(sql, params);
      if (sql.includes("counting.leases")) answered++;
      return rows as never;
    },
  };
  const sources = { ...sourcesOf(asking, box.log), now: () => NOON_MS + 200 * 86_400_000 };
  const told: string[] = [];
  const until = (name: string) => {
    const stop = new AbortController();
    const done = keepChecking(sources, stop.signal, (error) => told.push(`${name}: ${error}`), (election) => {
      if (election !== "shared") return;
      told.push(name);
      stop.abort();
    });
    return { stop, done };
  };
  const first = until("first");
  await first.done;
  assert.deepEqual(told, ["first"]);
  await db.query("DELETE FROM office.quality_runs WHERE election = 'shared'");
  await db.query(
    "UPDATE counting.leases SET process = gen_random_uuid(), until = now() + interval '1 hour' WHERE work = 'quality'",
  );
  const before = answered;
  const second = until("second");
  await eventually("it has asked whose turn it is", () => answered > before);
  second.stop.abort();
  await second.done;
  assert.deepEqual(told, ["first"], "another process has the lease");
  await db.query("UPDATE counting.leases SET until = '-infinity' WHERE work = 'quality'");
  await until("third").done;
  assert.deepEqual(told, ["first", "third"]);
});
