/**
 * Decisions: what officials decided about held records, and which sender keys they waived. They are kept history, so a
 * recount and a rebuild repeat them: each applies to the records that were held before its positions.
 *
 * @module
 */
import { z } from "zod";
import { positionsSchema, SELECTOR_FIELDS, selectsSome } from "../../shared/decision.ts";
import { hexKeySchema, idSchema } from "../../shared/election.ts";
import { appendAudit } from "../audit/events.ts";
import type { Query } from "../database/database.ts";
import { changeHistory } from "./changes.ts";
import { OfficeError } from "./office_error.ts";

/** Longest name of an official, and longest reason, in characters. */
const MAX_NAME_CHARS = 200;
const MAX_REASON_CHARS = 2_000;

/** Held records by their positions, and nothing else. */
const byPositionSchema = z.strictObject({ positions: positionsSchema });

/** All held records to which everything that is given applies. */
const filterSchema = z.strictObject(SELECTOR_FIELDS).refine(
  selectsSome,
  "the selector must name a reason, a gateway, a sender key or a time",
);

/** Which held records a decision is about. */
export type Selector = z.infer<typeof byPositionSchema> | z.infer<typeof filterSchema>;

const waivedKeySchema = z.strictObject({ senderKey: hexKeySchema });
const waivedGatewaySchema = z.strictObject({ gateway: idSchema });

/** What a waiver is about: one sender key, or all of a gateway. */
export type Waiver = z.infer<typeof waivedKeySchema> | z.infer<typeof waivedGatewaySchema>;

/**
 * What is decided. `admit` counts held records, `reject` rejects them, `defer` lets the final release come before they are
 * decided; `readmit` counts records that a decision rejected; `waive` lets it come without a sender key's statement or all of
 * its records.
 */
export type Ruling =
  | Readonly<{ action: "readmit"; selector: z.infer<typeof byPositionSchema> }>
  | Readonly<{ action: "admit" | "reject" | "defer"; selector: Selector }>
  | Readonly<{ action: "waive"; selector: Waiver }>;

/** A decision. `positions[partition]` is where counting stood: it is about records that were held before. */
export type Decision =
  & Ruling
  & Readonly<{
    revision: number;
    positions: readonly number[];
    reason: string;
    decidedBy: string;
    approvedBy: string;
  }>;

const EVENTS = {
  admit: "records_decided",
  reject: "records_decided",
  defer: "records_decided",
  readmit: "records_readmitted",
  waive: "sender_keys_waived",
} as const;

/** Who decides, and why. */
export type Authority = Readonly<{ reason: string; decidedBy: string; approvedBy: string }>;

/** What two officials ask for. */
export type DecisionRequest = Ruling & Authority;

/**
 * Keeps a decision, in the transaction that carries it out: until that ends no record is counted, so it is about exactly
 * the records that are held now.
 *
 * @throws {OfficeError} when the names, the reason or the selector are not in order, or a rebuild is under way.
 */
export async function writeDecision(
  query: Query,
  election: string,
  ruling: Ruling,
  authority: Authority,
  now: Date,
): Promise<Decision> {
  const { reason, decidedBy, approvedBy } = checkAuthority(election, authority);
  const { action } = ruling;
  const isWaiver = action === "waive";
  const read = schemaOf(ruling).safeParse(ruling.selector);
  if (!read.success) {
    const { path, message } = read.error.issues[0]!;
    throw new OfficeError(`Cannot decide in election ${election}: ${[...path, message].join(" ")}`);
  }
  const { revision, positions } = await changeHistory(
    query,
    election,
    isWaiver ? "waiver" : "decision",
    now,
  );
  const selector = JSON.stringify(read.data);
  await query(
    `INSERT INTO registry.decisions (election, revision, action, selector, reason, decided_by, approved_by)
     VALUES ($1, $2, $3, $4::text::jsonb, $5, $6, $7)`,
    [election, revision, action, selector, reason, decidedBy, approvedBy],
  );
  await appendAudit(query, now, EVENTS[action], election, {
    revision,
    action,
    selector: summary(read.data),
    reason,
    decidedBy,
    approvedBy,
  });
  return { ...ruling, revision, positions, reason, decidedBy, approvedBy };
}

function checkAuthority(election: string, authority: Authority): Authority {
  const refuse = (what: string) => new OfficeError(`Cannot decide in election ${election}: ${what}`);
  const text = (what: string, value: string, maxChars: number) => {
    const trimmed = value.trim();
    if (trimmed === "") throw refuse(`${what} is missing`);
    if (trimmed.length > maxChars) throw refuse(`${what} must have at most ${maxChars} characters`);
    if (!trimmed.isWellFormed() || /\p{Cc}/u.test(trimmed)) {
      throw refuse(`${what} must be one line of text without control characters`);
    }
    return trimmed;
  };
  const reason = text("the reason", authority.reason, MAX_REASON_CHARS);
  const decidedBy = text("the name of who decides", authority.decidedBy, MAX_NAME_CHARS);
  const approvedBy = text("the name of who approves", authority.approvedBy, MAX_NAME_CHARS);
  if (comparable(decidedBy) === comparable(approvedBy)) {
    throw refuse(`${decidedBy} cannot approve their own decision; another person must`);
  }
  return { reason, decidedBy, approvedBy };
}

/** Normalizes a name for comparison: case and white space do not matter. */
function comparable(name: string): string {
  return name.normalize("NFKC").toLowerCase().replaceAll(/\s+/g, " ");
}

/** Formats a selector for the audit trail. Above 10 positions it gives only their number. */
function summary(selector: Selector | Waiver): string {
  if (!("positions" in selector) || selector.positions.length <= 10) return JSON.stringify(selector);
  return JSON.stringify({ positions: `${selector.positions.length} positions, see registry.decisions` });
}

function schemaOf({ action, selector }: Ruling): z.ZodType<Selector | Waiver> {
  if (action === "waive") return "senderKey" in selector ? waivedKeySchema : waivedGatewaySchema;
  return action === "readmit" || "positions" in selector ? byPositionSchema : filterSchema;
}

/**
 * An election's decisions, oldest first.
 *
 * @param after Only those behind this revision.
 */
export async function readDecisions(query: Query, election: string, after = 0): Promise<Decision[]> {
  const rows = await query<
    Ruling & Authority & { revision: number; positions: string }
  >(
    `SELECT revision::float8 AS revision, array_to_string(c.positions, ',') AS positions, d.action, d.selector,
       d.reason, d.decided_by AS "decidedBy", d.approved_by AS "approvedBy"
     FROM registry.decisions d JOIN registry.changes c USING (election, revision)
     WHERE election = $1 AND revision > $2 ORDER BY revision`,
    [election, after],
  );
  return rows.map((row) => ({ ...row, positions: row.positions.split(",").map(Number) }));
}
