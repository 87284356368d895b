/**
 * The answers that are for everyone: elections, results, turnout, the reconciliation and the live stream. Each is read once per
 * revision, or once a second where it changes with every counted vote: see answer_cache.ts.
 *
 * @module
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { problem } from "../../shared/problem.ts";
import { isRehearsal } from "../../shared/rehearsal.ts";
import { RecentMap } from "../../shared/recent.ts";
import { readReconciliation, readRejections } from "../counting/reconciliation.ts";
import { readGateways } from "../counting/sender_keys.ts";
import type { Database } from "../database/database.ts";
import type { ElectionNames, Elections } from "../registry/election_names.ts";
import { detail, phaseOf, summarise } from "../registry/election_details.ts";
import { PHOTO_HEADERS, readFacts, readPhoto, readStations } from "../registry/election_facts.ts";
import type { VotesOf } from "../results/candidate_votes.ts";
import { readPublishedAdjustments } from "../results/adjustments.ts";
import { isComparisonFault, readComparison } from "../results/history/comparison.ts";
import { readProjection } from "../results/projection/read.ts";
import { isFault, readNotShown, readResults } from "../results/results.ts";
import { readTurnout, type RollCounts } from "../results/turnout.ts";
import { networkOfRequest } from "./address_limits.ts";
import type { AnswerCache, Found, Question } from "./answer_cache.ts";
import { refuse, RETRY_AFTER_S, unknownElection } from "./answers.ts";
import type { Revisions } from "./revisions.ts";
import { writeFeed } from "./changes.ts";
import { csvHeaders, toCsv } from "./csv.ts";
import * as routes from "./routes.ts";
import type { Streams } from "./stream.ts";

/**
 * How long browsers and proxies may use answers without asking, and for how long proxies may answer with an old one while
 * they fetch a new one. `FIGURES`: a visitor who reloads every 5 s sees figures of at most 5 s ago, and a proxy asks once
 * a second, however many visitors it has. A page that follows the stream asks with `revision`, and so under an address of
 * its own. `NAMES` change when officials publish a manifest: within 10 s everyone has it. `PLACES` hardly ever change.
 */
const FIGURES = { "cache-control": "public, max-age=1, stale-while-revalidate=4" };
const NAMES = { "cache-control": "public, max-age=2, stale-while-revalidate=8" };
const PLACES = { "cache-control": "public, max-age=60, stale-while-revalidate=540" };

/** After so long no release of a moment is still being written, in milliseconds. */
const SETTLED_MS = 60_000;

/** How long a comparison is good, whatever is released, in milliseconds: officials may link units anew. */
const COMPARISON_MS = 10_000;

/** Contests of whose projection it is known how old it is. */
const MAX_PROJECTED = 1_000;

/** What the answers are made of. */
export type PublicSources = Readonly<{
  db: Database;
  /** Milliseconds since 1970. */
  now(): number;
  elections: Elections;
  revisions: Revisions;
  cache: AnswerCache;
  /** Maximum age of an answer that changes with every counted vote, in milliseconds. */
  countMs: number;
  /** Milliseconds that never go back. */
  clock(): number;
  /** How long a projection is good, whatever is released, in milliseconds. */
  projectionMs: number;
  roll: RollCounts;
  /** Where each partition of an election's log ends; `undefined` when the log cannot be asked. */
  logEnds(election: string): Promise<number[] | undefined>;
  votesOf: VotesOf;
}>;

function json(value: unknown, version?: string): Found {
  return { body: JSON.stringify(value), version };
}

/** A table's rows: as JSON with their head, or alone as CSV. */
function table(
  answer: Readonly<{ election: string; rows: readonly object[] }>,
  format: Format,
  version?: string,
): Found {
  if (format === "json") return json(answer, version);
  const rows = answer.rows as Parameters<typeof toCsv>[0];
  const marked = isRehearsal(answer.election)
    ? rows.map((row) => ({ rehearsal: true as const, ...row }))
    : rows;
  return { body: toCsv(marked), version };
}

type Format = "json" | "csv";

function headersOf(format: Format, name: string): Record<string, string> {
  return format === "json" ? FIGURES : { ...FIGURES, ...csvHeaders(name) };
}

/** The problem for a request that names a part of an election that does not exist. */
function noSuchPart({ field, detail }: Readonly<{ field: string; detail: string }>): Found {
  return { fault: problem("invalid-request", detail, { errors: [{ path: field, message: detail }] }) };
}

