/**
 * A process that only serves, to as many listeners of one address as come: `stream_server.ts <port> <database URL> <listeners>`.
 * `GET /usage` says what it takes.
 *
 * @module
 */
import process from "node:process";
import { Registry } from "prom-client";
import { openPostgres } from "../aggregator/database/postgres.ts";
import { createProcessApp } from "../aggregator/roles/process_app.ts";
import { servePublic } from "../aggregator/roles/serve.ts";
import { TEST_SESSIONS, testTarget } from "../tests/test_database.ts";
import { serve } from "../web/serve.ts";

/** What the process takes: processor time since it began, resident memory, and open streams. */
export type StreamUsage = Readonly<{ processorMs: number; megabytes: number; listeners: number }>;

const [port = "", url = "", listeners = "1000"] = Deno.args;
const db = await openPostgres(testTarget(url), TEST_SESSIONS);
const metrics = new Registry();
const { routes } = servePublic({
  db,
  logEnds: () => Promise.resolve([]),
  metrics,
  signal: new AbortController().signal,
  onError: console.error,
  streamLimits: { clients: Number(listeners), addressClients: Number(listeners) },
  addressLimits: { requestsPerSecond: 1_000_000, burstRequests: 1_000_000 },
});
const app = createProcessApp(
  { metrics, ready: () => ({ ready: true, elections: [] }), onError: console.error },
  [routes],
);
app.get("/usage", async (c) => {
  const { user, system } = process.cpuUsage();
  const text = await metrics.getSingleMetricAsString("pollwire_stream_clients");
  return c.json(
    {
      processorMs: (user + system) / 1_000,
      megabytes: Math.round(Deno.memoryUsage().rss / 2 ** 20),
      listeners: Number(/^pollwire_stream_clients (\d+)/m.exec(text)?.[1] ?? 0),
    } satisfies StreamUsage,
  );
});
await serve({
  hostname: "127.0.0.1",
  port: Number(port),
  maxConnections: 10_000,
  maxAddressConnections: 10_000,
  fetch: (request, connection) => app.fetch(request, connection),
  onError: console.error,
});
