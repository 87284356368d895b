import assert from "assert";
import { Registry } from "prom-client";
import { createApp } from "./whole_app.ts";
import { votesFromResults } from "../aggregator/results/candidate_votes.ts";
import { serve } from "../web/serve.ts";
import { NOON_MS } from "./fixture.ts";
import { withElection } from "./seeded_database.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** A body that does not fit into a connection's buffers, and how long an answer may take. */
const LARGE_BYTES = 400_000;
const ANSWER_WITHIN_MS = 60_000;

Deno.test("the aggregator answers the next request on a connection whose large body it refused", async () => {
  await withElection(async (db) => {
    const stop = new AbortController();
    const errors: unknown[] = [];
    const onError = (error: unknown) => void errors.push(error);
    const { app, drained } = createApp(
      {
        db,
        now: () => NOON_MS,
        receiptKeysOf: () => undefined,
        logEnds: () => Promise.resolve([0, 0, 0]),
        votesOf: votesFromResults(db.query),
        metrics: new Registry(),
        ready: () => ({ ready: true, elections: [] }),
        gatewaySync: () => Promise.resolve(new Response()),
        signal: stop.signal,
        onError,
      } as unknown as Parameters<typeof createApp>[0],
    );
    const server = await serve({
      hostname: "127.0.0.1",
      port: 0,
      maxConnections: 100,
      maxAddressConnections: 100,
      fetch: (request, arrival) => app.fetch(request, arrival),
      onError,
    });
    try {
      for (const [method, path] of [["POST", "/v1/nothing"], ["POST", "/v1/elections"], ["PUT", "/"]]) {
        const client = Deno.createHttpClient({ poolMaxIdlePerHost: 1 });
        const ask = async (path: string, init: RequestInit = {}) => {
          const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
          const { status, body } = await fetch(`${server.origin}${path}`, { ...init, client, signal });
          await body?.cancel();
          return status;
        };
        const refused = await ask(path, { method, body: new Uint8Array(LARGE_BYTES) });
        assert.ok(refused === 404 || refused === 405, `${method} ${path}: ${refused}`);
        assert.equal(await ask("/health/live"), 200, `behind ${method} ${path}`);
        client.close();
      }
      assert.deepEqual(errors, []);
    } finally {
      stop.abort();
      await server.shutdown();
      await drained();
    }
  });
});