const TYPE = { "content-type": "application/json" };

/** Answers with JSON, as far as the election exists. The routes declare more than the compiler can see of it here. */
async function answerJson(
  { revisions, cache }: PublicSources,
  c: Context,
  election: string,
  question: (names: ElectionNames, revision: number, final: boolean) => Question,
  atLeast?: number,
): Promise<never> {
  const tag = await revisions.of(election, atLeast);
  if (tag === undefined) return unknownElection(c) as never;
  const asked = question(tag.names, tag.revision, tag.final);
  return await cache.answer(c, { ...asked, headers: { ...TYPE, ...asked.headers } }) as never;
}

/** Adds all of them. */
export function addPublicRoutes(app: OpenAPIHono, sources: PublicSources, streams: Streams): void {
  addElections(app, sources);
  addPlaces(app, sources);
  addFigures(app, sources);
  addComparison(app, sources);
  addSharing(app, sources);
  addCount(app, sources);
  addStream(app, sources, streams);
}

/** Adds what there is, and by which names. */
function addElections(app: OpenAPIHono, sources: PublicSources): void {
  const { db, now, elections, cache, countMs } = sources;

  app.openapi(routes.electionsRoute, (c) => {
    const { rehearsals } = c.req.valid("query");
    return cache.answer(c, {
      key: `elections/${rehearsals}`,
      maxAgeMs: countMs,
      headers: { ...TYPE, ...NAMES },
      async read() {
        const all = (await elections.list(db.query)).map((names) => summarise(names, now()));
        return json({ elections: rehearsals === "all" ? all : all.filter(({ rehearsal }) => !rehearsal) });
      },
    }) as never;
  });

  app.openapi(routes.electionRoute, (c) => {
    const { election } = c.req.valid("param");
    return answerJson(sources, c, election, (names) => ({
      key: `${election}/details`,
      version: `${names.index.manifest.version}/${phaseOf(names.index, now())}`,
      headers: NAMES,
      read: async () => json(detail(names, await readFacts(db.query, election), now())),
    }));
  });

  app.openapi(routes.manifestRoute, (c) => {
    const { election } = c.req.valid("param");
    return answerJson(sources, c, election, (names) => ({
      key: `${election}/manifest`,
      version: String(names.index.manifest.version),
      headers: NAMES,
      read: () => Promise.resolve(json(names.signed)),
    }));
  });
}

/** Adds stations and photos. */
function addPlaces(app: OpenAPIHono, sources: PublicSources): void {
  const { db, revisions, cache } = sources;

  app.openapi(routes.stationsRoute, (c) => {
    const { election } = c.req.valid("param");
    const part = c.req.valid("query");
    return answerJson(sources, c, election, (names) => ({
      key: [election, "stations", part.region, part.after, part.limit].join("/"),
      version: String(names.index.manifest.version),
      headers: PLACES,
      async read() {
        const stations = await readStations(db.query, names, part);
        return "fault" in stations ? noSuchPart(stations) : json(stations);
      },
    }));
  });

  app.openapi(routes.photoRoute, async (c) => {
    const { election, contest, candidate } = c.req.valid("param");
    const tag = await revisions.of(election);
    if (tag === undefined) return unknownElection(c);
    return await cache.answer(c, {
      key: [election, "photo", contest, candidate].join("/"),
      version: String(tag.names.index.manifest.version),
      headers: PHOTO_HEADERS,
      async read() {
        const photo = await readPhoto(db.query, election, contest, candidate);
        if (photo !== undefined) return { body: photo };
        const detail = `there is no photo of candidate ${candidate} in contest ${contest}`;
        return { fault: problem("not-found", detail) };
      },
    }) as never;
  });
}

