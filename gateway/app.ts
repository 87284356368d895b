/**
 * A gateway's HTTP side: bounds, authenticates, takes votes in, answers when they are durable.
 *
 * @module
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { type Problem, problem, problemResponse, type ProblemType } from "../shared/problem.ts";
import type { Receipt } from "../shared/receipt.ts";
import { networkOf } from "../web/address.ts";
import { addApiDocs, API_DOCS_PATHS } from "../web/api_docs.ts";
import { drain } from "../web/body.ts";
import { isOfType } from "../web/content_type.ts";
import type { Arrival } from "../web/serve.ts";
import { WholeAnswer } from "../web/whole_answer.ts";
import { Acceptor, type Repeated, type Taken } from "./accept.ts";
import { authenticate, type Authenticated, checkBody, type ElectionLookup } from "./authenticate.ts";
import { DeviceLimits } from "./limits.ts";
import type { GatewayMetrics } from "./metrics.ts";
import { describeApi } from "./openapi.ts";
import type { RateLimiter } from "../web/rate.ts";
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
  /** Elections of this gateway's own that the aggregator has not told it of yet. */
  awaitedIds(): string[];
  spool: Pick<SpoolClient, "append" | "state" | "keysOf" | "numberedOf">;
  /** Bytes of records that the spool holds at the most. */
  spoolMaxBytes: number;
  metrics: GatewayMetrics;
  /** Votes of a device that was authenticated, and of its station. */
  deviceRate: RateLimiter;
  stationRate: RateLimiter;
  /** Requests of an address, whoever it says to be. */
  addressRate: RateLimiter;
  /** Why an election's log takes no records just now; `undefined` while it does. */
  logFault(election: string): string | undefined;
  /** What is wrong when this gateway's clock and the aggregator's differ by too much. */
  clockFault(): string | undefined;
  now(): number;
  /** Whether the process is about to stop. */
  draining(): boolean;
  /** Told of errors that were answered with `internal`. */
  onError(error: unknown, request?: Request): void;
}>;

/** Where votes are posted. `path` is signed, byte for byte. */
const ENDPOINTS = {
  vote: { path: "/v1/votes", contentType: "application/json", maxBytes: MAX_VOTE_BYTES },
  batch: { path: "/v1/votes/batch", contentType: "application/x-ndjson", maxBytes: MAX_BATCH_BYTES },
} as const;

type Endpoint = keyof typeof ENDPOINTS;
type Env = { Bindings: Partial<Arrival> };
/** What the endpoints share: the options, and what is remembered from request to request. */
type Gateway =
  & GatewayOptions
  & Readonly<{
    acceptor: Acceptor;
    limits: DeviceLimits;
  }>;

/** Makes the app; `app.fetch(request, info)` serves a request. */
export function createGateway(options: GatewayOptions): OpenAPIHono<Env> {
  const { gateway: id, elections, spool, metrics, now } = options;
  const gateway: Gateway = { ...options, acceptor: new Acceptor(), limits: new DeviceLimits(options) };
  const app = new OpenAPIHono<Env>();

  app.post(ENDPOINTS.vote.path, async (c) => {
    const arrivedMs = now();
    const answer = await takeVote(gateway, c, arrivedMs);
    metrics.latency.observe({ endpoint: "vote" }, (now() - arrivedMs) / 1_000);
    return answer;
  });

  app.post(ENDPOINTS.batch.path, async (c) => {
    const arrivedMs = now();
    const answer = await takeBatch(gateway, c, arrivedMs);
    metrics.latency.observe({ endpoint: "batch" }, (now() - arrivedMs) / 1_000);
    return answer;
  });

  app.get("/v1/manifest", (c) => {
    const election = elections(c.req.query("election") ?? options.electionIds()[0] ?? "");
    if (election === undefined || election === "awaited") {
      return problemResponse(
        problem("unknown-election", `this gateway serves ${options.electionIds().join(", ") || "none yet"}`),
      );
    }
    return c.json(election.signedManifest);
  });

  app.get("/health/live", (c) => c.json({ live: true, gateway: id }));

  app.get("/health/ready", (c) => {
    const { state } = spool;
    const why = notReady(options);
    return c.json(
      { ready: why === undefined, why, gateway: id, elections: describeElections(options), spool: state },
      why === undefined ? 200 : 503,
      why === undefined ? {} : { "retry-after": String(RETRY_AFTER_S) },
    );
  });

  app.get(
    "/metrics",
    async (c) =>
      c.body(await metrics.registry.metrics(), 200, { "content-type": metrics.registry.contentType }),
  );

  describeApi(app);
  addApiDocs(app);
  app.notFound((c) => notFound(c));
  app.onError((error, c) => {
    options.onError(error, c.req.raw);
    const endpoint = (Object.keys(ENDPOINTS) as Endpoint[]).find((name) =>
      ENDPOINTS[name].path === c.req.path
    );
    return endpoint === undefined
      ? problemResponse(problem("internal"))
      : refuse(gateway, endpoint, problem("internal"));
  });
  return app;
}

