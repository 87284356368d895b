import assert from "assert";
import { LogFault } from "../../shared/log/vote_log.ts";
import { type BallotBox, fillBallotBox, openBallotBox } from "../../tests/ballot_box.ts";
import { MASTER, NOON_MS, testVoterKey } from "../../tests/fixture.ts";
import { MemoryLog } from "../../tests/memory_log.ts";
import { tamper, testDatabase } from "../../tests/test_database.ts";
import { COUNT_BATCH_RECORDS, createCounter } from "./count.ts";
import { checkLog, Fenced } from "./positions.ts";
import { type Database, DatabaseUnavailable } from "../database/database.ts";
import { publish } from "../results/publish.ts";
import { withdrawUnfounded } from "../results/withdraw.ts";
import { rebuild } from "./rebuild.ts";
import { recount } from "./recount.ts";
import { readTables } from "./tables.ts";

const db = await testDatabase();
const NOW = new Date(NOON_MS + 3_600_000);
let boxes = 0;

/** A box of everything, counted and published. */
async function countedBox(threshold = 3): Promise<BallotBox> {
  const box = await openBallotBox(db, `box-${boxes++}`);
  await fillBallotBox(box);
  await box.count();
  await release(box, threshold);
  return box;
}

const rebuildBox = (box: BallotBox, on: Database = db) =>
  rebuild(on, box.log, box.history, MASTER, NOW, withdrawUnfounded);

/** Makes the final release of an election, or what is due after it. */
async function release({ election, history }: BallotBox, threshold = 3): Promise<void> {
  const regionOf = (station: string) => history.newest.stations.get(station)?.region;
  const when = { beforeFinal: true, final: true, caughtUp: true, all: true };
  await publish(db, { election, threshold, regionOf, ...when }, NOW);
}

/** What each table of an election holds, but for who counted it and when. */
const TABLES: Record<string, string> = {
  "counting.roll": "*",
  "counting.participations": "*",
  "counting.tallies": "*",
  "counting.turnout_counts": "*",
  "counting.turnout_groups": "*",
  "counting.outcome_counts": "*",
  "counting.rejections":
    "partition, log_offset, record_index, fate, reason, appended_at, gateway, station, vote_id",
  "counting.gaps": "*",
  "counting.log_positions": "partition, next_offset, records_read, log_identity, last_offset, last_digest",
};

async function contents({ election }: BallotBox): Promise<Record<string, unknown[]>> {
  const all: Record<string, unknown[]> = {};
  for (const [table, columns] of Object.entries(TABLES)) {
    const rows = await db.query<{ row: string }>(
      `SELECT row_to_json(t)::text AS row FROM (SELECT ${columns} FROM ${table} WHERE election = $1) AS t ORDER BY 1`,
      [election],
    );
    all[table] = rows.map(({ row }) => row);
  }
  return all;
}

type Shown = { unit: string; voters: number; votes: [contest: string, candidate: string, votes: number][] };

/** What readers see of an election: of each unit that shows anything, how many voted and for whom. */
async function shown({ election }: BallotBox): Promise<Shown[]> {
  return await db.query(
    `SELECT c.unit, r.voters::float8 AS voters, (
       SELECT coalesce(json_agg(json_build_array(v.contest, v.candidate, v.votes) ORDER BY v.contest, v.candidate), '[]')
       FROM jsonb_to_recordset(r.votes || r.marks) AS v (contest text, candidate text, votes int)) AS votes
     FROM results.current c JOIN results.releases r USING (revision)
     WHERE c.election = $1 AND (r.voters > 0 OR r.votes || r.marks @? '$[*] ? (@.votes > 0)') ORDER BY 1`,
    [election],
  );
}

/** The sums of what an election's releases added, by unit, and of its voters; withdrawals take off. */
async function addedUp({ election }: BallotBox): Promise<Pick<Shown, "unit" | "voters">[]> {
  return await db.query(
    `SELECT unit, sum(added_voters)::float8 AS voters FROM results.releases WHERE election = $1
     GROUP BY unit HAVING sum(added_voters) <> 0 ORDER BY 1`,
    [election],
  );
}

