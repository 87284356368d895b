/**
 * Counts one election until it is told to stop: starts again after a failure, stops for good when the log is not what
 * it should be, gives up its partitions while the database is away, and knows its state.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { LogFault, LogInUse, type VoteLog } from "../../shared/log/vote_log.ts";
import { appendAudit } from "../audit/events.ts";
import { type Databases, type Query, queryOne } from "../database/database.ts";
import type { DatabaseState } from "../database/watch.ts";
import { COUNT_BATCH_RECORDS, createCounter } from "./count.ts";
import type { JudgedRecord } from "./judged.ts";
import type { OutcomeDelta } from "./count_records.ts";
import { gatheredVotes } from "./gather.ts";
import type { RegisteredHistory } from "./history.ts";
import { LogWatch } from "./log_watch.ts";
import { checkLog, countGroup, Fenced } from "./positions.ts";
import { isBeingRebuilt } from "./rebuild_lease.ts";

/** Waits after counting failed, in milliseconds: doubled from the first up to the last, until something is counted. */
const AGAIN_FIRST_MS = 1_000;
const AGAIN_LAST_MS = 10_000;
/** How often the log is compared with the positions, in milliseconds. */
const POLL_EVERY_MS = 2_000;
/** How long counting may fail before the election is said not to be counted, in milliseconds. */
const FAILING_AFTER_MS = 5_000;

/** What counting is made of. */
export type ElectionCountOptions = Readonly<{
  databases: Databases;
  databaseState: DatabaseState;
  log: VoteLog;
  history: RegisteredHistory;
  now(): number;
  signal: AbortSignal;
  onCounted(outcomes: readonly OutcomeDelta[], records: number): void;
  /** Called with how long a counting transaction took, in milliseconds. */
  onCommitted?(tookMs: number): void;
  /** Called with the judgements of counted records, and how many sequence numbers came a second time. */
  onJudged?(records: readonly JudgedRecord[], repeated: number): void;
  onFault(what: string, error: unknown): void;
  pollEveryMs?: number;
  failingAfterMs?: number;
  /** How long a record waits for others to be counted with, at most, where k > 1. */
  gatherMaxWaitMs?: number;
}>;

/** How an election stands. */
export type Standing = Readonly<{
  /** Whether its records are counted, here or by another process. */
  isCounting: boolean;
  /** Why they are not, or what else a person must repair. */
  reason?: string;
}>;

/** Whether another process counts, and this one has to wait for its turn. */
function isOthers(error: unknown): boolean {
  return error instanceof Fenced || error instanceof LogInUse;
}

type Failure = { reason: string; sinceMs: number; when: "starting" | "counting" };

/** See the module. */
export class ElectionCount {
  readonly #options: ElectionCountOptions;
  /** Ends the consumer when counting stops for good. Replaced when counting continues after a rebuild. */
  #halt = new AbortController();
  #stopped?: string;
  /** The newest rebuild when counting stopped, where it could be read. */
  #rebuildsBefore?: number;
  /** Whether the log was found to be the one that was counted so far. */
  #isLogKnown = false;
  #failure?: Failure;
  /** What the last look at the log found. */
  #notCounting?: string;
  #warning?: string;
  #deleted = 0;
  #againMs = AGAIN_FIRST_MS;

  constructor(options: ElectionCountOptions) {
    this.#options = options;
  }

  /** Why counting has stopped for good, if it has. */
  get stopped(): string | undefined {
    return this.#stopped;
  }

  get isLogKnown(): boolean {
    return this.#isLogKnown;
  }

  /** Offsets that were deleted from the front of the log, as far as it is known. */
  get deleted(): number {
    return this.#deleted;
  }

