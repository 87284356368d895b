/**
 * Reads an election's counting tables back in the shape of the fold, for comparison with it.
 *
 * @module
 */
import type { Count } from "../../shared/tally.ts";
import { CELL_VOTES } from "./layouts.ts";
import type { Query } from "../database/database.ts";

/**
 * What the tables say: as {@link Count}, but with outcomes keyed by partition, fate and reason. `read` is the number
 * of records read of each partition that has any.
 */
export type Tables = Count & Readonly<{ participations: Map<string, string>; read: Map<number, number> }>;

/** Reads all of an election's counting tables. Memory grows with the number of voters: see recount.ts for less. */
export async function readTables(query: Query, election: string): Promise<Tables> {
  return {
    ...await readTotals(query, election),
    outcomes: await readOutcomes(query, election),
    participations: await readParticipations(query, election),
    read: new Map(
      [...await readPositions(query, election)].flatMap(([partition, { read }]) =>
        read > 0 ? [[partition, read]] : []
      ),
    ),
  };
}

/** Votes, turnout and groups, with the lanes summed. */
export async function readTotals(query: Query, election: string): Promise<Omit<Count, "outcomes">> {
  return {
    votes: await sums(
      query,
      `SELECT contest || '/' || candidate || '/' || station || '/' || mode AS key, sum(votes)::float8 AS total
       FROM ${CELL_VOTES} v WHERE election = $1 GROUP BY 1`,
      election,
    ),
    turnout: await sums(
      query,
      `SELECT station || '/' || mode || '/' || to_char(minute AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') AS key,
         sum(voters)::float8 AS total
       FROM counting.turnout_counts WHERE election = $1 GROUP BY 1`,
      election,
    ),
    groups: await sums(
      query,
      `SELECT region || '/' || age_group || '/' || gender AS key, sum(voters)::float8 AS total
       FROM counting.turnout_groups WHERE election = $1 GROUP BY 1`,
      election,
    ),
  };
}

/** Records by partition, fate and reason: `3/counted`, `3/duplicate/double_vote`. */
export async function readOutcomes(query: Query, election: string): Promise<Map<string, number>> {
  return await sums(
    query,
    `SELECT partition || '/' || fate || CASE reason WHEN '' THEN '' ELSE '/' || reason END AS key,
       records::float8 AS total
     FROM counting.outcome_counts WHERE election = $1 AND records <> 0`,
    election,
  );
}

/** Voters by station and mode, which the release gate asks: `station/mode`. */
export async function readStationVoters(query: Query, election: string): Promise<Map<string, number>> {
  return await sums(
    query,
    `SELECT station || '/' || mode AS key, sum(voters)::float8 AS total
     FROM counting.tallies WHERE election = $1 GROUP BY 1 HAVING sum(voters) > 0`,
    election,
  );
}

async function readParticipations(query: Query, election: string): Promise<Map<string, string>> {
  const rows = await query<{ key: string; vote_id: string }>(
    "SELECT encode(voter_key, 'hex') AS key, vote_id::text FROM counting.participations WHERE election = $1",
    [election],
  );
  return new Map(rows.map(({ key, vote_id }) => [key, vote_id]));
}

/** How far one partition was read: the offset that is next, and how many records there were before it. */
export type ReadUpTo = Readonly<{ next: number; read: number }>;

/** How far each partition was read, in their order. A partition that was never read may be missing. */
export async function readPositions(query: Query, election: string): Promise<Map<number, ReadUpTo>> {
  const rows = await query<ReadUpTo & { partition: number }>(
    `SELECT partition, next_offset::float8 AS next, records_read::float8 AS read FROM counting.log_positions
     WHERE election = $1 ORDER BY partition`,
    [election],
  );
  return new Map(rows.map(({ partition, next, read }) => [partition, { next, read }]));
}

async function sums(query: Query, sql: string, election: string): Promise<Map<string, number>> {
  const rows = await query<{ key: string; total: number }>(sql, [election]);
  return new Map(rows.map(({ key, total }) => [key, total]));
}
