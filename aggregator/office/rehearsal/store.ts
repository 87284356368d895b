/**
 * What is kept of rehearsals: which there were, their decks, and their signed reports.
 *
 * @module
 */
import { utf8 } from "../../../shared/bytes.ts";
import { sha256 } from "../../../shared/keys.ts";
import { REHEARSAL_MARK } from "../../../shared/rehearsal.ts";
import { appendAudit } from "../../audit/events.ts";
import { canonicalJson, type Json } from "../../audit/canonical_json.ts";
import { type NoteKey, signNote } from "../../audit/note.ts";
import { isoTime, type Query, queryOne } from "../../database/database.ts";

/** A rehearsal. `rehearsal` is the id of the election that is voted in; `isPublished`: its final release is made. */
export type Rehearsal = Readonly<{
  number: number;
  rehearsal: string;
  deckSha256: string;
  isPublished: boolean;
  startedBy: string;
  startedAt: string;
  resetBy: string | null;
  resetAt: string | null;
  resetReason: string | null;
}>;

export type ReportKind = "zero" | "comparison";

/** A signed report: the note has the SHA-256 of the exact text. */
export type RehearsalReport = Readonly<{
  number: number;
  kind: ReportKind;
  differences: number;
  report: string;
  note: string;
  madeBy: string;
  madeAt: string;
}>;

/** Something that is not as it must be. */
export type Difference = Readonly<{ what: string; expected: string | number; found: string | number }>;

/** Differences that a report lists; more are counted. */
const MAX_LISTED = 1_000;

const COLUMNS = `number, rehearsal, encode(deck_sha256, 'hex') AS "deckSha256",
  EXISTS (SELECT FROM results.elections p WHERE p.election = rehearsal AND final_at IS NOT NULL) AS "isPublished", started_by AS "startedBy",
  ${isoTime("started_at")} AS "startedAt", reset_by AS "resetBy", ${isoTime("reset_at")} AS "resetAt",
  reset_reason AS "resetReason"`;

/** All rehearsals of an election, the newest first. */
export async function readRehearsals(query: Query, election: string): Promise<Rehearsal[]> {
  return await query(
    `SELECT ${COLUMNS} FROM office.rehearsals WHERE election = $1 ORDER BY number DESC`,
    [election],
  );
}

/** One rehearsal. */
export async function readRehearsal(
  query: Query,
  election: string,
  number: number,
): Promise<Rehearsal | undefined> {
  const [row] = await query<Rehearsal>(
    `SELECT ${COLUMNS} FROM office.rehearsals WHERE election = $1 AND number = $2`,
    [election, number],
  );
  return row;
}

/** The deck that a rehearsal was started with. */
export async function readDeck(query: Query, rehearsal: string): Promise<string> {
  const { deck } = await queryOne<{ deck: string }>(
    query,
    "SELECT deck FROM office.rehearsals WHERE rehearsal = $1",
    [rehearsal],
  );
  return deck;
}

/** A rehearsal's reports, the oldest first. */
export async function readReports(query: Query, rehearsal: string): Promise<RehearsalReport[]> {
  return await query(
    `SELECT number, kind, differences, report, note, made_by AS "madeBy", ${isoTime("made_at")} AS "madeAt"
     FROM office.rehearsal_reports WHERE rehearsal = $1 ORDER BY number`,
    [rehearsal],
  );
}

/** What a report is made of. */
export type ReportInput = Readonly<{
  rehearsal: string;
  kind: ReportKind;
  differences: readonly Difference[];
  /** What else the report says. */
  facts: Readonly<Record<string, Json>>;
  account: string;
  now: Date;
  notes: NoteKey;
}>;

/** Signs a report and keeps it, in the caller's transaction. */
export async function writeReport(
  query: Query,
  { rehearsal, kind, differences, facts, account, now, notes }: ReportInput,
): Promise<RehearsalReport> {
  const madeAt = now.toISOString();
  const report = canonicalJson({
    ...facts,
    rehearsal: true,
    mark: REHEARSAL_MARK,
    election: rehearsal,
    kind,
    madeAt,
    differences: differences.length,
    lines: differences.slice(0, MAX_LISTED).map((line) => ({ ...line })),
  });
  const digest = sha256(utf8(report)).toHex();
  const note = signNote(
    `pollwire rehearsal ${rehearsal}\n${REHEARSAL_MARK}\n${kind}\n${digest}\n${differences.length} differences\n`,
    notes,
  );
  const { number } = await queryOne<{ number: number }>(
    query,
    `INSERT INTO office.rehearsal_reports (rehearsal, number, kind, differences, report, note, made_by, made_at)
     SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5, $6, $7::timestamptz
     FROM office.rehearsal_reports WHERE rehearsal = $1 RETURNING number`,
    [rehearsal, kind, differences.length, report, note, account, madeAt],
  );
  await appendAudit(query, now, "rehearsal_reported", rehearsal, {
    report: number,
    kind,
    differences: differences.length,
    sha256: digest,
  });
  return { number, kind, differences: differences.length, report, note, madeBy: account, madeAt };
}