/** Why the gateway should get no votes now, if so. */
function notReady(
  { spool, spoolMaxBytes, electionIds, draining, clockFault }: GatewayOptions,
): string | undefined {
  if (draining()) return "the gateway is about to stop";
  const clock = clockFault();
  if (clock !== undefined) return clock;
  if (electionIds().length === 0) return "no manifest yet: the aggregator has not been reached";
  if (spool.state.bytes > 0.95 * spoolMaxBytes) {
    return "the spool is almost full: the log does not take records";
  }
  return undefined;
}

/** What can be said of each election alone. Records wait in the spool while a log takes none: that is no refusal. */
function describeElections({ electionIds, awaitedIds, elections, spool, now, logFault }: GatewayOptions) {
  const told = electionIds().map((election) => {
    const known = elections(election);
    const isOver = typeof known === "object" && now() > known.index.acceptsUntilMs;
    return {
      election,
      ready: !isOver,
      why: isOver ? "its acceptance window is over" : undefined,
      numberedRecords: spool.numberedOf(election),
      statementsDue: spool.keysOf(election)?.statementsDue ?? 0,
      logFault: logFault(election),
    };
  });
  const awaited = awaitedIds().map((election) => ({
    election,
    ready: false,
    why: "the aggregator has not told this gateway of it yet",
  }));
  return [...told, ...awaited];
}

async function takeVote(gateway: Gateway, c: Context<Env>, arrivedMs: number): Promise<Response> {
  const admitted = await admit(gateway, c, "vote", arrivedMs);
  if (admitted instanceof Response) return admitted;
  const { device, body, nowMs } = admitted;
  const answer = (await takeAll(gateway, device, [body], device.idempotencyKey, nowMs))[0]!;
  if ("problem" in answer) return refuse(gateway, "vote", answer.problem);
  gateway.metrics.answers.inc({ endpoint: "vote", answer: answer.fate });
  return new WholeAnswer(JSON.stringify({ receipt: answer.receipt }), { status: 202, headers: JSON_HEADERS });
}

async function takeBatch(gateway: Gateway, c: Context<Env>, arrivedMs: number): Promise<Response> {
  const admitted = await admit(gateway, c, "batch", arrivedMs);
  if (admitted instanceof Response) return admitted;
  const { device, body, nowMs } = admitted;
  const lines = splitLines(body, MAX_BATCH_VOTES + 1);
  if (lines.length > MAX_BATCH_VOTES) {
    return refuse(gateway, "batch", problem("too-many-lines", `a batch may have ${MAX_BATCH_VOTES} lines`));
  }
  // The batch's first vote was paid for before its body was read. Lines beyond the rate are refused, and the device
  // sends them again: a batch that is refused as a whole might never fit.
  const { limits } = gateway;
  const allowed = 1 + limits.takeUpTo(device, lines.length - 1, nowMs);
  const answers = await takeAll(gateway, device, lines.slice(0, allowed), undefined, nowMs);
  let retryAfterS = 0;
  if (allowed < lines.length) {
    const { found, waitS } = limits.take(device, lines.length - allowed, nowMs)!;
    retryAfterS = waitS;
    for (let i = allowed; i < lines.length; i++) answers.push({ problem: found });
  }
  const results = answers.map((answer, index) => {
    const line = index + 1;
    if ("problem" in answer) {
      const { status } = answer.problem;
      if (status === 503) retryAfterS = Math.max(retryAfterS, RETRY_AFTER_S);
      gateway.metrics.answers.inc({ endpoint: "batch", answer: reasonOf(answer.problem) });
      return { line, voteId: answer.voteId, status, problem: answer.problem };
    }
    gateway.metrics.answers.inc({ endpoint: "batch", answer: answer.fate });
    return { line, voteId: answer.receipt.voteId, status: 202, receipt: answer.receipt };
  });
  const headers = retryAfterS > 0 ? { ...JSON_HEADERS, "retry-after": String(retryAfterS) } : JSON_HEADERS;
  return new WholeAnswer(JSON.stringify({ results }), { status: 207, headers });
}