Deno.test("rebuild() makes the same tables again", async () => {
  const box = await countedBox();
  const before = await contents(box);
  assert.ok(Object.values(before).every((rows) => rows.length > 0), "no table is empty");
  const tables = await readTables(db.query, box.election);
  let progress = 0;
  const made = await rebuild(db, box.log, box.history, MASTER, NOW, withdrawUnfounded, {
    onProgress: (records) => progress += records,
  });
  assert.deepEqual(made, { voters: 31, records: box.log.stored.flat().length });
  assert.equal(progress, made.records);
  assert.deepEqual(await contents(box), before);
  assert.deepEqual(await readTables(db.query, box.election), tables);
  assert.equal((await recount(db, box.log, box.history)).differences, 0);
});

Deno.test("rebuild() makes the same tables again when voters were struck off", async () => {
  const box = await openBallotBox(db, `box-${boxes++}`);
  const { election } = box;
  await fillBallotBox(box);
  // voter-5 and voter-6 are struck from the roll; voter-6 is accredited again.
  const at = new Date(NOON_MS - 3_600_000).toISOString();
  for (const voter of ["voter-5", "voter-6"]) {
    await db.query(
      `UPDATE registry.voters SET revision = 1, struck_revision = 2, struck_at = $3::timestamptz
       WHERE election = $1 AND voter_id = $2`,
      [election, voter, at],
    );
    await db.query(
      `UPDATE counting.roll SET revision = 1, struck_revision = 2, struck_at = $3::timestamptz
       WHERE election = $1 AND voter_key = decode($2, 'hex')`,
      [election, testVoterKey(voter, election), at],
    );
  }
  await db.query(
    `INSERT INTO registry.voters (election, voter_id, revision, effective_at, region, birth_date, gender)
     SELECT election, voter_id, 2, struck_at, region, birth_date, gender
     FROM registry.voters WHERE election = $1 AND voter_id = 'voter-6'`,
    [election],
  );
  await db.query(
    `INSERT INTO counting.roll (election, voter_key, revision, region, age_group, gender)
     SELECT election, voter_key, 2, region, age_group, gender
     FROM counting.roll WHERE election = $1 AND voter_key = decode($2, 'hex')`,
    [election, testVoterKey("voter-6", election)],
  );
  await box.count();
  const before = await contents(box);
  const { outcomes } = await readTables(db.query, election);
  const refused = [...outcomes].filter(([name]) => name.endsWith("/unknown_voter")).reduce(
    (sum, [, n]) => sum + n,
    0,
  );
  assert.equal(refused, 2, "the stranger, and voter-5");
  await rebuildBox(box);
  assert.deepEqual(await contents(box), before);
});

Deno.test("rebuild() repairs damaged tables", async () => {
  const box = await countedBox();
  const before = await contents(box);
  for (
    const damage of [
      "UPDATE counting.tallies SET votes[1] = votes[1] + 5, voters = 0 WHERE election = $1 AND station LIKE 'n-%'",
      "DELETE FROM counting.participations WHERE election = $1 AND get_byte(voter_key, 31) % 2 = 0",
      "UPDATE counting.outcome_counts SET records = 0 WHERE election = $1",
      "DELETE FROM counting.rejections WHERE election = $1",
      "DELETE FROM counting.gaps WHERE election = $1",
      "DELETE FROM counting.tallies WHERE election = $1 AND station LIKE 's-%'",
      "UPDATE counting.turnout_counts SET lane = 9, minute = minute + interval '1 day' WHERE election = $1",
      "INSERT INTO counting.turnout_groups VALUES ($1, 'west', '25-34', 'male', 4, 12)",
      "DELETE FROM counting.roll WHERE election = $1 AND gender = 'male'",
      "UPDATE counting.log_positions SET next_offset = 1, log_identity = 'another' WHERE election = $1",
    ]
  ) await tamper(db, damage, [box.election]);
  await rebuildBox(box);
  assert.deepEqual(await contents(box), before);
});

