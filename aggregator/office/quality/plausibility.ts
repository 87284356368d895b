/**
 * Checks of results that may be right, and that somebody should look at: many blanks, two stations alike, many votes not counted.
 *
 * @module
 */
import type { Query } from "../../database/database.ts";
import { compareLines } from "./lines.ts";
import type { Finding } from "./result.ts";

/** Bounds of what is plausible. */
export const PLAUSIBLE = {
  /** The share of blank ballots of a contest that is worth a look. */
  blankShare: 0.03,
  /** Ballots below which a share says nothing: one blank ballot of 30 is 3 %. */
  shareBallots: 30,
  /** Voters of a station below which equal results are chance. */
  identicalVoters: 10,
  /** Votes of a station that were received and not counted: so many, and such a share of those received. */
  differenceVotes: 15,
  differenceShare: 0.02,
} as const;

/** Contests of published units by the share of blank ballots. */
export async function blankShare(query: Query, election: string): Promise<Finding> {
  return await compareLines(
    query,
    `SELECT contest || ' of ' || unit AS what, 'less than ' || ceil(ballots * $2::float8) || ' blank' AS expected,
       blanks || ' blank of ' || ballots AS found, blanks >= ballots * $2::float8 AS wrong
     FROM (
       SELECT c.unit, v.contest, coalesce(sum(v.votes) FILTER (WHERE v.candidate = '#ballots'), 0) AS ballots,
         coalesce(sum(v.votes) FILTER (WHERE v.candidate = '#blank'), 0) AS blanks
       FROM results.current c JOIN results.releases r USING (revision)
       CROSS JOIN LATERAL jsonb_to_recordset(r.marks) AS v (contest text, candidate text, votes bigint)
       WHERE c.election = $1 GROUP BY 1, 2
     ) u WHERE ballots >= $3::float8`,
    [election, PLAUSIBLE.blankShare, PLAUSIBLE.shareBallots],
  );
}

/** Stations whose published results are the same to the vote. */
export async function identicalStations(query: Query, election: string): Promise<Finding> {
  return await compareLines(
    query,
    `WITH lines AS (
       SELECT c.station, v.contest, v.candidate, sum(v.votes) AS votes FROM results.current c
       JOIN results.releases r USING (revision)
       CROSS JOIN LATERAL jsonb_to_recordset(r.votes || r.marks) AS v (contest text, candidate text, votes bigint)
       WHERE c.election = $1 AND c.station IS NOT NULL GROUP BY 1, 2, 3 HAVING sum(v.votes) > 0
     ),
     stations AS (
       SELECT station, sum(voters) AS voters FROM results.current
       WHERE election = $1 AND station IS NOT NULL GROUP BY station HAVING sum(voters) >= $2::float8
     )
     SELECT string_agg(station, ', ' ORDER BY station) AS what, 'different results' AS expected, 'the same' AS found,
       count(*) > 1 AS wrong
     FROM (
       SELECT station, string_agg(contest || '/' || candidate || '=' || votes, ',' ORDER BY contest, candidate) AS result
       FROM lines JOIN stations USING (station) GROUP BY station
     ) s GROUP BY result`,
    [election, PLAUSIBLE.identicalVoters],
  );
}

/** Votes of each station that were received and not counted in any copy. */
export async function stationDifferences(query: Query, election: string): Promise<Finding> {
  return await compareLines(
    query,
    `WITH lost AS MATERIALIZED (
       SELECT station, count(*) AS votes FROM (
         SELECT station, vote_id FROM counting.rejections
         WHERE election = $1 AND fate = 'rejected' AND station IS NOT NULL AND vote_id IS NOT NULL
         UNION SELECT station, vote_id FROM counting.held WHERE election = $1
       ) r WHERE NOT EXISTS (
         SELECT FROM counting.participations p WHERE p.election = $1 AND p.vote_id = r.vote_id
       ) GROUP BY station
     ),
     counted AS (SELECT station, sum(voters) AS votes FROM counting.tallies WHERE election = $1 GROUP BY station)
     SELECT 'station ' || station AS what, (coalesce(c.votes, 0) + coalesce(l.votes, 0))::float8 AS expected,
       coalesce(c.votes, 0)::float8 AS found,
       coalesce(l.votes, 0) >= $2::float8
         AND coalesce(l.votes, 0) >= $3::float8 * (coalesce(c.votes, 0) + coalesce(l.votes, 0)) AS wrong
     FROM counted c FULL JOIN lost l USING (station)`,
    [election, PLAUSIBLE.differenceVotes, PLAUSIBLE.differenceShare],
  );
}
