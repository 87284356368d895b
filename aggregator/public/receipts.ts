/**
 * What became of the votes that receipts name. The answer is signed, because a device forgets a vote only when the
 * aggregator itself says so.
 *
 * @module
 */
import {
  type Answer,
  answersSchema,
  MAX_RECEIPTS,
  signAnswers,
  type SignedAnswers,
} from "../../shared/answers.ts";
import { idSchema } from "../../shared/election.ts";
import { readJson } from "../../shared/json.ts";
import type { HeldReason, RejectionReason } from "../../shared/outcome.ts";
import { fieldErrors, type Problem, problem } from "../../shared/problem.ts";
import { isGenuine, type Receipt, receiptSchema } from "../../shared/receipt.ts";
import { z } from "zod";
import type { Query } from "../database/database.ts";
import type { ReceiptKeys } from "../registry/role_keys.ts";

/** A question about votes of one election. No receipts: the device asks for the time alone. */
export const receiptsRequestSchema = z.strictObject({
  election: idSchema,
  nonce: answersSchema.shape.nonce,
  receipts: z.array(receiptSchema).max(MAX_RECEIPTS),
});
export type ReceiptsRequest = z.infer<typeof receiptsRequestSchema>;

/** Reads the question of a POST /v1/receipts/check. */
export function readReceipts(body: Uint8Array): ReceiptsRequest | Problem {
  const read = readJson(body);
  if ("reason" in read) return problem(read.reason, read.detail);
  const result = receiptsRequestSchema.safeParse(read.value);
  if (!result.success) {
    const errors = fieldErrors(result.error);
    return problem("invalid-request", `${errors[0]!.path}: ${errors[0]!.message}`, { errors });
  }
  const { election, receipts } = result.data;
  const other = receipts.findIndex((receipt) => receipt.election !== election);
  if (other === -1) return result.data;
  return problem(
    "invalid-request",
    `receipts.${other}.election: must be ${election}, the election of the request; ask for each election by itself`,
  );
}

/** Answers receipts, in their order, with one query, and signs the answers. */
export async function answerReceipts(
  query: Query,
  keys: ReceiptKeys,
  request: ReceiptsRequest,
  now: Date,
): Promise<Readonly<{ answers: Answer[]; signed: SignedAnswers }>> {
  const { election, nonce, receipts } = request;
  const answers = await checkReceipts(query, keys, receipts);
  const signed = signAnswers({ election, nonce, answeredAt: now.toISOString(), answers }, keys.answerKey);
  return { answers, signed };
}

/** Answers receipts of one election, in their order. */
export async function checkReceipts(
  query: Query,
  { receiptKey }: Pick<ReceiptKeys, "receiptKey">,
  receipts: readonly Receipt[],
): Promise<Answer[]> {
  const genuine = receipts.map((receipt) => {
    const key = receiptKey(receipt.gateway);
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

type FoundVote = {
  counted: boolean;
  doubled: boolean;
  held_for: HeldReason | null;
  held_by: string[] | null;
  rejected_for: RejectionReason | null;
  rejected_by: string[] | null;
  decided: boolean;
};

function outcomeOf(found: FoundVote): Omit<Extract<Answer, { outcome: string }>, "voteId"> {
  if (found.counted) return { outcome: "counted" };
  if (found.doubled) return { outcome: "duplicate", reason: "double_vote" };
  if (found.held_for !== null) {
    // Also those that rejected it: a device sends no third copy once two gateways have made one.
    const gateways = [...new Set([...found.held_by!, ...found.rejected_by ?? []])].sort();
    return { outcome: "held", reason: found.held_for, gateways };
  }
  if (found.rejected_for === null) return { outcome: "pending" };
  return {
    outcome: "rejected",
    reason: found.rejected_for,
    gateways: found.rejected_by!,
    ...found.decided && { decided: true },
  };
}

/**
 * For each receipt, in order, what was made of this vote's records, whichever gateway sent them. Only a record with the
 * device's proof carries its vote's id, so no gateway can bring a rejection about by altering the vote. That another
 * vote of this voter has counted is no answer before a record of this vote was read: the device would forget a vote
 * that was lost with a gateway's spool, and the reconciliation would never say what became of it.
 */
async function votesOf(query: Query, receipts: readonly Receipt[]): Promise<FoundVote[]> {
  const asked = receipts.map(({ election, voteId, voterKey }) => ({
    election,
    vote: voteId,
    voter: voterKey,
  }));
  return await query<FoundVote>(
    `SELECT p.vote_id IS NOT NULL AS counted, coalesce(r.doubled, false) AS doubled, coalesce(r.decided, false) AS decided,
       h.held_for, h.held_by, r.rejected_for, r.rejected_by
     FROM ROWS FROM (jsonb_to_recordset($1::text::jsonb) AS (election text, vote uuid, voter text))
       WITH ORDINALITY AS a (election, vote, voter, ord)
     LEFT JOIN counting.participations p
       ON p.election = a.election AND p.voter_key = decode(a.voter, 'hex') AND p.vote_id = a.vote
     LEFT JOIN LATERAL (
       SELECT min(reason) AS held_for, to_json(array_agg(DISTINCT gateway)) AS held_by FROM counting.held
       WHERE vote_id = a.vote AND election = a.election HAVING count(*) > 0
     ) h ON true
     LEFT JOIN LATERAL (
       SELECT bool_or(fate = 'duplicate') AS doubled, bool_or(reason = 'by_decision') AS decided,
         (array_agg(reason ORDER BY reason <> 'by_decision', partition, log_offset, record_index)
           FILTER (WHERE fate = 'rejected'))[1] AS rejected_for,
         to_json(array_agg(DISTINCT gateway) FILTER (WHERE fate = 'rejected')) AS rejected_by
       FROM counting.rejections WHERE vote_id = a.vote AND election = a.election
     ) r ON true
     ORDER BY a.ord`,
    [JSON.stringify(asked)],
  );
}
