/**
 * Runs one election in the aggregator: counts its log, publishes its releases, follows its manifest.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { LogFault, LogInUse, type VoteLog } from "../shared/log/vote_log.ts";
import { appendAudit } from "./audit/events.ts";
import { checkLog, COUNT_BATCH_RECORDS, countGroup, createCounter, Fenced } from "./counting/count.ts";
import type { OutcomeDelta } from "./counting/count_batch.ts";
import type { Databases, Query } from "./database/database.ts";
import type { RegisteredHistory } from "./counting/history.ts";
import { isBeingRebuilt } from "./counting/rebuild_lease.ts";
import { type FinalReleaseGate, OPEN_GATE } from "./results/final_gate.ts";
import { FinalWatch } from "./results/final_watch.ts";
import { isDue, publish } from "./results/publish.ts";

/**
 * How long at the least is between two publishings of changed stations, and how often it is asked whether one is due,
 * in milliseconds: each costs the database about as much as the votes that it shows.
 */
const PUBLISH_EVERY_MS = 200;
const LOOK_EVERY_MS = 50;
/** The same after the final release: what comes late is shown together, as far as it comes together. */
const PUBLISH_LATE_EVERY_MS = 5_000;
/** How often the registry is asked for a newer manifest, in milliseconds. */
const RELOAD_EVERY_MS = 1_000;
/** How long to wait after counting or publishing failed, or was taken over, before trying again, in milliseconds. */
const AGAIN_AFTER_MS = 1_000;

/** What a runner is made of. */
export type RunnerOptions = Readonly<{
  databases: Databases;
  log: VoteLog;
  history: RegisteredHistory;
  /** Of how many partitions a batch may be counted at once: more than one only where each has a connection. */
  partitionsAtOnce: number;
  /** What the final release waits for; nothing when left out. */
  gate?: FinalReleaseGate;
  now(): number;
  signal: AbortSignal;
  onCounted(outcomes: readonly OutcomeDelta[], records: number): void;
  onReleased(releases: number): void;
  onFault(what: string, error: unknown): void;
}>;

/** Whether another process counts, and this one has to wait for its turn. */
function isOthers(error: unknown): boolean {
  return error instanceof Fenced || error instanceof LogInUse;
}

/** Runs one election until the signal aborts. */
export class ElectionRunner {
  readonly #options: RunnerOptions;
  #stopped?: string;
  /** The newest rebuild when counting stopped. */
  #rebuildsBefore?: number;
  /** Whether the log was found to be the one that was counted so far. */
  #isLogKnown = false;
  readonly #final: FinalWatch;
  /** The terms of the last publishing. */
  #published = { version: 0, final: false, caughtUp: false };

