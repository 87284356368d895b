/**
 * A gateway on a slow disk, with its spool in a worker, as in production, or in the thread of its requests. Arguments:
 * port, `worker` or `main`, a directory with `definition.json`.
 *
 * @module
 */
import { createGateway } from "../gateway/app.ts";
import { gatewayMetrics } from "../gateway/metrics.ts";
import { RateLimiter } from "../web/rate.ts";
import { Spool } from "../gateway/spool.ts";
import { SpoolClient } from "../gateway/spool_client.ts";
import { SpoolHost, type SpoolListening, type SpoolReply, type SpoolSetup } from "../gateway/spool_host.ts";
import { openSqliteLog } from "../shared/log/sqlite.ts";
import { testManifest } from "../tests/fixture.ts";
import { testElection } from "../tests/gateway_fixture.ts";
import { commitSlowly, type Host } from "./delayed_commit.ts";

const SPOOL_MAX_BYTES = 2 ** 40;
const PER_SECOND = 1_000_000;

const [port, host, directory] = Deno.args as [string, Host, string];
const setup: SpoolSetup = {
  path: `${directory}/${host}.sqlite`,
  maxBytes: SPOOL_MAX_BYTES,
  deviceMaxBytes: SPOOL_MAX_BYTES,
  voteLog: { kind: "sqlite", directory: `${directory}/log-${host}` },
  logLevel: "warning",
};
const election = testElection(
  testManifest(JSON.parse(await Deno.readTextFile(`${directory}/definition.json`))),
  undefined,
  "gateway-1",
);
const spool = host === "worker" ? inWorker() : inThisThread();
await spool.opened;
spool.use(election.sender);
const app = createGateway({
  gateway: "gateway-1",
  elections: () => election,
  electionIds: () => [election.index.manifest.election],
  awaitedIds: () => [],
  spool,
  spoolMaxBytes: SPOOL_MAX_BYTES,
  metrics: gatewayMetrics({ spool: () => spool.state }),
  deviceRate: new RateLimiter(PER_SECOND),
  stationRate: new RateLimiter(PER_SECOND),
  addressRate: new RateLimiter(PER_SECOND),
  logFault: () => undefined,
  clockFault: () => undefined,
  now: Date.now,
  draining: () => false,
  onError: console.error,
});
Deno.serve(
  { hostname: "127.0.0.1", port: Number(port), onListen: () => {} },
  (request, info) => app.fetch(request, info),
);

function inWorker(): SpoolClient {
  const worker = new Worker(new URL("./delayed_spool_worker.ts", import.meta.url), { type: "module" });
  const client = new SpoolClient((request, transfer) => worker.postMessage(request, transfer));
  worker.onmessage = ({ data }: MessageEvent<SpoolReply | SpoolListening>) =>
    data.kind === "listening" ? worker.postMessage(setup) : client.handle(data);
  return client;
}

function inThisThread(): SpoolClient {
  // A turn of the loop later, as a message is, so that requests can gather for the next commit.
  const client = new SpoolClient((request) => setImmediate(() => hosted.handle(request)));
  const hosted = new SpoolHost({
    spool: new Spool({ path: setup.path, maxBytes: setup.maxBytes, now: Date.now, commit: commitSlowly }),
    openLog: (id, partitions) => Promise.resolve(openSqliteLog(`${directory}/log-${host}`, id, partitions)),
    send: (reply) => client.handle(reply),
  });
  void hosted.run();
  return client;
}
