/**
 * Turns changed stations into releases: the one gate between the count and everything that is read.
 *
 * A release is of one station and one mode, since a mode with few voters would tell how the last of them voted. It
 * is written only when at least k voters have voted there, in that mode, since its last one; or once when the
 * station has closed; and before closing only if the election allows results then. All that is shown is a sum of
 * releases, so no two published numbers differ by fewer than k votes, but at closing.
 *
 * @module
 */
import { VOTING_MODES } from "../../shared/vote.ts";
import { arrayLiteral, type Database, type Query } from "../database/database.ts";

/** Key of the advisory lock that makes one publisher; any number, the same in every process. */
const PUBLISH_LOCK = 7_026_412;

/** When to release, for one election. */
export type ReleasePolicy = Readonly<{
  election: string;
  /** k: new voters that a release holds at the least. */
  threshold: number;
  /** Whether releases may be written now: before closing only if the election allows it. */
  allowed: boolean;
  /** Whether the stations have closed, and their last votes have been counted as far as anyone knows. */
  closed: boolean;
  /** All of the election's stations; asked for at closing only. */
  stations: readonly string[];
  /** Look at every station, not only at those that changed: after a start, or when the policy changed. */
  all: boolean;
}>;

/**
 * One statement, and so one moment: takes the changes, sums the lanes, and writes what may be shown.
 * `at_closing` is a station and mode's one release without the gate; even an empty one is written, so that a vote
 * that arrives later finds the gate in place again. Every station is looked up by its keys (LATERAL, subqueries): an
 * embedded database has no statistics, and a join might read all releases that ever were for each publishing.
 */
const PUBLISH = `
WITH taken AS (
  DELETE FROM counting.changes WHERE election = $1::text RETURNING station
),
touched AS MATERIALIZED (
  SELECT DISTINCT station FROM taken
  UNION SELECT DISTINCT station FROM counting.station_voters WHERE $4::boolean AND election = $1::text
),
cells AS (
  SELECT t.station, v.mode, v.voters
  FROM touched t CROSS JOIN LATERAL (
    SELECT mode, sum(voters) AS voters FROM counting.station_voters
    WHERE election = $1::text AND station = t.station GROUP BY mode
  ) v
),
closing AS (
  SELECT station, mode, 0 AS voters
  FROM unnest($6::text::text[]) AS s (station) CROSS JOIN unnest($7::text::text[]) AS m (mode)
  WHERE $5::boolean
),
asked AS (
  SELECT station, mode, max(voters) AS voters FROM (SELECT * FROM cells UNION ALL SELECT * FROM closing) AS both_of
  GROUP BY station, mode
),
due AS MATERIALIZED (
  SELECT a.station, a.mode, a.voters, a.voters - coalesce(c.voters, 0) AS added, c.revision AS previous,
    $5::boolean AND NOT coalesce(c.closed, false) AS at_closing
  FROM asked a
  LEFT JOIN LATERAL (
    SELECT voters, revision, closed FROM results.current
    WHERE election = $1::text AND station = a.station AND mode = a.mode LIMIT 1
  ) c ON true
  WHERE ($3::boolean AND a.voters - coalesce(c.voters, 0) >= $2::bigint) OR ($5::boolean AND NOT coalesce(c.closed, false))
),
packed AS MATERIALIZED (
  SELECT d.station, d.mode, (
    SELECT jsonb_agg(jsonb_build_object(
      'contest', s.contest, 'candidate', s.candidate, 'votes', s.votes, 'added', s.votes - coalesce(b.votes, 0)
    ) ORDER BY s.contest, s.candidate)
    FROM (
      SELECT contest, candidate, sum(votes) AS votes FROM counting.station_counts
      WHERE election = $1::text AND station = d.station AND mode = d.mode
      GROUP BY contest, candidate
    ) s
    LEFT JOIN jsonb_to_recordset((SELECT votes FROM results.releases WHERE revision = d.previous))
      AS b (contest text, candidate text, votes bigint) USING (contest, candidate)
  ) AS votes
  FROM due d
),
released AS (
  INSERT INTO results.releases
    (revision, election, station, mode, released_at, voters, added_voters, closing, votes)
  SELECT nextval('results.revisions'), $1::text, d.station, d.mode, $8::timestamptz, d.voters, d.added, d.at_closing,
    coalesce(p.votes, '[]')
  FROM due d LEFT JOIN packed p USING (station, mode)
  RETURNING revision, station, mode, voters, closing
),
shown AS (
  INSERT INTO results.current AS c (election, station, mode, revision, closed, voters)
  SELECT $1::text, station, mode, revision, closing, voters FROM released
  ON CONFLICT (election, station, mode)
  DO UPDATE SET revision = excluded.revision, voters = excluded.voters, closed = c.closed OR excluded.closed
)
SELECT count(*)::float8 AS releases FROM released`;

/**
 * Publishes what is due.
 *
 * @returns how many releases were written; `undefined` when another process is publishing.
 */
export async function publish(db: Database, policy: ReleasePolicy, now: Date): Promise<number | undefined> {
  return await db.transaction(async (query) => {
    if (!await becomePublisher(query)) return undefined;
    const { election, threshold, allowed, closed, stations, all } = policy;
    const [{ releases }] = await query<{ releases: number }>(PUBLISH, [
      election,
      threshold,
      allowed,
      all || closed,
      closed,
      arrayLiteral(closed ? stations : []),
      arrayLiteral(VOTING_MODES),
      now.toISOString(),
    ]);
    return releases;
  });
}

/** For the length of the transaction; so revisions rise in the order in which they are committed. */
async function becomePublisher(query: Query): Promise<boolean> {
  const [{ mine }] = await query<{ mine: boolean }>("SELECT pg_try_advisory_xact_lock($1::bigint) AS mine", [
    PUBLISH_LOCK,
  ]);
  return mine;
}

/**
 * Whether anything has changed since the last publishing, and nobody has published a moment ago: several processes
 * that publish in turn keep to one pace. Of a publishing in the future, by another's clock, nothing is made.
 *
 * @param paceMs How long ago the last publishing must be, in milliseconds.
 */
export async function isDue(query: Query, election: string, now: Date, paceMs: number): Promise<boolean> {
  const [{ due }] = await query<{ due: boolean }>(
    `SELECT EXISTS (SELECT FROM counting.changes WHERE election = $1) AND NOT EXISTS (
       SELECT FROM (
         SELECT released_at FROM results.releases WHERE election = $1 ORDER BY revision DESC LIMIT 1
       ) AS newest
       WHERE released_at BETWEEN $2::timestamptz - $3::float8 * interval '1 millisecond' AND $2::timestamptz
     ) AS due`,
    [election, now.toISOString(), paceMs],
  );
  return due;
}
