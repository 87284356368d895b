/**
 * The gateway's OpenAPI 3.1 document, from the same schemas that check the requests.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Env } from "hono";
import { signedManifestSchema } from "../shared/election.ts";
import { problem, PROBLEMS, problemSchema, type ProblemType } from "../shared/problem.ts";
import { signedVoteSchema } from "../shared/proof.ts";
import { receiptSchema } from "../shared/receipt.ts";
import { voteIdSchema } from "../shared/vote.ts";
import { BODY_PROBLEMS } from "../web/body.ts";

const signedHeaders = z.object({
  "content-digest": z.string().describe("RFC 9530: `sha-256=:<base64>:` of the body"),
  "idempotency-key": z.string().describe(`A random UUID in double quotes: the vote id, or the batch's own`),
  "signature-input": z.string().describe("RFC 9421, in the profile of docs/wire-format.md, byte for byte"),
  "signature": z.string().describe("RFC 9421: `vote=:<base64>:`, HMAC-SHA256 under the device's key"),
});

/** Statuses that come with Retry-After; so does 207 when a line has one of them. */
const RETRIED: ReadonlySet<string> = new Set(["429", "503"]);
const retryHeader = z.object({ "retry-after": z.string().describe("When to retry, in seconds") });

/** Problems of any signed request. */
const COMMON: ProblemType[] = [
  "query-not-allowed",
  "not-found",
  "unsupported-media-type",
  ...BODY_PROBLEMS,
  "signature-missing",
  "signature-malformed",
  "signature-invalid",
  "signature-stale",
  "signature-early",
  "digest-mismatch",
  "unknown-key",
  "not-ready",
  "revoked-key",
  "device-rate",
  "station-rate",
  "address-rate",
  "draining",
  "clock-differs",
  "internal",
];

/** Problems of one vote, alone or as a line of a batch. */
const VOTE: ProblemType[] = [
  "not-utf8",
  "not-json",
  "duplicate-key",
  "invalid-vote",
  "foreign-proof",
  "vote-too-long",
  "vote-id-reused",
  "wrong-station",
  "foreign-station",
  "not-open",
  "voting-paused",
  "cast-out-of-hours",
  "unknown-station",
  "unknown-contest",
  "unknown-candidate",
  "repeated-candidate",
  "overvote",
  "busy",
  "spool-full",
  "spool-failed",
  "device-share",
];

/** Registers every route and serves the document at `/openapi.json`. */
export function describeApi<E extends Env>(app: OpenAPIHono<E>): void {
  const registry = app.openAPIRegistry;
  registry.registerPath({
    method: "post",
    path: "/v1/votes",
    summary: "Accept one vote",
    description:
      "202 once the vote is durable. The same text and proof again gets the same receipt. `vote` is the text that the device " +
      "signed for the aggregator: JSON, as docs/wire-format.md describes it.",
    request: {
      headers: signedHeaders,
      body: { required: true, content: { "application/json": { schema: signedVoteSchema } } },
    },
    responses: {
      202: answer(
        "The vote is durable. The receipt is this gateway's signed confirmation",
        z.object({ receipt: receiptSchema }),
      ),
      ...problems([...COMMON, ...VOTE, "vote-id-mismatch"]),
    },
  });
  registry.registerPath({
    method: "post",
    path: "/v1/votes/batch",
    summary: "Accept up to 1,000 votes, one a line, under one signature",
    description:
      "Each line has the form of a POST /v1/votes body. Lines beyond a rate or a share get 429 or 503: send those again.",
    request: {
      headers: signedHeaders,
      body: { required: true, content: { "application/x-ndjson": { schema: z.string() } } },
    },
    responses: {
      207: answer(
        "One result a line, in order, once all that were taken are durable",
        z.object({
          results: z.array(z.object({
            line: z.int().min(1),
            status: z.int(),
            voteId: voteIdSchema.optional(),
            receipt: receiptSchema.optional(),
            problem: problemOf([...VOTE, "body-too-large", "device-rate", "station-rate", "internal"])
              .optional(),
          })),
        }),
      ),
      ...problems([...COMMON, "too-many-lines"]),
    },
  });
  registry.registerPath({
    method: "get",
    path: "/v1/manifest",
    summary: "The manifest in force, as the aggregator signed it",
    request: { query: z.object({ election: z.string().optional() }) },
    responses: {
      200: answer("The signed manifest", signedManifestSchema),
      ...problems(["unknown-election"]),
    },
  });
  const health = z.object({
    ready: z.boolean(),
    why: z.string().optional(),
    elections: z.array(z.object({
      election: z.string(),
      ready: z.boolean(),
      why: z.string().optional(),
      numberedRecords: z.int().optional().describe("Records that this process has numbered"),
      statementsDue: z.int().optional().describe("Statements that log or aggregator do not have yet"),
      logFault: z.string().optional().describe("Why its log accepts no records at the moment"),
    })),
  }).loose();
  registry.registerPath({
    method: "get",
    path: "/health/live",
    summary: "Whether the process runs",
    responses: { 200: answer("It does", z.object({ live: z.boolean() }).loose()) },
  });
  registry.registerPath({
    method: "get",
    path: "/health/ready",
    summary: "Whether votes should be sent here now",
    responses: {
      200: answer("They should", health),
      503: { ...answer("They should not, and why", health), headers: retryHeader },
    },
  });
  registry.registerPath({
    method: "get",
    path: "/metrics",
    summary: "Metrics for Prometheus",
    responses: { 200: { description: "Metrics", content: { "text/plain": { schema: z.string() } } } },
  });
  for (const reason of ["not-found", "method-not-allowed"] as const) {
    registry.registerComponent("responses", reason, {
      description: PROBLEMS[reason][1],
      content: { "application/problem+json": { example: problem(reason) } },
    });
  }
  app.doc31("/openapi.json", {
    openapi: "3.1.0",
    info: { title: "Pollwire gateway", version: "1", license: { name: "MIT" } },
  });
}

function answer(description: string, schema: z.ZodType) {
  return { description, content: { "application/json": { schema } } };
}

/** The problems that a route may answer with, gathered by status. */
function problems(reasons: readonly ProblemType[]) {
  const byStatus = Object.groupBy(new Set(reasons), (reason) => PROBLEMS[reason][0]);
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, list]) => [status, {
      description: list!.map((reason) => `\`${reason}\`: ${PROBLEMS[reason][1]}`).join("; "),
      content: { "application/problem+json": { schema: problemOf(list!) } },
      ...(RETRIED.has(status) && { headers: retryHeader }),
    }]),
  );
}

function problemOf(reasons: readonly ProblemType[]) {
  return problemSchema.extend({ type: z.enum(reasons.map((reason) => problem(reason).type)) });
}