/** Adds results, which change with releases only, and turnout. */
function addFigures(app: OpenAPIHono, sources: PublicSources): void {
  const { db, now, clock, elections, countMs, projectionMs, roll, votesOf } = sources;
  const projected = new RecentMap<{ revision: number; atMs: number }>(MAX_PROJECTED);
  // What was released by then does not change any more.
  const isSettled = (at?: string) => at !== undefined && Date.parse(at) < now() - SETTLED_MS;

  app.openapi(routes.resultsRoute, (c) => {
    const { election } = c.req.valid("param");
    const { by, format, revision: atLeast, ...part } = c.req.valid("query");
    const version = (manifest: number, revision: number, final: boolean) =>
      `${manifest}/${revision}/${final}`;
    return answerJson(sources, c, election, ({ index: { manifest } }, revision, final) => ({
      key: [election, "results", by, part.contest, part.region, part.station, part.at, format].join("/"),
      version: isSettled(part.at)
        ? version(manifest.version, 0, false)
        : version(manifest.version, revision, final),
      headers: headersOf(format, `${election}-results-by-${by}`),
      async read() {
        const results = await readResults(db, elections, election, by, part);
        if (!isFault(results)) {
          if (part.at !== undefined) return table(results, format);
          return table(results, format, version(results.manifestVersion, results.revision, results.final));
        }
        if (results.fault !== "unknown-election") return noSuchPart(results);
        return { fault: problem("unknown-election") };
      },
    }), atLeast);
  });

  app.openapi(routes.projectionRoute, (c) => {
    const { election } = c.req.valid("param");
    const { contest, revision: atLeast } = c.req.valid("query");
    return answerJson(sources, c, election, ({ index }, revision, final) => {
      const isClosed = phaseOf(index, now()) === "closed";
      const key = [election, "projection", contest].join("/");
      let last = projected.get(key);
      if (last === undefined || clock() - last.atMs >= projectionMs) {
        projected.set(key, last = { revision, atMs: clock() });
      }
      return {
        key,
        version: `${index.manifest.version}/${last.revision}/${isClosed}/${final}`,
        headers: FIGURES,
        async read() {
          const projection = await readProjection({ db, elections, roll }, election, contest, isClosed);
          if (projection !== undefined) return json(projection);
          return noSuchPart({ field: "contest", detail: `the election has no contest ${contest}` });
        },
      };
    }, atLeast);
  });

  app.openapi(routes.candidateVotesRoute, (c) => {
    const asked = c.req.valid("param");
    return answerJson(sources, c, asked.election, (names) => ({
      key: [asked.election, "votes", asked.contest, asked.candidate].join("/"),
      version: String(names.index.manifest.version),
      maxAgeMs: countMs,
      headers: FIGURES,
      async read() {
        const contest = names.contests.get(asked.contest);
        const candidate = contest?.candidates.find(({ id }) => id === asked.candidate);
        if (candidate !== undefined) {
          const { name, party = null, withdrawn } = candidate;
          return json({ ...asked, name, party, ...withdrawn && { withdrawn }, ...await votesOf(asked) });
        }
        const detail = `no candidate ${asked.candidate} stands in contest ${asked.contest}`;
        return { fault: problem("not-found", detail) };
      },
    }));
  });

  app.openapi(routes.turnoutRoute, (c) => {
    const { election } = c.req.valid("param");
    const { by, format } = c.req.valid("query");
    return answerJson(sources, c, election, (names) => ({
      key: [election, "turnout", by, format].join("/"),
      version: String(names.index.manifest.version),
      maxAgeMs: countMs,
      headers: headersOf(format, `${election}-turnout-by-${by}`),
      async read() {
        const turnout = await readTurnout(db, elections, roll, election, by);
        return turnout === undefined ? { fault: problem("unknown-election") } : table(turnout, format);
      },
    }));
  });
}

/** Adds comparisons with earlier elections. */
function addComparison(app: OpenAPIHono, sources: PublicSources): void {
  const { db, elections } = sources;
  app.openapi(routes.comparisonRoute, (c) => {
    const { election } = c.req.valid("param");
    const { format, ...part } = c.req.valid("query");
    return answerJson(sources, c, election, ({ index: { manifest } }, revision, final) => ({
      key: [election, "comparison", part.contest, part.past, part.by, part.region, part.upTo, format].join(
        "/",
      ),
      version: `${manifest.version}/${Math.min(part.upTo ?? revision, revision)}/${final}`,
      maxAgeMs: COMPARISON_MS,
      headers: headersOf(format, `${election}-comparison-by-${part.by}`),
      async read() {
        const answer = await readComparison(db, elections, election, part);
        if (!isComparisonFault(answer)) return table(answer, format);
        return answer.fault === "unknown-election"
          ? { fault: problem("unknown-election") }
          : noSuchPart(answer);
      },
    }), part.upTo);
  });
}

/** Size of an embedded page, in pixels, where the asker sets no limit. */
const EMBED_PX = { width: 640, height: 560 };