  constructor(options: RunnerOptions) {
    this.#options = options;
    const { databases, log, history, gate = OPEN_GATE, now, signal, onFault } = options;
    this.#final = new FinalWatch({
      query: databases.reading.query,
      election: history.election,
      log,
      gate,
      now,
      acceptsUntilMs: () => history.newest.acceptsUntilMs,
      isLogKnown: () => this.#isLogKnown && this.#stopped === undefined,
      signal,
      onFault: (error) =>
        onFault(`it is not known whether ${history.election} was counted to its end`, error),
    });
  }

  get log(): VoteLog {
    return this.#options.log;
  }

  /** Why counting has stopped for good, if it has. */
  get stopped(): string | undefined {
    return this.#stopped;
  }

  async run(): Promise<void> {
    await Promise.all([this.#count(), this.#publish(), this.#follow(), this.#final.run()]);
  }

  async #count(): Promise<void> {
    const { databases: { counting: db }, log, history, signal, onCounted, onFault, partitionsAtOnce } =
      this.#options;
    const { election } = history;
    const wait = (ms: number) => delay(ms, undefined, { signal });
    while (!signal.aborted) {
      if (this.#stopped !== undefined) {
        if (await this.#isRebuilt()) this.#stopped = undefined;
        else await wait(AGAIN_AFTER_MS).catch(() => {});
        continue;
      }
      const counter = createCounter({
        db,
        log,
        history,
        signal,
        wait,
        onCounted,
        onRetry: (error) => onFault(`counting of ${election} is tried again`, error),
      });
      try {
        await checkLog({ db, log, history });
        this.#isLogKnown = true;
        await log.consume(counter, {
          group: countGroup(election),
          batchRecords: COUNT_BATCH_RECORDS,
          partitionsAtOnce,
          signal,
        });
      } catch (error) {
        if (signal.aborted) return;
        // Tables that are being made anew, or were a moment ago, are behind the log: that is no fault of the log.
        const rebuilds = error instanceof LogFault ? await this.#rebuilds() : undefined;
        if (error instanceof LogFault && !await this.#isBeingRebuilt()) await this.#stop(error, rebuilds);
        else {onFault(
            isOthers(error) ? `another process counts ${election}` : `counting of ${election} failed`,
            error,
          );}
        await wait(AGAIN_AFTER_MS).catch(() => {});
      }
    }
  }

  /** A wrong count is worse than none: counting of this election stops, and says so until someone acts. */
  async #stop(fault: LogFault, rebuilds: number | undefined): Promise<void> {
    const { databases, history, now, onFault } = this.#options;
    this.#rebuildsBefore = rebuilds;
    this.#stopped = fault.message;
    onFault(`counting of ${history.election} has stopped`, fault);
    try {
      await databases.counting.transaction((query) =>
        appendAudit(query, new Date(now()), "counting_stopped", history.election, { why: fault.message })
      );
    } catch (error) {
      onFault("the audit trail could not be written", error);
    }
  }

  async #isBeingRebuilt(): Promise<boolean> {
    const { databases, history } = this.#options;
    return await isBeingRebuilt(databases.reading.query, history.election).catch(() => false);
  }

  /** The number of the newest rebuild; `undefined` when it cannot be read. */
  async #rebuilds(): Promise<number | undefined> {
    const { databases: { reading }, history, onFault } = this.#options;
    try {
      return await newestRebuild(reading.query, history.election);
    } catch (error) {
      onFault("the audit trail could not be read", error);
      return undefined;
    }
  }

  /** A rebuild is how people put right what counting stopped for: once one has ended, counting is tried again. */
  async #isRebuilt(): Promise<boolean> {
    const newest = await this.#rebuilds();
    this.#rebuildsBefore ??= newest;
    return newest !== undefined && newest > this.#rebuildsBefore!;
  }

  async #publish(): Promise<void> {
    const { history, signal, onFault } = this.#options;
    while (!signal.aborted) {
      let waitMs = LOOK_EVERY_MS;
      try {
        // Where k > 1 most publishings release nothing: they must not come faster for that.
        if (await this.#publishOnce()) waitMs = PUBLISH_EVERY_MS;
      } catch (error) {
        if (signal.aborted) return;
        onFault(`publishing of ${history.election} failed`, error);
        waitMs = AGAIN_AFTER_MS;
      }
      await delay(waitMs, undefined, { signal }).catch(() => {});
    }
  }

  /** Publishes what is due. Returns whether it was this process's turn to. */
  async #publishOnce(): Promise<boolean> {
    const { databases: { publishing: db }, history, now, onReleased } = this.#options;
    const { manifest, stations } = history.newest;
    const terms = {
      version: manifest.version,
      final: this.#final.isDue,
      caughtUp: this.#final.isCaughtUp,
    };
    // After a start, and after a manifest changed the rules, stations are looked at without a change of theirs.
    const all = terms.version !== this.#published.version;
    const isNews = all || (terms.final && !this.#published.final) ||
      (terms.caughtUp && !this.#published.caughtUp);
    const paceMs = terms.final ? PUBLISH_LATE_EVERY_MS : PUBLISH_EVERY_MS;
    if (!isNews && !await isDue(db.query, manifest.election, new Date(now()), paceMs)) return false;
    const releases = await publish(db, {
      election: manifest.election,
      threshold: manifest.releaseThreshold,
      beforeFinal: manifest.resultsBeforeClosing,
      final: terms.final,
      caughtUp: terms.caughtUp,
      regionOf: (station) => stations.get(station)?.region,
      all,
    }, new Date(now()));
    if (releases === undefined) return false; // Another process is publishing, or rebuilds.
    this.#published = terms;
    if (releases > 0) onReleased(releases);
    return true;
  }

  async #follow(): Promise<void> {
    const { databases, history, signal, onFault } = this.#options;
    while (!signal.aborted) {
      await delay(RELOAD_EVERY_MS, undefined, { signal }).catch(() => {});
      try {
        await history.reload(databases.reading.query);
      } catch (error) {
        if (!signal.aborted) onFault(`the registry of ${history.election} could not be read`, error);
      }
    }
  }
}

async function newestRebuild(query: Query, election: string): Promise<number> {
  const [{ number }] = await query<{ number: number }>(
    "SELECT coalesce(max(number), 0)::float8 AS number FROM audit.events WHERE event = 'rebuild_finished' AND election = $1",
    [election],
  );
  return number;
}
