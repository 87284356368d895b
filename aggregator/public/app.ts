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
import { utf8 } from "../../shared/bytes.ts";
import { sha256 } from "../../shared/keys.ts";
import { addApiDocs } from "../../web/api_docs.ts";
import { BodyReader, drain } from "../../web/body.ts";
import { isOfType } from "../../web/content_type.ts";
import {
  hasTag,
  refuse,
  refuseInvalid,
  refusePart,
  refuseWith,
  RETRY_AFTER_S,
  tagged,
  unknownElection,
} from "./answers.ts";
import { type receiptAnswersSchema, tickSchema } from "./schemas.ts";
import { progressSchema } from "../counting/schemas.ts";
import { releaseSchema } from "../results/schemas.ts";
import type { Database } from "../database/database.ts";
import type { VotesOf } from "../results/candidate_votes.ts";
import { detail, Elections, summarise } from "../registry/election_names.ts";
import { readPages } from "./pages.ts";
import { PHOTO_HEADERS, readFacts, readPhoto, readStations } from "../registry/places.ts";
import { answerReceipts, readReceipts, type ReceiptKeysOf } from "./receipts.ts";
import { readGateways } from "../counting/sender_keys.ts";
import { readReconciliation, readRejections } from "../counting/reconciliation.ts";
import { isFault, readNotShown, readResults, readTag } from "../results/results.ts";
import * as routes from "./routes.ts";
import { type STREAM_LIMITS, Streams } from "./stream.ts";
import type { Readiness } from "./readiness.ts";
import { readTurnout, RollCounts } from "../results/turnout.ts";

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
  streamLimits?: Partial<typeof STREAM_LIMITS>;
}>;

/** The interface, and how to wait for the last of its queries once `signal` is aborted. */
export type App = Readonly<{ app: OpenAPIHono; drained(): Promise<void> }>;

