/**
 * What answers have in common: how a request is refused, and how an answer is distinguished from the one before (RFC 9110,
 * section 8.8.3).
 *
 * @module
 */
import type { Context } from "hono";
import type { z } from "zod";
import {
  fieldErrors,
  type Problem,
  problem,
  problemResponse,
  PROBLEMS,
  type ProblemType,
} from "../../shared/problem.ts";
import type { ElectionReadiness } from "./readiness.ts";

/** When to come back after `busy`, in seconds. */
export const RETRY_AFTER_S = "5";

/** The status that a reason is answered with. */
type StatusOf<Reason extends ProblemType> = (typeof PROBLEMS)[Reason][0];

/**
 * Answers with a problem. Its status is part of the type, so that a route can give only those it has declared.
 *
 * @param more The problem's further members, and headers of the answer.
 */
export function refuse<Reason extends ProblemType>(
  c: Context,
  reason: Reason,
  detail?: string,
  more: Parameters<typeof problem>[2] & {
    headers?: Record<string, string>;
    elections?: readonly ElectionReadiness[];
  } = {},
) {
  const { headers, elections, ...rest } = more;
  return c.json(
    { ...problem(reason, detail, rest), ...elections && { elections } },
    PROBLEMS[reason][0] as StatusOf<Reason>,
    {
      "content-type": "application/problem+json",
      "cache-control": "no-store",
      ...headers,
    },
  );
}

/** Answers with a problem that was found elsewhere. */
export function refuseWith(found: Problem): Response {
  const retry = found.status === 503 ? { "retry-after": RETRY_AFTER_S } : undefined;
  return problemResponse(found, { "cache-control": "no-store", ...retry });
}

/** Answers that there is no such election. */
export function unknownElection(c: Context) {
  return refuse(c, "unknown-election", "GET /v1/elections lists the elections");
}

type Validation = { target: string } & ({ success: true } | { success: false; error: z.core.$ZodError });

/**
 * Refuses what does not fit its schema. An id that no election could have is answered like an election that does not exist; so with
 * what is below one.
 */
export function refuseInvalid(result: Validation, c: Context) {
  if (result.success) return;
  const errors = fieldErrors(result.error as z.ZodError);
  const { path, message } = errors[0]!;
  if (result.target === "param") {
    return path === "election" ? unknownElection(c) : refuse(c, "not-found", `${path}: ${message}`);
  }
  return refuse(c, "invalid-request", `${path}: ${message}`, { errors });
}
