/**
 * Runs one election in the aggregator: counts its log, publishes its releases, follows its manifest.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { VoteLog } from "../shared/log/vote_log.ts";
import { ElectionCount, type ElectionCountOptions, type Standing } from "./counting/election_count.ts";
import { type FinalReleaseGate, OPEN_GATE } from "./results/final_gate.ts";
import { FinalWatch } from "./results/final_watch.ts";
import { isDue, publish } from "./results/publish.ts";

/**
 * How long at the least is between two publishings of changed stations, and how often it is asked whether one is due,
 * in milliseconds: each costs the database about as much as the votes that it shows.
 */
const PUBLISH_EVERY_MS = 200;
const POLL_EVERY_MS = 50;
/** The same after the final release: what comes late is shown together, as far as it comes together. */
const PUBLISH_LATE_EVERY_MS = 5_000;
/** How often the registry is asked for a newer manifest, in milliseconds. */
const RELOAD_EVERY_MS = 1_000;
/** How long to wait after publishing failed before trying again, in milliseconds. */
const AGAIN_AFTER_MS = 1_000;

/** What a runner is made of. */
export type RunnerOptions =
  & ElectionCountOptions
  & Readonly<{
    /** What the final release waits for; nothing when left out. */
    gate?: FinalReleaseGate;
    onReleased(releases: number): void;
  }>;

/** Runs one election until the signal aborts. */
export class ElectionRunner {
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

  /** Why counting has stopped for good, if it has. */
  get stopped(): string | undefined {
    return this.#count.stopped;
  }

  /** Whether the election is counted, and what a person must see to. */
  get standing(): Standing {
    return this.#count.standing;
  }

  /** Offsets that were deleted from the front of the log, as far as it is known. */
  get deleted(): number {
    return this.#count.deleted;
  }

  async run(): Promise<void> {
    await Promise.all([this.#count.run(), this.#publish(), this.#follow(), this.#final.run()]);
  }

  async #publish(): Promise<void> {
    const { history, signal, onFault } = this.#options;
    while (!signal.aborted) {
      let waitMs = POLL_EVERY_MS;
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
