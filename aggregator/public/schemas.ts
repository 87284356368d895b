/**
 * What the aggregator's HTTP interface says and takes beside the rows of the rooms below it: answers that are put together
 * here, and questions.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { signedAnswersSchema } from "../../shared/answers.ts";
import { idSchema, instantSchema, signedManifestSchema } from "../../shared/election.ts";
import { problemSchema } from "../../shared/problem.ts";
import { countReconciliationSchema, lag } from "../counting/schemas.ts";
import { count, instant } from "../registry/schemas.ts";
import { COMPARED_BY } from "../results/history/comparison.ts";
import { notShownSchema, RESULTS_BY, TURNOUT_BY } from "../results/schemas.ts";
import { receiptsRequestSchema } from "./receipts.ts";

/** Maximum rejections, and maximum stations, of one answer. */
const MAX_REJECTIONS = 1_000;
const MAX_STATIONS = 10_000;

// A schema made elsewhere cannot be given a name: zod-to-openapi reaches those only that are made after it is loaded.
export const manifestAnswerSchema = z.strictObject(signedManifestSchema.shape).openapi("SignedManifest");
export const problemAnswerSchema = z.object(problemSchema.shape).openapi("Problem");

export const reconciliationSchema = countReconciliationSchema.extend({ notShown: notShownSchema }).openapi(
  "Reconciliation",
);
/** The reconciliation of an election, and how much of the count is not shown. */
export type Reconciliation = z.infer<typeof reconciliationSchema>;

// As for manifestAnswerSchema: zod-to-openapi can name only schemas that are made after it is loaded.
export const receiptsSchema = z.strictObject(receiptsRequestSchema.shape).openapi("Receipts");

export const receiptAnswersSchema = z.strictObject({
  signed: z.string().describe(
    "The exact text that was signed: JSON with election, nonce, answeredAt, and answers, one a receipt, in order",
  ),
  signature: signedAnswersSchema.shape.signature.describe("Ed25519, in hex"),
}).openapi("ReceiptAnswers");

/** `event: tick` of the stream. */
export const tickSchema = z.strictObject({
  now: instant.describe("The server's clock"),
  readAt: instant.nullable().describe(
    "When the database was last read; all that was sent is at least as new",
  ),
  revision: count,
  lag,
}).openapi("Tick");
export type Tick = z.infer<typeof tickSchema>;

/** How one election stands in the process that is asked. */
export const readinessSchema = z.strictObject({
  election: z.string(),
  ready: z.boolean(),
  /** Why it is not counted, or what else a person must repair. */
  why: z.string().optional(),
});

/** How to show another page this election's results (oembed.com). */
export const oembedSchema = z.strictObject({
  version: z.literal("1.0"),
  type: z.literal("rich"),
  title: z.string(),
  provider_name: z.literal("Pollwire"),
  provider_url: z.string(),
  width: count,
  height: count,
  html: z.string().describe("An iframe"),
}).openapi("Oembed");

const format = oneOf(["json", "csv"]).default("json").describe("csv: the rows alone");

/** Questions. Nothing but the named parameters, so that a misspelt one is not passed over in silence. */
export const queries = {
  elections: z.object({
    rehearsals: oneOf(["none", "all"]).default("none").describe(
      "all: rehearsals, too, whose votes are test votes",
    ),
  }),
  election: z.object({ election: idSchema }),
  candidate: z.object({ election: idSchema, contest: idSchema, candidate: idSchema }),
  stations: z.strictObject({
    region: idSchema.optional(),
    after: idSchema.optional(),
    limit: wholeNumber(1, MAX_STATIONS).default(1_000),
  }),
  results: z.strictObject({
    by: oneOf(RESULTS_BY).default("candidate"),
    contest: idSchema.optional(),
    region: idSchema.optional(),
    station: idSchema.optional(),
    revision: wholeNumber(0, Number.MAX_SAFE_INTEGER).optional().describe(
      "A revision that the asker has seen, on the stream: the answer is at least as new",
    ),
    format,
    at: instantSchema.optional().describe("A past moment, in UTC: the results as they stood then"),
  }),
  projection: z.strictObject({
    contest: idSchema,
    revision: wholeNumber(0, Number.MAX_SAFE_INTEGER).optional().describe(
      "A revision that the asker has seen, on the stream: the answer is at least as new",
    ),
  }),
  comparison: z.strictObject({
    contest: idSchema,
    past: idSchema.optional().describe("The earlier election; the latest when left out"),
    by: oneOf(COMPARED_BY).default("region"),
    region: idSchema.optional(),
    upTo: wholeNumber(0, Number.MAX_SAFE_INTEGER).optional().describe(
      "A revision: the comparison as it stood at that release",
    ),
    format,
  }),
  turnout: z.strictObject({ by: oneOf(TURNOUT_BY).default("total"), format }),
  rejections: z.strictObject({ limit: wholeNumber(1, MAX_REJECTIONS).default(100) }),
  readiness: z.strictObject({ election: idSchema.optional() }),
  oembed: z.strictObject({
    url: z.url().max(2_000).describe("The page's address, or that of one election's /embed/…"),
    format: z.literal("json", { error: "must be json" }).default("json"),
    maxwidth: wholeNumber(1, 10_000).optional(),
    maxheight: wholeNumber(1, 10_000).optional(),
  }),
  stream: z.strictObject({ after: wholeNumber(0, Number.MAX_SAFE_INTEGER).optional() }),
};

function oneOf<const Values extends readonly [string, ...string[]]>(values: Values) {
  return z.enum(values, { error: `must be one of ${values.join(", ")}` });
}

function wholeNumber(min: number, max: number) {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.coerce.number({ error }).int(error).min(min, error).max(max, error);
}
