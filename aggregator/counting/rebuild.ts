/**
 * Makes an election's tables anew from registry and log: the log is the truth, and everything else can be lost.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Decision } from "../../shared/decision.ts";
import { type LogConsumer, logEnds, LogFault, type VoteLog } from "../../shared/log/vote_log.ts";
import { appendAudit } from "../audit/events.ts";
import { checkFront, COUNT_BATCH_RECORDS, createCounter } from "./count.ts";
import type { Database, Query } from "../database/database.ts";
import { readDecisions } from "../registry/decisions.ts";
import { decideAgain } from "./decide.ts";
import type { RegisteredHistory } from "./history.ts";
import { checkLosses, findLosses, noteLosses } from "./losses.ts";
import { retryPassing } from "./retry.ts";
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
  "counting.held",
  "counting.sequences",
  "counting.changes",
] as const;

/** What a rebuild made. */
export type Rebuilt = Readonly<{ voters: number; records: number }>;

/** How to rebuild. */
export type RebuildOptions = Readonly<{
  /** Told how many more records were counted. */
  onProgress?(records: number): void;
  /** What the log has lost and is to be left out for good: of each partition, how many offsets are missing. */
  acceptedLoss?: ReadonlyMap<number, number>;
  /** Told of what failed and is tried again. */
  onRetry?(error: unknown): void;
  /** Waits so many milliseconds. */
  wait?(ms: number): Promise<unknown>;
}>;

/**
 * Rebuilds one election. A database that is away for a while is waited for. Should it be broken off, counting refuses
 * to go on from there, and it is run again.
 *
 * @throws {LogFault} when the log has lost records, unless exactly that is accepted.
 */
export async function rebuild(
  db: Database,
  log: VoteLog,
  history: RegisteredHistory,
  master: Uint8Array,
  now: Date,
  { onProgress, acceptedLoss = new Map(), onRetry, wait = delay }: RebuildOptions = {},
): Promise<Rebuilt> {
  const { election } = history;
  const retry = { signal: new AbortController().signal, wait, onRetry };
  await refuseEmptyLog(db, log, election);
  const losses = await findLosses(db.query, log, election);
  checkLosses(election, losses, acceptedLoss);
  const begin = async (query: Query) => {
    await lockRolls(query);
    await clear(query, election);
    const voters = await rebuildRoll(query, election, master);
    // Last: whoever else has something to put on the audit trail waits until this transaction ends.
    await noteLosses(query, now, election, losses);
    await appendAudit(query, now, "rebuild_started", election, {});
    return voters;
  };
  const voters = await retryPassing(() => db.transaction(begin), retry);
  let records = 0;
  const counter = createCounter({
    ...retry,
    db,
    log,
    history,
    rebuilding: true,
    onCounted(_outcomes, counted) {
      records += counted;
      onProgress?.(counted);
    },
  });
  const decisions = await readDecisions(db.query, election);
  for (let partition = 0; partition < log.partitions; partition++) {
    const from = await countPartition(db, log, history, counter, decisions, partition);
    checkFront(election, partition, await log.start(partition), from);
  }
  const end = async (query: Query) => {
    const withdrawn = await withdrawUnfounded(query, election);
    await appendAudit(query, now, "rebuild_finished", election, { voters, records, withdrawn });
  };
  await retryPassing(() => db.transaction(end), retry);
  return { voters, records };
}

/**
 * Counts one partition from its start, and repeats each decision at the offset where it was made.
 *
 * @returns the offset to be read next.
 */
async function countPartition(
  db: Database,
  log: VoteLog,
  history: RegisteredHistory,
  counter: LogConsumer,
  decisions: readonly Decision[],
  partition: number,
): Promise<number> {
  let from = await counter.take(partition);
  const countUpTo = async (end: number) => {
    while (from < end) {
      const read = await log.read(partition, from, COUNT_BATCH_RECORDS);
      const batch = read.filter(({ offset }) => offset < end);
      if (batch.length === 0) return;
      await counter.batch(partition, batch);
      from = batch.at(-1)!.offset + 1;
    }
  };
  for (const decision of decisions) {
    await countUpTo(decision.positions[partition] ?? 0);
    await decideAgain(db, log, history, decision, partition);
  }
  await countUpTo(Infinity);
  return from;
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
    `UPDATE counting.log_positions SET epoch = epoch + 1, highest_offset = greatest(highest_offset, next_offset),
       next_offset = 0, records_read = 0, log_identity = NULL, last_offset = NULL, last_digest = NULL
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

/**
 * Withdraws releases that the new counts do not bear out: that tell of more voters or votes than there are, or of
 * other votes of as many voters.
 *
 * @returns how many.
 */
async function withdrawUnfounded(query: Query, election: string): Promise<number> {
  if (!await hasRows(query, "results.current", election)) return 0;
  const rows = await query(
    `DELETE FROM results.current c USING results.releases r
     WHERE c.election = $1 AND r.revision = c.revision AND (
       c.voters > (
         SELECT coalesce(sum(v.voters), 0) FROM counting.station_voters v
         WHERE v.election = c.election AND v.station = c.station AND v.mode = c.mode
       )
       OR EXISTS (
         SELECT FROM jsonb_to_recordset(r.votes) AS shown (contest text, candidate text, votes bigint)
         WHERE shown.votes > (
           SELECT coalesce(sum(s.votes), 0) FROM counting.station_counts s
           WHERE s.election = c.election AND s.station = c.station AND s.mode = c.mode
             AND s.contest = shown.contest AND s.candidate = shown.candidate
         )
       )
       OR (
         c.voters = (
           SELECT coalesce(sum(v.voters), 0) FROM counting.station_voters v
           WHERE v.election = c.election AND v.station = c.station AND v.mode = c.mode
         )
         AND (SELECT coalesce(sum(shown.votes), 0) FROM jsonb_to_recordset(r.votes) AS shown (votes bigint)) <> (
           SELECT coalesce(sum(s.votes), 0) FROM counting.station_counts s
           WHERE s.election = c.election AND s.station = c.station AND s.mode = c.mode
         )
       )
     )
     RETURNING 1`,
    [election],
  );
  return rows.length;
}
