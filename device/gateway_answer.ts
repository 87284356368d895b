/**
 * Reads a gateway's answer: which votes it took, which it refused, and which are in doubt.
 *
 * @module
 */
import type { Problem } from "../shared/problem.ts";
import type { Receipt } from "../shared/receipt.ts";

/** Answers after which the same request is sent again, later or to the other gateway. The vote is in doubt. */
const TRY_AGAIN = new Set([408, 425, 429, 500, 502, 503, 504]);

/** A complete answer. `retryAfter` is the header's value. */
export type Answer = Readonly<{ status: number; body: unknown; retryAfter?: string | null }>;
/** No answer, or one that says to try again. */
export type Failure = Readonly<{ failure: string; retryAfter: string | null }>;
/** A gateway's answer for one vote. */
export type VoteResult = Readonly<{ line: number; status: number; receipt?: Receipt; problem?: Problem }>;

/** Reads a response, unless it only says to try again. */
export async function readAnswer(response: Response): Promise<Answer | Failure> {
  const { status } = response;
  const retryAfter = response.headers.get("retry-after");
  if (TRY_AGAIN.has(status)) {
    await response.body?.cancel();
    return { failure: `status ${status}`, retryAfter };
  }
  return { status, body: await response.json(), retryAfter };
}

/** A gateway's answer for each vote; or why it refuses all; or an error message, when the answer is invalid. */
export function resultsOf(answer: Answer, votes: number): VoteResult[] | Problem | string {
  const { status, body } = answer;
  if (status === 202 && votes === 1) {
    return [{ line: 1, status, receipt: (body as { receipt?: Receipt } | null)?.receipt }];
  }
  if (status !== 207) return refusalOf(answer) ?? `status ${status} without a reason`;
  const results = (body as { results?: unknown } | null)?.results;
  if (
    Array.isArray(results) && results.length === votes && results.every((each, i) => each?.line === i + 1)
  ) {
    return results;
  }
  return `the answer to a batch must have one result a line, in order, for ${votes} lines`;
}

/** Why a gateway refuses; `undefined` for an answer that is no refusal, or says that it cannot accept votes now. */
export function refusalOf({ status, body }: Answer): Problem | undefined {
  const problem = body as Partial<Problem> | null | undefined;
  if (status < 400 || status > 499 || TRY_AGAIN.has(status)) return undefined;
  const { type, title } = problem ?? {};
  if (typeof type !== "string" || !type.startsWith("urn:pollwire:problem:") || typeof title !== "string") {
    return undefined;
  }
  return problem as Problem;
}

/** Whether a gateway refuses all. */
export function isProblem(results: ReturnType<typeof resultsOf>): results is Problem {
  return typeof results === "object" && !Array.isArray(results);
}
