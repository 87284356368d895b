/**
 * A gateway's HTTP side: limits and authenticates requests, accepts votes, and answers when they are durable.
 *
 * @module
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { type Problem, problem, problemResponse, type ProblemType } from "../shared/problem.ts";
import { isRehearsal, REHEARSAL_HEADER } from "../shared/rehearsal.ts";
import { networkOf } from "../web/address.ts";
import { addApiDocs, API_DOCS_PATHS } from "../web/api_docs.ts";
import { drain } from "../web/body.ts";
import { isOfType } from "../web/content_type.ts";
import type { ConnectionInfo } from "../web/serve.ts";
import { BufferedResponse } from "../web/buffered_response.ts";
import { Admission } from "./admission.ts";
import { Acceptor } from "./accept.ts";
import { authenticate, type Authenticated, checkBody } from "./authenticate.ts";
import { DeviceLimits } from "./limits.ts";
import type { GatewayMetrics } from "./metrics.ts";
import { describeApi } from "./openapi.ts";
import { describeElections, notReady, type ReadinessSources } from "./readiness.ts";
import type { RateLimiter } from "../web/rate.ts";
import type { SpoolClient } from "./spool_client.ts";
import { MAX_VOTE_BYTES, takeAll } from "./take.ts";

/** Largest body of a batch, in bytes. */
export const MAX_BATCH_BYTES = 8 * 1024 * 1024;
/** Maximum votes in a batch. */
export const MAX_BATCH_VOTES = 1_000;
/** The value of Retry-After while the gateway cannot accept votes, in seconds. */
const RETRY_AFTER_S = 2;
/** What a gateway's app is made of. */
export type GatewayOptions =
  & ReadinessSources
  & Readonly<{
    gateway: string;
    spool: Pick<SpoolClient, "append" | "votes">;
    metrics: GatewayMetrics;
    /** Rate limits of authenticated devices and their stations. */
    deviceRate: RateLimiter;
    stationRate: RateLimiter;
    /** Rate limit of an address, before authentication. */
    addressRate: RateLimiter;
    /** Bounds how long requests wait. */
    admission?: Admission;
    /** Called with errors that were answered with `internal`. */
    onError(error: unknown, request?: Request): void;
  }>;

/** Where votes are posted. `path` is signed, byte for byte. */
const ENDPOINTS = {
  vote: { path: "/v1/votes", contentType: "application/json", maxBytes: MAX_VOTE_BYTES },
  batch: { path: "/v1/votes/batch", contentType: "application/x-ndjson", maxBytes: MAX_BATCH_BYTES },
} as const;

type Endpoint = keyof typeof ENDPOINTS;

/** The targets that votes are posted to. */
export const POSTED: ReadonlySet<string> = new Set(Object.values(ENDPOINTS).map(({ path }) => path));

/** The endpoint of such a target. */
export function endpointOf(target: string): Endpoint {
  return target === ENDPOINTS.batch.path ? "batch" : "vote";
}

type Env = { Bindings: Partial<ConnectionInfo> };
/** What the endpoints share: the options, and the state between requests. */
type Gateway =
  & GatewayOptions
  & Readonly<{
    acceptor: Acceptor;
    limits: DeviceLimits;
    admission: Admission;
  }>;