Deno.test("rebuild() makes everything from registry and log alone", async () => {
  const box = await countedBox();
  const before = await contents(box);
  for (const table of [...Object.keys(TABLES), "counting.changes", "results.current", "results.releases"]) {
    await tamper(db, `DELETE FROM ${table} WHERE election = $1`, [box.election]);
  }
  await rebuildBox(box);
  assert.deepEqual(await contents(box), before);
});

Deno.test("rebuild() counts another log from its start, when that is the right one", async () => {
  const box = await countedBox();
  const before = await contents(box);
  Object.assign(box.log, { id: "restored" });
  await assert.rejects(box.count(), LogFault);
  await rebuildBox(box);
  const { "counting.log_positions": _, ...rest } = await contents(box);
  const { "counting.log_positions": __, ...restBefore } = before;
  assert.deepEqual(rest, restBefore);
  await box.cast("voter-28");
  await box.count();
  assert.equal((await recount(db, box.log, box.history)).differences, 0);
});

Deno.test("rebuild() refuses an empty log where there were records, and leaves the tables as they are", async () => {
  const box = await countedBox();
  const before = await contents(box);
  const empty = new MemoryLog(box.log.partitions, "made by opening it");
  await assert.rejects(
    rebuild(db, empty, box.history, MASTER, NOW, withdrawUnfounded),
    (error) =>
      error instanceof LogFault &&
      error.message.startsWith(
        `Cannot rebuild election ${box.election}: the log is empty, and ${box.log.stored.flat().length} records`,
      ),
  );
  assert.deepEqual(await contents(box), before);
  const fresh = await openBallotBox(db, `box-${boxes++}`);
  assert.deepEqual(await rebuildBox(fresh), { voters: 0, records: 0 });
});

/** Deletes the front of a partition that has records behind it, and says where the log starts now. */
function deleteFront({ log }: BallotBox, records = 2): { partition: number; start: number } {
  const partition = log.stored.findIndex(({ length }) => length > records);
  const start = log.stored[partition][records].offset;
  log.deleteBefore(partition, start);
  return { partition, start };
}

Deno.test("rebuild() refuses a log whose front was deleted, names the loss, and leaves the tables as they are", async () => {
  const box = await countedBox();
  const before = await contents(box);
  const { partition, start } = deleteFront(box);
  await assert.rejects(rebuildBox(box), (error) => {
    assert.ok(error instanceof LogFault, String(error));
    assert.equal(
      error.message,
      `Cannot rebuild election ${box.election}: partition ${partition}: records were deleted from the front of the log (it starts at ${start}): check the topic's retention; bring the log back from its copies, or accept the loss for good with --accept-loss ${partition}:${start}`,
    );
    return true;
  });
  assert.deepEqual(await contents(box), before);
});

Deno.test("rebuild() refuses a log that holds fewer records than were read", async () => {
  const box = await countedBox();
  const before = await contents(box);
  const end = await box.log.end(1);
  box.log.truncate(1, end - 3);
  const read = before["counting.log_positions"].map((row) => JSON.parse(row as string))[1].records_read;
  await assert.rejects(
    rebuildBox(box),
    (error) =>
      error instanceof LogFault &&
      error.message.includes(`partition 1: the log ends at ${end - 3}, and ${read} entries had been read`),
  );
  assert.deepEqual(await contents(box), before);
});