const JSON_HEADERS = { "content-type": "application/json" };

type Admitted = Readonly<{ device: Authenticated; body: Uint8Array; nowMs: number }>;

/**
 * Everything that comes before a vote is read: limits, form, signature. The signature is over the headers, and is checked
 * before the body is read: who has no key can make the gateway hold nothing.
 */
async function admit(
  gateway: Gateway,
  c: Context<Env>,
  endpoint: Endpoint,
  arrivedMs: number,
): Promise<Admitted | Response> {
  const request = c.req.raw;
  const { path, contentType, maxBytes } = ENDPOINTS[endpoint];
  const no = async (found: Problem, retryAfterS?: number) => {
    await drain(request);
    return refuse(gateway, endpoint, found, retryAfterS);
  };
  if (gateway.draining()) return await no(problem("draining"));
  const clock = gateway.clockFault();
  if (clock !== undefined) return await no(problem("clock-differs", clock));
  const { address = "", target = targetOf(request.url) } = c.env ?? {};
  const addressWaitS = gateway.addressRate.take(networkOf(address), arrivedMs);
  if (addressWaitS > 0) {
    return await no(problem("address-rate", `come again in ${addressWaitS} s`), addressWaitS);
  }
  if (target.includes("?")) return await no(problem("query-not-allowed", "leave the query string out"));
  // The router also finds other spellings of the path, with percent signs, and by way of "..".
  if (target !== path) return await no(problem("not-found", `the path is ${path}, in this spelling`));
  const { headers } = request;
  const sentType = headers.get("content-type");
  if (!isOfType(sentType, contentType)) {
    return await no(
      problem("unsupported-media-type", `Content-Type must be ${contentType}, alone or with charset=utf-8`),
    );
  }
  const nowMs = gateway.now();
  const signed = {
    // As it was sent: it is signed.
    contentType: sentType,
    contentDigest: headers.get("content-digest"),
    idempotencyKey: headers.get("idempotency-key"),
    signatureInput: headers.get("signature-input"),
    signature: headers.get("signature"),
  };
  const device = authenticate(path, signed, gateway.elections, nowMs);
  if ("status" in device) return await no(device);
  gateway.metrics.skew.observe(device.skewS);
  const refused = gateway.limits.take(device, 1, nowMs);
  if (refused !== undefined) return await no(refused.found, refused.waitS);
  const body = await gateway.limits.readBody(device, request, maxBytes);
  if (!(body instanceof Uint8Array)) return refuse(gateway, endpoint, body);
  const changed = checkBody(device, body);
  if (changed !== undefined) return refuse(gateway, endpoint, changed);
  return { device, body, nowMs };
}

/** What was asked for, by a URL as the request has it: path and query. */
function targetOf(url: string): string {
  return url.slice(url.indexOf("/", url.indexOf("//") + 2));
}

/** What became of one vote of a request. */
type VoteAnswer =
  | Readonly<{ fate: "accepted" | "repeated"; receipt: Receipt }>
  | Readonly<{ problem: Problem; voteId?: string }>;

