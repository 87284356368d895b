/**
 * Writes releases of units: moves the publisher's own records (`results.parts`, `results.cells`) and makes a release of
 * every unit that they changed. A release is the whole state of its unit, with what it added to the one before.
 *
 * Everything here runs in the publisher's transaction, which sees one moment ("snapshot").
 *
 * @module
 */
import { ALL_VOTERS, MARK } from "../../shared/marks.ts";
import { CELL_VOTES } from "../counting/layouts.ts";
import { arrayLiteral, type Query } from "../database/database.ts";
import type { Cell, Unit } from "./units.ts";

/** Cells of one statement, at most. */
const MAX_CELLS = 5_000;
/** Units of one statement, at most. */
const MAX_UNITS = 1_000;

/**
 * Why a release was made. `interim`: before the final one. `late`: after it. `moved`: what the unit showed is shown as
 * part of another. `withdrawn`: a rebuild did not confirm it. `restored`: a later rebuild did.
 */
export type ReleaseKind = "interim" | "final" | "late" | "moved" | "withdrawn" | "restored";

/** A cell of one contest that is to be shown as part of a unit. */
export type Taken = Readonly<{ unit: string; contest: string } & Pick<Cell, "station" | "mode">>;

/** The columns of {@link Taken}, as `t`. Begins at parameter 2. */
const TAKEN = `unnest($2::text::text[], $3::text::text[], $4::text::text[], $5::text::text[])
  AS t (unit, contest, station, mode)`;

async function eachPage(
  taken: readonly Taken[],
  work: (parameters: string[]) => Promise<unknown>,
): Promise<void> {
  for (let at = 0; at < taken.length; at += MAX_CELLS) {
    const page = taken.slice(at, at + MAX_CELLS);
    await work([
      arrayLiteral(page.map(({ unit }) => unit)),
      arrayLiteral(page.map(({ contest }) => contest)),
      arrayLiteral(page.map(({ station }) => station)),
      arrayLiteral(page.map(({ mode }) => mode)),
    ]);
  }
}

/** The counts of cells, `counted` or at their last snapshot. */
const TARGETS = {
  count: `
    SELECT t.*, c.candidate, c.votes FROM taken t CROSS JOIN LATERAL (
      SELECT candidate, sum(votes) AS votes FROM ${CELL_VOTES} v
      WHERE election = $1::text AND station = t.station AND mode = t.mode AND contest = t.contest GROUP BY candidate
    ) c
    UNION ALL
    SELECT t.*, '${MARK.ballots}', c.voters FROM taken t CROSS JOIN LATERAL (
      SELECT sum(voters) AS voters FROM counting.tallies
      WHERE election = $1::text AND station = t.station AND mode = t.mode
    ) c WHERE t.contest = '${ALL_VOTERS}' AND c.voters IS NOT NULL`,
  snapshot: `
    SELECT t.*, c.candidate, c.votes FROM taken t CROSS JOIN LATERAL (
      SELECT candidate, votes FROM results.snapshots
      WHERE election = $1::text AND station = t.station AND mode = t.mode AND contest = t.contest
    ) c`,
} as const;

/** Takes a snapshot of cells. */
export async function takeSnapshots(query: Query, election: string, taken: readonly Taken[]): Promise<void> {
  await eachPage(taken, (parameters) =>
    query(
      `WITH taken AS MATERIALIZED (SELECT * FROM ${TAKEN}),
       targets AS (${TARGETS.count}),
       kept AS (
         INSERT INTO results.snapshots (election, station, mode, contest, candidate, votes)
         SELECT $1::text, station, mode, contest, candidate, votes FROM targets
         ON CONFLICT (election, station, mode, contest, candidate) DO UPDATE SET votes = excluded.votes
       )
       INSERT INTO results.cells (election, station, mode, contest, snapshot)
       SELECT $1::text, station, mode, contest, votes FROM targets WHERE candidate = '${MARK.ballots}'
       ON CONFLICT (election, station, mode, contest) DO UPDATE SET snapshot = excluded.snapshot`,
      [election, ...parameters],
    ));
}

/**
 * Shows cells as part of units: each cell with all that was counted of it (or was, at its snapshot), less what other
 * units show of it.
 */
export async function showCells(
  query: Query,
  election: string,
  taken: readonly Taken[],
  from: keyof typeof TARGETS,
): Promise<void> {
  await eachPage(taken, async (parameters) => {
    // A withdrawn unit with one of these cells can no longer be restored as a whole.
    await query(
      `DELETE FROM results.parts p USING (
         SELECT DISTINCT w.unit, w.contest FROM ${TAKEN} JOIN results.parts w
           ON w.election = $1::text AND w.station = t.station AND w.mode = t.mode AND w.contest = t.contest AND w.withdrawn
       ) w
       WHERE p.election = $1::text AND p.unit = w.unit AND p.contest = w.contest AND p.withdrawn`,
      [election, ...parameters],
    );
    await query(
      `WITH taken AS MATERIALIZED (SELECT * FROM ${TAKEN}),
       targets AS (${TARGETS[from]})
       INSERT INTO results.parts (election, station, mode, contest, candidate, unit, votes)
       SELECT $1::text, x.station, x.mode, x.contest, x.candidate, x.unit, x.votes - coalesce((
         SELECT sum(o.votes) FROM results.parts o
         WHERE o.election = $1::text AND o.station = x.station AND o.mode = x.mode AND o.contest = x.contest
           AND o.candidate = x.candidate AND o.unit <> x.unit
       ), 0)
       FROM targets x
       ON CONFLICT (election, station, mode, contest, candidate, unit) DO UPDATE SET votes = excluded.votes`,
      [election, ...parameters],
    );
    await noteShown(query, election, parameters);
  });
}

