/**
 * Asks the aggregator what became of votes, by their receipts: `POST /v1/receipts/check`.
 *
 * @module
 */
import { z } from "zod";
import { problemSchema } from "../shared/problem.ts";
import type { Receipt } from "../shared/receipt.ts";

/** Bounds of one question: how long its answer may take, in milliseconds, and how many receipts it may hold. */
export const RECEIPTS_LIMITS = { requestTimeoutMs: 30_000, receipts: 1_000 } as const;

/** What the aggregator says of a receipt. `problem`: it does not believe the receipt, and `reason` says why. */
export type ReceiptAnswer = Readonly<{
  voteId: string;
  outcome: "pending" | "counted" | "duplicate" | "rejected" | "problem";
  reason?: string;
}>;

/** The aggregator gave no answer that can be read: why, and with which HTTP status if it gave one. */
export type AggregatorFault = Readonly<{ fault: string; status?: number }>;

/** Like the global `fetch`, with an address in full. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

const answersSchema = z.object({
  answers: z.array(z.object({
    voteId: z.string(),
    outcome: z.enum(["pending", "counted", "duplicate", "rejected"]).optional(),
    reason: z.string().optional(),
    problem: problemSchema.optional(),
  })),
});

/**
 * Asks for at most {@link RECEIPTS_LIMITS}.receipts.
 *
 * @param aggregator Its address, like `https://aggregator.example`.
 * @returns one answer a receipt, in the same order; or why there is none.
 */
export async function checkReceipts(
  aggregator: string,
  receipts: readonly Receipt[],
  fetch: Fetch,
): Promise<readonly ReceiptAnswer[] | AggregatorFault> {
  const abort = new AbortController();
  const timer = setTimeout(
    () => abort.abort(new Error(`no answer within ${RECEIPTS_LIMITS.requestTimeoutMs} ms`)),
    RECEIPTS_LIMITS.requestTimeoutMs,
  );
  try {
    const response = await fetch(`${aggregator}/v1/receipts/check`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ receipts }),
      signal: abort.signal,
    });
    return readAnswers(response.status, await response.text(), receipts);
  } catch (error) {
    return { fault: `the aggregator does not answer: ${(error as Error).message}` };
  } finally {
    clearTimeout(timer);
  }
}

function readAnswers(
  status: number,
  text: string,
  receipts: readonly Receipt[],
): readonly ReceiptAnswer[] | AggregatorFault {
  if (status !== 200) return { fault: `the aggregator answered ${status}: ${text.slice(0, 500)}`, status };
  const read = answersSchema.safeParse(parseJson(text));
  const answers = read.data?.answers;
  if (answers?.length !== receipts.length || answers.some(({ voteId }, i) => voteId !== receipts[i].voteId)) {
    return { fault: "the aggregator's answer must have one line a receipt, in the same order", status };
  }
  return answers.map(({ voteId, outcome, reason, problem }) =>
    outcome === undefined
      ? { voteId, outcome: "problem", reason: problem?.type.split(":").at(-1) ?? "no outcome" }
      : { voteId, outcome, reason }
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
