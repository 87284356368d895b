/**
 * Makes an election's tables anew from registry and log: the log is the truth, and everything else can be lost.
 *
 * @module
 */
import { logEnds, LogFault, type VoteLog } from "../shared/log/vote_log.ts";
import { appendAudit } from "./audit.ts";
import { COUNT_BATCH_RECORDS, createCounter } from "./count.ts";
import type { Database, Query } from "./database/database.ts";
import type { RegisteredHistory } from "./history.ts";
import { lockRolls, rebuildRoll } from "./office/roll.ts";

/** Tables that are made anew, with an election column each. Who stands after whom it refers to. */
const DERIVED = [
  "results.current",
  "results.releases",
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

/** What a rebuild made. */
export type Rebuilt = Readonly<{ voters: number; records: number }>;

/**
 * Rebuilds one election. Should it be broken off, counting refuses to go on from there, and it is run again.
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
  onProgress: (records: number) => void = () => {},
): Promise<Rebuilt> {
  const { election } = history;
  await refuseEmptyLog(db, log, election);
  const voters = await db.transaction(async (query) => {
    await lockRolls(query);
    await clear(query, election);
    await appendAudit(query, now, "rebuild_started", election, {});
    return await rebuildRoll(query, election, master);
  });
  let records = 0;
  const counter = createCounter({
    db,
    log,
    history,
    lane: 0,
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
      await counter.batch(partition, batch);
      from = batch.at(-1)!.offset + 1;
    }
  }
  await db.transaction((query) => appendAudit(query, now, "rebuild_finished", election, { voters, records }));
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

async function clear(query: Query, election: string): Promise<void> {
  for (const table of DERIVED) await query(`DELETE FROM ${table} WHERE election = $1`, [election]);
  // Not deleted: an epoch that began anew would let in whoever had counted under the same one.
  await query(
    `UPDATE counting.log_positions SET epoch = epoch + 1, next_offset = 0, records_read = 0,
       log_identity = NULL, last_offset = NULL, last_digest = NULL
     WHERE election = $1`,
    [election],
  );
}
