/**
 * All problems with which a request is refused: RFC 9457 problem details, one type for each reason. docs/wire-format.md
 * lists them, and a test compares the two lists.
 *
 * @module
 */
import { z } from "zod";
import type { RejectionReason } from "./outcome.ts";

/** Reason → status and title. The `type` of a problem is `urn:pollwire:problem:<reason>`. */
export const PROBLEMS = {
  "not-http": [400, "The request is not HTTP/1.1"],
  "head-too-large": [431, "Address and headers are larger than the limit"],
  "request-too-slow": [408, "The request took longer to arrive than the limit"],
  "not-found": [404, "This address does not exist"],
  "method-not-allowed": [405, "This address does not accept that method"],
  "query-not-allowed": [400, "A signed request has no query string"],
  "unsupported-media-type": [415, "The address does not accept this content type"],
  "encoded-body": [415, "The body must not be encoded"],
  "body-empty": [400, "The body is empty"],
  "body-too-large": [413, "The body is larger than the limit"],
  "body-cut-short": [400, "The body ended before its stated length"],
  "body-too-slow": [408, "The body took longer to arrive than the limit"],
  "signature-missing": [401, "The request is not signed"],
  "signature-malformed": [401, "The signature is not in the profile's form"],
  "signature-invalid": [401, "The signature is wrong"],
  "signature-stale": [401, "The signature is too old"],
  "signature-early": [401, "The signature is from the future"],
  "digest-mismatch": [401, "The body is not the one that was signed"],
  "unknown-key": [401, "No device is known under this key"],
  "revoked-key": [401, "This key has been revoked"],
  "not-utf8": [400, "The text is not UTF-8"],
  "not-json": [400, "The text is not JSON"],
  "duplicate-key": [400, "An object has a key twice"],
  "invalid-vote": [422, "The vote is not in the right form"],
  "invalid-request": [422, "The request is not in the right form"],
  "too-many-lines": [413, "The batch has more votes than the limit"],
  "vote-too-long": [422, "The vote's text is longer than the election's limit"],
  "foreign-proof": [422, "The proof key is not that of the device that signed the request"],
  "vote-id-mismatch": [422, "The vote id is not the one in Idempotency-Key"],
  "vote-id-reused": [422, "This vote id was used before with another body"],
  "wrong-station": [422, "The device does not stand at this station"],
  "foreign-station": [421, "This gateway does not serve the station"],
  "not-open": [422, "The election accepts no votes at this time"],
  "voting-paused": [503, "Officials have paused voting"],
  "cast-out-of-hours": [422, "The vote was cast outside the hours of the election"],
  "unknown-station": [422, "The election has no such station"],
  "unknown-contest": [422, "The station does not vote on that contest"],
  "unknown-candidate": [422, "No such candidate stands in the contest"],
  "repeated-candidate": [422, "The same candidate is selected twice"],
  "overvote": [422, "More candidates are selected than the contest allows"],
  "device-rate": [429, "The device exceeds its rate limit"],
  "station-rate": [429, "The station exceeds its rate limit"],
  "device-share": [503, "The device's votes fill its share of the gateway's spool"],
  "address-rate": [429, "The address exceeds its rate limit"],
  "address-streams": [429, "The address has too many open streams"],
  "busy": [503, "The server is handling as many requests as it can"],
  "spool-full": [503, "The gateway's spool is full"],
  "spool-failed": [503, "The gateway cannot write to its disk"],
  "not-ready": [503, "Not ready yet"],
  "clock-differs": [503, "The gateway's clock differs from the aggregator's"],
  "draining": [503, "The process is about to stop"],
  "bad-receipt": [422, "No gateway of this election wrote this receipt"],
  "unknown-election": [404, "There is no such election"],
  "unknown-gateway": [401, "No gateway is known under this key"],
  "token-missing": [401, "The request has no access token"],
  "token-invalid": [401, "The access token or assertion is not valid"],
  "login-too-old": [401, "This needs a token of a recent sign-in"],
  "not-allowed": [403, "The account has no role that may do this"],
  "state-conflict": [409, "The election's state does not allow this"],
  "internal": [500, "The server has an internal error"],
} as const satisfies Record<string, readonly [number, string]>;

/** What went wrong; the last part of a problem's `type`. */
export type ProblemType = keyof typeof PROBLEMS;

/** The reason of a problem that a ballot's fault is answered with. */
export function reasonOfRejection(
  reason: Extract<
    RejectionReason,
    | "not_open"
    | "cast_out_of_hours"
    | "unknown_station"
    | "unknown_contest"
    | "unknown_candidate"
    | "repeated_candidate"
    | "overvote"
  >,
): ProblemType {
  return reason.replaceAll("_", "-") as ProblemType;
}

export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  /** What is wrong here, and what would be right. */
  detail: z.string().optional(),
  /** Which fields are wrong, by their path in the body. */
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  /** The server's clock, with problems of time. */
  now: z.string().optional(),
});
export type Problem = z.infer<typeof problemSchema>;

/** Writes a problem. */
export function problem(
  reason: ProblemType,
  detail?: string,
  more: Pick<Problem, "errors" | "now"> = {},
): Problem {
  const [status, title] = PROBLEMS[reason];
  return { type: `urn:pollwire:problem:${reason}`, title, status, ...(detail && { detail }), ...more };
}

/** A problem as an HTTP answer. */
export function problemResponse(body: Problem, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), {
    status: body.status,
    headers: {
      "content-type": "application/problem+json",
      ...(body.status === 401 && { "www-authenticate": `Signature realm="pollwire"` }),
      ...headers,
    },
  });
}

/** Maximum errors in a problem, and maximum characters of each: wrong input may have any size. */
const MAX_FIELD_ERRORS = 20;
const MAX_FIELD_ERROR_LENGTH = 200;

/** zod's issues as `errors` of a problem. */
export function fieldErrors(error: z.ZodError): NonNullable<Problem["errors"]> {
  return error.issues.slice(0, MAX_FIELD_ERRORS).map(({ path, message }) => ({
    path: path.join(".") || "(body)",
    message: shorten(message),
  }));
}

function shorten(text: string): string {
  return text.length <= MAX_FIELD_ERROR_LENGTH ? text : `${text.slice(0, MAX_FIELD_ERROR_LENGTH)}…`;
}