/** Makes the app; `app.fetch(request, info)` serves a request. */
export function createGateway(options: GatewayOptions): OpenAPIHono<Env> {
  const { gateway: id, elections, spool, metrics, now } = options;
  const gateway: Gateway = {
    ...options,
    acceptor: new Acceptor(spool.votes),
    limits: new DeviceLimits(options),
    admission: options.admission ?? new Admission(),
  };
  const app = new OpenAPIHono<Env>();

  app.post(ENDPOINTS.vote.path, async (c) => {
    const arrivedMs = now() - waitedMsOf(c);
    const answer = await takeVote(gateway, c, arrivedMs);
    metrics.latency.observe({ endpoint: "vote" }, (now() - arrivedMs) / 1_000);
    return answer;
  });

  app.post(ENDPOINTS.batch.path, async (c) => {
    const arrivedMs = now() - waitedMsOf(c);
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
    return c.json(election.signedManifest, 200, markOf(election.index.manifest.election));
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

/** How long a request waited for its turn, in milliseconds. */
function waitedMsOf({ env }: Context<Env>): number {
  return env?.waitedMs ?? 0;
}

async function takeVote(gateway: Gateway, c: Context<Env>, arrivedMs: number): Promise<Response> {
  const admitted = await admit(gateway, c, "vote", arrivedMs);
  if (admitted instanceof Response) return admitted;
  const { device, body, nowMs } = admitted;
  const taking = { device, voteId: device.idempotencyKey, nowMs, waitedMs: waitedMsOf(c) };
  const answer = (await takeAll(gateway, [body], taking))[0]!;
  const mark = markOf(device.name.election);
  if ("problem" in answer) return refuse(gateway, "vote", answer.problem, undefined, mark);
  gateway.metrics.answers.inc({ endpoint: "vote", answer: answer.fate });
  return new BufferedResponse(JSON.stringify({ receipt: answer.receipt }), {
    status: 202,
    headers: { ...JSON_HEADERS, ...mark },
  });
}

async function takeBatch(gateway: Gateway, c: Context<Env>, arrivedMs: number): Promise<Response> {
  const admitted = await admit(gateway, c, "batch", arrivedMs);
  if (admitted instanceof Response) return admitted;
  const { device, body, nowMs } = admitted;
  const lines = splitLines(body, MAX_BATCH_VOTES + 1);
  if (lines.length > MAX_BATCH_VOTES) {
    return refuse(gateway, "batch", problem("too-many-lines", `a batch may have ${MAX_BATCH_VOTES} lines`));
  }
  // The batch's first vote was charged to the rate before its body was read. Lines beyond the rate are refused, and the device
  // sends them again. A batch that is refused as a whole might never fit.
  const { limits } = gateway;
  const allowed = 1 + limits.takeUpTo(device, lines.length - 1, nowMs);
  const taking = { device, voteId: undefined, nowMs, waitedMs: waitedMsOf(c) };
  const answers = await takeAll(gateway, lines.slice(0, allowed), taking);
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
      if (status === 503) retryAfterS = Math.max(retryAfterS, retryAfterOf(gateway, answer.problem));
      gateway.metrics.answers.inc({ endpoint: "batch", answer: reasonOf(answer.problem) });
      return { line, voteId: answer.voteId, status, problem: answer.problem };
    }
    gateway.metrics.answers.inc({ endpoint: "batch", answer: answer.fate });
    return { line, voteId: answer.receipt.voteId, status: 202, receipt: answer.receipt };
  });
  const headers = {
    ...JSON_HEADERS,
    ...retryAfterS > 0 && { "retry-after": String(retryAfterS) },
    ...markOf(device.name.election),
  };
  return new BufferedResponse(JSON.stringify({ results }), { status: 207, headers });
}

const MARK = { [REHEARSAL_HEADER]: "true" };
const NO_MARK = {};

/** The header of answers about a rehearsal. */
function markOf(election: string): Record<string, string> {
  return isRehearsal(election) ? MARK : NO_MARK;
}

const JSON_HEADERS = { "content-type": "application/json" };

type Admitted = Readonly<{ device: Authenticated; body: Uint8Array; nowMs: number }>;

/**
 * All checks before a vote is read: limits, form, signature. The signature covers the headers and is checked before the
 * body is read, so a sender without a key cannot use the gateway's memory.
 */
