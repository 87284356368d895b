/**
 * The running aggregator: counts and publishes every election the registry has, and serves what is released.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@logtape/logtape";
import { answerKeyPair, gatewayKey, parseKeyName } from "../shared/keys.ts";
import { logEnds, LogUnavailable, type VoteLog } from "../shared/log/vote_log.ts";
import type { Views } from "./results/views.ts";
import { receiptKey } from "../shared/receipt.ts";
import { serve } from "../web/serve.ts";
import { logErrors, logRequests } from "../web/request_log.ts";
import { tlsLog } from "../web/tls_log.ts";
import { votesFromIndex, votesFromResults } from "./results/candidate_votes.ts";
import { createApp } from "./public/app.ts";
import type { ReceiptKeys, ReceiptKeysOf } from "./public/receipts.ts";
import type { AggregatorConfig } from "./config.ts";
import { type Database, type Databases, isDatabaseAway } from "./database/database.ts";
import { ElectionRunner } from "./election_runner.ts";
import { openHistory } from "./counting/history.ts";
import { runIndexing } from "./results/index/indexing.ts";
import { IndexFault, type TallyIndex } from "./results/index/tally_index.ts";
import { aggregatorMetrics, type ElectionState } from "./metrics.ts";
import { electionIds } from "./registry/elections.ts";
import { gatewaySync } from "./registry/gateway_sync.ts";
import { noteIgnored } from "./registry/ignored_claims.ts";
import type { Keyring } from "./registry/keyring.ts";
import { readReconciliation } from "./counting/reconciliation.ts";
import { runViews } from "./results/topics.ts";

/** How often the registry is asked for elections that were added, in milliseconds. */
const LOOK_EVERY_MS = 1_000;
/** How long requests that are under way may take once the aggregator is to stop, in milliseconds. */
const FINISH_MS = 5_000;
/** Elections whose receipt keys are kept in memory, and gateways' keys of each. */
const MAX_RECEIPT_ELECTIONS = 100;
const MAX_RECEIPT_KEYS = 10_000;

/** What the aggregator is made of. */
export type AggregatorParts = Readonly<{
  databases: Databases;
  openLog(election: string, partitions: number): Promise<VoteLog>;
  keyring: Keyring;
  /** Where views are written to, if anywhere. */
  views?: Views;
  /** Where releases are indexed; nowhere when left out. */
  index?: TallyIndex;
  log: Logger;
}>;

/** Runs the aggregator until the signal aborts. */
export async function runAggregator(
  config: AggregatorConfig,
  parts: AggregatorParts,
  signal: AbortSignal,
): Promise<void> {
  const { databases, index, keyring, log, views } = parts;
  const { reading: db } = databases;
  const runners = new Map<string, ElectionRunner>();
  /** Why elections cannot be counted that the registry has. */
  const broken = new Map<string, string>();
  const metrics = aggregatorMetrics(async () => [
    ...await Promise.all([...runners].map(([election, runner]) => watch(db, election, runner))),
    ...[...broken.keys()].map((election) => ({ election, lag: null, unbalanced: null, counting: false })),
  ]);
  const onFault = (election: string) => (what: string, error: unknown) => {
    metrics.faults.inc({ election });
    log.error("{what}: {error}", {
      election,
      what,
      error: error instanceof Error ? error.message : String(error),
    });
  };
  const onError = logErrors(log, isAway);
  const results = votesFromResults(db.query);
  const { app, drained } = createApp({
    db,
    now: Date.now,
    receiptKeysOf: receiptKeys(keyring),
    logEnds: async (election) => runners.has(election) ? await logEnds(runners.get(election)!.log) : [],
    votesOf: index === undefined ? results : votesFromIndex(index, results, onError),
    metrics: metrics.registry,
    ready: () => readiness(runners, broken),
    gatewaySync: gatewaySync({
      reading: db,
      writing: databases.counting,
      master: (election) => keyring.master(election),
      now: Date.now,
      onIgnored: noteIgnored(metrics.ignoredClaims, log, Date.now),
    }),
    signal,
    onError,
  });
  const { host: hostname, port, maxConnections, maxAddressConnections } = config;
  const server = await serve({
    hostname,
    port,
    maxConnections,
    maxAddressConnections,
    fetch: logRequests((request, arrival) => app.fetch(request, arrival), log),
    onError,
    tls: config.tls && { files: config.tls, ...tlsLog(log) },
  });
  console.log(`aggregator listens on ${server.origin}`);
  const running: Promise<void>[] = [];
  if (index !== undefined) {
    running.push(runIndexing({ databases, index, metrics: metrics.registry, log, signal }));
  }
  // A fault of theirs is no one election's.
  if (views !== undefined) running.push(runViews({ views, databases, signal, onFault: onFault("") }));
  while (!signal.aborted) {
    for (const election of await known(db, log)) {
      if (runners.has(election)) continue;
      try {
        const runner = await startRunner(config, parts, metrics, election, signal, onFault(election));
        runners.set(election, runner);
        broken.delete(election);
        running.push(runner.run());
        log.info("counting {election}", { election });
      } catch (error) {
        broken.set(election, error instanceof Error ? error.message : String(error));
        onFault(election)(`election ${election} cannot be counted`, error);
      }
    }
    await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => {});
  }
  const finished = new AbortController();
  const late = delay(FINISH_MS, undefined, { signal: finished.signal }).catch(() => {});
  await Promise.race([server.shutdown(), late]);
  finished.abort();
  await Promise.all([...running, drained()]);
  for (const { log } of runners.values()) await log.close();
}

