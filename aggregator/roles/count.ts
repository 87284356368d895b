/**
 * The role `count`: counts and publishes every election of the registry, and takes in statements that processes without a master
 * key were given. It opens the master keys and the vote log; of the other roles only `office` does.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@logtape/logtape";
import { logEnds, type VoteLog } from "../../shared/log/vote_log.ts";
import { AlertSender } from "../alerts/alertmanager.ts";
import type { ReadChecks } from "../alerts/facts.ts";
import { defaultRules, type Rules } from "../alerts/rules.ts";
import { AlertWatch } from "../alerts/watch.ts";
import type { AggregatorConfig } from "../config.ts";
import type { Standing } from "../counting/election_count.ts";
import { openHistory } from "../counting/history.ts";
import { STORE_ENDS_EVERY_MS, storeLogEnds } from "../counting/log_ends.ts";
import { sumGaps } from "../counting/losses.ts";
import { readReconciliation, unexpectedlyHeld } from "../counting/reconciliation.ts";
import { openSenderKeys, readGateways } from "../counting/sender_keys.ts";
import type { Database, Databases } from "../database/database.ts";
import type { DatabaseWatch } from "../database/watch.ts";
import { ElectionRunner } from "../election_runner.ts";
import { Publisher } from "../publisher.ts";
import type { AggregatorMetrics, ElectionState } from "../metrics.ts";
import { noteIgnored } from "../registry/ignored_claims.ts";
import type { Keyring } from "../registry/keyring.ts";
import { syncKeysFromMaster } from "../registry/role_keys.ts";
import { takeDelivered } from "../registry/sender_keys.ts";
import { BALLOT_BOX_GATE } from "../results/final_gate.ts";

/** How long to wait before an election's log is opened again after that failed, in milliseconds. */
const OPEN_AGAIN_MS = 1_000;
/** How often statements that other processes took are looked for, in milliseconds. */
const TAKE_DELIVERED_EVERY_MS = 1_000;
/** How long a scrape of the metrics waits for what servers are asked, in milliseconds. */
const SCRAPE_MS = 2_000;

/** What counting needs. */
export type CountOptions = Readonly<{
  config: AggregatorConfig;
  databases: Databases;
  /** @param signal Cancels the attempt. */
  openLog(election: string, partitions: number, signal: AbortSignal): Promise<VoteLog>;
  keyring: Keyring;
  /** The rules of the alerts; the built-in ones when left out. */
  alertRules?: Rules;
  /** Results of checks of the data, for the alerts; none when left out. */
  readChecks?: ReadChecks;
  metrics: AggregatorMetrics;
  watch: DatabaseWatch;
  log: Logger;
  signal: AbortSignal;
  onFault(election: string): (what: string, error: unknown) => void;
}>;

/** An election that is counted, once its log is open; until then, what has kept it from being opened. */
type RunningElection = { runner?: ElectionRunner; failed?: string; stop(): void };

/** The elections that a process counts. */
export class Counting {
  readonly #options: CountOptions;
  readonly #elections = new Map<string, RunningElection>();
  readonly #noteIgnored: ReturnType<typeof noteIgnored>;
  readonly #publisher: Publisher;
  readonly #alerts: AlertWatch;

