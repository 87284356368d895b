/**
 * Officials' decisions: admits, rejects or defers held records, and waives statements. A decision is kept history and
 * is on the audit trail; recount and rebuild repeat it.
 *
 * @module
 */
import { type Decision, formatPosition } from "../../shared/decision.ts";
import type { ElectionHistory, Position } from "../../shared/history.ts";
import type { VoteLog } from "../../shared/log/vote_log.ts";
import type { Database, Query } from "../database/database.ts";
import { type DecisionRequest, writeDecision } from "../registry/decisions.ts";
import { OfficeError } from "../registry/office_error.ts";
import type { OutcomeDelta } from "./count_records.ts";
import { applyDecision, readAdmitted, readMeant } from "./held.ts";
import type { JudgedRecord } from "./judged.ts";

/** How often a decision is begun again because more records were held meanwhile. */
const MAX_TRIES = 20;

/** The result of a decision. `records` counts the decided records; for a waiver it counts sender keys. */
export type DecisionResult = Readonly<{ revision: number; records: number; outcomes: OutcomeDelta[] }>;

/** More records were held since the log was read: read them too. */
class MoreHeld extends Error {
  override name = "MoreHeld";
}

/**
 * Makes a decision: writes it and applies it in one transaction.
 *
 * @throws {OfficeError} when the selector matches no held record, or the waiver no sender key.
 */
export async function decide(
  db: Database,
  log: VoteLog,
  history: ElectionHistory,
  request: DecisionRequest,
  now: Date,
): Promise<DecisionResult> {
  for (let tries = 1;; tries++) {
    const admitted = await readCounted(db, log, history, request);
    try {
      return await db.transaction((query) => decideIn(query, history, request, admitted, now));
    } catch (error) {
      if (!(error instanceof MoreHeld) || tries >= MAX_TRIES) throw error;
    }
  }
}

/** The records that a decision counts, from the log; none where it counts none. */
async function readCounted(
  { query }: Database,
  log: VoteLog,
  history: ElectionHistory,
  decision: Pick<Decision, "action" | "selector">,
  partition?: number,
): Promise<Map<string, JudgedRecord>> {
  if (decision.action !== "admit" && decision.action !== "readmit") return new Map();
  return await readAdmitted(
    log,
    history,
    await readMeant(query, history.election, decision, partition),
  );
}

async function decideIn(
  query: Query,
  { election, partitions }: ElectionHistory,
  request: DecisionRequest,
  admitted: ReadonlyMap<string, JudgedRecord>,
  now: Date,
): Promise<DecisionResult> {
  const { revision } = await writeDecision(query, election, request, request, now);
  if (request.action === "waive") {
    const records = await waive(query, election, request, revision);
    if (records === 0) {
      throw new OfficeError(`Cannot waive: election ${election} has no such sender key or gateway`);
    }
    return { revision, records, outcomes: [] };
  }
  let records = 0;
  const outcomes: OutcomeDelta[] = [];
  for (let partition = 0; partition < partitions; partition++) {
    const decided = await applyDecision(
      query,
      election,
      partition,
      request,
      (held) => lookUp(admitted, held),
    );
    records += decided.records;
    outcomes.push(...decided.outcomes);
  }
  if (records === 0) {
    throw new OfficeError(
      request.action === "readmit"
        ? `Cannot decide: of election ${election} no record at these positions was rejected by a decision`
        : `Cannot decide: election ${election} holds no record that this means`,
    );
  }
  return { revision, records, outcomes };
}

function lookUp(admitted: ReadonlyMap<string, JudgedRecord>, held: Position): JudgedRecord {
  const record = admitted.get(formatPosition(held));
  if (record === undefined) throw new MoreHeld("More records were held while the decision was made");
  return record;
}

/** Returns how many sender keys were waived. */
async function waive(
  query: Query,
  election: string,
  { selector }: DecisionRequest & { action: "waive" },
  revision: number,
): Promise<number> {
  const { senderKey, gateway } = { senderKey: undefined, gateway: undefined, ...selector };
  const rows = await query(
    `UPDATE counting.sender_keys SET waived_revision = $4
     WHERE election = $1 AND ($2::text IS NULL OR sender_key = decode($2, 'hex')) AND ($3::text IS NULL OR gateway = $3)
     RETURNING 1`,
    [election, senderKey ?? null, gateway ?? null, revision],
  );
  return rows.length;
}

/** Repeats a kept decision on one partition, whose records are counted up to where it was made. */
export async function decideAgain(
  db: Database,
  log: VoteLog,
  history: ElectionHistory,
  decision: Decision,
  partition: number,
): Promise<void> {
  const { election } = history;
  const admitted = await readCounted(db, log, history, decision, partition);
  await db.transaction((query) =>
    applyDecision(query, election, partition, decision, (held) => lookUp(admitted, held))
  );
}
