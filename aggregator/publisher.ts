/**
 * Publishes the elections that this process counts: one loop for all of them, which asks in one statement what has changed.
 * A lease makes sure that only one process publishes an election.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Database } from "./database/database.ts";
import { LeaseSet } from "./database/lease.ts";
import { changedElections } from "./results/publish.ts";

/** How often the database is asked what has changed, in milliseconds. */
const POLL_EVERY_MS = 25;
/**
 * Minimum time between two publishings of an election, in milliseconds: each costs the database about as much
 * as the votes that it shows. Publishing takes at most 1/PUBLISH_SHARE of the time; where one takes longer than PUBLISH_SHORT_MS, as
 * while a backlog is counted, at most 1/PUBLISH_LOADED_SHARE, until the time between two is PUBLISH_LOADED_EVERY_MS.
 */
const PUBLISH_EVERY_MS = 100;
const PUBLISH_SHARE = 2;
const PUBLISH_SHORT_MS = 75;
const PUBLISH_LOADED_SHARE = 5;
const PUBLISH_LOADED_EVERY_MS = 1_000;
/** The same after the final release: late votes that come within it are shown together. */
const PUBLISH_LATE_EVERY_MS = 5_000;
/** How long to wait after publishing failed before trying again, in milliseconds. */
const AGAIN_AFTER_MS = 1_000;
/** How long nobody publishes after the publishing process has died, and how often the lease is renewed, in milliseconds. */
const LEASE_MS = 3_000;
const HOLD_EVERY_MS = 1_000;

/** An election that can be published: see election_runner.ts. */
export type Publishable = Readonly<{
  election: string;
  /** Whether the final release was due when it was last published. */
  isFinal: boolean;
  /** Whether it must be published although no counts have changed: at the start, after a new manifest, and when the final release is due. */
  hasNews(): boolean;
  /** Publishes. Returns whether it was this process's turn to. */
  publish(db: Database): Promise<boolean>;
  onFault(what: string, error: unknown): void;
}>;

/** What a publisher needs. */
export type PublisherOptions = Readonly<{
  db: Database;
  signal: AbortSignal;
  /** A clock that only goes forward, in milliseconds. */
  nowMs?(): number;
  /** Called with how long it took to publish an election, in milliseconds. */
  onPublished?(election: string, tookMs: number): void;
}>;

/** How long after the start of a publishing the next one may start, in milliseconds. */
export function paceMs(tookMs: number, isFinal: boolean): number {
  if (isFinal) return PUBLISH_LATE_EVERY_MS;
  if (tookMs <= PUBLISH_SHORT_MS) return Math.max(PUBLISH_EVERY_MS, tookMs * PUBLISH_SHARE);
  return Math.min(PUBLISH_LOADED_EVERY_MS, tookMs * PUBLISH_LOADED_SHARE);
}

/** See the module. */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #nowMs: () => number;
  readonly #elections = new Map<string, Publishable>();
  /** When each election may be published next: at its pace, and after it could not be published. */
  readonly #nextMs = new Map<string, number>();
  readonly #againMs = new Map<string, number>();
  readonly #leases: LeaseSet;
  #mine: ReadonlySet<string> = new Set();
  #holdAtMs = -Infinity;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#leases = new LeaseSet(options.db.query, LEASE_MS);
  }

  /** Publishes an election from now on. */
  add(election: Publishable): void {
    this.#elections.set(election.election, election);
    this.#holdAtMs = -Infinity;
  }

  /** Publishes an election no more. */
  remove(election: string): void {
    this.#elections.delete(election);
    this.#nextMs.delete(election);
    this.#againMs.delete(election);
  }

  /** Publishes what is due until the signal aborts, and then lets others do it. */
  async run(): Promise<void> {
    const { signal } = this.#options;
    while (!signal.aborted) {
      const waitMs = await this.#step() ? POLL_EVERY_MS : AGAIN_AFTER_MS;
      await delay(waitMs, undefined, { signal }).catch(() => {});
    }
    if (this.#mine.size > 0) await this.#leases.release().catch(() => {});
  }

  /** Returns whether the database answered. */
  async #step(): Promise<boolean> {
    const { db, signal } = this.#options;
    let due: Publishable[];
    try {
      await this.#hold();
      due = await this.#due(db);
    } catch (error) {
      this.#holdAtMs = -Infinity;
      if (!signal.aborted) { for (const each of this.#elections.values()) reportFault(each, error); }
      return false;
    }
    for (const election of due) await this.#publish(election);
    return true;
  }

  async #hold(): Promise<void> {
    if (this.#elections.size === 0 || this.#nowMs() - this.#holdAtMs < HOLD_EVERY_MS) return;
    const atMs = this.#nowMs();
    const held = await this.#leases.hold([...this.#elections.keys()].map(workOf));
    this.#mine = new Set([...this.#elections.keys()].filter((election) => held.has(workOf(election))));
    this.#holdAtMs = atMs;
  }

  /** The elections whose turn it is, and that have changed. */
  async #due(db: Database): Promise<Publishable[]> {
    const nowMs = this.#nowMs();
    const mine = [...this.#elections.values()].filter(({ election }) =>
      this.#mine.has(election) && (this.#againMs.get(election) ?? 0) <= nowMs
    );
    const news = mine.filter((each) => each.hasNews());
    const others = mine.filter((each) =>
      !news.includes(each) && (this.#nextMs.get(each.election) ?? 0) <= nowMs
    );
    if (others.length === 0) return news;
    const changed = await changedElections(db.query, others.map(({ election }) => election));
    return [...news, ...others.filter(({ election }) => changed.has(election))];
  }

  async #publish(election: Publishable): Promise<void> {
    const { db, signal } = this.#options;
    if (signal.aborted) return;
    const fromMs = this.#nowMs();
    try {
      // Where k > 1 most publishings release nothing, and keep the same pace.
      const done = await election.publish(db);
      const nowMs = this.#nowMs();
      if (done) {
        this.#options.onPublished?.(election.election, nowMs - fromMs);
        this.#nextMs.set(election.election, fromMs + paceMs(nowMs - fromMs, election.isFinal));
      } else this.#againMs.set(election.election, nowMs + PUBLISH_EVERY_MS);
    } catch (error) {
      if (!signal.aborted) reportFault(election, error);
      this.#againMs.set(election.election, this.#nowMs() + AGAIN_AFTER_MS);
    }
  }
}

function workOf(election: string): string {
  return `publish ${election}`;
}

function reportFault(election: Publishable, error: unknown): void {
  election.onFault(`publishing of ${election.election} failed`, error);
}
