/**
 * Withdraws units that a rebuild does not confirm: that show more voters or votes than there are, or as many voters and other
 * votes. A withdrawal is a release: it subtracts what the unit had added, and the unit shows nothing.
 *
 * What was published stays known. So a withdrawn unit is shown again when the counts have at least k more voters than were
 * ever known (units.ts), or as it was, when a later rebuild confirms it.
 *
 * @module
 */
import { ALL_VOTERS, MARK } from "../../shared/marks.ts";
import { CELL_VOTES } from "../counting/layouts.ts";
import { arrayLiteral, type Query, queryOne } from "../database/database.ts";
import { PUBLISH_LOCK } from "./publish.ts";
import { readUnit, type Unit, type UnitRow } from "./units.ts";
import { release } from "./write_releases.ts";

/**
 * Withdraws, and restores, in the caller's transaction.
 *
 * @returns how many units were withdrawn.
 */
export async function withdrawUnfounded(query: Query, election: string, now: Date): Promise<number> {
  const [terms] = await query<{ threshold: number }>(
    "SELECT release_threshold::float8 AS threshold FROM results.elections WHERE election = $1 AND NOT is_cancelled",
    [election],
  );
  if (terms === undefined || terms.threshold === 1) return await withdrawCells(query, election, now);
  await query(
    `UPDATE results.elections SET lost = (SELECT count(*) FROM counting.former_voters WHERE election = $1)
     WHERE election = $1`,
    [election],
  );
  const withdrawn = await withdrawParts(query, election);
  const restored = await restoreParts(query, election);
  await noteShown(query, election);
  await release(query, election, await readUnits(query, election, withdrawn), "withdrawn", now);
  await release(query, election, await readUnits(query, election, restored), "restored", now);
  return withdrawn.size;
}

/**
 * Withdraws everything that is shown of a cancelled election, in the caller's transaction: nothing of it is published again.
 *
 * @param threshold k, where nothing was published yet.
 */
export async function withdrawAll(
  query: Query,
  election: string,
  threshold: number,
  now: Date,
): Promise<void> {
  // Waits for a publishing that is under way, and lets none in until this transaction ends.
  await query("SELECT pg_advisory_xact_lock($1::bigint)", [PUBLISH_LOCK]);
  const terms = await queryOne<{ threshold: number }>(
    query,
    `INSERT INTO results.elections (election, release_threshold, is_cancelled) VALUES ($1, $2::bigint, true)
     ON CONFLICT (election) DO UPDATE SET is_cancelled = true RETURNING release_threshold::float8 AS threshold`,
    [election, threshold],
  );
  if (terms.threshold === 1) {
    await query(
      `WITH gone AS (SELECT c.unit, c.region, c.station, c.mode, c.voters, r.votes, r.marks ${SHOWN}), ${TAKE_OFF}`,
      [
        election,
        now.toISOString(),
      ],
    );
    return;
  }
  const parts = await query<{ unit: string }>(
    "UPDATE results.parts SET withdrawn = true WHERE election = $1 AND NOT withdrawn RETURNING unit",
    [election],
  );
  await noteShown(query, election);
  const units = await readUnits(query, election, new Set(parts.map(({ unit }) => unit)));
  await release(query, election, units, "withdrawn", now);
}

/** Units of k = 1 that show voters. */
const SHOWN = `
  FROM results.current c JOIN results.releases r USING (revision) WHERE c.election = $1 AND c.voters > 0`;

/** What a release says of figures that it takes off. */
const off = (column: string) =>
  `coalesce((SELECT jsonb_agg(jsonb_build_object(
     'contest', contest, 'candidate', candidate, 'votes', 0, 'added', -votes
   ) ORDER BY contest, candidate) FROM jsonb_to_recordset(${column}) AS l (contest text, candidate text, votes bigint)), '[]')`;

/** Withdraws the units in `gone`. */
const TAKE_OFF = `released AS (
  INSERT INTO results.releases
    (revision, election, unit, region, station, mode, kind, released_at, voters, added_voters, votes, marks)
  SELECT nextval('results.revisions'), $1, unit, region, station, mode, 'withdrawn', $2::timestamptz, 0, -voters,
    ${off("u.votes")}, ${off("u.marks")}
  FROM gone u
  RETURNING unit, revision
)
UPDATE results.current c SET revision = r.revision, voters = 0 FROM released r
WHERE c.election = $1 AND c.unit = r.unit RETURNING 1`;

/** For k = 1: every unit is a cell, and its newest release says what it shows. */
async function withdrawCells(query: Query, election: string, now: Date): Promise<number> {
  const rows = await query(
    `WITH shown AS MATERIALIZED (
       SELECT c.unit, c.region, c.station, c.mode, c.voters, r.votes, r.marks,
         (SELECT coalesce(sum(v.voters), 0) FROM counting.tallies v
          WHERE v.election = c.election AND v.station = c.station AND v.mode = c.mode) AS counted
       ${SHOWN}
     ),
     gone AS MATERIALIZED (
       SELECT * FROM shown s WHERE s.voters > s.counted
         OR EXISTS (
           SELECT FROM jsonb_to_recordset(s.votes || s.marks) AS l (contest text, candidate text, votes bigint)
           WHERE l.votes > (
             SELECT coalesce(sum(t.votes), 0) FROM ${CELL_VOTES} t
             WHERE t.election = $1 AND t.station = s.station AND t.mode = s.mode
               AND t.contest = l.contest AND t.candidate = l.candidate
           )
         )
         OR (
           s.voters = s.counted
           AND (SELECT coalesce(sum(votes), 0) FROM jsonb_to_recordset(s.votes || s.marks) AS l (votes bigint)) <> (
             SELECT coalesce(sum(t.votes), 0) FROM ${CELL_VOTES} t
             WHERE t.election = $1 AND t.station = s.station AND t.mode = s.mode
           )
         )
     ),
     ${TAKE_OFF}`,
    [election, now.toISOString()],
  );
  return rows.length;
}