/** Whether an error says that a server is away: that has to do with the server, and not with where it was asked. */
function isAway(error: unknown): boolean {
  return isDatabaseAway(error) || error instanceof LogUnavailable || error instanceof IndexFault;
}

/** The registry's elections; none while it cannot be read. */
async function known(db: Database, log: Logger): Promise<string[]> {
  try {
    return await electionIds(db.query);
  } catch (error) {
    log.error("the registry cannot be read: {error}", { error: String(error) });
    return [];
  }
}

async function startRunner(
  { database, databaseLimits: { countingConnections } }: AggregatorConfig,
  { databases, openLog, keyring }: AggregatorParts,
  metrics: ReturnType<typeof aggregatorMetrics>,
  election: string,
  signal: AbortSignal,
  onFault: (what: string, error: unknown) => void,
): Promise<ElectionRunner> {
  const history = (await openHistory(databases.reading.query, election, keyring.master(election)))!;
  return new ElectionRunner({
    databases,
    log: await openLog(election, history.partitions),
    history,
    partitionsAtOnce: database.kind === "pglite" ? 1 : countingConnections,
    now: Date.now,
    signal,
    onCounted(outcomes) {
      for (const { fate, reason, records } of outcomes) {
        metrics.outcomes.inc({ election, fate, reason }, records);
      }
    },
    onReleased: (releases) => metrics.releases.inc({ election }, releases),
    onFault,
  });
}

/** Ready unless an election is not counted: that is for a person to see to, and must not look well. */
function readiness(
  runners: ReadonlyMap<string, ElectionRunner>,
  broken: ReadonlyMap<string, string>,
): { ready: boolean; why?: string } {
  const stopped = [...runners.values()].map(({ stopped }) => stopped).filter((why) => why !== undefined);
  const why = [...stopped, ...broken.values()];
  return why.length === 0 ? { ready: true } : { ready: false, why: why.join("; ") };
}

/** The keys of receipts and answers, derived once. */
function receiptKeys(keyring: Keyring): ReceiptKeysOf {
  const elections = new Map<string, ReceiptKeys>();
  return (election) => {
    let keys = elections.get(election);
    if (keys === undefined) {
      if (!keyring.has(election)) return undefined;
      if (elections.size >= MAX_RECEIPT_ELECTIONS) elections.clear();
      elections.set(election, keys = keysOf(election, keyring.master(election)));
    }
    return keys;
  };
}

function keysOf(election: string, master: Uint8Array): ReceiptKeys {
  const gateways = new Map<string, Uint8Array>();
  return {
    answerKey: answerKeyPair(master, election).privateKey,
    receiptKey(gateway) {
      let key = gateways.get(gateway);
      if (key === undefined) {
        const name = parseKeyName(`${election}/${gateway}`);
        if (name === undefined) return undefined;
        if (gateways.size >= MAX_RECEIPT_KEYS) gateways.clear();
        gateways.set(gateway, key = receiptKey(gatewayKey(master, name)));
      }
      return key;
    },
  };
}

/** Where an election's log ends, and how its books stand; a scrape must not fail when the database is away. */
async function watch(
  db: Database,
  election: string,
  { log, stopped }: ElectionRunner,
): Promise<ElectionState> {
  const counting = stopped === undefined;
  try {
    const books = await readReconciliation(
      db,
      election,
      log.partitions,
      () => logEnds(log).catch(() => undefined),
    );
    const unbalanced = books.partitions.filter(({ balanced }) => !balanced).length;
    return { election, lag: books.total.lag, unbalanced, counting };
  } catch {
    return { election, lag: null, unbalanced: null, counting };
  }
}
