/**
 * Alerts in the database: raised and resolved by the watch, acknowledged by officials. Each of the three is an event on the audit
 * trail, in the same transaction.
 *
 * @module
 */
import { currentActor } from "../audit/actor.ts";
import { appendAudit, type EventDetails } from "../audit/events.ts";
import { type Database, isoTime, type Query } from "../database/database.ts";
import type { Evaluation } from "./evaluate.ts";
import type { Severity } from "./rules.ts";
import { type AlertState, parseState } from "./state.ts";

/** Resolved alerts that one answer lists, at most, the newest first. */
export const MAX_LISTED_RESOLVED = 200;

/** An alert as it is stored. Times are ISO 8601, UTC. */
export type StoredAlert = Readonly<{
  alert: number;
  rule: string;
  subject: string;
  severity: Severity;
  summary: string;
  raisedAt: string;
  acknowledgedAt: string | null;
  acknowledgedBy: string | null;
  acknowledgement: string | null;
  resolvedAt: string | null;
}>;

const COLUMNS = `alert::float8 AS alert, rule, subject, severity, summary, ${
  isoTime("raised_at")
} AS "raisedAt",
  ${isoTime("acknowledged_at")} AS "acknowledgedAt", acknowledged_by AS "acknowledgedBy", acknowledgement,
  ${isoTime("resolved_at")} AS "resolvedAt"`;

/** Alerts that are not resolved, the oldest first. */
export async function readActive(query: Query, election: string): Promise<StoredAlert[]> {
  return await query(
    `SELECT ${COLUMNS} FROM alerts.alerts WHERE election = $1 AND resolved_at IS NULL ORDER BY alerts.alert`,
    [election],
  );
}

/** Alerts that were resolved after a time, the newest first. */
export async function readResolved(query: Query, election: string, after: Date): Promise<StoredAlert[]> {
  return await query(
    `SELECT ${COLUMNS} FROM alerts.alerts WHERE election = $1 AND resolved_at > $2::timestamptz
     ORDER BY resolved_at DESC LIMIT ${MAX_LISTED_RESOLVED}`,
    [election, after.toISOString()],
  );
}

/** What the watch remembers of an election; `undefined` when it has not been watched, or by another version of the program. */
export async function readState(query: Query, election: string): Promise<AlertState | undefined> {
  const [row] = await query<{ state: string }>("SELECT state FROM alerts.states WHERE election = $1", [
    election,
  ]);
  return row === undefined ? undefined : parseState(row.state);
}

/** What {@link storeChanges} wrote. */
export type StoredChanges = Readonly<{ raised: readonly StoredAlert[]; resolved: readonly StoredAlert[] }>;

/**
 * Stores what an evaluation raised, changed and resolved, and the state. Of two processes that do so one raises and one resolves an
 * alert.
 */
export async function storeChanges(
  db: Database,
  election: string,
  { state, raised, changed, resolved }: Evaluation,
  now: Date,
): Promise<StoredChanges> {
  return await db.transaction(async (query) => {
    const stored = { raised: [] as StoredAlert[], resolved: [] as StoredAlert[] };
    for (const { rule, subject, severity, summary } of raised) {
      const [row] = await query<StoredAlert>(
        `INSERT INTO alerts.alerts (election, rule, subject, severity, summary, raised_at)
         VALUES ($1, $2, $3, $4, $5, $6::timestamptz)
         ON CONFLICT (election, rule, subject) WHERE resolved_at IS NULL DO NOTHING RETURNING ${COLUMNS}`,
        [election, rule, subject, severity, summary, now.toISOString()],
      );
      if (row === undefined) continue;
      stored.raised.push(row);
      await appendAudit(query, now, "alert_raised", election, eventOf(row));
    }
    for (const { rule, subject, severity, summary } of changed) {
      await query(
        `UPDATE alerts.alerts SET severity = $4, summary = $5
         WHERE election = $1 AND rule = $2 AND subject = $3 AND resolved_at IS NULL`,
        [election, rule, subject, severity, summary],
      );
    }
    for (const { rule, subject } of resolved) {
      const [row] = await query<StoredAlert>(
        `UPDATE alerts.alerts SET resolved_at = $4::timestamptz
         WHERE election = $1 AND rule = $2 AND subject = $3 AND resolved_at IS NULL RETURNING ${COLUMNS}`,
        [election, rule, subject, now.toISOString()],
      );
      if (row === undefined) continue;
      stored.resolved.push(row);
      await appendAudit(query, now, "alert_resolved", election, eventOf(row));
    }
    await query(
      `INSERT INTO alerts.states (election, state, saved_at) VALUES ($1, $2, $3::timestamptz)
       ON CONFLICT (election) DO UPDATE SET state = excluded.state, saved_at = excluded.saved_at`,
      [election, JSON.stringify(state), now.toISOString()],
    );
    return stored;
  });
}

function eventOf({ alert, rule, subject, severity, summary }: StoredAlert): EventDetails {
  return { alert, rule, subject, severity, summary };
}

/** Why an alert cannot be acknowledged. */
export type AcknowledgeFault = Readonly<{ refused: "not-found" | "conflict"; detail: string }>;

/** Notes that an official has seen an alert and what they say about it. Once for each alert. */
export async function acknowledge(
  db: Database,
  election: string,
  alert: number,
  account: string,
  reason: string,
  now: Date,
): Promise<StoredAlert | AcknowledgeFault> {
  return await db.transaction(async (query) => {
    const [found] = await query<StoredAlert>(
      `SELECT ${COLUMNS} FROM alerts.alerts WHERE election = $1 AND alerts.alert = $2 FOR UPDATE`,
      [election, alert],
    );
    if (found === undefined) {
      return { refused: "not-found", detail: `election ${election} has no alert ${alert}` } as const;
    }
    if (found.acknowledgedBy !== null) {
      return {
        refused: "conflict",
        detail: `${found.acknowledgedBy} has acknowledged alert ${alert} at ${found.acknowledgedAt}`,
      } as const;
    }
    if (found.resolvedAt !== null) {
      return {
        refused: "conflict",
        detail: `alert ${alert} was resolved at ${found.resolvedAt}; only active alerts are acknowledged`,
      } as const;
    }
    const [row] = await query<StoredAlert>(
      `UPDATE alerts.alerts SET acknowledged_at = $3::timestamptz, acknowledged_by = $4, acknowledgement = $5
       WHERE election = $1 AND alerts.alert = $2 RETURNING ${COLUMNS}`,
      [election, alert, now.toISOString(), account, reason],
    );
    await appendAudit(query, now, "alert_acknowledged", election, eventOf(row!), {}, {
      ...currentActor(),
      reason,
    });
    return row!;
  });
}
