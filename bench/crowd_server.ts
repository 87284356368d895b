/**
 * A process that only serves, on a PostgreSQL server: `crowd_server.ts <port> <database URL>`.
 *
 * @module
 */
import { Registry } from "prom-client";
import { openPostgres } from "../aggregator/database/postgres.ts";
import { createProcessApp } from "../aggregator/roles/process_app.ts";
import { servePublic } from "../aggregator/roles/serve.ts";
import { TEST_SESSIONS, testTarget } from "../tests/test_database.ts";
import { serve } from "../web/serve.ts";

const [port = "", url = ""] = Deno.args;
const db = await openPostgres(testTarget(url), TEST_SESSIONS);
const metrics = new Registry();
const { routes } = servePublic({
  db,
  logEnds: () => Promise.resolve([]),
  metrics,
  signal: new AbortController().signal,
  onError: console.error,
  // All visitors come from one address.
  addressLimits: { requestsPerSecond: 1_000_000, burstRequests: 1_000_000 },
});
const app = createProcessApp(
  { metrics, ready: () => ({ ready: true, elections: [] }), onError: console.error },
  [routes],
);
await serve({
  hostname: "127.0.0.1",
  port: Number(port),
  maxConnections: 10_000,
  maxAddressConnections: 10_000,
  fetch: (request, connection) => app.fetch(request, connection),
  onError: console.error,
});
