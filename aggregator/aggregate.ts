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
import { BALLOT_BOX_GATE } from "./results/final_gate.ts";
import { votesFromIndex, votesFromResults } from "./results/candidate_votes.ts";
import { addressLimits } from "./public/address_limits.ts";
import { createApp } from "./public/app.ts";
import type { ReceiptKeys, ReceiptKeysOf } from "./public/receipts.ts";
import type { AggregatorConfig } from "./config.ts";
import { type Database, type Databases, isDatabaseAway } from "./database/database.ts";
import { ElectionRunner } from "./election_runner.ts";
import { openHistory } from "./counting/history.ts";
import { allOf, DatabaseWatch } from "./database/watch.ts";
import type { Standing } from "./counting/election_count.ts";
import { sumGaps } from "./counting/losses.ts";
import { diskFault, readiness } from "./public/readiness.ts";
import { runIndexing } from "./results/index/indexing.ts";
import { IndexFault, type TallyIndex } from "./results/index/tally_index.ts";
import { aggregatorMetrics, type ElectionState } from "./metrics.ts";
import { Elections } from "./registry/election_names.ts";
import { electionIds } from "./registry/elections.ts";
import { gatewaySync } from "./registry/gateway_sync.ts";
import { noteIgnored } from "./registry/ignored_claims.ts";
import type { Keyring } from "./registry/keyring.ts";
import { openSenderKeys, readGateways } from "./counting/sender_keys.ts";
import { readReconciliation } from "./counting/reconciliation.ts";
import { runViews } from "./results/topics.ts";

/** How often the registry is asked for elections that were added, in milliseconds. */
const LOOK_EVERY_MS = 1_000;
/** The same until it was first read, in milliseconds. */
const LOOK_FIRST_MS = 50;
/** How long requests that are under way may take once the aggregator is to stop, in milliseconds. */
const FINISH_MS = 5_000;
/** How long what is left may take, once the database has been cut off, in milliseconds. */
const CLOSE_MS = 1_500;
/** How long a scrape of the metrics waits for what servers are asked, in milliseconds. */
const SCRAPE_MS = 2_000;
/** Elections whose receipt keys are kept in memory, and gateways' keys of each. */
const MAX_RECEIPT_ELECTIONS = 100;
const MAX_RECEIPT_KEYS = 10_000;

/** What the aggregator is made of. */
export type AggregatorParts = Readonly<{
  databases: Databases;
  /** @param signal Gives the attempt up. */
  openLog(election: string, partitions: number, signal: AbortSignal): Promise<VoteLog>;
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
  const watch = new DatabaseWatch({
    databases,
    signal,
    onChange(away) {
      if (away === undefined) log.info("the database answers");
      else log.error("the database is away: {away}", { away });
    },
  });
  const elections = new Map<string, RunningElection>();
  let isRegistryRead = false;
  const metrics = aggregatorMetrics(() =>
    Promise.all([...elections].map(([election, each]) => electionState(db, watch, election, each)))
  );
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
  const embedded = embeddedDirectories(config);
  const names = new Elections();
  const { app, drained } = createApp({
    db,
    elections: names,
    streamLimits: { addressClients: config.maxAddressStreams },
    addressLimits: addressLimits(config.addressRequestsPerSecond),
    now: Date.now,
    receiptKeysOf: receiptKeys(keyring),
    logEnds: async (election) => {
      const runner = elections.get(election)?.runner;
      return runner === undefined ? [] : await logEnds(runner.log);
    },
    votesOf: index === undefined ? results : votesFromIndex(index, results, onError),
    metrics: metrics.registry,
    ready: () =>
      readiness(
        watch.away !== undefined
          ? `the database is away: ${watch.away}`
          : isRegistryRead
          ? diskFault(embedded)
          : "the registry has not been read yet",
        new Map([...elections].map(([election, each]) => [election, standingOf(each).reason])),
      ),
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
  const running: Promise<void>[] = [watch.run()];
  if (index !== undefined) {
    running.push(runIndexing({ databases, index, metrics: metrics.registry, log, signal, elections: names }));
  }
  // A fault of theirs is no one election's.
  if (views !== undefined) {
    running.push(runViews({ views, databases, signal, onFault: onFault("") }));
    // What is read of brokers that are away is given up.
    signal.addEventListener("abort", () => void views.close().catch(() => {}), { once: true });
  }
  while (!signal.aborted) {
    const known = watch.away === undefined ? await readElections(db, log) : undefined;
    isRegistryRead ||= known !== undefined;
    for (const election of known ?? []) {
      if (signal.aborted || elections.has(election)) continue;
      const each: RunningElection = {};
      elections.set(election, each);
      running.push(
        runElection({ config, parts, metrics, watch, election, signal, onFault: onFault(election) }, each),
      );
    }
    await delay(isRegistryRead ? LOOK_EVERY_MS : LOOK_FIRST_MS, undefined, { signal }).catch(() => {});
  }
  await finish(Promise.all([server.shutdown(), ...running, drained()]), databases);
  const logs = [...elections.values()].map(({ runner }) => runner?.log.close());
  await settledWithin(Promise.all(logs), CLOSE_MS);
}

/** Waits for what is under way, and cuts off what a database that does not answer holds up. */
async function finish(ended: Promise<unknown>, databases: Databases): Promise<void> {
  if (await settledWithin(ended, FINISH_MS)) return;
  for (const db of allOf(databases)) db.cut({ forGood: true });
  await settledWithin(ended, CLOSE_MS);
}

/** Whether work settles in time; what does not is left behind. @throws what it throws in time. */
async function settledWithin(work: Promise<unknown>, ms: number): Promise<boolean> {
  const settled = new AbortController();
  const late = delay(ms, false, { signal: settled.signal }).catch(() => false);
  work.catch(() => {});
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    settled.abort();
  }
}

/** An election that is counted, once its log is open; until then, what has kept it from being opened. */
type RunningElection = { runner?: ElectionRunner; failed?: string };

function standingOf({ runner, failed }: RunningElection): Standing {
  if (runner !== undefined) return runner.standing;
  return { isCounting: false, reason: failed ?? "its log has not been opened yet" };
}

/** Where embedded stores keep what they have; servers see to their own disks. */
function embeddedDirectories({ database, log }: AggregatorConfig): string[] {
  const directories = [];
  if (database.kind === "pglite") directories.push(database.directory);
  if (log.kind === "sqlite") directories.push(log.directory);
  return directories;
}

/** Whether an error says that a server is away: that has to do with the server, and not with where it was asked. */
function isAway(error: unknown): boolean {
  return isDatabaseAway(error) || error instanceof LogUnavailable || error instanceof IndexFault;
}

/** The registry's elections; `undefined` when it cannot be read. */
async function readElections(db: Database, log: Logger): Promise<string[] | undefined> {
  try {
    return await electionIds(db.query);
  } catch (error) {
    log.error("the registry cannot be read: {error}", { error: String(error) });
    return undefined;
  }
}

type ElectionParts = Readonly<{
  config: AggregatorConfig;
  parts: AggregatorParts;
  metrics: ReturnType<typeof aggregatorMetrics>;
  watch: DatabaseWatch;
  election: string;
  signal: AbortSignal;
  onFault(what: string, error: unknown): void;
}>;

/** Opens an election's log, again and again until that succeeds, and counts it until the signal aborts. */
async function runElection(parts: ElectionParts, running: RunningElection): Promise<void> {
  const { election, signal, onFault, parts: { log } } = parts;
  while (!signal.aborted) {
    try {
      running.runner = await startRunner(parts);
      break;
    } catch (error) {
      if (signal.aborted) return;
      running.failed = error instanceof Error ? error.message : String(error);
      onFault(`election ${election} cannot be counted`, error);
      await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => {});
    }
  }
  if (running.runner === undefined) return;
  log.info("counting {election}", { election });
  await running.runner.run();
}