  get standing(): Standing {
    const { away } = this.#options.databaseState;
    const reason = this.#stopped ??
      (away === undefined ? this.#whyNotCounting() : `the database is away: ${away}`);
    return reason === undefined ? { isCounting: true, reason: this.#warning } : { isCounting: false, reason };
  }

  #whyNotCounting(): string | undefined {
    const { failingAfterMs = FAILING_AFTER_MS } = this.#options;
    const failure = this.#failure;
    if (failure !== undefined && performance.now() - failure.sinceMs >= failingAfterMs) {
      return failure.reason;
    }
    if (!this.#isLogKnown) return failure?.reason ?? "counting has not begun yet";
    return this.#notCounting;
  }

  /** Counts until the signal aborts. */
  async run(): Promise<void> {
    await Promise.all([this.#count(), this.#watchLog()]);
  }

  async #count(): Promise<void> {
    const { databaseState, signal } = this.#options;
    const pause = (ms: number) => delay(ms, undefined, { signal }).catch(() => {});
    while (!signal.aborted) {
      if (this.#stopped !== undefined) {
        await this.#waitForRebuild();
        continue;
      }
      if (databaseState.away !== undefined) {
        await pause(AGAIN_FIRST_MS);
        continue;
      }
      const { outage } = databaseState;
      try {
        await this.#consume(AbortSignal.any([signal, outage, this.#halt.signal]));
      } catch (error) {
        if (signal.aborted) return;
        if (!outage.aborted && !this.#halt.signal.aborted) await this.#note(error);
      }
      if (outage.aborted) this.#giveUp();
      const again = this.#againMs;
      this.#againMs = Math.min(2 * again, AGAIN_LAST_MS);
      if (!this.#halt.signal.aborted) await pause(again);
    }
  }

  async #consume(signal: AbortSignal): Promise<void> {
    const { databases: { counting: db }, log, history, onCounted, onFault, gatherMaxWaitMs } = this.#options;
    const { election } = history;
    const leastVotes = () => gatheredVotes(history.newest.manifest.releaseThreshold);
    const counter = createCounter({
      db,
      log,
      history,
      signal,
      wait: (ms) => delay(ms, undefined, { signal }),
      gather: {
        leastVotes,
        nowMs: () => performance.now(),
        wait: (ms) => delay(ms, undefined, { signal }),
        maxWaitMs: gatherMaxWaitMs,
      },
      onCounted: (outcomes, records) => {
        this.#failure = undefined;
        this.#againMs = AGAIN_FIRST_MS;
        onCounted(outcomes, records);
      },
      onCommitted: this.#options.onCommitted,
      onJudged: this.#options.onJudged,
      onRetry: (error) => {
        this.#fail("counting", error);
        onFault(`counting of ${election} is tried again`, error);
      },
    });
    await checkLog({ db, log, history });
    this.#isLogKnown = true;
    if (this.#failure?.when === "starting") this.#failure = undefined;
    await log.consume(counter, {
      group: countGroup(election),
      batchRecords: COUNT_BATCH_RECORDS,
      partitionsAtOnce: log.partitions,
      // A vote that waits for others is shown with them.
      isUrgent: () => leastVotes() === 1,
      signal,
    });
  }

  /** The database has not answered for too long: other processes may reach it. */
  #giveUp(): void {
    const { databaseState: { away }, history: { election }, onFault } = this.#options;
    onFault(
      `the partitions of ${election} are left to others`,
      new Error(`the database is away: ${away ?? "it answers again"}`),
    );
  }

  async #note(error: unknown): Promise<void> {
    const { history: { election }, onFault } = this.#options;
    if (error instanceof LogFault && await this.#stopUnlessRebuilt(error)) return;
    if (isOthers(error)) {
      this.#againMs = AGAIN_FIRST_MS;
      onFault(`another process counts ${election}`, error);
      return;
    }
    this.#fail(this.#isLogKnown ? "counting" : "starting", error);
    onFault(`counting of ${election} failed`, error);
  }

  #fail(when: Failure["when"], error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#failure = { reason, sinceMs: this.#failure?.sinceMs ?? performance.now(), when };
  }

  /**
   * During a rebuild and a moment after it, the tables are behind the log, and the log is right. The newest
   * rebuild is read first, so that a rebuild that ends in between is not missed.
   */
  async #stopUnlessRebuilt(fault: LogFault): Promise<boolean> {
    const { databases: { reading }, history: { election } } = this.#options;
    const rebuilds = await newestRebuild(reading.query, election).catch(() => undefined);
    if (await isBeingRebuilt(reading.query, election).catch(() => false)) return false;
    if (this.#stopped === undefined) this.#rebuildsBefore = rebuilds;
    await this.#stop(fault);
    return true;
  }

  /** Stops counting this election, and reports the fault until someone acts: a wrong count is worse than none. */
  async #stop(fault: LogFault): Promise<void> {
    if (this.#stopped !== undefined) return;
    const { databases, history, now, onFault } = this.#options;
    this.#stopped = fault.message;
    this.#halt.abort();
    onFault(`counting of ${history.election} has stopped`, fault);
    try {
      await databases.counting.transaction((query) =>
        appendAudit(query, new Date(now()), "counting_stopped", history.election, { why: fault.message })
      );
    } catch (error) {
      onFault("the audit trail could not be written", error);
    }
  }

  /** Waits until a rebuild has ended: people run one to repair the cause for which counting stopped. */
  async #waitForRebuild(): Promise<void> {
    const { databases: { reading }, databaseState, history, signal, onFault } = this.#options;
    const newest = () => newestRebuild(reading.query, history.election);
    while (!signal.aborted) {
      try {
        if (databaseState.away === undefined) {
          this.#rebuildsBefore ??= await newest();
          if (await newest() > this.#rebuildsBefore) return this.#begin();
        }
      } catch (error) {
        if (!signal.aborted) onFault("the audit trail could not be read", error);
      }
      await delay(AGAIN_FIRST_MS, undefined, { signal }).catch(() => {});
    }
  }

  #begin(): void {
    this.#stopped = undefined;
    this.#failure = undefined;
    this.#notCounting = undefined;
    this.#isLogKnown = false;
    this.#againMs = AGAIN_FIRST_MS;
    this.#halt = new AbortController();
  }

  async #watchLog(): Promise<void> {
    const { databaseState, history, log, signal, pollEveryMs } = this.#options;
    const watch = new LogWatch(log, history.election, () => performance.now());
    while (!signal.aborted) {
      try {
        if (databaseState.away === undefined) await this.#poll(watch);
      } catch (error) {
        if (error instanceof LogFault) await this.#stopUnlessRebuilt(error);
        // The database is watched by itself.
      }
      await delay(pollEveryMs ?? POLL_EVERY_MS, undefined, { signal }).catch(() => {});
    }
  }

  async #poll(watch: LogWatch): Promise<void> {
    const { databases: { counting, reading }, history, log } = this.#options;
    const { notCounting, warning, isSuspect, lag, deleted } = await watch.poll(reading.query);
    this.#notCounting = notCounting;
    this.#deleted = deleted;
    if (notCounting === undefined) this.#warning = warning;
    if (lag === 0 && this.#failure?.when === "counting") this.#failure = undefined;
    if (isSuspect && this.#isLogKnown && this.#stopped === undefined) {
      await checkLog({ db: counting, log, history });
    }
  }
}

/** The number of the newest rebuild's audit event; 0 when there was none. */
async function newestRebuild(query: Query, election: string): Promise<number> {
  const { number } = await queryOne<{ number: number }>(
    query,
    "SELECT coalesce(max(number), 0)::float8 AS number FROM audit.events WHERE event = 'rebuild_finished' AND election = $1",
    [election],
  );
  return number;
}
