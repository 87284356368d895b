/**
 * A process that only serves, to as many listeners of one address as come: `stream_server.ts <port> <database URL> <listeners>`.
 * `GET /usage` says what it takes.
 *
 * @module
 */
import process from "node:process";
import { servePublicly } from "./public_server.ts";

/** What the process takes: processor time since it began, resident memory, and open streams. */
export type StreamUsage = Readonly<{ processorMs: number; megabytes: number; listeners: number }>;

const [port = "", url = "", listeners = "1000"] = Deno.args;
const limits = { clients: Number(listeners), addressClients: Number(listeners) };
await servePublicly(Number(port), url, limits, (app, metrics) => {
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
});
