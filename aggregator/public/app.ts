/**
 * The aggregator's HTTP interface: elections, results, turnout, the books, receipts, the live stream and the page.
 * Everything read-only is for everyone; no answer holds a vote, a voter key or a voter id.
 *
 * @module
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context, MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { matchedRoutes } from "hono/route";
import { Counter, Gauge, type Registry } from "prom-client";
import type { z } from "zod";
import type { Answer } from "../../shared/answers.ts";
import { addApiDocs } from "../../web/api_docs.ts";
import { BodyReader, drain } from "../../web/body.ts";
import { isOfType } from "../../web/content_type.ts";
import { ADDRESS_LIMITS, limitAddresses } from "./address_limits.ts";
import { AnswerCache, CACHE_LIMITS } from "./answer_cache.ts";
import { hasTag, refuse, refuseInvalid, refuseWith, unknownElection } from "./answers.ts";
import { type receiptAnswersSchema, tickSchema } from "./schemas.ts";
import { progressSchema } from "../counting/schemas.ts";
import { releaseSchema } from "../results/schemas.ts";
import type { Database } from "../database/database.ts";
import type { VotesOf } from "../results/candidate_votes.ts";
import { Elections } from "../registry/election_names.ts";
import { readPages } from "./pages.ts";
import { addPublicRoutes } from "./public_routes.ts";
import { answerReceipts, readReceipts, type ReceiptKeysOf } from "./receipts.ts";
import { Revisions } from "./revisions.ts";
import * as routes from "./routes.ts";
import { type STREAM_LIMITS, Streams } from "./stream.ts";
import type { Readiness } from "./readiness.ts";
import { RollCounts } from "../results/turnout.ts";

/** How long the log may take to say where it ends, in milliseconds. */
const LOG_ENDS_WAIT_MS = 2_000;

/** The data of the stream's events: no answer of their own, and so named to the document. */
const STREAM_EVENTS = { Release: releaseSchema, Progress: progressSchema, Tick: tickSchema };

/** What the interface stands on. */
export type AppOptions = Readonly<{
  db: Database;
  /** Milliseconds since 1970. */
  now(): number;
  receiptKeysOf: ReceiptKeysOf;
  /** Where each partition of an election's log ends. */
  logEnds(election: string): Promise<number[]>;
  /** Answers for the votes of one candidate. */
  votesOf: VotesOf;
  metrics: Registry;
  /** Whether the process does its work, and each election's part of it, and if not, why. */
  ready(): Readiness;
  /** Answers POST /v1/gateways/sync. */
  gatewaySync(request: Request): Promise<Response>;
  /** Ends the streams; aborted when the process is about to stop. */
  signal: AbortSignal;
  /** Told of errors that were answered with `internal`, and of those that a stream got over. */
  onError(error: unknown, request?: Request): void;
  /** Shared with whoever else of the process needs names; one of its own when left out. */
  elections?: Elections;
  streamLimits?: Partial<typeof STREAM_LIMITS>;
  cacheLimits?: Partial<typeof CACHE_LIMITS>;
  addressLimits?: Partial<typeof ADDRESS_LIMITS>;
}>;

/** The interface, and how to wait for the last of its queries once `signal` is aborted. */
export type App = Readonly<{ app: OpenAPIHono; drained(): Promise<void> }>;

/** Makes the interface. */
export function createApp(options: AppOptions): App {
  const { db, now, signal, onError } = options;
  const { elections = new Elections() } = options;
  const roll = new RollCounts(now);
  const logEnds = (election: string) => settleWithin(options.logEnds(election), LOG_ENDS_WAIT_MS, onError);
  const streams = new Streams({ db, elections, logEnds, now, signal, onError, limits: options.streamLimits });
  const app = new OpenAPIHono({ defaultHook: refuseInvalid });
  const readable = cors({ origin: "*", allowMethods: ["GET", "HEAD"], exposeHeaders: ["ETag"] });
  for (const path of ["/v1/elections", "/v1/elections/*", "/openapi.json"]) app.use(path, readable);
  app.use(secureHeaders);
  app.use(countAnswers(options.metrics, streams));
  const limited = limitAddresses({ ...ADDRESS_LIMITS, ...options.addressLimits }, now);
  for (const path of ["/v1/elections", "/v1/elections/*"]) app.use(path, limited);
  app.onError((error, c) => answerError(error, c, onError));
  app.notFound(async (c) => {
    // Left unread, a body would keep the connection from its next request.
    await drain(c.req.raw);
    return refuse(c, "not-found", `nothing is at ${c.req.path}; GET /openapi.json lists what there is`);
  });
  const limits = { ...CACHE_LIMITS, ...options.cacheLimits };
  const clock = () => performance.now();
  const sources = {
    db,
    now,
    elections,
    revisions: new Revisions(db.query, elections, limits, clock),
    cache: new AnswerCache(limits, clock),
    countMs: limits.countMs,
    roll,
    logEnds,
    votesOf: options.votesOf,
  };
  addPublicRoutes(app, sources, streams);
  addReceipts(app, options);
  addOperations(app, options);
  addPages(app);
  addApiDocs(app);
  refuseOtherMethods(app);
  return { app, drained: () => streams.drained() };
}

