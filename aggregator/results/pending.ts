/**
 * Stations whose votes came after the final release and are not all shown yet.
 *
 * @module
 */
import { arrayLiteral, type Query } from "../database/database.ts";

/** Adds stations. Those that are there already stay. */
export async function notePending(
  query: Query,
  election: string,
  stations: readonly string[],
): Promise<void> {
  if (stations.length === 0) return;
  await query(
    `INSERT INTO results.pending SELECT DISTINCT $1, station FROM unnest($2::text::text[]) AS s (station)
     ON CONFLICT DO NOTHING`,
    [election, arrayLiteral(stations)],
  );
}

/** Reads them, in order. */
export async function pendingStations(query: Query, election: string): Promise<string[]> {
  const rows = await query<{ station: string }>(
    "SELECT station FROM results.pending WHERE election = $1 ORDER BY station",
    [election],
  );
  return rows.map(({ station }) => station);
}

/** Removes stations, once all of their votes are shown. */
export async function forgetPending(
  query: Query,
  election: string,
  stations: readonly string[],
): Promise<void> {
  await query("DELETE FROM results.pending WHERE election = $1 AND station = ANY ($2::text::text[])", [
    election,
    arrayLiteral(stations),
  ]);
}
