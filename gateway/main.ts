/**
 * The gateway: composes its parts, serves, and owns the drain at SIGTERM.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { command, runProgram } from "../cli/command.ts";
import { startLog } from "../cli/log.ts";
import { createGateway, type GatewayOptions } from "./app.ts";
import { AggregatorClient } from "./aggregator_client.ts";
import { type GatewayConfig, gatewayConfig } from "./config.ts";
import { logErrors, logRequests } from "../web/request_log.ts";
import { tlsLog } from "../web/tls_log.ts";
import { ElectionStore } from "./manifest.ts";
import { gatewayMetrics } from "./metrics.ts";
import { RateLimiter } from "./rate.ts";
import { serve } from "../web/serve.ts";
import { SpoolClient, type SpoolEvents } from "./spool_client.ts";
import type { SpoolListening, SpoolReply, SpoolSetup } from "./spool_host.ts";

/** How long requests that are under way may take once the gateway is to stop, in milliseconds. */
const FINISH_MS = 5_000;

/** Runs a gateway until SIGTERM or SIGINT. `spoolWorker` is the module of the spool's thread. */
export async function runGateway(
  config: GatewayConfig,
  spoolWorker: URL = new URL("./spool_worker.ts", import.meta.url),
): Promise<void> {
  const log = startLog("gateway", config.LOG_LEVEL);
  const stop = new AbortController();
  // Before anything is open: a signal that finds nobody listening ends the process without a drain.
  const stopped = new Promise((resolve) => stop.signal.addEventListener("abort", resolve, { once: true }));
  for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, () => stop.abort());
  using aggregator = new AggregatorClient(config, log);
  const store = new ElectionStore(config.file, `${config.GATEWAY_DATA}/keys`, aggregator.fetch);
  const { changed: loaded, faults } = store.loadKept();
  for (const fault of faults) log.warn("{fault}", { fault });
  let metrics: ReturnType<typeof gatewayMetrics> | undefined = undefined;
  const spool = openSpool(config, spoolWorker, {
    onForwarded: (records) => metrics?.forwarded.inc(records),
    onFault(election, why) {
      metrics?.logFaults.inc();
      log.warn("log of {election} does not take records: {why}", { election, why });
    },
  }, (why) => {
    log.fatal("spool thread ended: {why}", { why });
    Deno.exit(1);
  });
  metrics = gatewayMetrics(() => spool.state);
  await spool.opened;
  const onError = logErrors(log);
  const app = createGateway(
    {
      gateway: config.file.gateway,
      elections: (id) => store.get(id) ?? (store.expects(id) ? "awaited" : undefined),
      electionIds: () => store.ids(),
      spool,
      spoolMaxBytes: config.SPOOL_MAX_BYTES,
      metrics,
      deviceRate: new RateLimiter(config.DEVICE_REQUESTS_PER_SECOND),
      addressRate: new RateLimiter(config.ADDRESS_REQUESTS_PER_SECOND),
      now: Date.now,
      draining: () => stop.signal.aborted,
      onError,
    } satisfies GatewayOptions,
  );
  const server = await serve({
    hostname: config.HOST,
    port: config.PORT,
    maxConnections: config.MAX_CONNECTIONS,
    maxAddressConnections: config.ADDRESS_MAX_CONNECTIONS,
    fetch: logRequests((request, arrival) => app.fetch(request, arrival), log),
    onError,
    tls: config.tls && { files: config.tls, ...tlsLog(log) },
  });
  console.log(
    `gateway ${config.file.gateway} listens on ${server.origin} (elections kept: ${
      loaded.join(", ") || "none"
    })`,
  );
  const following = follow({ aggregator, store }, config.SYNC_INTERVAL_MS, stop.signal, (fault) => {
    metrics.syncFaults.inc();
    log.warn("the aggregator has no answer: {fault}", { fault });
  }, (election) => log.info("took up {election}", { election }));
  await stopped;
  await Promise.race([server.shutdown(), delay(FINISH_MS)]);
  await following;
  const left = await spool.drain(config.DRAIN_MS);
  log.info("stopped; {records} records are left in the spool", { records: left.records });
  console.log(`gateway ${config.file.gateway} stopped; ${left.records} records are left in its spool`);
}

/** Starts the spool's thread. */
function openSpool(
  config: GatewayConfig,
  module: URL,
  events: SpoolEvents,
  onDeath: (why: string) => void,
): SpoolClient {
  const worker = new Worker(module, { type: "module", name: "spool" });
  const client = new SpoolClient((request, transfer) => worker.postMessage(request, transfer), events);
  worker.onmessage = ({ data }: MessageEvent<SpoolReply | SpoolListening>) => {
    if (data.kind !== "listening") return client.handle(data);
    const setup: SpoolSetup = {
      path: `${config.GATEWAY_DATA}/spool.sqlite`,
      maxBytes: config.SPOOL_MAX_BYTES,
      voteLog: config.VOTE_LOG,
      logLevel: config.LOG_LEVEL,
    };
    worker.postMessage(setup);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    client.fail(event.message);
    onDeath(event.message);
  };
  return client;
}

/** Asks the aggregator for what is new, at once and ever after; while it is away the gateway works with what it has. */
async function follow(
  { aggregator, store }: Readonly<{ aggregator: AggregatorClient; store: ElectionStore }>,
  everyMs: number,
  signal: AbortSignal,
  onFault: (fault: string) => void,
  onChange: (election: string) => void,
): Promise<void> {
  while (!signal.aborted) {
    aggregator.look();
    const { changed, faults } = await store.sync(Date.now(), signal);
    for (const election of changed) onChange(election);
    if (signal.aborted) return;
    for (const fault of faults) onFault(fault);
    await delay(everyMs, undefined, { signal }).catch(() => {});
  }
}

if (import.meta.main) {
  const gateway = command(
    "gateway",
    "Takes votes in for its polling stations, makes them durable and forwards them to the log.",
  )
    .addHelpText(
      "after",
      "\nSettings come from the environment; docs/operations.md lists them. GATEWAY_FILE is the one that has no default.",
    )
    .action(() => runGateway(gatewayConfig()));
  Deno.exit(await runProgram(gateway));
}
