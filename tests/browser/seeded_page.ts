/**
 * The live page over an election that a test writes into a database by itself: no gateway, no log, and a clock that the test
 * sets. The page and the API are those that are served.
 *
 * @module
 */
import { Registry } from "prom-client";
import type { Database } from "../../aggregator/database/database.ts";
import { readVersions } from "../../aggregator/office/lifecycle/certified.ts";
import { createPublicApp } from "../../aggregator/public/app.ts";
import { votesFromResults } from "../../aggregator/results/candidate_votes.ts";
import type { ElectionDefinition } from "../../shared/election.ts";
import { serve } from "../../web/serve.ts";
import { NOON_MS } from "../fixture.ts";
import { withElection } from "../seeded_database.ts";

/** What a test gets. */
export type SeededPage = Readonly<{
  db: Database;
  /** Of the page, like `http://127.0.0.1:8001`. */
  origin: string;
  /** Sets the server's clock, in milliseconds since 1970. */
  setNow(nowMs: number): void;
  /** An answer of the API, below the election. */
  api(path: string): Promise<any>;
}>;

/** Every request of a test comes from one address. */
const NO_ADDRESS_LIMITS = { requestsPerSecond: 1e6, burstRequests: 1e6, streams: 1e6 };
/**
 * A stream may tell the page of a release that the API does not take for the newest yet, for 100 ms. Tests compare the two at
 * once, so here every request asks which is the newest.
 */
const ALWAYS_NEWEST = { revisionMs: 0, behindMs: 0 };

/** Serves an election's page, works, and closes it. */
export async function withSeededPage(
  definition: ElectionDefinition,
  work: (page: SeededPage) => Promise<void>,
): Promise<void> {
  await withElection(async (db) => {
    let nowMs = NOON_MS;
    const stop = new AbortController();
    const errors: unknown[] = [];
    const { routes, drained } = createPublicApp({
      db,
      now: () => nowMs,
      logEnds: () => Promise.resolve([]),
      votesOf: votesFromResults(db.query),
      metrics: new Registry(),
      signal: stop.signal,
      onError: (error) => errors.push(error),
      addressLimits: NO_ADDRESS_LIMITS,
      cacheLimits: ALWAYS_NEWEST,
    });
    // As the office's part of the aggregator answers.
    routes.get(
      "/v1/elections/:election/certified",
      async (c) => c.json({ versions: await readVersions(db.query, c.req.param("election")) }),
    );
    const server = await serve({
      hostname: "127.0.0.1",
      port: 0,
      maxConnections: 1_000,
      maxAddressConnections: 1_000,
      fetch: (request, connection) => routes.fetch(request, connection),
      onError: (error) => errors.push(error),
    });
    const client = Deno.createHttpClient({});
    try {
      await work({
        db,
        origin: server.origin,
        setNow: (to) => nowMs = to,
        api: async (path) => {
          const address = `${server.origin}/v1/elections/${definition.election}${path}`;
          return await (await fetch(address, { client })).json();
        },
      });
      if (errors.length > 0) throw new AggregateError(errors, "The page's server failed");
    } finally {
      client.close();
      stop.abort();
      await server.shutdown();
      await drained();
    }
  }, definition);
}
