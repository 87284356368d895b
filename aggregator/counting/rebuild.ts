/**
 * Rebuilds an election's tables from registry and log: the log is the truth, and everything else can be lost.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Decision } from "../../shared/decision.ts";
import { type LogConsumer, logEnds, LogFault, type VoteLog } from "../../shared/log/vote_log.ts";
import { appendAudit } from "../audit/events.ts";
import { COUNT_BATCH_RECORDS, createCounter } from "./count.ts";
import { checkFront } from "./positions.ts";
import { type Database, type Query, queryOne } from "../database/database.ts";
import { readDecisions } from "../registry/decisions.ts";
import { decideAgain } from "./decide.ts";
import type { RegisteredHistory } from "./history.ts";
import { Lease } from "../database/lease.ts";
import { checkLosses, findLosses, noteLosses } from "./losses.ts";
import { REBUILD_LEASE_MS, rebuildWork } from "./rebuild_lease.ts";
import { retryPassing } from "./retry.ts";
import { lockRoll, rebuildRoll } from "../registry/roll.ts";

/**
 * Tables that a rebuild empties and fills; each has an election column. Releases stay: if a station were released again from
 * zero, its numbers would show the few votes since its last release.
 */
const DERIVED = [
  "counting.participations",
  "counting.tallies",
  "counting.turnout_counts",
  "counting.turnout_groups",
  "counting.minute_voters",
  "counting.outcome_counts",
  "counting.rejections",
  "counting.gaps",
  "counting.held",
  "counting.sequences",
  "counting.changes",
] as const;

/** Withdraws published units that the new counts do not confirm, in a transaction. Resolves to the number of withdrawals. */
export type Withdraw = (query: Query, election: string, now: Date) => Promise<number>;

/** What a rebuild made. */
export type Rebuilt = Readonly<{ voters: number; records: number }>;

/** How to rebuild. */
export type RebuildOptions = Readonly<{
  /** Called with the number of records that were counted since the last call. */
  onProgress?(entries: number): void;
  /** Losses of the log that officials accept: partition → number of missing offsets. */
  acceptedLoss?: ReadonlyMap<number, number>;
  /** Called with an error that is retried. */
  onRetry?(error: unknown): void;
  /** Waits so many milliseconds. */
  wait?(ms: number): Promise<unknown>;
}>;

/**
 * Rebuilds one election. A database that is away for a while is waited for. Should it be broken off, counting refuses
 * to go on from there, and it is run again. Running aggregators wait until it has ended, and go on then.
 *
 * @throws {LogFault} when the log has lost records, unless exactly that is accepted.
 */
export async function rebuild(
  db: Database,
  log: VoteLog,
  history: RegisteredHistory,
  master: Uint8Array,
  now: Date,
  withdraw: Withdraw,
  { onProgress, acceptedLoss = new Map(), onRetry, wait = delay }: RebuildOptions = {},
): Promise<Rebuilt> {
  const { election } = history;
  const retry = { signal: new AbortController().signal, wait, onRetry };
  await refuseEmptyLog(db, log, election);
  const losses = await findLosses(db.query, log, election);
  checkLosses(election, losses, acceptedLoss);
  const lease = new Lease(db.query, rebuildWork(election), REBUILD_LEASE_MS);
  const hold = () => retryPassing(() => lease.hold(), retry);
  if (!await hold()) {
    throw new LogFault(
      `Cannot rebuild election ${election}: another rebuild of it is under way; wait until it has ended`,
    );
  }
  try {
    const work = { db, log, history, master, now, withdraw, retry, losses, hold, onProgress };
    return await rebuildHeld(work);
  } finally {
    await lease.release().catch(onRetry);
  }
}

type Work = Readonly<{
  db: Database;
  log: VoteLog;
  history: RegisteredHistory;
  master: Uint8Array;
  now: Date;
  withdraw: Withdraw;
  retry: Parameters<typeof retryPassing>[1];
  losses: Awaited<ReturnType<typeof findLosses>>;
  /** Keeps the lease: other processes neither count nor publish the election. */
  hold(): Promise<unknown>;
  onProgress?(entries: number): void;
}>;

async function rebuildHeld(
  { db, log, history, master, now, withdraw, retry, losses, hold, onProgress }: Work,
): Promise<Rebuilt> {
  const { election } = history;
  const begin = async (query: Query) => {
    await lockRoll(query, election);
    await query(
      `INSERT INTO counting.former_voters SELECT election, voter_key FROM counting.participations WHERE election = $1
       ON CONFLICT DO NOTHING`,
      [election],
    );
    await clear(query, election);
    const voters = await rebuildRoll(query, election, master);
    // Last: all other writers of the audit trail wait until this transaction ends.
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
    onCounted: (_outcomes, counted) => void (records += counted),
  });
  const decisions = await readDecisions(db.query, election);
  for (let partition = 0; partition < log.partitions; partition++) {
    await hold();
    const from = await countPartition({ db, log, history, counter, decisions, hold, onProgress }, partition);
    checkFront(election, partition, await log.start(partition), from);
  }
  const end = async (query: Query) => {
    await query(
      `DELETE FROM counting.former_voters f USING counting.participations p
       WHERE f.election = $1 AND p.election = f.election AND p.voter_key = f.voter_key`,
      [election],
    );
    const withdrawn = await withdraw(query, election, now);
    await appendAudit(query, now, "rebuild_finished", election, { voters, records, withdrawn });
  };
  await retryPassing(() => db.transaction(end), retry);
  return { voters, records };
}

type Counting = Readonly<{
  db: Database;
  log: VoteLog;
  history: RegisteredHistory;
  counter: LogConsumer;
  decisions: readonly Decision[];
  /** Keeps others away for a while longer. */
  hold(): Promise<unknown>;
  onProgress?(entries: number): void;
}>;

/**
 * Counts one partition from its start, and repeats each decision at the offset where it was made.
 *
 * @returns the offset to be read next.
 */
async function countPartition(
  { db, log, history, counter, decisions, hold, onProgress }: Counting,
  partition: number,
): Promise<number> {
  let from = await counter.take(partition);
  const countUpTo = async (end: number) => {
    while (from < end) {
      const read = await log.read(partition, from, COUNT_BATCH_RECORDS);
      const batch = read.filter(({ offset }) => offset < end);
      if (batch.length === 0) return;
      await hold();
      await counter.batch(partition, batch);
      onProgress?.(batch.length);
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
  const { read } = await queryOne<{ read: number }>(
    db.query,
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
  // Not deleted: if epochs began at 0 again, a fenced process with the same epoch could count.
  await query(
    `UPDATE counting.log_positions SET epoch = epoch + 1, highest_offset = greatest(highest_offset, next_offset),
       next_offset = 0, records_read = 0, log_identity = NULL, last_offset = NULL, last_digest = NULL
     WHERE election = $1`,
    [election],
  );
}

async function hasRows(query: Query, table: string, election: string): Promise<boolean> {
  const { some } = await queryOne<{ some: boolean }>(
    query,
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
  const { may } = await queryOne<{ may: boolean }>(
    query,
    "SELECT has_sequence_privilege('results.revisions', 'UPDATE') AS may",
  );
  if (!may) return; // Not the tables' owner: so they were empty, and the database is as new as its revisions.
  await query(
    `SELECT setval('results.revisions', greatest(last_value, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint))
     FROM results.revisions`,
  );
}
