/**
 * What became of the votes that receipts stand for.
 *
 * @module
 */
import type { DuplicateKind, RejectionReason } from "../../shared/outcome.ts";
import { readJson } from "../../shared/json.ts";
import { fieldErrors, type Problem, problem } from "../../shared/problem.ts";
import { isGenuine, type Receipt } from "../../shared/receipt.ts";
import type { Query } from "../database/database.ts";
import { receiptsSchema } from "./schemas.ts";

/** What became of a vote; `pending` while its record has not been counted. */
export type VoteOutcome =
  | Readonly<{ outcome: "pending" | "counted" }>
  | Readonly<{ outcome: "duplicate"; reason: Extract<DuplicateKind, "double_vote"> }>
  | Readonly<{ outcome: "rejected"; reason: RejectionReason }>;

/** The answer to one receipt. */
export type ReceiptAnswer =
  | (Readonly<{ voteId: string }> & VoteOutcome)
  | Readonly<{ voteId: string; problem: Problem }>;

/** The key that an election's gateway (`gateway-1.1`) writes receipts with; `undefined` when there is none. */
export type ReceiptKeyOf = (election: string, gateway: string) => Uint8Array | undefined;

/** Reads the question of a POST /v1/receipts/check. */
export function readReceipts(body: Uint8Array): readonly Receipt[] | Problem {
  const read = readJson(body);
  if ("reason" in read) return problem(read.reason, read.detail);
  const result = receiptsSchema.safeParse(read.value);
  if (result.success) return result.data.receipts;
  const errors = fieldErrors(result.error);
  return problem("invalid-request", `${errors[0].path}: ${errors[0].message}`, { errors });
}

/** Answers receipts, in their order, with one query. */
export async function checkReceipts(
  query: Query,
  receiptKeyOf: ReceiptKeyOf,
  receipts: readonly Receipt[],
): Promise<ReceiptAnswer[]> {
  const genuine = receipts.map((receipt) => {
    const key = receiptKeyOf(receipt.election, receipt.gateway);
    return key !== undefined && isGenuine(key, receipt);
  });
  const asked = receipts.filter((_, index) => genuine[index]);
  const found = (asked.length === 0 ? [] : await votesOf(query, asked)).values();
  return receipts.map((receipt, index) => {
    const { voteId } = receipt;
    if (!genuine[index]) return { voteId, problem: problem("bad-receipt") };
    return { voteId, ...outcomeOf(found.next().value!) };
  });
}

type FoundVote = { counted: boolean; rejected_for: RejectionReason | null; doubled: boolean };

function outcomeOf({ counted, rejected_for, doubled }: FoundVote): VoteOutcome {
  if (counted) return { outcome: "counted" };
  if (rejected_for !== null) return { outcome: "rejected", reason: rejected_for };
  return doubled ? { outcome: "duplicate", reason: "double_vote" } : { outcome: "pending" };
}

/**
 * For each receipt, in order, what was made of this vote's records. Why one was rejected is asked of the receipt's
 * gateway alone: another gateway's may be refused for reasons of its own, and this one still be counted. That another
 * vote of this voter has counted is no answer before a record of this vote was read: the device would forget a vote
 * that burnt with a gateway's spool, and the books would never say what became of it.
 */
async function votesOf(query: Query, receipts: readonly Receipt[]): Promise<FoundVote[]> {
  const asked = receipts.map(({ election, voteId, voterKey, gateway }) => ({
    election,
    vote: voteId,
    voter: voterKey,
    gateway: gateway.slice(0, gateway.lastIndexOf(".")),
  }));
  return await query<FoundVote>(
    `SELECT p.vote_id IS NOT NULL AS counted, r.reason AS rejected_for,
       EXISTS (
         SELECT FROM counting.rejections WHERE vote_id = a.vote AND election = a.election AND fate = 'duplicate'
       ) AS doubled
     FROM ROWS FROM (jsonb_to_recordset($1::text::jsonb) AS (election text, vote uuid, voter text, gateway text))
       WITH ORDINALITY AS a (election, vote, voter, gateway, ord)
     LEFT JOIN counting.participations p
       ON p.election = a.election AND p.voter_key = decode(a.voter, 'hex') AND p.vote_id = a.vote
     LEFT JOIN LATERAL (
       SELECT reason FROM counting.rejections
       WHERE vote_id = a.vote AND election = a.election AND gateway = a.gateway AND fate = 'rejected'
       ORDER BY partition, log_offset LIMIT 1
     ) r ON true
     ORDER BY a.ord`,
    [JSON.stringify(asked)],
  );
}
