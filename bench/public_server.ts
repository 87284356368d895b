/**
 * A process that only serves, on a PostgreSQL server, to visitors who all come from one address.
 *
 * @module
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { Registry } from "prom-client";
import { openPostgres } from "../aggregator/database/postgres.ts";
import type { PublicAppOptions } from "../aggregator/public/app.ts";
import { createProcessApp } from "../aggregator/roles/process_app.ts";
import { servePublic } from "../aggregator/roles/serve.ts";
import { TEST_SESSIONS, testTarget } from "../tests/test_database.ts";
import { serve } from "../web/serve.ts";

/** Serves on a port of this machine. @param addRoutes Adds what is asked for besides. */
export async function servePublicly(
  port: number,
  url: string,
  streamLimits: PublicAppOptions["streamLimits"] = {},
  addRoutes: (app: OpenAPIHono, metrics: Registry) => void = () => {},
): Promise<void> {
  const db = await openPostgres(testTarget(url), TEST_SESSIONS);
  const metrics = new Registry();
  const { routes } = servePublic({
    db,
    logEnds: () => Promise.resolve([]),
    metrics,
    signal: new AbortController().signal,
    onError: console.error,
    streamLimits,
    addressLimits: { requestsPerSecond: 1_000_000, burstRequests: 1_000_000 },
  });
  const app = createProcessApp(
    { metrics, ready: () => ({ ready: true, elections: [] }), onError: console.error },
    [routes],
  );
  addRoutes(app, metrics);
  await serve({
    hostname: "127.0.0.1",
    port,
    maxConnections: 10_000,
    maxAddressConnections: 10_000,
    fetch: (request, connection) => app.fetch(request, connection),
    onError: console.error,
  });
}
