/**
 * Checks that counts add up: votes with ballots, turnout with votes, releases with counts, outcomes with records.
 *
 * @module
 */
import { CELL_VOTES } from "../../counting/layouts.ts";
import { readGateways } from "../../counting/sender_keys.ts";
import type { Database, Query } from "../../database/database.ts";
import { compareLines } from "./lines.ts";
import { NAMED_OPTIONS } from "./references.ts";
import type { Finding, Row } from "./result.ts";

/** No more voters were counted than are on the roll: in all, and of those who may vote at each station. */
export async function votesWithinRoll(query: Query, election: string): Promise<Finding> {
  return await compareLines(
    query,
    `WITH places AS MATERIALIZED (
       SELECT DISTINCT s ->> 'id' AS station, s ->> 'region' AS region FROM registry.manifests m
       CROSS JOIN LATERAL jsonb_array_elements(m.manifest::jsonb -> 'stations') AS s WHERE m.election = $1
     ),
     roll AS MATERIALIZED (
       SELECT region, station, count(DISTINCT voter_key) AS voters FROM counting.roll WHERE election = $1 GROUP BY 1, 2
     ),
     counted AS MATERIALIZED (
       SELECT station, sum(voters) AS voters FROM counting.tallies WHERE election = $1 GROUP BY station
     ),
     may_vote AS (
       SELECT p.station, coalesce(sum(r.voters), 0) AS voters FROM places p
       LEFT JOIN roll r ON r.station = p.station OR (r.station IS NULL AND r.region = p.region) GROUP BY p.station
     )
     SELECT 'station ' || c.station AS what, m.voters::float8 AS expected, c.voters::float8 AS found, c.voters > m.voters AS wrong
     FROM counted c JOIN may_vote m USING (station)
     UNION ALL
     SELECT 'all stations', a.voters::float8, b.voters::float8, b.voters > a.voters
     FROM (SELECT count(DISTINCT voter_key) AS voters FROM counting.roll WHERE election = $1) a,
       (SELECT coalesce(sum(voters), 0) AS voters FROM counted) b`,
    [election],
  );
}

/**
 * SQL: three lines for each contest of a place, of `cells` (what, contest, votes, ballots, undervotes, blanks, voters).
 * Undervotes include those of blank ballots (shared/marks.ts), so votes + undervotes = ballots × votes allowed.
 */
const SUM_LINES = `
  SELECT 'votes and undervotes: ' || what AS what, (ballots * most)::float8 AS expected, (votes + undervotes)::float8 AS found,
    NOT votes + undervotes BETWEEN ballots * fewest AND ballots * most AS wrong FROM cells JOIN allowed USING (contest)
  UNION ALL
  SELECT 'undervotes of blank ballots: ' || what, undervotes::float8, (blanks * fewest)::float8,
    blanks * fewest > undervotes OR blanks > ballots FROM cells JOIN allowed USING (contest)
  UNION ALL
  SELECT 'ballots: ' || what, voters::float8, ballots::float8, ballots > voters FROM cells`;

const SUM_COLUMNS = `
  coalesce(sum(n) FILTER (WHERE candidate NOT LIKE '#%'), 0) AS votes,
  coalesce(sum(n) FILTER (WHERE candidate = '#ballots'), 0) AS ballots,
  coalesce(sum(n) FILTER (WHERE candidate = '#undervotes'), 0) AS undervotes,
  coalesce(sum(n) FILTER (WHERE candidate = '#blank'), 0) AS blanks`;

const ALLOWED = `allowed AS MATERIALIZED (
  SELECT contest, min(allowed) AS fewest, max(allowed) AS most FROM (${NAMED_OPTIONS}) o GROUP BY contest
)`;

