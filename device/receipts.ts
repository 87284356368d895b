/**
 * Asks the aggregator what became of votes, by their receipts: `POST /v1/receipts/check`. The answer is signed for this
 * request, and is used only after its signature was checked.
 *
 * @module
 */
import { type Answer, MAX_RECEIPTS, openAnswers, signedAnswersSchema } from "../shared/answers.ts";
import { toHex } from "../shared/bytes.ts";
import { parseJson } from "../shared/json.ts";
import type { Receipt } from "../shared/receipt.ts";
import { type Fetch, post } from "./post.ts";

/** Limits of one request: its timeout in milliseconds, and its receipts. */
export const RECEIPTS_LIMITS = { requestTimeoutMs: 30_000, receipts: MAX_RECEIPTS } as const;

/** The aggregator's answer for a receipt. `problem`: it does not accept the receipt, and `reason` says why. */
export type ReceiptAnswer = Readonly<{
  voteId: string;
  outcome: "pending" | "counted" | "duplicate" | "held" | "rejected" | "problem";
  reason?: string;
  /** Gateways whose copies of the vote were held or rejected. */
  gateways?: readonly string[];
  /** Officials have decided: the outcome is final. */
  decided?: boolean;
}>;

/** Answers that the aggregator has signed: one a receipt, in the same order, and its clock when it answered. */
export type CheckedReceipts = Readonly<{ answers: readonly ReceiptAnswer[]; answeredAtMs: number }>;

/** The aggregator gave no valid answer: why, and the HTTP status if there was one. */
export type AggregatorFault = Readonly<{ fault: string; status?: number }>;

/** The election, and the key that its answers are checked with: the aggregator's Ed25519 public key, in hex. */
export type AnswerSource = Readonly<{ election: string; answerKey: string }>;

/**
 * Asks about at most {@link RECEIPTS_LIMITS}.receipts; with none, only for the aggregator's time.
 *
 * @param aggregator Its address, like `https://aggregator.example`.
 */
export async function checkReceipts(
  aggregator: string,
  receipts: readonly Receipt[],
  source: AnswerSource,
  fetch: Fetch,
  timeoutMs: number = RECEIPTS_LIMITS.requestTimeoutMs,
): Promise<CheckedReceipts | AggregatorFault> {
  const asked = {
    election: source.election,
    nonce: toHex(crypto.getRandomValues(new Uint8Array(16))),
    receipts,
  };
  try {
    const request = { headers: { "content-type": "application/json" }, body: JSON.stringify(asked) };
    return await post(
      fetch,
      `${aggregator}/v1/receipts/check`,
      request,
      { timeoutMs },
      async (response) => readAnswers(response.status, await response.text(), asked, source.answerKey),
    );
  } catch (error) {
    return { fault: `the aggregator does not answer: ${(error as Error).message}` };
  }
}

function readAnswers(
  status: number,
  text: string,
  asked: Readonly<{ election: string; nonce: string; receipts: readonly Receipt[] }>,
  answerKey: string,
): CheckedReceipts | AggregatorFault {
  if (status !== 200) return { fault: `the aggregator answered ${status}: ${text.slice(0, 500)}`, status };
  const read = signedAnswersSchema.safeParse(parseJson(text));
  if (!read.success) {
    return { fault: "the aggregator's answer must be signed: it has no text and signature", status };
  }
  const opened = openAnswers(read.data, answerKey, asked);
  if ("fault" in opened) return { ...opened, status };
  const { answers, answeredAt } = opened;
  const { receipts } = asked;
  if (answers.length !== receipts.length || answers.some(({ voteId }, i) => voteId !== receipts[i]?.voteId)) {
    return { fault: "the aggregator's answer must have one line a receipt, in the same order", status };
  }
  return { answers: answers.map(readAnswer), answeredAtMs: Date.parse(answeredAt) };
}

function readAnswer(answer: Answer): ReceiptAnswer {
  if (!("problem" in answer)) return answer;
  return { voteId: answer.voteId, outcome: "problem", reason: answer.problem.type.split(":").at(-1) };
}