async function admit(
  gateway: Gateway,
  c: Context<Env>,
  endpoint: Endpoint,
  arrivedMs: number,
): Promise<Admitted | Response> {
  const request = c.req.raw;
  const { path, contentType, maxBytes } = ENDPOINTS[endpoint];
  const reject = async (found: Problem, retryAfterS?: number) => {
    await drain(request);
    return refuse(gateway, endpoint, found, retryAfterS);
  };
  if (gateway.draining()) return await reject(problem("draining"));
  const clock = gateway.clockFault();
  if (clock !== undefined) return await reject(problem("clock-differs", clock));
  const overload = gateway.admission.fault;
  if (overload !== undefined) return await reject(problem("busy", `${overload}: send the votes again later`));
  const { address = "", target = targetOf(request.url) } = c.env ?? {};
  const addressWaitS = gateway.addressRate.take(networkOf(address), arrivedMs);
  if (addressWaitS > 0) {
    return await reject(problem("address-rate", `retry in ${addressWaitS} s`), addressWaitS);
  }
  if (target.includes("?")) return await reject(problem("query-not-allowed", "leave the query string out"));
  // The router also matches other forms of the path: with percent signs, or with "..".
  if (target !== path) return await reject(problem("not-found", `the path must be ${path}`));
  const { headers } = request;
  const sentType = headers.get("content-type");
  if (!isOfType(sentType, contentType)) {
    return await reject(
      problem("unsupported-media-type", `Content-Type must be ${contentType}, alone or with charset=utf-8`),
    );
  }
  const nowMs = gateway.now();
  const signed = {
    // Unchanged, because it is signed.
    contentType: sentType,
    contentDigest: headers.get("content-digest"),
    idempotencyKey: headers.get("idempotency-key"),
    signatureInput: headers.get("signature-input"),
    signature: headers.get("signature"),
  };
  const device = authenticate(path, signed, gateway.elections, nowMs);
  if ("status" in device) return await reject(device);
  gateway.metrics.skew.observe(device.skewS);
  const refused = gateway.limits.take(device, 1, nowMs);
  if (refused !== undefined) return await reject(refused.found, refused.waitS);
  const body = await gateway.limits.readBody(device, request, maxBytes);
  if (!(body instanceof Uint8Array)) return refuse(gateway, endpoint, body);
  const changed = checkBody(device, body);
  if (changed !== undefined) return refuse(gateway, endpoint, changed);
  return { device, body, nowMs };
}

/** Path and query of a request's URL, as they were sent. */
function targetOf(url: string): string {
  return url.slice(url.indexOf("/", url.indexOf("//") + 2));
}

/**
 * Refuses a whole request.
 *
 * @param retryAfterS The value of Retry-After. A 503 always has one, by default.
 */
function refuse(
  gateway: Gateway,
  endpoint: Endpoint,
  found: Problem,
  retryAfterS?: number,
  mark: Record<string, string> = NO_MARK,
): Response {
  gateway.metrics.answers.inc({ endpoint, answer: reasonOf(found) });
  const waitS = retryAfterS ?? (found.status === 503 ? retryAfterOf(gateway, found) : undefined);
  return problemResponse(found, waitS === undefined ? mark : { ...mark, "retry-after": String(waitS) });
}

/** The value of Retry-After of a 503, in seconds. */
function retryAfterOf({ admission }: Gateway, found: Problem): number {
  return reasonOf(found) === "busy" ? admission.retryAfter.nextS() : RETRY_AFTER_S;
}

function reasonOf({ type }: Problem): ProblemType {
  return type.slice(type.lastIndexOf(":") + 1) as ProblemType;
}

/** The lines of a batch, up to a number. An empty last line is ignored. */
function splitLines(body: Uint8Array, maxLines: number): Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let from = 0; from < body.length && lines.length < maxLines;) {
    const end = body.indexOf(0x0a, from);
    lines.push(body.subarray(from, end === -1 ? body.length : end));
    from = end === -1 ? body.length : end + 1;
  }
  return lines;
}

const READ: ReadonlySet<string> = new Set([
  "/v1/manifest",
  "/health/live",
  "/health/ready",
  "/metrics",
  "/openapi.json",
  ...API_DOCS_PATHS,
]);

/** Answers requests whose method or path does not exist. */
async function notFound(c: Context<Env>): Promise<Response> {
  await drain(c.req.raw);
  const { path } = c.req;
  const allowed = POSTED.has(path) ? "POST" : READ.has(path) ? "GET, HEAD" : undefined;
  if (allowed === undefined) {
    return problemResponse(problem("not-found", `see /openapi.json for all addresses`));
  }
  return problemResponse(problem("method-not-allowed", `use ${allowed}`), { allow: allowed });
}