/** Votes + undervotes = ballots × votes allowed, for each contest, station and mode that was counted. */
export async function sums(query: Query, election: string): Promise<Finding> {
  return await compareLines(
    query,
    `WITH ${ALLOWED},
     places AS MATERIALIZED (
       SELECT station, mode, sum(voters) AS voters FROM counting.tallies WHERE election = $1 GROUP BY station, mode
     ),
     cells AS MATERIALIZED (
       SELECT contest || ' at ' || station || '/' || mode AS what, contest, voters, ${SUM_COLUMNS} FROM (
         SELECT station, mode, contest, candidate, votes AS n FROM ${CELL_VOTES} v WHERE election = $1
       ) c JOIN places USING (station, mode) GROUP BY station, mode, contest, voters
     ) ${SUM_LINES}`,
    [election],
  );
}

/** The same of each published unit. */
export async function sumsReleased(query: Query, election: string): Promise<Finding> {
  return await compareLines(
    query,
    `WITH ${ALLOWED},
     cells AS MATERIALIZED (
       SELECT contest || ' of ' || unit AS what, contest, voters, ${SUM_COLUMNS} FROM (
         SELECT c.unit, c.voters, v.contest, v.candidate, v.votes AS n FROM results.current c
         JOIN results.releases r USING (revision)
         CROSS JOIN LATERAL jsonb_to_recordset(r.votes || r.marks) AS v (contest text, candidate text, votes bigint)
         WHERE c.election = $1
       ) u GROUP BY unit, voters, contest
     ) ${SUM_LINES}`,
    [election],
  );
}

/** Turnout in all, counted in five ways. */
export async function turnoutWays(query: Query, election: string): Promise<Finding> {
  const total = (table: string) =>
    `(SELECT coalesce(sum(voters), 0) FROM counting.${table} WHERE election = $1)::float8`;
  return await compareLines(
    query,
    `WITH numbers AS MATERIALIZED (
       SELECT ${total("tallies")} AS voters, ${total("turnout_counts")} AS by_station, ${
      total("minute_voters")
    } AS by_minute,
         ${total("turnout_groups")} AS by_group,
         (SELECT count(*) FROM counting.participations WHERE election = $1)::float8 AS participations,
         (SELECT coalesce(sum(records), 0) FROM counting.outcome_counts
          WHERE election = $1 AND fate = 'counted')::float8 AS records
     )
     SELECT w.what, n.voters AS expected, w.found, w.found <> n.voters AS wrong FROM numbers n CROSS JOIN LATERAL (VALUES
       ('participations', participations), ('records counted', records), ('turnout by station and minute', by_station),
       ('turnout by minute', by_minute), ('turnout by region, age and gender', by_group)
     ) AS w (what, found)`,
    [election],
  );
}

/** Turnout of each station and mode, by minutes and in tallies. */
export async function turnoutStations(query: Query, election: string): Promise<Finding> {
  const voters = (table: string) =>
    `(SELECT station, mode, sum(voters) AS voters FROM counting.${table} WHERE election = $1 GROUP BY station, mode)`;
  return await compareLines(
    query,
    `SELECT station || '/' || mode AS what, coalesce(a.voters, 0)::float8 AS expected, coalesce(b.voters, 0)::float8 AS found,
       coalesce(a.voters, 0) <> coalesce(b.voters, 0) AS wrong
     FROM ${voters("tallies")} a FULL JOIN ${voters("turnout_counts")} b USING (station, mode)`,
    [election],
  );
}

/** Nothing is published that was not counted: of each candidate and mark, at each station that is shown alone, and in all. */
export async function releasesWithinCounts(query: Query, election: string): Promise<Finding> {
  return await compareLines(
    query,
    `WITH shown AS MATERIALIZED (
       SELECT c.station, v.contest, v.candidate, sum(v.votes) AS n FROM results.current c JOIN results.releases r USING (revision)
       CROSS JOIN LATERAL jsonb_to_recordset(r.votes || r.marks) AS v (contest text, candidate text, votes bigint)
       WHERE c.election = $1 GROUP BY 1, 2, 3
       UNION ALL SELECT station, '', 'voters', sum(voters) FROM results.current WHERE election = $1 GROUP BY station
     ),
     counted AS MATERIALIZED (
       SELECT station, contest, candidate, sum(votes) AS n FROM ${CELL_VOTES} v WHERE election = $1 GROUP BY 1, 2, 3
       UNION ALL SELECT station, '', 'voters', sum(voters) FROM counting.tallies WHERE election = $1 GROUP BY station
     )
     SELECT s.contest || '/' || s.candidate || ' at ' || s.station AS what, coalesce(c.n, 0)::float8 AS expected,
       s.n::float8 AS found, s.n > coalesce(c.n, 0) AS wrong
     FROM shown s LEFT JOIN counted c USING (station, contest, candidate) WHERE s.station IS NOT NULL
     UNION ALL
     SELECT s.contest || '/' || s.candidate || ' in all', coalesce(c.n, 0)::float8, s.n::float8, s.n > coalesce(c.n, 0)
     FROM (SELECT contest, candidate, sum(n) AS n FROM shown GROUP BY 1, 2) s
     LEFT JOIN (SELECT contest, candidate, sum(n) AS n FROM counted GROUP BY 1, 2) c USING (contest, candidate)`,
    [election],
  );
}

