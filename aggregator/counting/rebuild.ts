/**
 * Makes an election's tables anew from registry and log: the log is the truth, and everything else can be lost.
 *
 * @module
 */
import { logEnds, LogFault, type VoteLog } from "../../shared/log/vote_log.ts";
import { appendAudit } from "../audit/events.ts";
import { COUNT_BATCH_RECORDS, createCounter } from "./count.ts";
import type { Database, Query } from "../database/database.ts";
import type { RegisteredHistory } from "./history.ts";
import { Lease } from "../database/lease.ts";
import { REBUILD_LEASE_MS, rebuildWork } from "./rebuild_lease.ts";
import { lockRolls, rebuildRoll } from "../registry/roll.ts";

/**
 * Tables that are made anew, with an election column each. What was released stays: shown anew from nothing, a
 * station would at once tell of the few who have voted since its last release.
 */
const DERIVED = [
  "counting.participations",
  "counting.station_counts",
  "counting.station_voters",
  "counting.turnout_counts",
  "counting.turnout_groups",
  "counting.outcome_counts",
  "counting.rejections",
  "counting.gaps",
  "counting.changes",
] as const;

/** Withdraws what was published and the new counts do not bear out, in a transaction; resolves to how much. */
export type Withdraw = (query: Query, election: string, now: Date) => Promise<number>;

/** What a rebuild made. */
export type Rebuilt = Readonly<{ voters: number; records: number }>;

/**
 * Rebuilds one election. Should it be broken off, counting refuses to go on from there, and it is run again. Running
 * aggregators wait until it has ended, and go on then.
 *
 * @throws {LogFault} when the log is empty and had not been.
 * @param onProgress Told how many more records were counted.
 */
export async function rebuild(
  db: Database,
  log: VoteLog,
  history: RegisteredHistory,
  master: Uint8Array,
  now: Date,
  withdraw: Withdraw,
  onProgress: (records: number) => void = () => {},
): Promise<Rebuilt> {
  const { election } = history;
  await refuseEmptyLog(db, log, election);
  const lease = new Lease(db.query, rebuildWork(election), REBUILD_LEASE_MS);
  if (!await lease.hold()) {
    throw new LogFault(
      `Cannot rebuild election ${election}: another rebuild of it is under way; wait until it has ended`,
    );
  }
  try {
    return await rebuildHeld(db, log, history, master, now, withdraw, onProgress, () => lease.hold());
  } finally {
    await lease.release();
  }
}

/** Rebuilds, while `hold` keeps the lease: other processes neither count nor publish the election. */
async function rebuildHeld(
  db: Database,
  log: VoteLog,
  history: RegisteredHistory,
  master: Uint8Array,
  now: Date,
  withdraw: Withdraw,
  onProgress: (records: number) => void,
  hold: () => Promise<unknown>,
): Promise<Rebuilt> {
  const { election } = history;
  const voters = await db.transaction(async (query) => {
    await lockRolls(query);
    await query(
      `INSERT INTO counting.former_voters SELECT election, voter_key FROM counting.participations WHERE election = $1
       ON CONFLICT DO NOTHING`,
      [election],
    );
    await clear(query, election);
    await appendAudit(query, now, "rebuild_started", election, {});
    return await rebuildRoll(query, election, master);
  });
  let records = 0;
  const counter = createCounter({
    db,
    log,
    history,
    rebuilding: true,
    signal: new AbortController().signal,
    wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    onCounted(_outcomes, counted) {
      records += counted;
      onProgress(counted);
    },
  });
  for (let partition = 0; partition < log.partitions; partition++) {
    let from = await counter.take(partition);
    for (let batch; (batch = await log.read(partition, from, COUNT_BATCH_RECORDS)).length > 0;) {
      await hold();
      await counter.batch(partition, batch);
      from = batch.at(-1)!.offset + 1;
    }
  }
  await db.transaction(async (query) => {
    await query(
      `DELETE FROM counting.former_voters f USING counting.participations p
       WHERE f.election = $1 AND p.election = f.election AND p.voter_key = f.voter_key`,
      [election],
    );
    const withdrawn = await withdraw(query, election, now);
    await appendAudit(query, now, "rebuild_finished", election, { voters, records, withdrawn });
  });
  return { voters, records };
}

/** Nothing is as easily given as the wrong place of a log, and a log that is made there by opening it is empty. */
async function refuseEmptyLog(db: Database, log: VoteLog, election: string): Promise<void> {
  if ((await logEnds(log)).some((end) => end > 0)) return;
  const [{ read }] = await db.query<{ read: number }>(
    "SELECT coalesce(sum(records_read), 0)::float8 AS read FROM counting.log_positions WHERE election = $1",
    [election],
  );
  if (read > 0) {
    throw new LogFault(
      `Cannot rebuild election ${election}: the log is empty, and ${read} records had been read; say where the log is, or bring it back from its copies`,
    );
  }
}

/** Empties an election's tables. Those that are empty are left alone: only the tables' owner may empty the others. */
async function clear(query: Query, election: string): Promise<void> {
  await query("SELECT set_config('pollwire.rebuilding', $1, true)", [election]);
  for (const table of DERIVED) {
    if (await hasRows(query, table, election)) {
      await query(`DELETE FROM ${table} WHERE election = $1`, [election]);
    }
  }
  await raiseRevisions(query);
  // Not deleted: an epoch that began anew would let in whoever had counted under the same one.
  await query(
    `UPDATE counting.log_positions SET epoch = epoch + 1, next_offset = 0, records_read = 0,
       log_identity = NULL, last_offset = NULL, last_digest = NULL
     WHERE election = $1`,
    [election],
  );
}

async function hasRows(query: Query, table: string, election: string): Promise<boolean> {
  const [{ some }] = await query<{ some: boolean }>(
    `SELECT EXISTS (SELECT FROM ${table} WHERE election = $1) AS some`,
    [election],
  );
  return some;
}

/**
 * A database that was restored from a backup would give out revisions again that were given out since. They are the
 * microseconds since 1970 at which it was made, counted on: now is later than all of them.
 */
async function raiseRevisions(query: Query): Promise<void> {
  const [{ may }] = await query<{ may: boolean }>(
    "SELECT has_sequence_privilege('results.revisions', 'UPDATE') AS may",
  );
  if (!may) return; // Not the tables' owner: so they were empty, and the database is as new as its revisions.
  await query(
    `SELECT setval('results.revisions', greatest(last_value, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint))
     FROM results.revisions`,
  );
}
