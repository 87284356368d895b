/**
 * Where each election's log ends, in the database: counting writes it, so that processes that do not open the log can tell how
 * far counting is behind.
 *
 * @module
 */
import { arrayLiteral, type Query } from "../database/database.ts";

/** How often a counting process stores where a log ends, in milliseconds. */
export const STORE_ENDS_EVERY_MS = 1_000;
/** How old the stored ends may be, in milliseconds. Older ones say nothing: no process counts, or the log is away. */
const ENDS_GOOD_FOR_MS = 10_000;

/** Stores where each partition of an election's log ends. */
export async function storeLogEnds(
  query: Query,
  election: string,
  ends: readonly number[],
  now: Date,
): Promise<void> {
  await query(
    `INSERT INTO counting.log_ends (election, ends, seen_at) VALUES ($1, $2::text::bigint[], $3::timestamptz)
     ON CONFLICT (election) DO UPDATE SET ends = excluded.ends, seen_at = excluded.seen_at`,
    [election, arrayLiteral(ends), now.toISOString()],
  );
}

/**
 * Where each partition of an election's log ended a few seconds ago, or where counting stands, if that is further;
 * `undefined` when nobody has looked since.
 */
export async function readLogEnds(query: Query, election: string, now: Date): Promise<number[] | undefined> {
  const rows = await query<{ end: number }>(
    `SELECT greatest(seen.log_end, p.next_offset)::float8 AS "end"
     FROM counting.log_ends l
     CROSS JOIN unnest(l.ends) WITH ORDINALITY AS seen (log_end, number)
     LEFT JOIN counting.log_positions p ON p.election = l.election AND p.partition = seen.number - 1
     WHERE l.election = $1 AND l.seen_at > $2::timestamptz
     ORDER BY seen.number`,
    [election, new Date(now.getTime() - ENDS_GOOD_FOR_MS).toISOString()],
  );
  return rows.length === 0 ? undefined : rows.map(({ end }) => end);
}
