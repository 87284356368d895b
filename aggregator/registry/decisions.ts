/**
 * Officials' decisions, as kept history: who decided what, with whose approval, and where counting stood.
 *
 * @module
 */
import type { Decision, DecisionAction, DecisionSelector } from "../../shared/decision.ts";
import { appendAudit } from "../audit/events.ts";
import type { Query } from "../database/database.ts";
import { type Change, changeHistory } from "./changes.ts";
import { OfficeError } from "./office_error.ts";

/** What two officials ask for. */
export type DecisionRequest = Readonly<{
  action: DecisionAction;
  selector: DecisionSelector;
  reason: string;
  decidedBy: string;
  approvedBy: string;
}>;

/** Every decision of an election, in the order in which they were made. */
export async function readDecisions(query: Query, election: string): Promise<Decision[]> {
  const rows = await query<
    { revision: number; action: DecisionAction; selector: DecisionSelector; positions: number[] }
  >(
    `SELECT d.revision::float8 AS revision, d.action, d.selector, to_json(c.positions) AS positions
     FROM registry.decisions d JOIN registry.changes c USING (election, revision)
     WHERE d.election = $1 ORDER BY d.revision`,
    [election],
  );
  return rows;
}

/**
 * Writes a decision and its audit event, inside the caller's transaction, which then does what it means.
 *
 * @throws {OfficeError} when one official would approve a decision of their own.
 */
export async function writeDecision(
  query: Query,
  election: string,
  { action, selector, reason, decidedBy, approvedBy }: DecisionRequest,
  now: Date,
): Promise<Change> {
  if (decidedBy === approvedBy) {
    throw new OfficeError(
      `Cannot decide: ${decidedBy} cannot approve a decision of their own; name another official`,
    );
  }
  const change = await changeHistory(query, election, action === "waive" ? "waiver" : "decision", now);
  const text = JSON.stringify(selector);
  await query(
    `INSERT INTO registry.decisions (election, revision, action, selector, reason, decided_by, approved_by)
     VALUES ($1, $2, $3, $4::text::jsonb, $5, $6, $7)`,
    [election, change.revision, action, text, reason, decidedBy, approvedBy],
  );
  await appendAudit(query, now, "held_decided", election, {
    revision: change.revision,
    action,
    selector: text,
    reason,
    decidedBy,
    approvedBy,
  });
  return change;
}
