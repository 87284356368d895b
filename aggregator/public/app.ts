/**
 * What the role `serve` answers: elections, results, turnout, the reconciliation, the live stream and the page. Everything is
 * read-only and for everyone; no answer holds a vote, a voter key or a voter id.
 *
 * @module
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import { cors } from "hono/cors";
import { Counter, Gauge, type Registry } from "prom-client";
import { progressSchema } from "../counting/schemas.ts";
import { REHEARSAL_HEADER } from "../../shared/rehearsal.ts";
import { markRehearsals } from "../../web/rehearsal_mark.ts";
import { addPages } from "../../web/page_files.ts";
import type { Database } from "../database/database.ts";
import { Elections } from "../registry/election_names.ts";
import type { VotesOf } from "../results/candidate_votes.ts";
import { releaseSchema } from "../results/schemas.ts";
import { RollCounts } from "../results/turnout.ts";
import { ADDRESS_LIMITS, limitAddresses } from "./address_limits.ts";
import { AnswerCache, CACHE_LIMITS } from "./answer_cache.ts";
import { refuseInvalid } from "./answers.ts";
import { readPages } from "./pages.ts";
import { addPublicRoutes } from "./public_routes.ts";
import { Revisions } from "./revisions.ts";
import { tickSchema } from "./schemas.ts";
import { type STREAM_LIMITS, Streams } from "./stream.ts";

/** How long the log may take to say where it ends, in milliseconds. */
const LOG_ENDS_WAIT_MS = 2_000;

/** The data of the stream's events: no answer of their own, and so named to the document. */
const STREAM_EVENTS = { Release: releaseSchema, Progress: progressSchema, Tick: tickSchema };

/** What the routes stand on. */
export type PublicAppOptions = Readonly<{
  db: Database;
  /** Milliseconds since 1970. */
  now(): number;
  /** Where each partition of an election's log ends; `undefined` when it is not known. */
  logEnds(election: string): Promise<number[] | undefined>;
  /** Answers for the votes of one candidate. */
  votesOf: VotesOf;
  metrics: Registry;
  /** Ends the streams; aborted when the process is about to stop. */
  signal: AbortSignal;
  /** Called with errors after which a stream continues. */
  onError(error: unknown, request?: Request): void;
  /** Shared with the other parts of the process; its own when left out. */
  elections?: Elections;
  streamLimits?: Partial<typeof STREAM_LIMITS>;
  cacheLimits?: Partial<typeof CACHE_LIMITS>;
  addressLimits?: Partial<typeof ADDRESS_LIMITS>;
}>;

/** The routes, and how to wait for the last of their queries once `signal` is aborted. */
export type PublicApp = Readonly<{ routes: OpenAPIHono; drained(): Promise<void> }>;

/** Makes the routes. */
export function createPublicApp(options: PublicAppOptions): PublicApp {
  const { db, now, signal, onError, metrics, elections = new Elections() } = options;
  const logEnds = (election: string) => settleWithin(options.logEnds(election), LOG_ENDS_WAIT_MS, onError);
  const streams = new Streams({ db, elections, logEnds, now, signal, onError, limits: options.streamLimits });
  new Gauge({
    name: "pollwire_stream_clients",
    help: "Listeners to the event streams",
    registers: [metrics],
    collect() {
      this.set(streams.clients);
    },
  });
  const app = new OpenAPIHono({ defaultHook: refuseInvalid });
  app.use(markRehearsals);
  const exposeHeaders = ["ETag", REHEARSAL_HEADER];
  const readable = cors({ origin: "*", allowMethods: ["GET", "HEAD"], exposeHeaders });
  for (const path of ["/v1/elections", "/v1/elections/*", "/oembed", "/openapi.json"]) {
    app.use(path, readable);
  }
  const limited = limitAddresses({ ...ADDRESS_LIMITS, ...options.addressLimits }, now);
  for (const path of ["/v1/elections", "/v1/elections/*", "/oembed"]) app.use(path, limited);
  const limits = { ...CACHE_LIMITS, ...options.cacheLimits };
  const clock = () => performance.now();
  const sources = {
    db,
    now,
    elections,
    revisions: new Revisions(db.query, elections, limits, clock),
    cache: measuredCache(limits, clock, metrics),
    countMs: limits.countMs,
    clock,
    projectionMs: limits.projectionMs,
    roll: new RollCounts(now),
    logEnds,
    votesOf: options.votesOf,
  };
  addPublicRoutes(app, sources, streams);
  addPages(app, readPages());
  for (const [name, schema] of Object.entries(STREAM_EVENTS)) app.openAPIRegistry.register(name, schema);
  return { routes: app, drained: () => streams.drained() };
}

/** A cache of answers whose use Prometheus sees. */
function measuredCache(limits: typeof CACHE_LIMITS, clock: () => number, metrics: Registry): AnswerCache {
  const registers = [metrics];
  const answers = new Counter({
    name: "pollwire_public_answers_total",
    help:
      "Answers of the public API by where they came from: kept, shared with a reading under way, read from the database, refused",
    labelNames: ["source"],
    registers,
  });
  const cache = new AnswerCache(limits, clock, (source) => answers.inc({ source }));
  new Gauge({
    name: "pollwire_public_answers_kept_bytes",
    help: "Memory of the kept answers of the public API, an estimate",
    registers,
    collect() {
      this.set(cache.held.bytes);
    },
  });
  return cache;
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