/** A unit shows its newest release, and as many voters as its releases added. */
export async function releasesAddUp(query: Query, election: string): Promise<Finding> {
  return await compareLines(
    query,
    `SELECT coalesce(c.unit, r.unit) AS what, r.voters::float8 AS expected, c.voters::float8 AS found,
       c.voters IS DISTINCT FROM r.voters OR c.revision IS DISTINCT FROM r.revision AS wrong
     FROM (SELECT unit, voters, revision FROM results.current WHERE election = $1) c
     FULL JOIN (
       SELECT unit, sum(added_voters) AS voters, max(revision) AS revision FROM results.releases WHERE election = $1 GROUP BY unit
     ) r USING (unit)`,
    [election],
  );
}

/** Each record that was read has one outcome. */
export async function outcomesBalance(query: Query, election: string): Promise<Finding> {
  return await compareLines(
    query,
    `SELECT 'partition ' || partition AS what, coalesce(p.records, 0)::float8 AS expected, coalesce(o.records, 0)::float8 AS found,
       coalesce(p.records, 0) <> coalesce(o.records, 0) AS wrong
     FROM (SELECT partition, records_read AS records FROM counting.log_positions WHERE election = $1) p
     FULL JOIN (
       SELECT partition, sum(records) AS records FROM counting.outcome_counts WHERE election = $1 GROUP BY partition
     ) o USING (partition)`,
    [election],
  );
}

/** Offsets that the log left out are losses that were accepted. Others may be the broker's own records: officials say so. */
export async function gapsExplained(query: Query, election: string): Promise<Finding> {
  return await compareLines(
    query,
    `SELECT 'partition ' || g.partition || ', offsets ' || g.from_offset || ' to ' || g.until_offset - 1 AS what,
       'delivered, or an accepted loss' AS expected, 'left out' AS found,
       NOT (g.from_offset = 0 AND EXISTS (
         SELECT FROM audit.events e WHERE e.election = $1 AND e.event = 'loss_accepted'
           AND ((e.details #>> '{}')::jsonb ->> 'partition')::int = g.partition
       )) AS wrong
     FROM counting.gaps g WHERE g.election = $1`,
    [election],
  );
}

/**
 * Every number that a gateway states was read, and none above it.
 *
 * @param isOver Whether the acceptance window is over: then every sender key has a statement or a waiver.
 */
export async function sequenceNumbers(db: Database, election: string, isOver: boolean): Promise<Finding> {
  const keys = (await readGateways(db, election)).rows.flatMap(({ gateway, senderKeys }) =>
    senderKeys.map((key) => ({ gateway, ...key }))
  );
  const rows = keys.flatMap(
    ({ gateway, senderKey, stated, read, missingNumbers, aboveStated, isOpen, isWaived }): Row[] => {
      const what = `gateway ${gateway}, sender key ${senderKey.slice(0, 16)}`;
      if (stated === null) {
        return isOver && isOpen ? [{ what, expected: "a statement or a waiver", found: "neither" }] : [];
      }
      if (isWaived && aboveStated === 0) return [];
      return missingNumbers + aboveStated > 0 ? [{ what, expected: stated, found: read }] : [];
    },
  );
  return { expected: keys.length, found: keys.length - rows.length, rows };
}
