/**
 * One process of the aggregator: runs its roles for every election that the registry has, and answers over HTTP.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@logtape/logtape";
import type { ChangeLog } from "../shared/changes.ts";
import { LogUnavailable, type VoteLog } from "../shared/log/vote_log.ts";
import { logErrors, logRequests } from "../web/request_log.ts";
import { serve } from "../web/serve.ts";
import { tlsLog } from "../web/tls_log.ts";
import type { ReadChecks } from "./alerts/facts.ts";
import type { Rules } from "./alerts/rules.ts";
import type { AggregatorConfig } from "./config.ts";
import { addressLimits } from "./public/address_limits.ts";
import { Elections } from "./registry/election_names.ts";
import { type Database, type Databases, isDatabaseAway } from "./database/database.ts";
import { allOf, DatabaseWatch } from "./database/watch.ts";
import { aggregatorMetrics } from "./metrics.ts";
import { diskFault, readiness } from "./public/readiness.ts";
import { electionIds } from "./registry/elections.ts";
import { gatewaySync } from "./registry/gateway_sync.ts";
import { noteIgnored } from "./registry/ignored_claims.ts";
import type { Keyring } from "./registry/keyring.ts";
import { syncKeyFiles } from "./registry/role_key_files.ts";
import { receiptKeysOfMasters, syncKeysOfMasters } from "./registry/role_keys.ts";
import { IndexFault, type TallyIndex } from "./results/index/tally_index.ts";
import type { Views } from "./results/views.ts";
import { Counting } from "./roles/count.ts";
import { runIndex } from "./roles/index.ts";
import { readIssuers } from "./office/access/issuers.ts";
import { Office } from "./roles/office.ts";
import { createProcessApp } from "./roles/process_app.ts";
import { createReceiptsApp, receiptKeysOfFiles, receiptsFault } from "./roles/receipts.ts";
import { servePublic } from "./roles/serve.ts";
import { createSyncApp, syncFault } from "./roles/sync.ts";

/** How often the registry is asked for elections that were added, in milliseconds. */
const POLL_EVERY_MS = 1_000;
/** The same until it was first read, in milliseconds. */
const FIRST_POLL_MS = 50;
/** How long requests that are under way may take once the process is to stop, in milliseconds. */
const FINISH_MS = 5_000;
/** How long what is left may take, once the database has been cut off, in milliseconds. */
const CLOSE_MS = 1_500;

/** What the aggregator is made of. */
export type AggregatorParts = Readonly<{
  databases: Databases;
  /** @param signal Cancels the attempt. */
  openLog(election: string, partitions: number, signal: AbortSignal): Promise<VoteLog>;
  /** The master keys. Only the roles `count` and `office` open them. */
  keyring: Keyring;
  /** The rules of the alerts; the built-in ones when left out. */
  alertRules?: Rules;
  /** Results of checks of the data, for the alerts; none when left out. */
  readChecks?: ReadChecks;
  /** Where views are written to, if anywhere. */
  views?: Views;
  /** Where releases are indexed; nowhere when left out. */
  index?: TallyIndex;
  /** Removes an election's log and keys, after its records were destroyed. */
  erase?(election: string): Promise<void>;
  /** Where the office's changes of voters, candidates and parties go; nowhere when left out. */
  changes?: ChangeLog;
  log: Logger;
}>;

/** Runs the aggregator's roles until the signal aborts. */
export async function runAggregator(
  config: AggregatorConfig,
  parts: AggregatorParts,
  signal: AbortSignal,
): Promise<void> {
  const { databases, index, log, views } = parts;
  const { roles } = config;
  const watch = watchDatabase(databases, log, signal);
  const elections = new Set<string>();
  let isRegistryRead = false;
  const metrics = aggregatorMetrics(() => counting?.states() ?? Promise.resolve([]));
  const onFault = (election: string) => (what: string, error: unknown) => {
    metrics.faults.inc({ election });
    log.error("{what}: {error}", {
      election,
      what,
      error: error instanceof Error ? error.message : String(error),
    });
  };
  const onError = logErrors(log, isAway);
  const counting = roles.includes("count")
    ? new Counting({ ...parts, config, metrics, watch, signal, onFault })
    : undefined;
  const names = new Elections();
  const served = servedRoles({
    config,
    parts,
    metrics,
    counting,
    elections,
    isRegistryRead: () => isRegistryRead,
    names,
    signal,
    onError,
  });
  const embedded = embeddedDirectories(config);
  const app = createProcessApp({
    metrics: metrics.registry,
    ready: () =>
      readiness(
        watch.away !== undefined
          ? `the database is away: ${watch.away}`
          : isRegistryRead
          ? diskFault(embedded)
          : "the registry has not been read yet",
        new Map(
          [...elections].map((election) => [
            election,
            [counting, ...served].map((role) => role?.fault?.(election)).find((fault) => fault !== undefined),
          ]),
        ),
      ),
    onError,
  }, served.map(({ routes }) => routes));
  const { host: hostname, port, maxConnections, maxAddressConnections } = config;
  const server = await serve({
    hostname,
    port,
    maxConnections,
    maxAddressConnections,
    fetch: logRequests((request, connection) => app.fetch(request, connection), log),
    onError,
    tls: config.tls && { files: config.tls, ...tlsLog(log) },
  });
  console.log(`aggregator listens on ${server.origin}`);
  const running: Promise<void>[] = [watch.run()];
  if (roles.includes("index")) {
    // A fault of theirs is no one election's.
    running.push(
      runIndex({
        databases,
        elections: names,
        index,
        views,
        metrics: metrics.registry,
        log,
        signal,
        onFault: onFault(""),
      }),
    );
  }
  if (counting !== undefined) running.push(counting.publish(), counting.watchAlerts());
  while (!signal.aborted) {
    const known = watch.away === undefined ? await readElections(databases.reading, log) : undefined;
    isRegistryRead ||= known !== undefined;
    for (const election of known === undefined ? [] : elections) {
      if (known!.includes(election)) continue;
      // Its records were destroyed.
      elections.delete(election);
      counting?.stop(election);
    }
    for (const election of known ?? []) {
      if (signal.aborted || elections.has(election)) continue;
      elections.add(election);
      if (counting !== undefined) running.push(counting.run(election));
    }
    await delay(isRegistryRead ? POLL_EVERY_MS : FIRST_POLL_MS, undefined, { signal }).catch(() => {});
  }
  const drained = served.map((role) => role.drained?.());
  await finish(Promise.all([server.shutdown(), ...running, ...drained]), databases);
  if (counting !== undefined) await settledWithin(counting.close(), CLOSE_MS);
}

