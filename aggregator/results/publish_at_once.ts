/**
 * Publishes as it comes, for k = 1: every cell that has changed, with all that was counted of it. It claims no secrecy.
 *
 * @module
 */
import { CELL_VOTES } from "../counting/layouts.ts";
import { type Query, queryOne } from "../database/database.ts";

/**
 * One statement, and so one moment: takes the changes, sums the lanes, and writes what has changed. Every station is looked
 * up by its keys (LATERAL, subqueries): an embedded database has no statistics, and a join might read all releases
 * that ever were for each publishing.
 */
const PUBLISH = `
WITH taken AS (
  DELETE FROM counting.changes WHERE election = $1::text RETURNING station
),
touched AS MATERIALIZED (
  SELECT DISTINCT station FROM taken
  UNION SELECT DISTINCT station FROM counting.tallies WHERE $2::boolean AND election = $1::text
),
cells AS (
  SELECT t.station, v.mode, v.voters
  FROM touched t CROSS JOIN LATERAL (
    SELECT mode, sum(voters) AS voters FROM counting.tallies
    WHERE election = $1::text AND station = t.station GROUP BY mode
  ) v
),
due AS MATERIALIZED (
  SELECT a.station, a.mode, a.voters, a.voters - coalesce(c.voters, 0) AS added, c.revision AS previous
  FROM cells a
  LEFT JOIN LATERAL (
    SELECT voters, revision FROM results.current
    WHERE election = $1::text AND unit = a.station || '/' || a.mode LIMIT 1
  ) c ON true
  WHERE $3::boolean AND a.voters > coalesce(c.voters, 0)
),
packed AS MATERIALIZED (
  SELECT d.*, l.votes, l.marks FROM due d CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_agg(line) FILTER (WHERE candidate NOT LIKE '#%'), '[]') AS votes,
      coalesce(jsonb_agg(line) FILTER (WHERE candidate LIKE '#%'), '[]') AS marks
    FROM (
      SELECT s.candidate, jsonb_build_object(
        'contest', s.contest, 'candidate', s.candidate, 'votes', s.votes, 'added', s.votes - coalesce(b.votes, 0)
      ) AS line
      FROM (
        SELECT contest, candidate, sum(votes) AS votes FROM ${CELL_VOTES} v
        WHERE election = $1::text AND station = d.station AND mode = d.mode
        GROUP BY contest, candidate
      ) s
      LEFT JOIN jsonb_to_recordset((SELECT votes || marks FROM results.releases WHERE revision = d.previous))
        AS b (contest text, candidate text, votes bigint) USING (contest, candidate)
      ORDER BY s.contest, s.candidate
    ) o
  ) l
),
released AS (
  INSERT INTO results.releases
    (revision, election, unit, region, station, mode, kind, released_at, voters, added_voters, votes, marks)
  SELECT nextval('results.revisions'), $1::text, station || '/' || mode, NULL, station, mode, $4::text, $5::timestamptz,
    voters, added, votes, marks
  FROM packed
  RETURNING revision, unit, station, mode, voters
),
shown AS (
  INSERT INTO results.current (election, unit, station, mode, revision, voters)
  SELECT $1::text, unit, station, mode, revision, voters FROM released
  ON CONFLICT (election, unit) DO UPDATE SET revision = excluded.revision, voters = excluded.voters
)
SELECT count(*)::float8 AS releases FROM released`;

/**
 * Publishes every cell that has changed.
 *
 * @param all Look at every station, not only at those that changed.
 * @param allowed Whether anything may be shown; otherwise the changes are taken, and nothing is published.
 * @returns how many releases were written.
 */
export async function publishAtOnce(
  query: Query,
  election: string,
  { all, allowed, kind, now }: Readonly<{
    all: boolean;
    allowed: boolean;
    kind: "interim" | "final" | "late";
    now: Date;
  }>,
): Promise<number> {
  const { releases } = await queryOne<{ releases: number }>(query, PUBLISH, [
    election,
    all,
    allowed,
    kind,
    now.toISOString(),
  ]);
  return releases;
}
