/**
 * The routes of the aggregator's HTTP interface with every answer they give, as OpenAPI describes them.
 *
 * @module
 */
import { createRoute, z } from "@hono/zod-openapi";
import { PROBLEMS, type ProblemType } from "../../shared/problem.ts";
import { SYNC_PATH, syncRequestSchema } from "../../shared/sync.ts";
import { BODY_PROBLEMS } from "../../web/body.ts";
import { gatewaysSchema, rejectionsSchema } from "../counting/schemas.ts";
import { detailsSchema, electionsSchema, stationsSchema } from "../registry/schemas.ts";
import { adjustmentsSchema } from "../results/adjustments.ts";
import { comparisonSchema } from "../results/history/comparison.ts";
import { projectionSchema } from "../results/projection/read.ts";
import { candidateVotesSchema, resultsSchema, turnoutSchema } from "../results/schemas.ts";
import {
  manifestAnswerSchema,
  oembedSchema,
  problemAnswerSchema,
  queries,
  readinessSchema,
  receiptAnswersSchema,
  receiptsSchema,
  reconciliationSchema,
} from "./schemas.ts";

/** Largest body of a request, in bytes. */
export const MAX_BODY_BYTES = 1 << 20;

const problemContent = { "application/problem+json": { schema: problemAnswerSchema } };

type Answer = { description: string; content: typeof problemContent };

/** Problems that any request for public answers may get. */
const PUBLIC_PROBLEMS = ["address-rate", "busy"] as const;

/** A route's problems, by status. Every route may also fail because the database is away, or by an error of the server. */
function problems<const Reasons extends readonly ProblemType[]>(...reasons: Reasons) {
  const answers: Record<number, Answer> = {};
  for (const reason of new Set<ProblemType>([...reasons, "not-ready", "internal"])) {
    const [status, title] = PROBLEMS[reason];
    const before = answers[status] === undefined ? "" : `${answers[status].description}; `;
    answers[status] = { description: `${before}${title} (\`${reason}\`)`, content: problemContent };
  }
  return answers as Record<(typeof PROBLEMS)[Reasons[number] | "not-ready" | "internal"][0], Answer>;
}

function json<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { description, content: { "application/json": { schema } } };
}

const plain = (description: string, type: string) => ({
  description,
  content: { [type]: { schema: z.string() } },
});
/** An answer whose rows may be had as CSV. */
function orCsv<Content extends Record<string, unknown>>(answer: { description: string; content: Content }) {
  return { ...answer, content: { ...answer.content, "text/csv": { schema: z.string() } } };
}

const unchanged = { description: "Nothing has changed since the answer with that ETag" };
const election = queries.election;

export const electionsRoute = createRoute({
  method: "get",
  path: "/v1/elections",
  summary: "All elections; rehearsals when asked for",
  request: { query: queries.elections },
  responses: {
    200: json("The one that closes last comes first", electionsSchema),
    304: unchanged,
    ...problems("invalid-request", ...PUBLIC_PROBLEMS),
  },
});

export const electionRoute = createRoute({
  method: "get",
  path: "/v1/elections/{election}",
  summary: "One election: contests, candidates, parties, regions",
  request: { params: election },
  responses: {
    200: json("The election by its newest manifest", detailsSchema),
    304: unchanged,
    ...problems("unknown-election", ...PUBLIC_PROBLEMS),
  },
});

export const stationsRoute = createRoute({
  method: "get",
  path: "/v1/elections/{election}/stations",
  summary: "Stations, and where they lie",
  request: { params: election, query: queries.stations },
  responses: {
    200: json("In the manifest's order, page by page", stationsSchema),
    304: unchanged,
    ...problems("unknown-election", "invalid-request", ...PUBLIC_PROBLEMS),
  },
});

export const photoRoute = createRoute({
  method: "get",
  path: "/v1/elections/{election}/candidates/{contest}/{candidate}/photo",
  summary: "A candidate's photo, where the election office gave one",
  request: { params: queries.candidate },
  responses: {
    200: plain("An SVG image, under a policy that lets it load and run nothing", "image/svg+xml"),
    304: unchanged,
    ...problems("unknown-election", "not-found", ...PUBLIC_PROBLEMS),
  },
});

