/**
 * A gateway's HTTP side: bounds, authenticates, takes votes in, answers when they are durable.
 *
 * @module
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { type Problem, problem, type ProblemCause, problemResponse } from "../shared/problem.ts";
import type { Receipt } from "../shared/receipt.ts";
import { Acceptor, type Taken } from "./accept.ts";
import { authenticate, type Authenticated, type ElectionLookup } from "./authenticate.ts";
import { drain, readBody } from "./body.ts";
import type { GatewayMetrics } from "./metrics.ts";
import { describeApi } from "./openapi.ts";
import type { RateLimiter } from "./rate.ts";
import { NotSpooled, type SpoolClient } from "./spool_client.ts";

/** Largest body of a single vote, in bytes. */
export const MAX_VOTE_BYTES = 64 * 1024;
/** Largest body of a batch, in bytes. */
export const MAX_BATCH_BYTES = 8 * 1024 * 1024;
/** Votes in a batch at the most. */
export const MAX_BATCH_VOTES = 1_000;
/** What Retry-After says when the gateway cannot take votes in just now, in seconds. */
const RETRY_AFTER_S = 2;

/** What a gateway's app is made of. */
export type GatewayOptions = Readonly<{
  gateway: string;
  elections: ElectionLookup;
  electionIds(): string[];
  spool: Pick<SpoolClient, "append" | "state">;
  /** Bytes of records that the spool holds at the most. */
  spoolMaxBytes: number;
  metrics: GatewayMetrics;
  /** Requests a second, of a device that was authenticated, and of an address before that. */
  deviceRate: RateLimiter;
  addressRate: RateLimiter;
  now(): number;
  /** Whether the process is about to stop. */
  draining(): boolean;
  /** Told of errors that were answered with `internal`. */
  onError(error: unknown): void;
}>;

type Endpoint = "vote" | "batch";
type Env = { Bindings: { remoteAddr?: Deno.Addr } };

/** Makes the app; `app.fetch(request, info)` serves a request. */
export function createGateway(options: GatewayOptions): OpenAPIHono<Env> {
  const { gateway, elections, spool, metrics } = options;
  const app = new OpenAPIHono<Env>();
  const acceptor = new Acceptor();

  app.post("/v1/votes", async (c) => {
    const admitted = await admit(c, options, "vote", "application/json", MAX_VOTE_BYTES);
    if (admitted instanceof Response) return admitted;
    const { device, body, nowMs } = admitted;
    const [taken] = takeAll(options, acceptor, device, [body], device.idempotencyKey, nowMs);
    return answerVote(options, await taken);
  });

  app.post("/v1/votes/batch", async (c) => {
    const admitted = await admit(c, options, "batch", "application/x-ndjson", MAX_BATCH_BYTES);
    if (admitted instanceof Response) return admitted;
    const { device, body, nowMs } = admitted;
    const lines = splitLines(body);
    if (lines.length > MAX_BATCH_VOTES) {
      return refuse(options, "batch", problem("too-many-lines", `a batch may have ${MAX_BATCH_VOTES} lines`));
    }
    const taken = takeAll(options, acceptor, device, lines, undefined, nowMs);
    return await answerBatch(options, await Promise.all(taken));
  });

  app.get("/v1/manifest", (c) => {
    const election = elections(c.req.query("election") ?? options.electionIds()[0] ?? "");
    if (election === undefined) {
      return problemResponse(
        problem("unknown-election", `this gateway serves ${options.electionIds().join(", ") || "none yet"}`),
      );
    }
    return c.json(election.signedManifest);
  });

  app.get("/health/live", (c) => c.json({ live: true, gateway }));

  app.get("/health/ready", (c) => {
    const { state } = spool;
    const why = notReady(options);
    return c.json(
      { ready: why === undefined, why, gateway, elections: options.electionIds(), spool: state },
      why ? 503 : 200,
    );
  });

  app.get(
    "/metrics",
    async (c) =>
      c.body(await metrics.registry.metrics(), 200, { "content-type": metrics.registry.contentType }),
  );

  describeApi(app);
  app.notFound((c) => notFound(c));
  app.onError((error) => {
    options.onError(error);
    return problemResponse(problem("internal"));
  });
  return app;
}

/** Why the gateway should get no votes now, if so. */
function notReady({ spool, spoolMaxBytes, electionIds, draining }: GatewayOptions): string | undefined {
  if (draining()) return "the gateway is about to stop";
  if (electionIds().length === 0) return "no manifest yet: the centre has not been reached";
  if (spool.state.bytes > 0.95 * spoolMaxBytes) {
    return "the spool is almost full: the log does not take records";
  }
  return undefined;
}

type Admitted = Readonly<{ device: Authenticated; body: Uint8Array; nowMs: number }>;