Deno.test("rebuild() goes on without what is missing when the loss is named, and puts it on the audit trail", async () => {
  const box = await countedBox();
  const { partition, start } = deleteFront(box);
  const read = box.log.stored.flat().length + 2;
  for (const [other, missing] of [[partition, start - 1], [partition, start + 1], [partition + 1, start]]) {
    await assert.rejects(
      rebuild(db, box.log, box.history, MASTER, NOW, withdrawUnfounded, {
        acceptedLoss: new Map([[other, missing]]),
      }),
      LogFault,
      `${other}:${missing}`,
    );
  }
  const acceptedLoss = new Map([[partition, start]]);
  const { records } = await rebuild(db, box.log, box.history, MASTER, NOW, withdrawUnfounded, {
    acceptedLoss,
  });
  assert.equal(records, read - 2);
  const events = await db.query<{ details: string }>(
    "SELECT details #>> '{}' AS details FROM audit.events WHERE election = $1 AND event = 'loss_accepted'",
    [box.election],
  );
  assert.deepEqual(events.map(({ details }) => JSON.parse(details)), [
    { partition, missing: start, start, end: await box.log.end(partition) },
  ]);
  // What was accepted stops nobody any more.
  const { differences, deleted } = await recount(db, box.log, box.history);
  assert.deepEqual([differences, deleted], [0, [{ partition, start, isAccepted: true }]]);
  await box.cast("voter-28");
  await box.count();
  // What is deleted later does.
  const more = deleteFront(box);
  assert.ok(more.start > start);
  await assert.rejects(
    rebuild(db, box.log, box.history, MASTER, NOW, withdrawUnfounded, { acceptedLoss }),
    LogFault,
  );
});

Deno.test("rebuild() with an accepted loss leaves the position behind it, also where nothing is left", async () => {
  const box = await countedBox();
  const end = await box.log.end(2);
  box.log.deleteBefore(2, end);
  await rebuild(db, box.log, box.history, MASTER, NOW, withdrawUnfounded, {
    acceptedLoss: new Map([[2, end]]),
  });
  await checkLog({ db, log: box.log, history: box.history });
  assert.equal((await recount(db, box.log, box.history)).differences, 0);
});

Deno.test("rebuild() does not hold the audit trail up while it makes the roll", async () => {
  const box = await countedBox();
  const held: string[] = [];
  const watched: Database = {
    ...db,
    transaction: (work, isolation) =>
      db.transaction((query) =>
        work((sql, params) => {
          held.push(
            /pg_advisory_xact_lock/.test(sql)
              ? `lock ${params![0]}`
              : sql.trim().split(/\s+/).slice(0, 3).join(" "),
          );
          return query(sql, params);
        }), isolation),
  };
  await rebuildBox(box, watched);
  const auditLocks = held.flatMap((what, at) => what === "lock 7026413" ? [at] : []);
  assert.equal(auditLocks.length, 2, held.join(", "));
  assert.ok(held.lastIndexOf("INSERT INTO counting.roll") < auditLocks[0], held.join(", "));
});

Deno.test("rebuild() goes on when the database was away for a while", async () => {
  const box = await countedBox();
  const before = await contents(box);
  let transactions = 0;
  const troubled: Database = {
    ...db,
    transaction: (work, isolation) =>
      transactions++ % 2 === 1
        ? Promise.reject(new DatabaseUnavailable("it is not reached"))
        : db.transaction(work, isolation),
  };
  await rebuild(troubled, box.log, box.history, MASTER, NOW, withdrawUnfounded, {
    wait: () => Promise.resolve(),
  });
  assert.deepEqual(await contents(box), before);
});

Deno.test("rebuild() leaves what was released as it is, so that k goes on from there", async () => {
  const box = await countedBox();
  const before = await shown(box);
  assert.ok(before.length > 0);
  await rebuildBox(box);
  assert.deepEqual(await shown(box), before);
  await release(box);
  assert.deepEqual(await shown(box), before, "nothing is left to be shown");
});

Deno.test("rebuild() withdraws a release that shows more than was counted, and for k = 1 shows it again", async () => {
  const box = await countedBox(1);
  const before = await shown(box);
  assert.ok(before.length > 0);
  await db.query("UPDATE results.current SET voters = voters + 1 WHERE election = $1", [box.election]);
  await tamper(
    db,
    "UPDATE results.releases SET voters = voters + 1, added_voters = added_voters + 1 WHERE election = $1",
    [box.election],
  );
  await rebuildBox(box);
  assert.deepEqual([await shown(box), await addedUp(box)], [[], []]);
  await release(box, 1);
  assert.deepEqual(await shown(box), before);
  assert.deepEqual(await addedUp(box), before.map(({ unit, voters }) => ({ unit, voters })));
});