export const candidateVotesRoute = createRoute({
  method: "get",
  path: "/v1/elections/{election}/candidates/{contest}/{candidate}/votes",
  summary: "The votes of one candidate, now",
  request: { params: queries.candidate },
  responses: {
    200: json("A sum over all stations", candidateVotesSchema),
    304: unchanged,
    ...problems("unknown-election", "not-found", ...PUBLIC_PROBLEMS),
  },
});

export const manifestRoute = createRoute({
  method: "get",
  path: "/v1/elections/{election}/manifest",
  summary: "The newest manifest, as it was signed",
  request: { params: election },
  responses: {
    200: json(
      "The text that was signed, and its Ed25519 signature",
      manifestAnswerSchema,
    ),
    304: unchanged,
    ...problems("unknown-election", ...PUBLIC_PROBLEMS),
  },
});

export const resultsRoute = createRoute({
  method: "get",
  path: "/v1/elections/{election}/results",
  summary: "Results: sums of releases",
  request: { params: election, query: queries.results },
  responses: {
    200: orCsv(json("Results of one moment; begin the stream at their revision", resultsSchema)),
    304: unchanged,
    ...problems("unknown-election", "invalid-request", ...PUBLIC_PROBLEMS),
  },
});

export const changesRoute = createRoute({
  method: "get",
  path: "/v1/elections/{election}/changes",
  summary: "A feed of changes (Atom): who leads each contest when that changes, and the final release",
  request: { params: election },
  responses: {
    200: plain("The newest first", "application/atom+xml"),
    304: unchanged,
    ...problems("unknown-election", ...PUBLIC_PROBLEMS),
  },
});

export const oembedRoute = createRoute({
  method: "get",
  path: "/oembed",
  summary: "How another page shows an election's results (oembed.com)",
  request: { query: queries.oembed },
  responses: {
    200: json("An iframe of /embed/{election}", oembedSchema),
    ...problems("unknown-election", "not-found", "invalid-request", "address-rate"),
  },
});

export const projectionRoute = createRoute({
  method: "get",
  path: "/v1/elections/{election}/projection",
  summary: "What the final shares of a contest will be, as far as can be said: docs/projection.md",
  request: { params: election, query: queries.projection },
  responses: {
    200: json("Intervals, or why there are none; from releases only", projectionSchema),
    304: unchanged,
    ...problems("unknown-election", "invalid-request", ...PUBLIC_PROBLEMS),
  },
});

export const comparisonRoute = createRoute({
  method: "get",
  path: "/v1/elections/{election}/comparison",
  summary: "A contest compared with an earlier election, like for like: docs/history.md",
  request: { params: election, query: queries.comparison },
  responses: {
    200: orCsv(
      json("Complete places against the votes that they had then; from releases only", comparisonSchema),
    ),
    304: unchanged,
    ...problems("unknown-election", "invalid-request", ...PUBLIC_PROBLEMS),
  },
});

export const adjustmentsRoute = createRoute({
  method: "get",
  path: "/v1/elections/{election}/adjustments",
  summary:
    "Votes that officials added or took off beside the count, such as ballots on paper; results do not have them",
  request: { params: election },
  responses: {
    200: json("All of them, the oldest first", adjustmentsSchema),
    304: unchanged,
    ...problems("unknown-election", ...PUBLIC_PROBLEMS),
  },
});

export const turnoutRoute = createRoute({
  method: "get",
  path: "/v1/elections/{election}/turnout",
  summary: "How many have voted",
  request: { params: election, query: queries.turnout },
  responses: {
    200: orCsv(json("Turnout of one moment", turnoutSchema)),
    304: unchanged,
    ...problems("unknown-election", "invalid-request", ...PUBLIC_PROBLEMS),
  },
});

export const reconciliationRoute = createRoute({
  method: "get",
  path: "/v1/elections/{election}/reconciliation",
  summary:
    "Whether records read = counted + duplicate + rejected + held + statements, for each partition of the log",
  request: { params: election },
  responses: {
    200: json("The reconciliation of one moment", reconciliationSchema),
    304: unchanged,
    ...problems("unknown-election", ...PUBLIC_PROBLEMS),
  },
});

