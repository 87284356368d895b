/**
 * Checks that what is counted, published and on the roll refers to what exists, and that lists are as long as they should be.
 *
 * @module
 */
import type { Manifest } from "../../../shared/election.ts";
import { type Query, queryOne } from "../../database/database.ts";
import { compareLines } from "./lines.ts";
import type { Finding } from "./result.ts";

/** SQL: what any version of the manifest names. `$1` is the election. */
const named = (list: "stations" | "regions", columns: string) =>
  `SELECT DISTINCT ${columns} FROM registry.manifests m CROSS JOIN LATERAL
     jsonb_array_elements(m.manifest::jsonb -> '${list}') AS x WHERE m.election = $1`;

/** SQL: contests and candidates that any version of the manifest names, with the votes that it allows. */
export const NAMED_OPTIONS = `
  SELECT DISTINCT c ->> 'id' AS contest, d ->> 'id' AS candidate, (c ->> 'votesAllowed')::bigint AS allowed
  FROM registry.manifests m CROSS JOIN LATERAL jsonb_array_elements(m.manifest::jsonb -> 'contests') AS c
  CROSS JOIN LATERAL jsonb_array_elements(c -> 'candidates') AS d WHERE m.election = $1`;

/** Every participation has a voter on the roll. Only the number is told: who voted is not for showing. */
export async function participationsOnRoll(query: Query, election: string): Promise<Finding> {
  // Two counts, and not one with a filter: then the roll is looked up by one join, and not for each participation.
  const { expected, missing } = await queryOne<{ expected: number; missing: number }>(
    query,
    `SELECT (SELECT count(*) FROM counting.participations WHERE election = $1)::float8 AS expected, (
       SELECT count(*) FROM counting.participations p WHERE p.election = $1 AND NOT EXISTS (
         SELECT FROM counting.roll r WHERE r.election = p.election AND r.voter_key = p.voter_key
       )
     )::float8 AS missing`,
    [election],
  );
  const found = expected - missing;
  return {
    expected,
    found,
    rows: expected === found
      ? []
      : [{ what: "participations without an entry on the roll", expected: 0, found: expected - found }],
  };
}

/** Stations of counts and releases are in a manifest. */
export async function stationsExist(query: Query, election: string): Promise<Finding> {
  return await compareLines(
    query,
    `WITH named AS MATERIALIZED (${named("stations", "x ->> 'id' AS station")}),
     used AS (
       SELECT station FROM counting.tallies WHERE election = $1
       UNION SELECT station FROM counting.turnout_counts WHERE election = $1
       UNION SELECT station FROM results.current WHERE election = $1 AND station IS NOT NULL
     )
     SELECT 'station ' || u.station AS what, 'in a manifest' AS expected, 'in none' AS found, n.station IS NULL AS wrong
     FROM used u LEFT JOIN named n USING (station)`,
    [election],
  );
}

/** Contests and candidates of counts and releases are in a manifest. */
export async function candidatesExist(query: Query, election: string): Promise<Finding> {
  return await compareLines(
    query,
    `WITH named AS MATERIALIZED (${NAMED_OPTIONS}),
     used AS (
       SELECT o.contest, o.candidate FROM counting.layouts l
       CROSS JOIN LATERAL unnest(l.contests, l.candidates) AS o (contest, candidate) WHERE l.election = $1
       UNION
       SELECT v.contest, v.candidate FROM results.current c JOIN results.releases r USING (revision)
       CROSS JOIN LATERAL jsonb_to_recordset(r.votes || r.marks) AS v (contest text, candidate text)
       WHERE c.election = $1
     )
     SELECT CASE WHEN u.candidate LIKE '#%' THEN 'contest ' || u.contest
       ELSE 'candidate ' || u.contest || '/' || u.candidate END AS what,
       'in a manifest' AS expected, 'in none' AS found,
       NOT EXISTS (
         SELECT FROM named n WHERE n.contest = u.contest AND (u.candidate LIKE '#%' OR n.candidate = u.candidate)
       ) AS wrong
     FROM (
       SELECT DISTINCT contest, CASE WHEN candidate LIKE '#%' THEN '#' ELSE candidate END AS candidate FROM used
     ) u`,
    [election],
  );
}

/** Regions and stations of the roll are in a manifest. */
export async function rollPlaces(query: Query, election: string): Promise<Finding> {
  return await compareLines(
    query,
    `WITH used AS MATERIALIZED (SELECT DISTINCT region, station FROM counting.roll WHERE election = $1)
     SELECT 'region ' || u.region AS what, 'in a manifest' AS expected, 'in none' AS found, n.region IS NULL AS wrong
     FROM (SELECT DISTINCT region FROM used) u LEFT JOIN (${
      named("regions", "x ->> 'id' AS region")
    }) n USING (region)
     UNION ALL
     SELECT 'station ' || u.station, 'in a manifest', 'in none', n.station IS NULL
     FROM (SELECT DISTINCT station FROM used WHERE station IS NOT NULL) u
     LEFT JOIN (${named("stations", "x ->> 'id' AS station")}) n USING (station)`,
    [election],
  );
}

/** Each tally has its layout, and no more numbers than that names. */
export async function layoutsFit(query: Query, election: string): Promise<Finding> {
  return await compareLines(
    query,
    `SELECT 'tally of ' || t.station || '/' || t.mode || ' in lane ' || t.lane AS what,
       coalesce(cardinality(l.contests), 0) AS expected, cardinality(t.votes) AS found,
       l.layout IS NULL OR cardinality(t.votes) > cardinality(l.contests) OR array_position(t.votes, NULL) IS NOT NULL AS wrong
     FROM counting.tallies t LEFT JOIN counting.layouts l ON l.election = t.election AND l.layout = t.layout
     WHERE t.election = $1`,
    [election],
  );
}

/** The registry has as many contests, candidates, parties, regions and stations as the newest manifest. */
export async function definitionComplete(query: Query, manifest: Manifest): Promise<Finding> {
  const { election, contests, parties, regions, stations } = manifest;
  const lists = {
    contests,
    candidates: contests.flatMap(({ candidates }) => candidates),
    parties,
    regions,
    stations,
  };
  const names = Object.keys(lists) as (keyof typeof lists)[];
  return await compareLines(
    query,
    names.map((name, at) =>
      `SELECT '${name}' AS what, $${at + 2}::float8 AS expected, count(*)::float8 AS found,
         count(*) <> $${at + 2}::float8 AS wrong FROM registry.${name}
       WHERE election = $1 ${name === "candidates" || name === "parties" ? "AND on_ballot" : ""}`
    ).join(" UNION ALL "),
    [election, ...names.map((name) => lists[name].length)],
  );
}

/** The roll that counting knows has as many entries as the registry, of those in force too. */
export async function rollComplete(query: Query, election: string): Promise<Finding> {
  return await compareLines(
    query,
    `WITH numbers AS MATERIALIZED (
       SELECT v.*, r.* FROM (
         SELECT count(*)::float8 AS voters, (count(*) FILTER (WHERE struck_at IS NULL))::float8 AS standing
         FROM registry.voters WHERE election = $1
       ) v, (
         SELECT count(*)::float8 AS entries, (count(*) FILTER (WHERE struck_at IS NULL))::float8 AS in_force
         FROM counting.roll WHERE election = $1
       ) r
     )
     SELECT 'entries on the roll' AS what, voters AS expected, entries AS found, voters <> entries AS wrong FROM numbers
     UNION ALL SELECT 'entries in force', standing, in_force, standing <> in_force FROM numbers`,
    [election],
  );
}