/** Cells of contests whose parts (of one state) the counts do not confirm. */
const UNFOUNDED = (withdrawn: boolean) => `
  SELECT station, mode, contest FROM (
    SELECT p.station, p.mode, p.contest, p.candidate, sum(p.votes) AS votes
    FROM results.parts p WHERE p.election = $1 AND ${withdrawn ? "" : "NOT"} p.withdrawn
    GROUP BY p.station, p.mode, p.contest, p.candidate
  ) s CROSS JOIN LATERAL (
    SELECT CASE WHEN s.contest = '${ALL_VOTERS}' THEN (
      SELECT coalesce(sum(voters), 0) FROM counting.tallies
      WHERE election = $1 AND station = s.station AND mode = s.mode
    ) ELSE (
      SELECT coalesce(sum(votes), 0) FROM ${CELL_VOTES} v
      WHERE election = $1 AND station = s.station AND mode = s.mode AND contest = s.contest AND candidate = s.candidate
    ) END AS counted
  ) t
  GROUP BY station, mode, contest
  HAVING bool_or(s.votes > t.counted) OR (
    bool_and(s.votes = t.counted OR s.candidate <> '${MARK.ballots}')
    AND contest <> '${ALL_VOTERS}'
    AND sum(s.votes) <> (
      SELECT coalesce(sum(c.votes), 0) FROM ${CELL_VOTES} c
      WHERE c.election = $1 AND c.station = s.station AND c.mode = s.mode AND c.contest = s.contest
    )
  )`;

async function withdrawParts(query: Query, election: string): Promise<Set<string>> {
  const rows = await query<{ unit: string }>(
    `WITH unfounded AS MATERIALIZED (${UNFOUNDED(false)}),
     whole AS MATERIALIZED (
       SELECT DISTINCT p.unit, p.contest FROM results.parts p JOIN unfounded USING (station, mode, contest)
       WHERE p.election = $1 AND NOT p.withdrawn
     )
     UPDATE results.parts p SET withdrawn = true FROM whole w
     WHERE p.election = $1 AND p.unit = w.unit AND p.contest = w.contest AND NOT p.withdrawn RETURNING p.unit`,
    [election],
  );
  return new Set(rows.map(({ unit }) => unit));
}

/** Shows again what an earlier rebuild withdrew and the counts now confirm, where nothing took its place. */
async function restoreParts(query: Query, election: string): Promise<Set<string>> {
  const rows = await query<{ unit: string }>(
    `WITH unfounded AS MATERIALIZED (${UNFOUNDED(true)}),
     taken AS MATERIALIZED (
       SELECT DISTINCT station, mode, contest FROM results.parts WHERE election = $1 AND NOT withdrawn
     ),
     refused AS MATERIALIZED (
       SELECT DISTINCT p.unit, p.contest FROM results.parts p
       JOIN (SELECT * FROM unfounded UNION SELECT * FROM taken) b USING (station, mode, contest)
       WHERE p.election = $1 AND p.withdrawn
     )
     UPDATE results.parts p SET withdrawn = false
     WHERE p.election = $1 AND p.withdrawn AND NOT EXISTS (
       SELECT FROM refused r WHERE r.unit = p.unit AND r.contest = p.contest
     ) RETURNING p.unit`,
    [election],
  );
  return new Set(rows.map(({ unit }) => unit));
}

/** Deletes the snapshots, which the rebuild has made invalid, and notes what is shown now: the rest may be pending. */
async function noteShown(query: Query, election: string): Promise<void> {
  await query("DELETE FROM results.snapshots WHERE election = $1", [election]);
  await query(
    `UPDATE results.cells c SET snapshot = 0, shown = coalesce((
       SELECT sum(votes) FROM results.parts p
       WHERE p.election = c.election AND p.station = c.station AND p.mode = c.mode AND p.contest = c.contest
         AND p.candidate = '${MARK.ballots}' AND NOT p.withdrawn
     ), 0) WHERE c.election = $1`,
    [election],
  );
  await query(
    `INSERT INTO results.pending SELECT DISTINCT c.election, c.station FROM results.cells c
     JOIN results.elections e ON e.election = c.election AND e.final_at IS NOT NULL
     WHERE c.election = $1 AND c.shown < c.known ON CONFLICT DO NOTHING`,
    [election],
  );
}

async function readUnits(query: Query, election: string, ids: ReadonlySet<string>): Promise<Unit[]> {
  const rows = await query<UnitRow>(
    `SELECT unit AS id, region, station, mode, members::text AS members FROM results.current
     WHERE election = $1 AND unit = ANY ($2::text::text[]) ORDER BY unit`,
    [election, arrayLiteral([...ids])],
  );
  return rows.map(readUnit);
}