/** Makes the interface. */
export function createApp(options: AppOptions): App {
  const { db, now, signal, onError } = options;
  const elections = new Elections();
  const roll = new RollCounts(now);
  const logEnds = (election: string) => settleWithin(options.logEnds(election), LOG_ENDS_WAIT_MS, onError);
  const streams = new Streams({ db, elections, logEnds, now, signal, onError, limits: options.streamLimits });
  const app = new OpenAPIHono({ defaultHook: refuseInvalid });
  const readable = cors({ origin: "*", allowMethods: ["GET", "HEAD"], exposeHeaders: ["ETag"] });
  for (const path of ["/v1/elections", "/v1/elections/*", "/openapi.json"]) app.use(path, readable);
  app.use(secureHeaders);
  app.use(countAnswers(options.metrics, streams));
  app.onError((error, c) => answerError(error, c, onError));
  app.notFound(async (c) => {
    // Left unread, a body would keep the connection from its next request.
    await drain(c.req.raw);
    return refuse(c, "not-found", `nothing is at ${c.req.path}; GET /openapi.json lists what there is`);
  });
  addElections(app, options, elections);
  addPlaces(app, options, elections);
  addFigures(app, options, elections, { roll, logEnds });
  addStream(app, options, elections, streams);
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

function addElections(app: OpenAPIHono, { db, now }: AppOptions, elections: Elections): void {
  app.openapi(routes.electionsRoute, async (c) => {
    const all = await elections.list(db.query);
    c.header("cache-control", "no-store");
    return c.json({ elections: all.map((names) => summarise(names, now())) }, 200);
  });

  app.openapi(routes.electionRoute, async (c) => {
    const names = await elections.find(db.query, c.req.valid("param").election);
    if (names === undefined) return unknownElection(c);
    const facts = await readFacts(db.query, names.index.manifest.election);
    c.header("cache-control", "no-store");
    return c.json(detail(names, facts, now()), 200);
  });

  app.openapi(routes.manifestRoute, async (c) => {
    const names = await elections.find(db.query, c.req.valid("param").election);
    if (names === undefined) return unknownElection(c);
    const etag = `"${names.index.manifest.version}"`;
    return hasTag(c, etag) ? c.body(null, 304, tagged(etag)) : c.json(names.signed, 200, tagged(etag));
  });
}

function addPlaces(app: OpenAPIHono, { db }: AppOptions, elections: Elections): void {
  app.openapi(routes.stationsRoute, async (c) => {
    const names = await elections.find(db.query, c.req.valid("param").election);
    if (names === undefined) return unknownElection(c);
    const stations = await readStations(db.query, names, c.req.valid("query"));
    if ("fault" in stations) return refusePart(c, stations);
    c.header("cache-control", "no-store");
    return c.json(stations, 200);
  });

  app.openapi(routes.photoRoute, async (c) => {
    const { election, contest, candidate } = c.req.valid("param");
    const photo = await readPhoto(db.query, election, contest, candidate);
    if (photo === undefined) {
      const names = await elections.find(db.query, election);
      if (names === undefined) return unknownElection(c);
      return refuse(c, "not-found", `there is no photo of candidate ${candidate} in contest ${contest}`);
    }
    const headers = { ...PHOTO_HEADERS, etag: `"${sha256(utf8(photo)).subarray(0, 12).toHex()}"` };
    return (hasTag(c, headers.etag) ? c.body(null, 304, headers) : c.body(photo, 200, headers)) as never;
  });
}

type FigureSources = { roll: RollCounts; logEnds(election: string): Promise<number[] | undefined> };

function addFigures(
  app: OpenAPIHono,
  { db, votesOf }: AppOptions,
  elections: Elections,
  { roll, logEnds }: FigureSources,
): void {
  app.openapi(routes.resultsRoute, async (c) => {
    const { election } = c.req.valid("param");
    const { by, ...part } = c.req.valid("query");
    const tagOf = (manifestVersion: number, revision: number) =>
      `"${[election, manifestVersion, revision, by, part.contest, part.region, part.station].join("/")}"`;
    if (c.req.header("if-none-match") !== undefined) {
      const newest = await readTag(db.query, elections, election);
      const etag = newest && tagOf(newest.names.index.manifest.version, newest.revision);
      if (etag !== undefined && hasTag(c, etag)) return c.body(null, 304, tagged(etag));
    }
    const results = await readResults(db, elections, election, by, part);
    if (isFault(results)) {
      if (results.fault === "unknown-election") return unknownElection(c);
      return refusePart(c, results);
    }
    return c.json(results, 200, tagged(tagOf(results.manifestVersion, results.revision)));
  });

  app.openapi(routes.candidateVotesRoute, async (c) => {
    const asked = c.req.valid("param");
    const names = await elections.find(db.query, asked.election);
    if (names === undefined) return unknownElection(c);
    const contest = names.contests.get(asked.contest);
    const candidate = contest?.candidates.find(({ id }) => id === asked.candidate);
    if (candidate === undefined) {
      return refuse(c, "not-found", `no candidate ${asked.candidate} stands in contest ${asked.contest}`);
    }
    const { name, party = null } = candidate;
    c.header("cache-control", "no-store");
    return c.json({ ...asked, name, party, ...await votesOf(asked) }, 200);
  });

  app.openapi(routes.turnoutRoute, async (c) => {
    const turnout = await readTurnout(
      db,
      elections,
      roll,
      c.req.valid("param").election,
      c.req.valid("query").by,
    );
    if (turnout === undefined) return unknownElection(c);
    c.header("cache-control", "no-store");
    return c.json(turnout, 200);
  });

  app.openapi(routes.reconciliationRoute, async (c) => {
    const { election } = c.req.valid("param");
    const names = await elections.find(db.query, election);
    if (names === undefined) return unknownElection(c);
    const { partitions } = names.index.manifest;
    c.header("cache-control", "no-store");
    const books = await readReconciliation(db, election, partitions, () => logEnds(election));
    const notShown = await readNotShown(db.query, election, books.total.counted);
    return c.json({ ...books, notShown }, 200);
  });

  app.openapi(routes.gatewaysRoute, async (c) => {
    const { election } = c.req.valid("param");
    if (await elections.find(db.query, election) === undefined) return unknownElection(c);
    c.header("cache-control", "no-store");
    return c.json(await readGateways(db, election), 200);
  });

  app.openapi(routes.rejectionsRoute, async (c) => {
    const { election } = c.req.valid("param");
    if (await elections.find(db.query, election) === undefined) return unknownElection(c);
    c.header("cache-control", "no-store");
    return c.json(await readRejections(db, election, c.req.valid("query").limit), 200);
  });
}

function addStream(app: OpenAPIHono, { db }: AppOptions, elections: Elections, streams: Streams): void {
  app.openapi(routes.streamRoute, async (c) => {
    const { election } = c.req.valid("param");
    if (await elections.find(db.query, election) === undefined) return unknownElection(c);
    const last = c.req.header("last-event-id") ?? "";
    const after = /^\d{1,16}$/.test(last) ? Number(last) : c.req.valid("query").after;
    // Hono answers HEAD with GET's headers, and would leave the stream open for nobody.
    const body = c.req.raw.method === "HEAD" ? null : streams.open(election, after);
    if (body === undefined) {
      return refuse(c, "busy", "as many listen as may; come back later", {
        headers: { "retry-after": RETRY_AFTER_S },
      });
    }
    c.header("content-type", "text/event-stream");
    c.header("cache-control", "no-store");
    c.header("x-accel-buffering", "no");
    return (body === null ? c.body(null, 200) : c.body(body, 200)) as never;
  });
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