/** Adds how others show the results: a feed, and the address of an embeddable page. */
function addSharing(app: OpenAPIHono, sources: PublicSources): void {
  const { db, elections, revisions } = sources;

  app.openapi(routes.changesRoute, (c) => {
    const { election } = c.req.valid("param");
    const { origin } = new URL(c.req.url);
    return answerJson(sources, c, election, (names, revision) => ({
      key: [election, "changes", origin].join("/"),
      version: `${names.index.manifest.version}/${revision}`,
      headers: { ...FIGURES, "content-type": "application/atom+xml; charset=utf-8" },
      async read() {
        const results = await readResults(db, elections, election, "time");
        if (isFault(results) || results.by !== "time") return { fault: problem("unknown-election") };
        return { body: writeFeed(names, results, origin) };
      },
    }));
  });

  app.openapi(routes.oembedRoute, async (c) => {
    const { url, maxwidth = Infinity, maxheight = Infinity } = c.req.valid("query");
    const { pathname, searchParams } = new URL(url);
    const election = /^\/embed\/([a-z0-9-]+)$/.exec(pathname)?.[1] ?? searchParams.get("election") ?? "";
    const tag = election === "" ? undefined : await revisions.of(election);
    if (tag === undefined) return unknownElection(c);
    const { origin } = new URL(c.req.url);
    const width = Math.min(EMBED_PX.width, maxwidth);
    const height = Math.min(EMBED_PX.height, maxheight);
    const html =
      `<iframe src="${origin}/embed/${election}" width="${width}" height="${height}" title="Results" loading="lazy"></iframe>`;
    const { name: title } = tag.names.index.manifest;
    const head = {
      version: "1.0",
      type: "rich",
      title,
      provider_name: "Pollwire",
      provider_url: origin,
    } as const;
    return c.json({ ...head, width, height, html }, 200, NAMES);
  });
}

/** Adds what became of records: it changes with every one that is read. */
function addCount(app: OpenAPIHono, sources: PublicSources): void {
  const { db, countMs, logEnds } = sources;
  const answer = (
    c: Context,
    election: string,
    of: string,
    read: (names: ElectionNames) => Promise<unknown>,
  ) =>
    answerJson(sources, c, election, (names) => ({
      key: `${election}/${of}`,
      version: String(names.index.manifest.version),
      maxAgeMs: countMs,
      headers: FIGURES,
      read: async () => json(await read(names)),
    }));

  app.openapi(routes.reconciliationRoute, (c) => {
    const { election } = c.req.valid("param");
    return answer(c, election, "reconciliation", async ({ index: { manifest } }) => {
      const reconciliation = await readReconciliation(
        db,
        election,
        manifest.partitions,
        () => logEnds(election),
      );
      return {
        ...reconciliation,
        notShown: await readNotShown(db.query, election, reconciliation.total.counted),
      };
    });
  });

  app.openapi(routes.adjustmentsRoute, (c) => {
    const { election } = c.req.valid("param");
    return answer(
      c,
      election,
      "adjustments",
      ({ index: { manifest } }) => readPublishedAdjustments(db.query, manifest),
    );
  });

  app.openapi(routes.gatewaysRoute, (c) => {
    const { election } = c.req.valid("param");
    return answer(c, election, "gateways", () => readGateways(db, election));
  });

  app.openapi(routes.rejectionsRoute, (c) => {
    const { election } = c.req.valid("param");
    const { limit } = c.req.valid("query");
    return answer(c, election, `rejections/${limit}`, () => readRejections(db, election, limit));
  });
}

/** Adds the live stream. */
function addStream(app: OpenAPIHono, { revisions }: PublicSources, streams: Streams): void {
  app.openapi(routes.streamRoute, async (c) => {
    const { election } = c.req.valid("param");
    if (await revisions.of(election) === undefined) return unknownElection(c);
    const last = c.req.header("last-event-id") ?? "";
    const after = /^\d{1,16}$/.test(last) ? Number(last) : c.req.valid("query").after;
    // Hono answers HEAD with GET's headers, and would leave the stream open for nobody.
    const body = c.req.raw.method === "HEAD" ? null : streams.open(election, after, networkOfRequest(c));
    if (typeof body === "string") {
      const detail = "Too many open streams. Retry later.";
      return refuse(c, body, detail, { headers: { "retry-after": RETRY_AFTER_S } });
    }
    c.header("content-type", "text/event-stream");
    c.header("cache-control", "no-store");
    c.header("x-accel-buffering", "no");
    return (body === null ? c.body(null, 200) : c.body(body, 200)) as never;
  });
}
