/**
 * Writes into tallies what counting would, for tests of what reads them.
 *
 * @module
 */
import { layoutWith, writeLayouts } from "../aggregator/counting/layouts.ts";
import { arrayLiteral, type Query } from "../aggregator/database/database.ts";
import { MARK } from "../shared/marks.ts";

/** What to add. `votes` is by `contest/candidate`, or mark. */
export type AddedTally = Readonly<{
  election: string;
  station: string;
  mode: string;
  lane?: number;
  voters?: number;
  votes?: Readonly<Record<string, number>>;
}>;

/** Adds voters and votes to one tally. */
export async function addTally(
  query: Query,
  { election, station, mode, lane = 0, voters = 0, votes = {} }: AddedTally,
): Promise<void> {
  const isBallots = (key: string) => key.endsWith(`/${MARK.ballots}`);
  const keys = Object.keys(votes).sort((a, b) => Number(isBallots(b)) - Number(isBallots(a)));
  const layout = layoutWith(keys.map((key) => key.split("/") as [string, string]));
  await writeLayouts(query, election, [layout]);
  await query(
    `INSERT INTO counting.tallies AS total VALUES ($1, $2, $3, $4::text::bigint, $5, $6, $7::text::int[])
     ON CONFLICT (election, station, mode, layout, lane) DO UPDATE SET voters = total.voters + excluded.voters,
       votes = ARRAY(SELECT a + b FROM unnest(total.votes, excluded.votes) AS v (a, b))`,
    [election, station, mode, layout.id, lane, voters, arrayLiteral(keys.map((key) => votes[key]!))],
  );
}

/** An expression of SQL: the number of a candidate's votes in `t.votes`, where `l` is the layout of the tally `t`. */
export function voteOf(candidate: string): string {
  return `votes[array_position(l.candidates, '${candidate}')]`;
}