function watchDatabase(databases: Databases, log: Logger, signal: AbortSignal): DatabaseWatch {
  return new DatabaseWatch({
    databases,
    signal,
    onChange(away) {
      if (away === undefined) log.info("the database answers");
      else log.error("the database is away: {away}", { away });
    },
  });
}

/** A role that answers over HTTP. */
type ServedRole = Readonly<{
  routes: ReturnType<typeof createSyncApp>;
  /** What keeps it from answering about an election, if anything does. */
  fault?(election: string): string | undefined;
  /** Resolves when its last query has come back, once the process is to stop. */
  drained?(): Promise<void>;
}>;

type ServedRolesOptions = Readonly<{
  config: AggregatorConfig;
  parts: AggregatorParts;
  metrics: ReturnType<typeof aggregatorMetrics>;
  counting: Counting | undefined;
  /** Those that the registry has. */
  elections: ReadonlySet<string>;
  isRegistryRead(): boolean;
  /** Their manifests and names, kept once in a process. */
  names: Elections;
  signal: AbortSignal;
  onError(error: unknown, request?: Request): void;
}>;

/** The roles of this process that answer over HTTP. One that does not count reads its keys from its own files. */
function servedRoles(
  { config, parts, metrics, counting, elections, isRegistryRead, names, signal, onError }: ServedRolesOptions,
): ServedRole[] {
  const { roles, receiptKeysDirectory, syncKeysDirectory } = config;
  const { databases, index, keyring, log } = parts;
  const { reading: db } = databases;
  const { registry } = metrics;
  const served: ServedRole[] = [];
  if (roles.includes("serve")) {
    const logEnds = counting && ((election: string) => counting.logEnds(election));
    served.push(servePublic({
      db,
      elections: names,
      index,
      logEnds,
      metrics: registry,
      signal,
      onError,
      streamLimits: { addressClients: config.maxAddressStreams },
      addressLimits: addressLimits(config.addressRequestsPerSecond),
    }));
  }
  if (roles.includes("receipts")) {
    const keysOf = counting !== undefined
      ? receiptKeysOfMasters(keyring)
      : receiptKeysOfFiles(receiptKeysDirectory, (election) => elections.has(election), Date.now);
    served.push({
      routes: createReceiptsApp({ db, now: Date.now, keysOf, isRegistryRead, metrics: registry }),
      // A process that counts says itself what is wrong with its master keys.
      fault: counting === undefined ? (election) => receiptsFault(keysOf, election) : undefined,
    });
  }
  if (roles.includes("sync")) {
    const keysOf = counting !== undefined
      ? syncKeysOfMasters(keyring)
      : syncKeyFiles(syncKeysDirectory, Date.now);
    const handle = gatewaySync({
      reading: db,
      writing: databases.counting,
      elections: names,
      keysOf,
      now: Date.now,
      onIgnored: noteIgnored(metrics.ignoredClaims, log, Date.now),
    });
    served.push({
      routes: createSyncApp(handle),
      fault: counting === undefined ? (election) => syncFault(keysOf, election) : undefined,
    });
  }
  if (roles.includes("office")) {
    const office = new Office({
      db: databases.counting,
      keysDirectory: config.keysDirectory,
      data: config.data,
      issuers: config.officeIssuers === undefined ? [] : readIssuers(config.officeIssuers),
      keyring,
      openLog: (election, partitions) =>
        counting?.logOf(election) ?? parts.openLog(election, partitions, signal),
      changes: parts.changes,
      metrics: registry,
      ownsLogs: counting === undefined,
      erase: parts.erase,
      signal,
      onError,
    });
    served.push({ routes: office.routes, drained: () => office.run() });
  }
  return served;
}

/** Waits for work that is under way, and cuts off what waits for a database that does not answer. */
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

/** Directories of embedded stores. Servers watch their own disks. */
function embeddedDirectories({ roles, database, log }: AggregatorConfig): string[] {
  const directories = [];
  if (database.kind === "pglite") directories.push(database.directory);
  if (log.kind === "sqlite" && roles.includes("count")) directories.push(log.directory);
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
