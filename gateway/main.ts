/**
 * The gateway: composes its parts, serves, and owns the drain at SIGTERM.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { command, runProgram } from "../cli/command.ts";
import { startLog } from "../cli/log.ts";
import { Admission } from "./admission.ts";
import { createGateway, endpointOf, type GatewayOptions, MAX_BATCH_VOTES, POSTED } from "./app.ts";
import { AggregatorClient } from "./aggregator_client.ts";
import { jittered } from "./jitter.ts";
import { type GatewayConfig, gatewayConfig } from "./config.ts";
import { entrance } from "./entrance.ts";
import { logErrors, logRequests } from "../web/request_log.ts";
import { tlsLog } from "../web/tls_log.ts";
import { ElectionStore } from "./manifest.ts";
import { type GatewayMetrics, gatewayMetrics } from "./metrics.ts";
import { RateLimiter } from "../web/rate.ts";
import { serve } from "../web/serve.ts";
import { SocketPoll } from "./socket_poll.ts";
import { SpoolClient, type SpoolEvents } from "./spool_client.ts";
import type { SpoolListening, SpoolReply, SpoolSetup } from "./spool_host.ts";
import { Turns } from "./turns.ts";

/** Maximum time for running requests after SIGTERM, in milliseconds. */
const FINISH_MS = 5_000;