/** Takes the votes of one request in, and makes what is new durable together. */
async function takeAll(
  gateway: Gateway,
  device: Authenticated,
  votes: readonly Uint8Array[],
  voteId: string | undefined,
  nowMs: number,
): Promise<VoteAnswer[]> {
  const { acceptor, spool } = gateway;
  const { election, id } = device.name;
  const durable = Promise.withResolvers<void>();
  durable.promise.catch(() => {});
  const results = votes.map((bytes) => acceptOne(gateway, device, bytes, voteId, nowMs, durable.promise));
  const taken = results.filter((result) => "record" in result);
  let failure: Problem | undefined;
  if (taken.length > 0) {
    try {
      await spool.append(election, id, taken.map(({ record }) => record));
      durable.resolve();
    } catch (error) {
      acceptor.forget(taken);
      failure = notDurable(gateway, error);
      durable.reject(error);
    }
  }
  const answers: VoteAnswer[] = [];
  for (const result of results) {
    if ("status" in result) answers.push({ problem: result });
    else if ("repeated" in result) answers.push(await answerRepeated(gateway, result));
    else if (failure === undefined) answers.push({ fate: "accepted", receipt: result.receipt });
    else answers.push({ problem: failure, voteId: result.receipt.voteId });
  }
  return answers;
}

/** One vote's error must not leave the others of its batch without an answer. */
function acceptOne(
  { acceptor, onError }: Gateway,
  device: Authenticated,
  bytes: Uint8Array,
  voteId: string | undefined,
  nowMs: number,
  durable: Promise<void>,
): Taken | Repeated | Problem {
  if (bytes.length > MAX_VOTE_BYTES) {
    return problem("body-too-large", `a vote may have ${MAX_VOTE_BYTES} bytes`);
  }
  try {
    return acceptor.accept(device, bytes, voteId, nowMs, durable);
  } catch (error) {
    onError(error);
    return problem("internal");
  }
}

/** The first sending's record may be on its way to the disk still. */
async function answerRepeated(gateway: Gateway, { repeated, durable }: Repeated): Promise<VoteAnswer> {
  try {
    await durable;
    return { fate: "repeated", receipt: repeated };
  } catch (error) {
    return { problem: notDurable(gateway, error), voteId: repeated.voteId };
  }
}

function notDurable({ onError }: Gateway, error: unknown): Problem {
  if (error instanceof NotSpooled) return problem(error.reason, error.message);
  onError(error);
  return problem("internal");
}

/**
 * Refuses a whole request.
 *
 * @param retryAfterS What Retry-After says; with 503 it says something in any case.
 */
function refuse({ metrics }: Gateway, endpoint: Endpoint, found: Problem, retryAfterS?: number): Response {
  metrics.answers.inc({ endpoint, answer: reasonOf(found) });
  const waitS = retryAfterS ?? (found.status === 503 ? RETRY_AFTER_S : undefined);
  return problemResponse(found, waitS === undefined ? {} : { "retry-after": String(waitS) });
}

function reasonOf({ type }: Problem): ProblemType {
  return type.slice(type.lastIndexOf(":") + 1) as ProblemType;
}

/** A batch's lines, up to so many; an empty one at the end is none. */
function splitLines(body: Uint8Array, maxLines: number): Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let from = 0; from < body.length && lines.length < maxLines;) {
    const end = body.indexOf(0x0a, from);
    lines.push(body.subarray(from, end === -1 ? body.length : end));
    from = end === -1 ? body.length : end + 1;
  }
  return lines;
}

/** Addresses that there are, by what they take. */
const POSTED: ReadonlySet<string> = new Set(Object.values(ENDPOINTS).map(({ path }) => path));
const READ: ReadonlySet<string> = new Set([
  "/v1/manifest",
  "/health/live",
  "/health/ready",
  "/metrics",
  "/openapi.json",
  ...API_DOCS_PATHS,
]);

async function notFound(c: Context<Env>): Promise<Response> {
  await drain(c.req.raw);
  const { path } = c.req;
  const allowed = POSTED.has(path) ? "POST" : READ.has(path) ? "GET, HEAD" : undefined;
  if (allowed === undefined) {
    return problemResponse(problem("not-found", `see /openapi.json for what there is`));
  }
  return problemResponse(problem("method-not-allowed", `use ${allowed}`), { allow: allowed });
}