async function startRunner(
  { config, parts, metrics, watch, election, signal, onFault }: ElectionParts,
): Promise<ElectionRunner> {
  const { database, databaseLimits: { countingConnections } } = config;
  const { databases, openLog, keyring } = parts;
  const history = (await openHistory(databases.reading.query, election, keyring.master(election)))!;
  return new ElectionRunner({
    databases,
    databaseState: watch,
    log: await openLog(election, history.partitions, signal),
    history,
    gate: BALLOT_BOX_GATE,
    partitionsAtOnce: database.kind === "pglite" ? 1 : countingConnections,
    now: Date.now,
    signal,
    onCounted(outcomes) {
      for (const { fate, reason, records } of outcomes) {
        metrics.outcomes.inc({ election, fate, reason }, records);
      }
    },
    onJudged(records, repeated) {
      if (repeated > 0) metrics.repeatedNumbers.inc({ election }, repeated);
      for (const { judgement } of records) {
        const { gateway } = judgement;
        if (gateway === undefined) continue;
        if (judgement.fate === "rejected" && judgement.reason === "bad_proof") {
          metrics.badProofs.inc({ election, gateway });
        }
        if ("clockAheadMs" in judgement) metrics.clocksAhead.inc({ election, gateway });
      }
    },
    onReleased: (releases) => metrics.releases.inc({ election }, releases),
    onFault,
  });
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

/** How an election stands and its books; a scrape must not fail, nor wait for long, when a server is away. */
async function electionState(
  db: Database,
  watch: DatabaseWatch,
  election: string,
  running: RunningElection,
): Promise<ElectionState> {
  const { runner } = running;
  const { isCounting } = standingOf(running);
  const unknown = {
    election,
    counting: isCounting,
    deleted: runner?.deleted ?? null,
    lag: null,
    unbalanced: null,
    gaps: null,
    held: null,
    openKeys: null,
    missingNumbers: null,
  };
  if (runner === undefined || watch.away !== undefined) return unknown;
  const read = async (): Promise<ElectionState> => {
    const ends = () => logEnds(runner.log).catch(() => undefined);
    const books = await readReconciliation(db, election, runner.log.partitions, ends);
    const unbalanced = books.partitions.filter(({ balanced }) => !balanced).length;
    const { open, missingNumbers } = openSenderKeys(await readGateways(db, election));
    return {
      ...unknown,
      lag: books.total.lag,
      unbalanced,
      gaps: await sumGaps(db.query, election),
      held: books.total.held,
      openKeys: open,
      missingNumbers,
    };
  };
  const late = new AbortController();
  try {
    return await Promise.race([
      read(),
      delay(SCRAPE_MS, unknown, { signal: late.signal }),
    ]);
  } catch {
    return unknown;
  } finally {
    late.abort();
  }
}