/** Everything that comes before a vote is read: limits, form, signature. */
async function admit(
  c: Context<Env>,
  options: GatewayOptions,
  endpoint: Endpoint,
  contentType: string,
  maxBytes: number,
): Promise<Admitted | Response> {
  const request = c.req.raw;
  const arrivedMs = options.now();
  const address = c.env?.remoteAddr as Deno.NetAddr | undefined;
  const no = async (found: Problem, retryAfterS?: number) => {
    await drain(request);
    return refuse(options, endpoint, found, retryAfterS);
  };
  if (options.draining()) return await no(problem("draining"), RETRY_AFTER_S);
  const addressWaitS = options.addressRate.take(address?.hostname ?? "", arrivedMs);
  if (addressWaitS > 0) {
    return await no(problem("address-rate", `come again in ${addressWaitS} s`), addressWaitS);
  }
  if (request.url.includes("?")) return await no(problem("query-not-allowed", "leave the query string out"));
  const { headers } = request;
  if (headers.get("content-type") !== contentType) {
    return await no(problem("unsupported-media-type", `Content-Type must be exactly ${contentType}`));
  }
  const body = await readBody(request, maxBytes);
  if (!(body instanceof Uint8Array)) return refuse(options, endpoint, body);
  const nowMs = options.now();
  const device = authenticate(
    c.req.path,
    {
      contentType,
      contentDigest: headers.get("content-digest"),
      idempotencyKey: headers.get("idempotency-key"),
      signatureInput: headers.get("signature-input"),
      signature: headers.get("signature"),
    },
    body,
    options.elections,
    nowMs,
  );
  if ("status" in device) return refuse(options, endpoint, device);
  options.metrics.skew.observe(device.skewS);
  const { election, id } = device.name;
  const deviceWaitS = options.deviceRate.take(`${election}/${id}`, nowMs);
  if (deviceWaitS > 0) {
    return refuse(options, endpoint, problem("device-rate", `come again in ${deviceWaitS} s`), deviceWaitS);
  }
  return { device, body, nowMs };
}

/** What became of one vote of a request. */
type VoteAnswer = Readonly<{ receipt: Receipt; repeated: boolean } | { problem: Problem }>;

/** Takes the votes of one request in, and makes what is new durable together. */
function takeAll(
  { spool }: GatewayOptions,
  acceptor: Acceptor,
  device: Authenticated,
  votes: readonly Uint8Array[],
  voteId: string | undefined,
  nowMs: number,
): (VoteAnswer | Promise<VoteAnswer>)[] {
  const { manifest } = device.election.index;
  const durable = Promise.withResolvers<void>();
  durable.promise.catch(() => {});
  const taken: Taken[] = [];
  const answers = votes.map((bytes): VoteAnswer | Promise<VoteAnswer> => {
    const result = acceptor.accept(device, bytes, voteId, nowMs);
    if ("status" in result) return { problem: result };
    if ("repeated" in result) {
      return result.repeated.then((receipt) => ({ receipt, repeated: true }), notDurable);
    }
    taken.push(result);
    const receipt = durable.promise.then(() => result.receipt);
    acceptor.remember(result, bytes, receipt);
    return receipt.then((receipt) => ({ receipt, repeated: false }), notDurable);
  });
  if (taken.length > 0) {
    spool.append(manifest.election, manifest.partitions, taken.map(({ record }) => record))
      .then(durable.resolve, durable.reject);
  }
  return answers;
}

function notDurable(error: unknown): VoteAnswer {
  if (error instanceof NotSpooled) return { problem: problem(error.cause, error.message) };
  throw error;
}

function answerVote(options: GatewayOptions, answer: VoteAnswer): Response {
  if ("problem" in answer) return refuse(options, "vote", answer.problem, retryAfter(answer.problem));
  options.metrics.answers.inc({ endpoint: "vote", answer: answer.repeated ? "repeated" : "accepted" });
  return new Response(JSON.stringify({ receipt: answer.receipt }), { status: 202, headers: JSON_HEADERS });
}

const JSON_HEADERS = { "content-type": "application/json" };

function answerBatch({ metrics }: GatewayOptions, answers: readonly VoteAnswer[]): Response {
  const results = answers.map((answer, index) => {
    const line = index + 1;
    if ("problem" in answer) {
      metrics.answers.inc({ endpoint: "batch", answer: causeOf(answer.problem) });
      return { line, status: answer.problem.status, problem: answer.problem };
    }
    metrics.answers.inc({ endpoint: "batch", answer: answer.repeated ? "repeated" : "accepted" });
    return { line, voteId: answer.receipt.voteId, status: 202, receipt: answer.receipt };
  });
  return new Response(JSON.stringify({ results }), { status: 207, headers: JSON_HEADERS });
}

function refuse(
  { metrics }: GatewayOptions,
  endpoint: Endpoint,
  found: Problem,
  retryAfterS?: number,
): Response {
  metrics.answers.inc({ endpoint, answer: causeOf(found) });
  return problemResponse(found, retryAfterS === undefined ? {} : { "retry-after": String(retryAfterS) });
}

function causeOf({ type }: Problem): ProblemCause {
  return type.slice(type.lastIndexOf(":") + 1) as ProblemCause;
}

function retryAfter({ status }: Problem): number | undefined {
  return status === 503 ? RETRY_AFTER_S : undefined;
}

/** A batch's lines; an empty one at the end is none. */
function splitLines(body: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let from = 0; from < body.length;) {
    const end = body.indexOf(0x0a, from);
    lines.push(body.subarray(from, end === -1 ? body.length : end));
    from = end === -1 ? body.length : end + 1;
  }
  return lines;
}

async function notFound(c: Context<Env>): Promise<Response> {
  await drain(c.req.raw);
  const allowed = { "/v1/votes": "POST", "/v1/votes/batch": "POST", "/v1/manifest": "GET" }[c.req.path] ??
    (/^\/(?:health\/(?:live|ready)|metrics|openapi\.json)$/.test(c.req.path) ? "GET" : undefined);
  if (allowed === undefined) {
    return problemResponse(problem("not-found", `see /openapi.json for what there is`));
  }
  return problemResponse(problem("method-not-allowed", `use ${allowed}`), { allow: allowed });
}