/** Takes cells out of the units that show each of them alone: other units are about to show them. */
export async function moveOut(query: Query, election: string, taken: readonly Taken[]): Promise<void> {
  await eachPage(taken, (parameters) =>
    query(
      `DELETE FROM results.parts p USING ${TAKEN}
       WHERE p.election = $1::text AND p.station = t.station AND p.mode = t.mode AND p.contest = t.contest
         AND p.unit = t.station || '/' || t.mode`,
      [election, ...parameters],
    ));
}

async function noteShown(query: Query, election: string, parameters: string[]): Promise<void> {
  await query(
    // Voters whom a rebuild lost may come back, and stay known: so `known` may be more than `shown`.
    `INSERT INTO results.cells AS c (election, station, mode, contest, shown, known)
     SELECT $1::text, t.station, t.mode, t.contest, s.shown, s.shown FROM ${TAKEN} CROSS JOIN LATERAL (
       SELECT coalesce(sum(votes), 0) AS shown FROM results.parts
       WHERE election = $1::text AND station = t.station AND mode = t.mode AND contest = t.contest
         AND candidate = '${MARK.ballots}' AND NOT withdrawn
     ) s
     ON CONFLICT (election, station, mode, contest)
     DO UPDATE SET shown = excluded.shown, known = greatest(c.known, excluded.shown + least(c.known, (
       SELECT lost FROM results.elections WHERE election = $1::text
     )))`,
    [election, ...parameters],
  );
}

/**
 * One release of each unit, in this order: its state is what `results.parts` says, and what it added is the difference
 * from its newest release. A candidate who was shown is shown on, also with 0 votes.
 */
const RELEASE = `
WITH units AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset($2::text::jsonb)
    AS u (id text, region text, station text, mode text, members jsonb, place int)
),
before AS MATERIALIZED (
  SELECT u.id, r.voters, r.votes || r.marks AS lines FROM units u CROSS JOIN LATERAL (
    SELECT revision FROM results.current WHERE election = $1::text AND unit = u.id LIMIT 1
  ) c JOIN results.releases r ON r.revision = c.revision
),
lines AS (
  SELECT id, contest, candidate, sum(votes) AS votes, sum(added) AS added FROM (
    SELECT u.id, p.contest, p.candidate, p.votes, p.votes AS added FROM units u CROSS JOIN LATERAL (
      SELECT contest, candidate, votes FROM results.parts
      WHERE election = $1::text AND unit = u.id AND NOT withdrawn
    ) p
    UNION ALL
    SELECT b.id, v.contest, v.candidate, 0, -v.votes
    FROM before b CROSS JOIN LATERAL jsonb_to_recordset(b.lines) AS v (contest text, candidate text, votes bigint)
    UNION ALL
    SELECT id, '${ALL_VOTERS}', '${MARK.ballots}', 0, -voters FROM before
  ) x GROUP BY id, contest, candidate
),
packed AS (
  SELECT id,
    coalesce(sum(votes) FILTER (WHERE contest = '${ALL_VOTERS}'), 0) AS voters,
    coalesce(sum(added) FILTER (WHERE contest = '${ALL_VOTERS}'), 0) AS added_voters,
    jsonb_agg(line ORDER BY contest, candidate) FILTER (WHERE contest <> '${ALL_VOTERS}' AND candidate NOT LIKE '#%') AS votes,
    jsonb_agg(line ORDER BY contest, candidate) FILTER (WHERE contest <> '${ALL_VOTERS}' AND candidate LIKE '#%') AS marks
  FROM (
    SELECT *, jsonb_build_object('contest', contest, 'candidate', candidate, 'votes', votes, 'added', added) AS line
    FROM lines
  ) l GROUP BY id
),
released AS (
  INSERT INTO results.releases
    (revision, election, unit, region, station, mode, members, kind, released_at, voters, added_voters, votes, marks)
  SELECT nextval('results.revisions'), $1::text, o.* FROM (
    SELECT u.id, u.region, u.station, u.mode, u.members, $3::text, $4::timestamptz,
      coalesce(p.voters, 0), coalesce(p.added_voters, 0), coalesce(p.votes, '[]'), coalesce(p.marks, '[]')
    FROM units u LEFT JOIN packed p USING (id) ORDER BY u.place
  ) o
  RETURNING *
)
INSERT INTO results.current (election, unit, region, station, mode, members, revision, voters)
SELECT election, unit, region, station, mode, members, revision, voters FROM released
ON CONFLICT (election, unit) DO UPDATE SET revision = excluded.revision, voters = excluded.voters`;

/** Makes a release of each unit that has changed. */
export async function release(
  query: Query,
  election: string,
  units: Iterable<Unit>,
  kind: ReleaseKind,
  now: Date,
): Promise<number> {
  const all = [...units];
  for (let at = 0; at < all.length; at += MAX_UNITS) {
    const page = all.slice(at, at + MAX_UNITS).map((unit, place) => ({ ...unit, place }));
    await query(RELEASE, [election, JSON.stringify(page), kind, now.toISOString()]);
  }
  return all.length;
}
