/**
 * What the role `serve` answers: elections, results, turnout, the reconciliation, the live stream and the page. Everything is
 * read-only and for everyone; no answer holds a vote, a voter key or a voter id.
 *
 * @module
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import { cors } from "hono/cors";
import { Gauge, type Registry } from "prom-client";
import { utf8 } from "../../shared/bytes.ts";
import { sha256 } from "../../shared/keys.ts";
import {
  hasTag,
  refuse,
  refuseInvalid,
  refusePart,
  RETRY_AFTER_S,
  tagged,
  unknownElection,
} from "./answers.ts";
import { progressSchema, releaseSchema, tickSchema } from "./schemas.ts";
import type { Database } from "../database/database.ts";
import type { VotesOf } from "../results/candidate_votes.ts";
import { detail, Elections, summarise } from "../registry/election_names.ts";
import { readPages } from "./pages.ts";
import { PHOTO_HEADERS, readFacts, readPhoto, readStations } from "../registry/places.ts";
import { readGateways } from "../counting/sender_keys.ts";
import { readReconciliation, readRejections } from "../counting/reconciliation.ts";
import { isFault, readNotShown, readResults, readTag } from "../results/results.ts";
import * as routes from "./routes.ts";
import { type STREAM_LIMITS, Streams } from "./stream.ts";
import { readTurnout, RollCounts } from "../results/turnout.ts";

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
  /** Told of errors that a stream got over. */
  onError(error: unknown, request?: Request): void;
  streamLimits?: Partial<typeof STREAM_LIMITS>;
}>;

/** The routes, and how to wait for the last of their queries once `signal` is aborted. */
export type PublicApp = Readonly<{ routes: OpenAPIHono; drained(): Promise<void> }>;

/** Makes the routes. */
export function createPublicApp(options: PublicAppOptions): PublicApp {
  const { db, now, signal, onError, metrics } = options;
  const elections = new Elections();
  const roll = new RollCounts(now);
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
  const readable = cors({ origin: "*", allowMethods: ["GET", "HEAD"], exposeHeaders: ["ETag"] });
  for (const path of ["/v1/elections", "/v1/elections/*", "/openapi.json"]) app.use(path, readable);
  addElections(app, options, elections);
  addPlaces(app, options, elections);
  addFigures(app, options, elections, { roll, logEnds });
  addStream(app, options, elections, streams);
  addPages(app);
  for (const [name, schema] of Object.entries(STREAM_EVENTS)) app.openAPIRegistry.register(name, schema);
  return { routes: app, drained: () => streams.drained() };
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

function addElections(app: OpenAPIHono, { db, now }: PublicAppOptions, elections: Elections): void {
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

function addPlaces(app: OpenAPIHono, { db }: PublicAppOptions, elections: Elections): void {
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
  { db, votesOf }: PublicAppOptions,
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
    const reconciliation = await readReconciliation(db, election, partitions, () => logEnds(election));
    const notShown = await readNotShown(db.query, election, reconciliation.total.counted);
    return c.json({ ...reconciliation, notShown }, 200);
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

function addStream(app: OpenAPIHono, { db }: PublicAppOptions, elections: Elections, streams: Streams): void {
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

function addPages(app: OpenAPIHono): void {
  for (const { path, body, headers } of readPages()) {
    app.get(path, (c) => {
      if (hasTag(c, headers.etag)) return c.body(null, 304, headers);
      return c.body(body, 200, headers);
    });
  }
}
