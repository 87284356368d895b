/**
 * A process that only serves, on a PostgreSQL server: `crowd_server.ts <port> <database URL>`.
 *
 * @module
 */
import { Registry } from "prom-client";
import { openPostgres } from "../aggregator/database/postgres.ts";
import { createApp } from "../aggregator/public/app.ts";
import { votesFromResults } from "../aggregator/results/candidate_votes.ts";
import { TEST_SESSIONS, testTarget } from "../tests/test_database.ts";
import { serve } from "../web/serve.ts";

const [port = "", url = ""] = Deno.args;
const db = await openPostgres(testTarget(url), TEST_SESSIONS);
const { app } = createApp({
  db,
  now: Date.now,
  receiptKeysOf: () => undefined,
  logEnds: () => Promise.resolve([]),
  votesOf: votesFromResults(db.query),
  metrics: new Registry(),
  ready: () => ({ ready: true, elections: [] }),
  gatewaySync: () => Promise.resolve(new Response(null, { status: 204 })),
  signal: new AbortController().signal,
  onError: console.error,
  // All visitors come from one address.
  addressLimits: { requestsPerSecond: 1_000_000, burstRequests: 1_000_000 },
});
await serve({
  hostname: "127.0.0.1",
  port: Number(port),
  maxConnections: 10_000,
  maxAddressConnections: 10_000,
  fetch: (request, arrival) => app.fetch(request, arrival),
  onError: console.error,
});