export const rejectionsRoute = createRoute({
  method: "get",
  path: "/v1/elections/{election}/rejections",
  summary: "The newest records that were not counted",
  request: { params: election, query: queries.rejections },
  responses: {
    200: json("The newest first", rejectionsSchema),
    304: unchanged,
    ...problems("unknown-election", "invalid-request", ...PUBLIC_PROBLEMS),
  },
});

export const streamRoute = createRoute({
  method: "get",
  path: "/v1/elections/{election}/stream",
  summary: "Releases, turnout and ticks as they come: server-sent events",
  description:
    "Begins after the revision in `Last-Event-ID`, else in `after`, else now. Events: `release` (its id is the " +
    "revision; see Release), `turnout` (Progress), `tick` (Tick), and `reset`: discard what was sent before, and get the results again.",
  request: { params: election, query: queries.stream },
  responses: {
    200: plain(
      "The stream; it ends when the server stops, and when the listener is too slow",
      "text/event-stream",
    ),
    ...problems("unknown-election", "invalid-request", "address-rate", "address-streams", "busy"),
  },
});

export const gatewaysRoute = createRoute({
  method: "get",
  path: "/v1/elections/{election}/gateways",
  summary: "What gateways state that they took, compared with what was read",
  request: { params: election },
  responses: {
    200: json("By gateway and sender key", gatewaysSchema),
    304: unchanged,
    ...problems("unknown-election", ...PUBLIC_PROBLEMS),
  },
});

/** Only described here. Its handler reads the body itself, more strictly than Hono reads JSON. */
export const receiptsRoute = createRoute({
  method: "post",
  path: "/v1/receipts/check",
  summary: "What became of the votes that receipts name",
  request: { body: { required: true, content: { "application/json": { schema: receiptsSchema } } } },
  responses: {
    200: json("The aggregator's signed answers", receiptAnswersSchema),
    ...problems(
      "unknown-election",
      "unsupported-media-type",
      "not-utf8",
      "not-json",
      "duplicate-key",
      "invalid-request",
      ...BODY_PROBLEMS,
    ),
  },
});

export const liveRoute = createRoute({
  method: "get",
  path: "/health/live",
  summary: "Whether the process runs",
  responses: { 200: json("It does", z.strictObject({ live: z.literal(true) })), ...problems() },
});

export const readyRoute = createRoute({
  method: "get",
  path: "/health/ready",
  summary: "Whether the process does its work: counts at least one election, or the one that is named",
  description:
    "`elections` says of each election whether it is counted, and if not, why; a problem has it too.",
  request: { query: queries.readiness },
  responses: {
    200: json("It does", z.strictObject({ ready: z.literal(true), elections: z.array(readinessSchema) })),
    ...problems("not-ready", "unknown-election", "invalid-request"),
  },
});

export const metricsRoute = createRoute({
  method: "get",
  path: "/metrics",
  summary: "Metrics, in Prometheus' text format",
  responses: { 200: plain("Metrics", "text/plain"), ...problems() },
});

/** Answered by the office's part of the aggregator, over the bytes as they were signed. */
export const syncRoute = createRoute({
  method: "post",
  path: SYNC_PATH,
  summary:
    "A gateway asks for its stations' keys and reports its sender keys, signed; the answer is sealed to it",
  description:
    "The signature's profile and the answer are those of docs/wire-format.md. Every answer has the aggregator's time in `pollwire-time`, in milliseconds since 1970.",
  request: {
    headers: z.object({
      "content-digest": z.string(),
      "idempotency-key": z.string(),
      "signature-input": z.string(),
      "signature": z.string(),
    }),
    body: { required: true, content: { "application/json": { schema: syncRequestSchema } } },
  },
  responses: {
    200: plain("Manifest and keys, sealed", "application/octet-stream"),
    204: { description: "The gateway has the newest" },
    ...problems(
      "query-not-allowed",
      "unsupported-media-type",
      "signature-missing",
      "signature-malformed",
      "signature-invalid",
      "signature-stale",
      "signature-early",
      "digest-mismatch",
      "unknown-gateway",
      "revoked-key",
      "not-utf8",
      "not-json",
      "duplicate-key",
      "invalid-request",
      ...BODY_PROBLEMS,
    ),
  },
});