/** Runs a gateway until SIGTERM or SIGINT. `spoolWorker` is the module of the spool's thread. */
export async function runGateway(
  config: GatewayConfig,
  spoolWorker: URL = new URL("./spool_worker.ts", import.meta.url),
): Promise<void> {
  const log = startLog("gateway", config.LOG_LEVEL);
  const stop = new AbortController();
  // Before anything is open: without a listener a signal ends the process, and nothing is drained.
  const stopped = new Promise((resolve) => stop.signal.addEventListener("abort", resolve, { once: true }));
  for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, () => stop.abort());
  using aggregator = new AggregatorClient(config, log);
  const logFaults = new Map<string, string>();
  const news = new Wakeup();
  let metrics: GatewayMetrics | undefined = undefined;
  const spool = openSpool(config, spoolWorker, {
    onNumbered: (records) => metrics?.numbered.inc(records),
    onStored: (tookMs) => metrics?.storing.observe(tookMs / 1_000),
    onForwarded(election, records, appendMs) {
      logFaults.delete(election);
      metrics?.forwarded.inc(records);
      metrics?.appending.observe(appendMs / 1_000);
    },
    onFault(election, why) {
      logFaults.set(election, why);
      metrics?.logFaults.inc();
      log.warn("the log of {election} accepts no records: {why}", { election, why });
    },
    onSenderKeys: () => news.wake(),
  }, (why) => {
    log.fatal("the spool's thread ended: {why}", { why });
    Deno.exit(1);
  });
  await spool.opened;
  const store = new ElectionStore(config.file, `${config.GATEWAY_DATA}/keys`, aggregator.fetch, spool);
  const { changed: loaded, faults } = store.loadKept();
  for (const fault of faults) log.warn("{fault}", { fault });
  metrics = gatewayMetrics({
    spool: () => spool.state,
    statementsDue: () => spool.statementsDue,
    clockDifferenceMs: () => store.clock.differenceMs,
  });
  const onError = logErrors(log);
  const admission = new Admission();
  using sockets = await SocketPoll.open();
  const turns = new Turns({ gate: () => admission.gate, afterReading: (work) => sockets.after(work) });
  const app = createGateway(
    {
      gateway: config.file.gateway,
      elections: (id) => store.get(id) ?? (store.expects(id) ? "awaited" : undefined),
      electionIds: () => store.ids(),
      awaitedIds: () => store.awaitedIds(),
      spool,
      spoolMaxBytes: config.SPOOL_MAX_BYTES,
      metrics,
      deviceRate: new RateLimiter(
        config.DEVICE_VOTES_PER_SECOND,
        Math.max(config.DEVICE_VOTES_PER_SECOND, MAX_BATCH_VOTES),
      ),
      stationRate: new RateLimiter(
        config.STATION_VOTES_PER_SECOND,
        Math.max(config.STATION_VOTES_PER_SECOND, MAX_BATCH_VOTES),
      ),
      addressRate: new RateLimiter(config.ADDRESS_REQUESTS_PER_SECOND),
      logFault: (election) => logFaults.get(election),
      clockFault: () => store.clock.fault,
      now: Date.now,
      draining: () => stop.signal.aborted,
      admission,
      onError,
    } satisfies GatewayOptions,
  );
  const server = await serve({
    hostname: config.HOST,
    port: config.PORT,
    maxConnections: config.MAX_CONNECTIONS,
    maxAddressConnections: config.ADDRESS_MAX_CONNECTIONS,
    fetch: logRequests((request, connection) => app.fetch(request, connection), log),
    posted: POSTED,
    enter: entrance({ admission, turns, metrics, endpointOf }),
    onError,
    tls: config.tls && { files: config.tls, ...tlsLog(log) },
  });
  console.log(
    `gateway ${config.file.gateway} listens on ${server.origin} (elections kept: ${
      loaded.join(", ") || "none"
    })`,
  );
  const everyMs = () => jittered(config.SYNC_INTERVAL_MS, Math.random);
  const following = follow({ aggregator, store, news }, everyMs, stop.signal, {
    onFault(fault) {
      metrics.syncFaults.inc();
      log.warn("the aggregator does not answer: {fault}", { fault });
    },
    onChange: (election) => log.info("took up {election}", { election }),
    onClock: (fault) => {
      if (fault === undefined) {
        log.info("the clocks of gateway and aggregator agree again: votes are accepted");
      } else log.error("votes are refused: {fault}", { fault });
    },
  });
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
  Deno.mkdirSync(config.GATEWAY_DATA, { recursive: true, mode: 0o700 });
  const worker = new Worker(module, { type: "module", name: "spool" });
  const client = new SpoolClient((request, transfer) => worker.postMessage(request, transfer), events);
  worker.onmessage = ({ data }: MessageEvent<SpoolReply | SpoolListening>) => {
    if (data.kind !== "listening") return client.handle(data);
    const setup: SpoolSetup = {
      path: `${config.GATEWAY_DATA}/spool.sqlite`,
      maxBytes: config.SPOOL_MAX_BYTES,
      deviceMaxBytes: Math.floor(config.SPOOL_MAX_BYTES * config.DEVICE_SPOOL_PERCENT / 100),
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

/** Ends a wait early. */
class Wakeup {
  #woken = Promise.withResolvers<void>();

  wake(): void {
    this.#woken.resolve();
  }

  /** Waits until it is woken, the time is up, or the signal aborts. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    const done = new AbortController();
    const ended = AbortSignal.any([signal, done.signal]);
    await Promise.race([this.#woken.promise, delay(ms, undefined, { signal: ended }).catch(() => {})]);
    done.abort();
    this.#woken = Promise.withResolvers<void>();
  }
}

/** Callbacks of {@link follow}. */
type Following = Readonly<{
  onFault(fault: string): void;
  onChange(election: string): void;
  /** The clocks differ by too much; `undefined` when they agree again. */
  onClock(fault: string | undefined): void;
}>;

/**
 * Syncs with the aggregator: at once, then at intervals, and as soon as there is something to report. While the
 * aggregator is away the gateway works with what it has.
 */
async function follow(
  { aggregator, store, news }: Readonly<
    { aggregator: AggregatorClient; store: ElectionStore; news: Wakeup }
  >,
  everyMs: () => number,
  signal: AbortSignal,
  { onFault, onChange, onClock }: Following,
): Promise<void> {
  let differed = false;
  while (!signal.aborted) {
    aggregator.poll();
    const { changed, faults } = await store.sync(Date.now(), signal);
    for (const election of changed) onChange(election);
    // Also when it is to stop: votes were accepted from when the clocks agreed.
    const { fault } = store.clock;
    if ((fault !== undefined) !== differed) onClock(fault);
    differed = fault !== undefined;
    if (signal.aborted) return;
    for (const fault of faults) onFault(fault);
    await news.wait(everyMs(), signal);
  }
}

if (import.meta.main) {
  const gateway = command(
    "gateway",
    "Accepts votes of its polling stations, makes them durable and forwards them to the log.",
  )
    .addHelpText(
      "after",
      "\nSettings come from the environment; docs/operations.md lists them. GATEWAY_FILE is the one that has no default.",
    )
    .action(() => runGateway(gatewayConfig()));
  Deno.exit(await runProgram(gateway));
}
