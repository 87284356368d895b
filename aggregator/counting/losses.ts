/**
 * What a log has lost: records that were deleted from its front, and records that were read and are no more at its end.
 * A loss can be accepted, for good; the gap that is then noted says so.
 *
 * @module
 */
import { deletedFront, logEnds, LogFault, logStarts, type VoteLog } from "../../shared/log/vote_log.ts";
import { appendAudit } from "../audit/events.ts";
import { type Query, queryOne } from "../database/database.ts";
import { readPositions } from "./tables.ts";

/** What one partition has lost. `missing` is a number of offsets; the partition holds those from `start` up to `end`. */
export type Loss = Readonly<{ partition: number; missing: number; start: number; end: number; read: number }>;

/** A partition that does not start at 0. `isAccepted` when the tables were rebuilt without what is missing. */
export type DeletedFront = Readonly<{ partition: number; start: number; isAccepted: boolean }>;

/** Finds the partitions that have lost something. */
export async function findLosses(query: Query, log: VoteLog, election: string): Promise<Loss[]> {
  const positions = await readPositions(query, election);
  const ends = await logEnds(log);
  const starts = await logStarts(log);
  return starts.flatMap((start, partition) => {
    const [end, read] = [ends[partition]!, positions.get(partition)?.read ?? 0];
    const missing = start + Math.max(0, read - end);
    return missing === 0 ? [] : [{ partition, missing, start, end, read }];
  });
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
    ...read > end ? [`the log ends at ${end}, and ${read} records had been read`] : [],
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
