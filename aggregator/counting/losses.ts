/**
 * What a log has lost: records that were deleted from its front, and records that were read and are missing at its end.
 * Officials can accept a loss; the gap that is noted then says so.
 *
 * @module
 */
import { deletedFront, logEnds, LogFault, logStarts, type VoteLog } from "../../shared/log/vote_log.ts";
import { appendAudit } from "../audit/events.ts";
import { type Query, queryOne } from "../database/database.ts";

/**
 * What one partition has lost. `missing` is a number of offsets; the partition holds those from `start` up to `end`.
 * `read` is the number of entries that were read, each of one or more records.
 */
export type Loss = Readonly<{ partition: number; missing: number; start: number; end: number; read: number }>;

/** A partition that does not start at 0. `isAccepted` when the tables were rebuilt without what is missing. */
export type DeletedFront = Readonly<{ partition: number; start: number; isAccepted: boolean }>;

/** Finds the partitions that have lost something. */
export async function findLosses(query: Query, log: VoteLog, election: string): Promise<Loss[]> {
  const entries = await readEntries(query, election);
  const ends = await logEnds(log);
  const starts = await logStarts(log);
  return starts.flatMap((start, partition) => {
    const [end, read] = [ends[partition]!, entries.get(partition) ?? 0];
    const missing = start + Math.max(0, read - end);
    return missing === 0 ? [] : [{ partition, missing, start, end, read }];
  });
}

/** Partition → number of entries that were read: one an offset, except in gaps. */
async function readEntries(query: Query, election: string): Promise<Map<number, number>> {
  const rows = await query<{ partition: number; entries: number }>(
    `SELECT p.partition, (p.next_offset - coalesce((
       SELECT sum(g.until_offset - g.from_offset) FROM counting.gaps g
       WHERE g.election = p.election AND g.partition = p.partition
     ), 0))::float8 AS entries
     FROM counting.log_positions p WHERE p.election = $1`,
    [election],
  );
  return new Map(rows.map(({ partition, entries }) => [partition, entries]));
}

/**
 * Makes sure that exactly those losses are accepted that there are.
 *
 * @param accepted Of each partition, how many missing offsets are accepted.
 * @throws {LogFault} naming every loss that is not.
 */
export function checkLosses(
  election: string,
  losses: readonly Loss[],
  accepted: ReadonlyMap<number, number>,
): void {
  const unknown = [...accepted].filter(([partition, missing]) =>
    !losses.some((loss) => loss.partition === partition && loss.missing === missing)
  );
  const open = losses.filter(({ partition, missing }) => accepted.get(partition) !== missing);
  if (open.length === 0 && unknown.length === 0) return;
  if (open.length === 0) {
    const names = unknown.map(([partition, missing]) => `${partition}:${missing}`).join(" ");
    throw new LogFault(
      `Cannot rebuild election ${election}: --accept-loss names ${names}, which the log has not lost; name what it has lost, or leave the option out`,
    );
  }
  const flag = losses.map(({ partition, missing }) => `${partition}:${missing}`).join(" ");
  throw new LogFault(
    `Cannot rebuild election ${election}: ${
      open.map(describe).join("; ")
    }; bring the log back from its copies, or accept the loss for good with --accept-loss ${flag}`,
  );
}

function describe({ partition, start, end, read }: Loss): string {
  const what = [
    ...start > 0 ? [deletedFront(start)] : [],
    ...read > end ? [`the log ends at ${end}, and ${read} entries had been read`] : [],
  ];
  return `partition ${partition}: ${what.join("; ")}`;
}

/** Notes accepted losses in tables that were emptied, inside the caller's transaction: counting begins behind them. */
export async function noteLosses(
  query: Query,
  now: Date,
  election: string,
  losses: readonly Loss[],
): Promise<void> {
  for (const { partition, missing, start, end } of losses) {
    if (start > 0) {
      await query(
        `INSERT INTO counting.log_positions (election, partition, next_offset) VALUES ($1, $2, $3)
         ON CONFLICT (election, partition) DO UPDATE SET next_offset = excluded.next_offset`,
        [election, partition, start],
      );
      await query("INSERT INTO counting.gaps VALUES ($1, $2, 0, $3)", [election, partition, start]);
    }
    await appendAudit(query, now, "loss_accepted", election, { partition, missing, start, end });
  }
}

/**
 * Finds the partitions whose front was deleted, by what is known of the log.
 *
 * @param starts Where each partition starts.
 */
export async function findDeletedFronts(
  query: Query,
  election: string,
  starts: readonly number[],
): Promise<DeletedFront[]> {
  if (starts.every((start) => start === 0)) return [];
  const rows = await query<{ partition: number; until: number }>(
    `SELECT partition, until_offset::float8 AS until FROM counting.gaps WHERE election = $1 AND from_offset = 0`,
    [election],
  );
  const accepted = new Map(rows.map(({ partition, until }) => [partition, until]));
  return starts.flatMap((start, partition) =>
    start === 0 ? [] : [{ partition, start, isAccepted: start <= (accepted.get(partition) ?? 0) }]
  );
}

/** How many offsets of a log were never delivered. */
export async function sumGaps(query: Query, election: string): Promise<number> {
  const { offsets } = await queryOne<{ offsets: number }>(
    query,
    "SELECT coalesce(sum(until_offset - from_offset), 0)::float8 AS offsets FROM counting.gaps WHERE election = $1",
    [election],
  );
  return offsets;
}