Deno.test("rebuild() withdraws a unit of which a voter is gone, and shows it again once the voter is back", async () => {
  const box = await countedBox();
  const before = await shown(box);
  const voter = "voter-5";
  await db.query(
    `UPDATE registry.voters SET revision = 1, struck_revision = 2, struck_at = $3::timestamptz
     WHERE election = $1 AND voter_id = $2`,
    [box.election, voter, new Date(NOON_MS - 3_600_000).toISOString()],
  );
  await rebuildBox(box);
  const without = await shown(box);
  assert.equal(without.length, before.length - 1);
  const [gone] = before.filter(({ unit }) => without.every((other) => other.unit !== unit));
  assert.match(gone.unit, /^s-1\//, "voter-5 voted there");
  assert.deepEqual(without, before.filter((unit) => unit !== gone), "the others stay as they were");
  assert.deepEqual(await addedUp(box), without.map(({ unit, voters }) => ({ unit, voters })));
  await release(box);
  assert.deepEqual(await shown(box), without, "if it were shown again, the difference would be one voter");
  await db.query(
    "UPDATE registry.voters SET struck_revision = NULL, struck_at = NULL WHERE election = $1 AND voter_id = $2",
    [box.election, voter],
  );
  await rebuildBox(box);
  assert.deepEqual(await shown(box), before);
  assert.deepEqual(await addedUp(box), before.map(({ unit, voters }) => ({ unit, voters })));
});

Deno.test("rebuild() remembers who was counted before and is lost, until they are found again", async () => {
  const box = await countedBox();
  const before = await shown(box);
  const lost = async () => {
    const [{ lost }] = await db.query<{ lost: number }>(
      "SELECT lost::float8 AS lost FROM results.elections WHERE election = $1",
      [box.election],
    );
    return lost;
  };
  assert.equal(await lost(), 0);
  const whole = box.log;
  const part = new MemoryLog(whole.partitions, "a part of it", () => box.logMs);
  await part.append(whole.stored.flat().slice(0, 12));
  for (let partition = 0; partition < whole.partitions; partition++) {
    part.skip(partition, await whole.end(partition) - await part.end(partition));
  }
  await rebuild(db, part, box.history, MASTER, NOW, withdrawUnfounded);
  assert.ok(await lost() > 0);
  await release(box);
  const during = await shown(box);
  assert.notDeepEqual(during, before, "what the rebuild does not confirm is withdrawn");
  await rebuildBox(box);
  await release(box);
  assert.equal(await lost(), 0);
  assert.deepEqual(await shown(box), before, "what was withdrawn is restored");
});

Deno.test("rebuild() keeps a running counter away until it has ended", async () => {
  const box = await countedBox();
  await box.cast("voter-28");
  let met: unknown;
  const nosy: Database = {
    ...db,
    transaction: async (work, isolation) => {
      const result = await db.transaction(work, isolation);
      met ??= await box.count().catch((error) => error);
      return result;
    },
  };
  await rebuildBox(box, nosy);
  assert.ok(met instanceof Fenced, String(met));
  assert.match(met.message, /it is being rebuilt; counting continues after that/);
  await box.cast("voter-29");
  await box.count();
  assert.equal((await recount(db, box.log, box.history)).differences, 0);
});

Deno.test("rebuild() is done by one process at a time", async () => {
  const box = await countedBox();
  await db.query("INSERT INTO counting.leases VALUES ($1, gen_random_uuid(), now() + interval '1 hour')", [
    `rebuild.${box.election}`,
  ]);
  await assert.rejects(rebuildBox(box), /another rebuild of it is under way/);
});

Deno.test("rebuild() leaves other elections alone", async () => {
  const [one, other] = [await countedBox(), await countedBox()];
  const everything = async () => ({
    ...await contents(other),
    shown: await shown(other),
    epochs: await db.query(
      "SELECT partition, epoch FROM counting.log_positions WHERE election = $1 ORDER BY 1",
      [
        other.election,
      ],
    ),
  });
  const before = await everything();
  await rebuildBox(one);
  assert.deepEqual(await everything(), before);
});

Deno.test("rebuild() of several elections at once makes the tables of each again", async () => {
  const boxes = [await countedBox(), await countedBox(), await countedBox()];
  // Without the lanes: which counter has which depends on the others.
  const tables = () => Promise.all(boxes.map(({ election }) => readTables(db.query, election)));
  const before = await tables();
  const log = (box: BallotBox) => ({ records: box.log.stored.flat().length, voters: 31 });
  assert.deepEqual(await Promise.all(boxes.map((box) => rebuildBox(box))), boxes.map(log));
  assert.deepEqual(await tables(), before);
});

Deno.test("rebuild() that is broken off keeps counting from going on, until it is run again", async () => {
  const box = await countedBox();
  const before = await contents(box);
  const steps = 1 + 2 * box.log.stored.filter((records) => records.length > 0).length;
  assert.ok(steps > 4);
  for (let until = 1; until < steps; until++) {
    // The database goes away after so many transactions.
    let done = 0;
    const failing: Database = {
      ...db,
      transaction: (work, isolation) => {
        if (done++ === until) return Promise.reject(Object.assign(new Error("gone"), { code: "XX000" }));
        return db.transaction(work, isolation);
      },
    };
    await assert.rejects(rebuildBox(box, failing), /^Error: gone$/);
    await assert.rejects(
      box.count(),
      (error) => error instanceof LogFault && /the database is older than the log/.test(error.message),
      `after ${until} transactions`,
    );
  }
  await rebuildBox(box);
  assert.deepEqual(await contents(box), before);
  await box.count();
});

Deno.test("rebuild() takes the partitions from the process that counted them", async () => {
  const box = await openBallotBox(db, `box-${boxes++}`, { partitions: 1 });
  await fillBallotBox(box);
  const { log, history } = box;
  const signal = new AbortController().signal;
  const counter = createCounter({ db, log, history, signal, wait: () => Promise.resolve() });
  await counter.take(0);
  await counter.batch(0, await log.read(0, 0, COUNT_BATCH_RECORDS));
  const end = await log.end(0);
  await rebuildBox(box);
  // It stands where the rebuilt tables stand, and would go on as if nothing had happened.
  await box.cast("voter-28");
  await assert.rejects(counter.batch(0, await log.read(0, end, COUNT_BATCH_RECORDS)), Fenced);
  assert.equal((await recount(db, box.log, box.history)).differences, 0);
});

Deno.test("rebuild() is on the audit trail, also when it was broken off", async () => {
  const box = await countedBox();
  const events = async () =>
    (await db.query<{ event: string; details: string }>(
      "SELECT event, details #>> '{}' AS details FROM audit.events WHERE election = $1 AND event LIKE 'rebuild%' ORDER BY number",
      [box.election],
    )).map(({ event, details }) => [event, JSON.parse(details)]);
  const failing: Database = {
    ...db,
    transaction: (work, isolation) =>
      isolation === undefined && failed++ === 0
        ? db.transaction(work)
        : Promise.reject(Object.assign(new Error("gone"), { code: "XX000" })),
  };
  let failed = 0;
  await assert.rejects(rebuildBox(box, failing));
  assert.deepEqual(await events(), [["rebuild_started", {}]]);
  const { voters, records } = await rebuildBox(box);
  assert.deepEqual(await events(), [
    ["rebuild_started", {}],
    ["rebuild_started", {}],
    ["rebuild_finished", { voters, records, withdrawn: 0 }],
  ]);
});