const secureHeaders: MiddlewareHandler = async (c, next) => {
  await next();
  const { headers } = c.res;
  headers.set("x-content-type-options", "nosniff");
  headers.set("referrer-policy", "no-referrer");
  if (!headers.has("content-security-policy")) {
    headers.set("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
  }
};

function countAnswers(metrics: Registry, streams: Streams): MiddlewareHandler {
  const answers = new Counter({
    name: "pollwire_http_answers_total",
    help: "Answers to HTTP requests",
    labelNames: ["method", "route", "status"],
    registers: [metrics],
  });
  new Gauge({
    name: "pollwire_stream_clients",
    help: "Listeners to the event streams",
    registers: [metrics],
    collect() {
      this.set(streams.clients);
    },
  });
  return async (c, next) => {
    await next();
    const route = matchedRoutes(c).findLast(({ method }) => method !== "ALL");
    const method = route === undefined ? "other" : c.req.method;
    answers.inc({ method, route: route?.path ?? "none", status: String(c.res.status) });
  };
}

function answerError(error: Error, c: Context, onError: AppOptions["onError"]): Response {
  onError(error, c.req.raw);
  return refuse(c, "internal");
}

/** Resolves to `undefined` when the promise rejects, or takes too long. */
async function settleWithin<T>(
  promise: Promise<T>,
  ms: number,
  onError: (error: unknown) => void,
): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), ms);
  try {
    return await Promise.race([promise, late]);
  } catch (error) {
    onError(error);
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

function addReceipts(app: OpenAPIHono, { db, now, receiptKeysOf, metrics }: AppOptions): void {
  const checked = new Counter({
    name: "pollwire_receipts_checked_total",
    help: "Receipts that were asked about, by what became of their votes",
    labelNames: ["outcome"],
    registers: [metrics],
  });
  const bodies = new BodyReader();
  const outcomeOf = (answer: Answer) => "problem" in answer ? "bad_receipt" : answer.outcome;
  app.openAPIRegistry.registerPath(routes.receiptsRoute);
  app.post(routes.receiptsRoute.path, async (c) => {
    const request = c.req.raw;
    if (!isOfType(request.headers.get("content-type"), "application/json")) {
      await drain(request);
      return refuse(
        c,
        "unsupported-media-type",
        "the body must be application/json, alone or with charset=utf-8",
      );
    }
    const body = await bodies.read(request, routes.MAX_BODY_BYTES);
    if (!(body instanceof Uint8Array)) return refuseWith(body);
    const asked = readReceipts(body);
    if ("status" in asked) return refuseWith(asked);
    const keys = receiptKeysOf(asked.election);
    if (keys === undefined) return refuse(c, "unknown-election", `there is no election ${asked.election}`);
    const { answers, signed } = await answerReceipts(db.query, keys, asked, new Date(now()));
    for (const answer of answers) checked.inc({ outcome: outcomeOf(answer) });
    c.header("cache-control", "no-store");
    return c.json(signed satisfies z.infer<typeof receiptAnswersSchema>, 200);
  });
}

function addOperations(app: OpenAPIHono, { ready, metrics, gatewaySync }: AppOptions): void {
  app.openapi(routes.liveRoute, (c) => c.json({ live: true as const }, 200));
  app.openapi(routes.readyRoute, (c) => {
    const { election } = c.req.valid("query");
    const all = ready();
    const elections = all.elections.filter((each) => election === undefined || each.election === election);
    const { ready: isReady, why } = election === undefined ? all : elections[0] ?? all;
    if (election !== undefined && elections.length === 0 && isReady) return unknownElection(c);
    c.header("cache-control", "no-store");
    return isReady
      ? c.json({ ready: true as const, elections }, 200)
      : refuse(c, "not-ready", why, { elections });
  });
  app.openapi(routes.metricsRoute, async (c) => {
    return c.body(await metrics.metrics(), 200, { "content-type": metrics.contentType }) as never;
  });
  app.openAPIRegistry.registerPath(routes.syncRoute);
  app.post(routes.syncRoute.path, (c) => gatewaySync(c.req.raw));
  for (const [name, schema] of Object.entries(STREAM_EVENTS)) app.openAPIRegistry.register(name, schema);
  app.doc31("/openapi.json", {
    openapi: "3.1.0",
    info: {
      title: "Pollwire aggregator",
      version: "1",
      description: "Elections, results, turnout and the books. Problems are RFC 9457 problem details; " +
        "any address answers methods that it does not take with 405 and `method-not-allowed`.",
    },
  });
}

function addPages(app: OpenAPIHono): void {
  for (const { path, body, headers } of readPages()) {
    app.get(path, (c) => {
      if (hasTag(c, headers.etag)) return c.body(null, 304, headers);
      return c.body(body, 200, headers);
    });
  }
}

/** Every path that is there, with a method that it does not take. Comes after all routes. */
function refuseOtherMethods(app: OpenAPIHono): void {
  const routed = app.routes.filter(({ method }) => method !== "ALL");
  for (const [path, found] of Map.groupBy(routed, ({ path }) => path)) {
    const methods = new Set(found.map(({ method }) => method));
    if (methods.has("GET")) methods.add("HEAD");
    const allow = [...methods].join(", ");
    app.all(path, async (c) => {
      await drain(c.req.raw);
      return refuse(c, "method-not-allowed", `it takes ${allow}`, { headers: { allow } });
    });
  }
}
