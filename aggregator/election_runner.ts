/**
 * Runs one election in the aggregator: counts its log, publishes its releases, follows its manifest.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { logEnds, type VoteLog } from "../shared/log/vote_log.ts";
import { ElectionCount, type ElectionCountOptions, type Standing } from "./counting/election_count.ts";
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
/** How long to wait after publishing failed before trying again, in milliseconds. */
const AGAIN_AFTER_MS = 1_000;

/** What a runner is made of. */
export type RunnerOptions = ElectionCountOptions & Readonly<{ onReleased(releases: number): void }>;

/** Runs one election until the signal aborts. */
export class ElectionRunner {
  readonly #options: RunnerOptions;
  readonly #count: ElectionCount;
  /** The version by which was published last, and whether stations had closed by it. */
  #published: Readonly<{ version: number; closed: boolean }> = { version: 0, closed: false };

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#count = new ElectionCount(options);
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
    await Promise.all([this.#count.run(), this.#publish(), this.#follow()]);
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
    if (!this.#count.isLogKnown || this.stopped !== undefined) return false;
    const { databases, log, history } = this.#options;
    return await readLag(databases.reading.query, history.election, await logEnds(log)) === 0;
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
