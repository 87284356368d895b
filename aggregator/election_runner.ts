/**
 * Runs one election in the aggregator: counts its log, follows its manifest, and publishes its releases when the
 * publisher (publisher.ts) says so.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { ElectionIndex } from "../shared/election.ts";
import type { VoteLog } from "../shared/log/vote_log.ts";
import { ElectionCount, type ElectionCountOptions, type Standing } from "./counting/election_count.ts";
import { type FinalReleaseGate, OPEN_GATE } from "./results/final_gate.ts";
import { FinalWatch } from "./results/final_watch.ts";
import type { Database } from "./database/database.ts";
import type { Publishable } from "./publisher.ts";
import { publish } from "./results/publish.ts";

/** How often the registry is asked for a newer manifest, in milliseconds. */
const RELOAD_EVERY_MS = 1_000;

/** What a runner is made of. */
export type RunnerOptions =
  & ElectionCountOptions
  & Readonly<{
    /** What the final release waits for; nothing when left out. */
    gate?: FinalReleaseGate;
    onReleased(releases: number): void;
  }>;

/** Runs one election until the signal aborts. */
export class ElectionRunner implements Publishable {
  readonly #options: RunnerOptions;
  readonly #count: ElectionCount;
  readonly #final: FinalWatch;
  /** The terms of the last publishing. */
  #published = { version: 0, final: false, caughtUp: false };

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#count = new ElectionCount(options);
    const { databases, log, history, gate = OPEN_GATE, now, signal, onFault } = options;
    this.#final = new FinalWatch({
      query: databases.reading.query,
      election: history.election,
      log,
      gate,
      now,
      acceptsUntilMs: () => history.newest.acceptsUntilMs,
      isLogKnown: () => this.#count.isLogKnown && this.stopped === undefined,
      signal,
      onFault: (error) =>
        onFault(`it is not known whether ${history.election} was counted to its end`, error),
    });
  }

  get log(): VoteLog {
    return this.#options.log;
  }

  /** The newest manifest. */
  get index(): ElectionIndex {
    return this.#options.history.newest;
  }

  /** Why counting has stopped for good, if it has. */
  get stopped(): string | undefined {
    return this.#count.stopped;
  }

  /** Whether the election is counted, and what a person must repair. */
  get standing(): Standing {
    return this.#count.standing;
  }

  /** Offsets that were deleted from the front of the log, as far as it is known. */
  get deleted(): number {
    return this.#count.deleted;
  }

  async run(): Promise<void> {
    await Promise.all([this.#count.run(), this.#follow(), this.#final.run()]);
  }

  get election(): string {
    return this.#options.history.election;
  }

  /** Whether the final release was due when this was last published. */
  get isFinal(): boolean {
    return this.#published.final;
  }

  /** After a start, and after a manifest changed the rules, stations are published without a change of theirs. */
  hasNews(): boolean {
    const { version, final, caughtUp } = this.#terms();
    return version !== this.#published.version || (final && !this.#published.final) ||
      (caughtUp && !this.#published.caughtUp);
  }

  onFault(what: string, error: unknown): void {
    this.#options.onFault(what, error);
  }

  #terms() {
    const { version, withheld } = this.#options.history.newest.manifest;
    return {
      version,
      final: this.#final.isDue && !withheld,
      caughtUp: this.#final.isCaughtUp,
    };
  }

  /** Publishes what is due. Returns whether it was this process's turn to. */
  async publish(db: Database): Promise<boolean> {
    const { history, now, onReleased } = this.#options;
    const { manifest, stations } = history.newest;
    const terms = this.#terms();
    const releases = await publish(db, {
      election: manifest.election,
      threshold: manifest.releaseThreshold,
      beforeFinal: manifest.resultsBeforeClosing && !manifest.withheld,
      final: terms.final,
      caughtUp: terms.caughtUp,
      regionOf: (station) => stations.get(station)?.region,
      all: terms.version !== this.#published.version,
    }, new Date(now()));
    if (releases === undefined) return false; // Another process is publishing, or rebuilds.
    this.#published = terms;
    if (releases > 0) onReleased(releases);
    return true;
  }

  async #follow(): Promise<void> {
    const { databases, databaseState, history, signal, onFault } = this.#options;
    while (!signal.aborted) {
      await delay(RELOAD_EVERY_MS, undefined, { signal }).catch(() => {});
      if (databaseState.away !== undefined) continue;
      try {
        await history.reload(databases.reading.query);
      } catch (error) {
        if (!signal.aborted) onFault(`the registry of ${history.election} could not be read`, error);
      }
    }
  }
}
