/**
 * Certified results: what was published, as one text, signed. Every version is kept.
 *
 * @module
 */
import { utf8 } from "../../../shared/bytes.ts";
import { sha256 } from "../../../shared/keys.ts";
import { MARK } from "../../../shared/marks.ts";
import { canonicalJson } from "../../audit/canonical_json.ts";
import { type NoteKey, signNote } from "../../audit/note.ts";
import { arrayLiteral, isoTime, type Query, queryOne } from "../../database/database.ts";
import type { AdjustmentLine } from "../../results/adjustments.ts";

/** A figure of a published unit: votes of a candidate, or of a mark such as `#ballots` (shared/marks.ts). */
export type Figure = Readonly<{ contest: string; candidate: string; votes: number }>;

/** A unit of the published results: a station and mode, or several that are shown together. */
export type PublishedUnit = Readonly<{
  unit: string;
  region: string | null;
  station: string | null;
  mode: string | null;
  voters: number;
  votes: readonly Figure[];
  marks: readonly Figure[];
}>;

function isExtendedFigure({ candidate }: Figure): boolean {
  return candidate === MARK.extended;
}

/** What is published now, by unit. */
export async function readUnits(query: Query, election: string): Promise<PublishedUnit[]> {
  const rows = await query<Omit<PublishedUnit, "votes" | "marks"> & { votes: string; marks: string }>(
    `SELECT c.unit, c.region, c.station, c.mode, c.voters::float8 AS voters, r.votes::text AS votes, r.marks::text AS marks
     FROM results.current c JOIN results.releases r USING (revision)
     WHERE c.election = $1 ORDER BY c.unit COLLATE "C"`,
    [election],
  );
  const figures = (text: string): Figure[] =>
    (JSON.parse(text) as Figure[]).map(({ contest, candidate, votes }) => ({ contest, candidate, votes }))
      .sort((a, b) => compare(a.contest, b.contest) || compare(a.candidate, b.candidate));
  return rows.map((row) => ({ ...row, votes: figures(row.votes), marks: figures(row.marks) }));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Sums figures of units, by contest and candidate or mark. */
export function sumUnits(units: readonly PublishedUnit[], of: "votes" | "marks"): Figure[] {
  const sums = new Map<string, Figure>();
  for (const figure of units.flatMap((unit) => unit[of])) {
    const key = `${figure.contest}/${figure.candidate}`;
    sums.set(key, { ...figure, votes: (sums.get(key)?.votes ?? 0) + figure.votes });
  }
  return [...sums].sort(([a], [b]) => compare(a, b)).map(([, figure]) => figure);
}

/** What two officials added, and why. */
export type Adjustment = Readonly<{
  number: number;
  adjustedAt: string;
  adjustedBy: readonly string[];
  reason: string;
  lines: readonly AdjustmentLine[];
}>;

/** All adjustments of an election, oldest first. */
export async function readAdjustments(query: Query, election: string): Promise<Adjustment[]> {
  const rows = await query<
    {
      number: number;
      adjustedAt: string;
      proposedBy: string;
      approvedBy: string;
      reason: string;
      lines: string;
    }
  >(
    `SELECT number, ${
      isoTime("adjusted_at")
    } AS "adjustedAt", proposed_by AS "proposedBy", approved_by AS "approvedBy",
       reason, lines
     FROM office.adjustments WHERE election = $1 ORDER BY number`,
    [election],
  );
  return rows.map(({ proposedBy, approvedBy, lines, ...row }) => ({
    ...row,
    adjustedBy: [proposedBy, approvedBy],
    lines: JSON.parse(lines),
  }));
}

/** The change of history with which the newest version was certified; no row before that. Parameter 1: the election. */
export const CERTIFIED_REVISION =
  `SELECT m.revision FROM office.result_versions v JOIN registry.manifests m ON m.election = v.election
     AND m.version = (v.results::json ->> 'manifestVersion')::int
   WHERE v.election = $1 ORDER BY v.version DESC LIMIT 1`;

/** A decision of officials about records, as certified versions name it. */
type NamedDecision = Readonly<{ decision: number; ruling: string; reason: string; decidedBy: string[] }>;

/** Decisions since the newest version, oldest first; none before the first. */
async function readNewDecisions(query: Query, election: string): Promise<NamedDecision[]> {
  const rows = await query<Omit<NamedDecision, "decidedBy"> & { by: string; approved: string }>(
    `SELECT revision::float8 AS decision, action AS ruling, reason, decided_by AS by, approved_by AS approved
     FROM registry.decisions WHERE election = $1 AND action <> 'waive' AND revision > (${CERTIFIED_REVISION})
     ORDER BY revision`,
    [election],
  );
  return rows.map(({ by, approved, ...row }) => ({ ...row, decidedBy: [by, approved] }));
}

type Certification = Readonly<{
  election: string;
  manifestVersion: number;
  /** By partition: the first offset that is not in it. Those of the version before when left out: a correction counts nothing. */
  ends?: readonly number[];
  certifiedBy: readonly string[];
  now: Date;
  notes: NoteKey;
}>;

/** Keeps and signs what is published now, as the next version. `extended`: ballots of one contest that were cast in extended hours. */
export async function certifyResults(
  query: Query,
  { election, manifestVersion, certifiedBy, now, notes, ...asked }: Certification,
): Promise<{ version: number; sha256: string; extended: number }> {
  const { version } = await queryOne<{ version: number }>(
    query,
    "SELECT coalesce(max(version), 0) + 1 AS version FROM office.result_versions WHERE election = $1",
    [election],
  );
  const ends = asked.ends ?? await newestEnds(query, election);
  const decisions = await readNewDecisions(query, election);
  const units = await readUnits(query, election);
  const marks = sumUnits(units, "marks");
  const text = canonicalJson({
    election,
    version,
    manifestVersion,
    certifiedAt: now.toISOString(),
    certifiedBy,
    ends,
    totals: { votes: sumUnits(units, "votes"), marks },
    units,
    // Beside the count, and never part of it.
    adjustments: await readAdjustments(query, election),
    // What became of votes since the version before: their figures are in the units.
    ...decisions.length > 0 && { decisions },
  });
  const digest = sha256(utf8(text)).toHex();
  const note = signNote(`pollwire results ${election}\n${version}\n${digest}\n${now.toISOString()}\n`, notes);
  await query(
    `INSERT INTO office.result_versions (election, version, certified_at, certified_by, ends, results, note)
     VALUES ($1, $2, $3::timestamptz, $4, $5::text::bigint[], $6, $7)`,
    [election, version, now.toISOString(), certifiedBy.join(", "), arrayLiteral(ends), text, note],
  );
  // The most of any contest: every voter's ballot has some of them.
  const extended = Math.max(0, ...marks.filter(isExtendedFigure).map(({ votes }) => votes));
  return { version, sha256: digest, extended };
}

async function newestEnds(query: Query, election: string): Promise<number[]> {
  const rows = await query<{ next: number }>(
    `SELECT e.next::float8 AS next FROM (
       SELECT ends FROM office.result_versions WHERE election = $1 ORDER BY version DESC LIMIT 1
     ) v, unnest(v.ends) WITH ORDINALITY AS e (next, number) ORDER BY e.number`,
    [election],
  );
  return rows.map(({ next }) => next);
}

/** A certified version: the text that was signed over, and the signed note with its SHA-256. */
export type ResultVersion = Readonly<{ version: number; certifiedAt: string; results: string; note: string }>;

/** All certified versions, oldest first. */
export async function readVersions(query: Query, election: string): Promise<ResultVersion[]> {
  return await query(
    `SELECT version, ${isoTime("certified_at")} AS "certifiedAt", results, note
     FROM office.result_versions WHERE election = $1 ORDER BY version`,
    [election],
  );
}
