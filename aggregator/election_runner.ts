/**
 * Runs one election in the aggregator: counts its log, publishes its releases, follows its manifest.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { logEnds, LogFault, LogInUse, type VoteLog } from "../shared/log/vote_log.ts";
import { appendAudit } from "./audit/events.ts";
import { checkLog, COUNT_BATCH_RECORDS, countGroup, createCounter, Fenced } from "./counting/count.ts";
import type { OutcomeDelta } from "./counting/count_batch.ts";
import type { Databases } from "./database/database.ts";
import type { RegisteredHistory } from "./counting/history.ts";
import { isDue, publish } from "./results/publish.ts";
import { readLag } from "./counting/reconciliation.ts";

/**
 * How long at the least is between two publishings of changed stations, and how often it is asked whether one is due,
 * in milliseconds: each costs the database about as much as the votes that it shows.
 */
const PUBLISH_EVERY_MS = 200;
const LOOK_EVERY_MS = 50;
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
  /** Whether the log was found to be the one that was counted so far. */
  #isLogKnown = false;
  /** The version by which was published last, and whether stations had closed by it. */
  #published: Readonly<{ version: number; closed: boolean }> = { version: 0, closed: false };

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  get log(): VoteLog {
    return this.#options.log;
  }

  /** Why counting has stopped for good, if it has. */
  get stopped(): string | undefined {
    return this.#stopped;
  }

  async run(): Promise<void> {
    await Promise.all([this.#count(), this.#publish(), this.#follow()]);
  }

  async #count(): Promise<void> {
    const { databases: { counting: db }, log, history, signal, onCounted, onFault, partitionsAtOnce } =
      this.#options;
    const { election } = history;
    const wait = (ms: number) => delay(ms, undefined, { signal });
    while (!signal.aborted && this.#stopped === undefined) {
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
        if (error instanceof LogFault) await this.#stop(error);
        else {onFault(
            isOthers(error) ? `another process counts ${election}` : `counting of ${election} failed`,
            error,
          );}
        await wait(AGAIN_AFTER_MS).catch(() => {});
      }
    }
  }

  /** A wrong count is worse than none: counting of this election stops, and says so until someone acts. */
  async #stop(fault: LogFault): Promise<void> {
    const { databases, history, now, onFault } = this.#options;
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

  async #publish(): Promise<void> {
    const { history, signal, onFault } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#publishOnce();
      } catch (error) {
        if (signal.aborted) return;
        onFault(`publishing of ${history.election} failed`, error);
        await delay(AGAIN_AFTER_MS, undefined, { signal }).catch(() => {});
      }
      await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => {});
    }
  }

  async #publishOnce(): Promise<void> {
    const { databases: { publishing: db }, history, now, onReleased } = this.#options;
    const { manifest, acceptsUntilMs } = history.newest;
    const { version } = manifest;
    // After a start, and after a manifest changed the rules, stations are looked at without a change of theirs.
    const all = version !== this.#published.version;
    const closedBefore = !all && this.#published.closed;
    const closed = now() > acceptsUntilMs && (closedBefore || await this.#isCaughtUp());
    const closing = closed && !closedBefore;
    if (!all && !closing) {
      if (!await isDue(db.query, manifest.election, new Date(now()), PUBLISH_EVERY_MS)) return;
    }
    const releases = await publish(db, {
      election: manifest.election,
      threshold: manifest.releaseThreshold,
      allowed: manifest.resultsBeforeClosing || closed,
      closed,
      stations: manifest.stations.map(({ id }) => id),
      all,
    }, new Date(now()));
    if (releases === undefined) return; // Another process is publishing.
    this.#published = { version, closed };
    if (releases > 0) onReleased(releases);
  }

  /** Whether everything on the log has been counted; of a log that is not the right one, nothing can be said. */
  async #isCaughtUp(): Promise<boolean> {
    if (!this.#isLogKnown || this.#stopped !== undefined) return false;
    const { databases, log, history } = this.#options;
    return await readLag(databases.reading.query, history.election, await logEnds(log)) === 0;
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