  constructor(options: CountOptions) {
    this.#options = options;
    const { databases, signal, metrics } = options;
    this.#publisher = new Publisher({
      db: databases.publishing,
      signal,
      onPublished: (election, tookMs) => metrics.publishing.observe({ election }, tookMs / 1_000),
    });
    this.#alerts = watchForAlerts(options);
    this.#noteIgnored = noteIgnored(options.metrics.ignoredClaims, options.log, Date.now);
  }

  /** What keeps an election from being counted; `undefined` when nothing does. */
  fault(election: string): string | undefined {
    const running = this.#elections.get(election);
    return running === undefined ? "its log has not been opened yet" : standingOf(running).reason;
  }

  /** Where each partition of an election's log ends; an empty list until the log is open. */
  async logEnds(election: string): Promise<number[]> {
    const runner = this.#elections.get(election)?.runner;
    return runner === undefined ? [] : await logEnds(runner.log);
  }

  /** An election's log, once it is open. */
  logOf(election: string): VoteLog | undefined {
    return this.#elections.get(election)?.runner?.log;
  }

  /** State and reconciliation of every election, for the metrics. */
  async states(): Promise<ElectionState[]> {
    const { databases: { reading }, watch } = this.#options;
    return await Promise.all(
      [...this.#elections].map(([election, each]) => electionState(reading, watch, election, each)),
    );
  }

  /** Publishes the elections that are counted, until the signal aborts. */
  async publish(): Promise<void> {
    await this.#publisher.run();
  }

  /** Watches for alerts, until the signal aborts. */
  async watchAlerts(): Promise<void> {
    await this.#alerts.run();
  }

  /** Opens an election's log, retrying until that succeeds, and counts it until the signal aborts. */
  async run(election: string): Promise<void> {
    const { log, onFault } = this.#options;
    const stop = new AbortController();
    const signal = AbortSignal.any([this.#options.signal, stop.signal]);
    const running: RunningElection = { stop: () => stop.abort() };
    this.#elections.set(election, running);
    while (!signal.aborted) {
      try {
        running.runner = await this.#start(election, signal);
        break;
      } catch (error) {
        if (signal.aborted) return;
        running.failed = error instanceof Error ? error.message : String(error);
        onFault(election)(`election ${election} cannot be counted`, error);
        await delay(OPEN_AGAIN_MS, undefined, { signal }).catch(() => {});
      }
    }
    if (running.runner === undefined) return;
    log.info("counting {election}", { election });
    const { runner } = running;
    this.#publisher.add(runner);
    this.#alerts.add({
      election,
      index: () => runner.index,
      logEnds: () => logEnds(runner.log).catch(() => undefined),
      onFault: onFault(election),
    });
    await Promise.all([runner.run(), this.#serveOthers(election, runner.log, signal)]);
    if (stop.signal.aborted) await runner.log.close();
  }

  /** Ends the counting of an election whose records were destroyed. */
  stop(election: string): void {
    this.#elections.get(election)?.stop();
    this.#elections.delete(election);
    this.#publisher.remove(election);
    this.#alerts.remove(election);
    this.#options.keyring.forget(election);
  }

  /** Closes every log. */
  async close(): Promise<void> {
    await Promise.all([...this.#elections.values()].map(({ runner }) => runner?.log.close()));
  }

  async #start(election: string, signal: AbortSignal): Promise<ElectionRunner> {
    const { databases, openLog, keyring, metrics, watch, onFault } = this.#options;
    const alerts = this.#alerts;
    const history = (await openHistory(databases.reading.query, election, keyring.master(election)))!;
    return new ElectionRunner({
      databases,
      databaseState: watch,
      log: await openLog(election, history.partitions, signal),
      history,
      gate: BALLOT_BOX_GATE,
      now: Date.now,
      signal,
      onCounted(outcomes) {
        for (const { fate, reason, records } of outcomes) {
          metrics.outcomes.inc({ election, fate, reason }, records);
        }
      },
      onCommitted: (tookMs) => metrics.committing.observe({ election }, tookMs / 1_000),
      onJudged(records, repeated) {
        const oldest = records[0]?.appendedAtMs;
        if (oldest !== undefined) {
          metrics.countDelay.observe({ election }, Math.max(0, Date.now() - oldest) / 1_000);
        }
        if (repeated > 0) metrics.repeatedNumbers.inc({ election }, repeated);
        for (const { judgement } of records) {
          const { gateway } = judgement;
          if (gateway === undefined) continue;
          if (judgement.fate === "rejected" && judgement.reason === "bad_proof") {
            metrics.badProofs.inc({ election, gateway });
          }
          if ("clockAheadMs" in judgement) {
            metrics.clocksAhead.inc({ election, gateway });
            alerts.noteClockAhead(election, gateway);
          }
        }
      },
      onReleased: (releases) => metrics.releases.inc({ election }, releases),
      onFault: onFault(election),
    });
  }

  /**
   * What processes of other roles need of one with log and master key. With the embedded database there are none.
   */
  async #serveOthers(election: string, log: VoteLog, signal: AbortSignal): Promise<void> {
    if (this.#options.config.database.kind === "pglite") return;
    await Promise.all([this.#storeLogEnds(election, log, signal), this.#takeDelivered(election, signal)]);
  }

  async #storeLogEnds(election: string, log: VoteLog, signal: AbortSignal): Promise<void> {
    await this.#every(
      election,
      signal,
      STORE_ENDS_EVERY_MS,
      "where its log ends was not stored",
      async () => {
        const ends = await logEnds(log);
        await storeLogEnds(this.#options.databases.publishing.query, election, ends, new Date());
      },
    );
  }

  async #takeDelivered(election: string, signal: AbortSignal): Promise<void> {
    const { databases, keyring } = this.#options;
    const keys = syncKeysFromMaster(keyring.master(election), election);
    const onRefused = (gateway: string, statements: number) =>
      this.#noteIgnored({ election, id: gateway }, { senderKeys: 0, statements });
    await this.#every(election, signal, TAKE_DELIVERED_EVERY_MS, "statements were not taken in", async () => {
      while (await takeDelivered(databases.publishing.query, election, keys, onRefused) > 0);
    });
  }

  /** Repeats work until the signal aborts. While the database is away it waits, without a message. */
  async #every(
    election: string,
    signal: AbortSignal,
    ms: number,
    what: string,
    work: () => Promise<void>,
  ): Promise<void> {
    const { watch, onFault } = this.#options;
    while (!signal.aborted) {
      try {
        if (watch.away === undefined) await work();
      } catch (error) {
        if (!signal.aborted) onFault(election)(what, error);
      }
      await delay(ms, undefined, { signal }).catch(() => {});
    }
  }
}

function watchForAlerts(
  { config, databases, alertRules, readChecks, metrics, watch, log, signal }: CountOptions,
): AlertWatch {
  const { alerts } = metrics;
  const senders = config.alertmanagers.map((url) =>
    new AlertSender({
      url,
      access: config.alertmanagerAccess,
      wait: (ms, signal) => delay(ms, undefined, { signal }).catch(() => {}),
      onDelivery: (result, count) => alerts.deliveries.inc({ result }, count),
      onFault: (what) => log.error("{what}", { what }),
    })
  );
  return new AlertWatch({
    reading: databases.reading,
    writing: databases.counting,
    rules: alertRules ?? defaultRules(),
    readChecks: readChecks ?? (() => Promise.resolve([])),
    senders,
    metrics: alerts,
    signal,
    now: Date.now,
    isAway: () => watch.away !== undefined,
  });
}

function standingOf({ runner, failed }: RunningElection): Standing {
  if (runner !== undefined) return runner.standing;
  return { isCounting: false, reason: failed ?? "its log has not been opened yet" };
}

/** How an election stands and its reconciliation; a scrape must not fail, nor wait for long, when a server is away. */
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
    const reconciliation = await readReconciliation(db, election, runner.log.partitions, ends);
    const unbalanced = reconciliation.partitions.filter(({ balanced }) => !balanced).length;
    const { open, missingNumbers } = openSenderKeys(await readGateways(db, election));
    return {
      ...unknown,
      lag: reconciliation.total.lag,
      unbalanced,
      gaps: await sumGaps(db.query, election),
      held: unexpectedlyHeld(reconciliation),
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
