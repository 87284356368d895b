/**
 * The live stream: server-sent events (WHATWG HTML, section 9.2) of an election's releases, turnout and the age of
 * both. One poller an election feeds all clients; without clients it does not ask the database.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { setTimeout as delay } from "node:timers/promises";
import { utf8 } from "../../shared/bytes.ts";
import { isRehearsal } from "../../shared/rehearsal.ts";
import type { Progress } from "../counting/schemas.ts";
import type { Release } from "../results/schemas.ts";
import type { Tick } from "./schemas.ts";
import type { Database } from "../database/database.ts";
import type { Elections } from "../registry/election_names.ts";
import { readLag, readProgress } from "../counting/reconciliation.ts";
import { follow, type FollowerPace, type ReleaseSink } from "../results/follower.ts";
import {
  newestRelease,
  type News,
  type Positions,
  readReleases,
  type ReleaseRow,
  toRelease,
} from "../results/releases.ts";

/** Bounds of the streams of one process. */
export const STREAM_LIMITS = {
  /** Listeners at once, over all elections. */
  clients: 1_000,
  /** Listeners of one address (IPv6: of one /64). */
  addressClients: 100,
  /** Maximum bytes that wait for one client. A client that is further behind is disconnected, and continues where it was when it reconnects. */
  clientBytes: 1 << 20,
  /** Releases of one query. */
  pageReleases: 100,
  pollMs: 25,
  progressMs: 1_000,
  tickMs: 3_000,
  /** After the database has failed. */
  retryMs: 1_000,
};

/** What the streams need. */
export type StreamOptions = Readonly<{
  db: Database;
  elections: Elections;
  /** Where each partition of an election's log ends; `undefined` when it cannot be asked. */
  logEnds(election: string): Promise<number[] | undefined>;
  /** Milliseconds since 1970. */
  now(): number;
  /** Ends all streams. */
  signal: AbortSignal;
  onError(error: unknown): void;
  limits?: Partial<typeof STREAM_LIMITS>;
}>;

/** A listener's end of a stream: the last revision and the last totals that it has; `live` once it has caught up. */
type Client = {
  controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  revision: number | undefined;
  progress: Uint8Array | undefined;
  live: boolean;
  onLeave(): void;
};

/** Formats one event. */
function eventOf(event: string, data: unknown, id?: number): Uint8Array<ArrayBuffer> {
  return utf8(`event: ${event}\n${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`);
}

/** The streams of one process. */
export class Streams {
  readonly #options: StreamOptions;
  readonly #limits: typeof STREAM_LIMITS;
  readonly #feeds = new Map<string, Feed>();
  readonly #ending = new Set<Promise<void>>();
  readonly #byAddress = new Map<string, number>();

  constructor(options: StreamOptions) {
    this.#options = options;
    this.#limits = { ...STREAM_LIMITS, ...options.limits };
  }

  /** How many listen now. */
  get clients(): number {
    return this.#feeds.values().reduce((sum, { size }) => sum + size, 0);
  }

  /**
   * Opens a stream of an election that exists.
   *
   * @param after The revision after which to begin; from now on when left out.
   * @param address The listener's; one that does not know it leaves it out.
   * @returns the problem when as many listen as may, of all or of this address, or the process is about to stop.
   */
  open(
    election: string,
    after?: number,
    address = "",
  ): ReadableStream<Uint8Array<ArrayBuffer>> | "busy" | "address-streams" {
    if (this.#options.signal.aborted || this.clients >= this.#limits.clients) return "busy";
    const ofAddress = this.#byAddress.get(address) ?? 0;
    if (ofAddress >= this.#limits.addressClients) return "address-streams";
    this.#byAddress.set(address, ofAddress + 1);
    let feed = this.#feeds.get(election);
    if (feed === undefined || feed.isOver) {
      feed = new Feed(election, this.#options, this.#limits);
      const opened = feed;
      this.#feeds.set(election, feed);
      const ended = feed.run().finally(() => {
        if (this.#feeds.get(election) === opened) this.#feeds.delete(election);
        this.#ending.delete(ended);
      });
      this.#ending.add(ended);
    }
    return feed.open(after, () => this.#leave(address));
  }

  #leave(address: string): void {
    const left = this.#byAddress.get(address)! - 1;
    if (left === 0) this.#byAddress.delete(address);
    else this.#byAddress.set(address, left);
  }

  /** Resolves when all streams have ended, and their last query has come back. Abort the signal first. */
  async drained(): Promise<void> {
    await Promise.all(this.#ending);
  }
}

/** A poll takes at most a tenth of the time, however long the database takes to answer. */
const REST_SHARE = 3;

/** One election's sink of releases, and its listeners. */
class Feed implements ReleaseSink {
  readonly election: string;
  readonly pace: FollowerPace;
  readonly pageReleases: number;
  readonly #options: StreamOptions;
  readonly #limits: typeof STREAM_LIMITS;
  readonly #clients = new Set<Client>();
  readonly #started = Promise.withResolvers<void>();
  readonly #empty = new AbortController();
  /** The newest revision that was sent to all. */
  #revision = 0;
  #progress: Uint8Array<ArrayBuffer> | undefined;
  #progressText = "";
  #progressAtMs = -Infinity;
  #readAtMs: number | undefined;
  /** When the poll began that is under way. */
  #pollAtMs = -Infinity;
  /** Undefined until the log has been asked. */
  #lag: number | null | undefined;

  constructor(election: string, options: StreamOptions, limits: typeof STREAM_LIMITS) {
    this.election = election;
    const { pollMs, retryMs, pageReleases } = limits;
    this.pace = { pollMs, retryMs, longestRetryMs: retryMs, restShare: REST_SHARE };
    this.pageReleases = pageReleases;
    this.#options = options;
    this.#limits = limits;
  }

  /** Formats one event; of a rehearsal with its mark. */
  #event(event: string, data: object, id?: number): Uint8Array<ArrayBuffer> {
    return eventOf(event, isRehearsal(this.election) ? { rehearsal: true, ...data } : data, id);
  }

  get size(): number {
    return this.#clients.size;
  }

  /** Whether the last listener has left: the poller is ending, and takes no new ones. */
  get isOver(): boolean {
    return this.#empty.signal.aborted || this.#options.signal.aborted;
  }

  open(after: number | undefined, onLeave: () => void): ReadableStream<Uint8Array<ArrayBuffer>> {
    let client: Client;
    return new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => {
        client = { controller, revision: after, progress: undefined, live: false, onLeave };
        this.#clients.add(client);
        controller.enqueue(utf8("retry: 1000\n\n"));
      },
      // Called whenever there is room, so a client that is far behind reads page by page, at its own pace.
      pull: () => client.live ? undefined : this.#catchUp(client),
      cancel: () => this.#leave(client),
    }, new ByteLengthQueuingStrategy({ highWaterMark: this.#limits.clientBytes }));
  }

  /** Polls until no client is left, or the process is about to stop. */
  async run(): Promise<void> {
    const signal = AbortSignal.any([this.#options.signal, this.#empty.signal]);
    await Promise.all([follow(this.#options.db.query, this, signal), this.#tickUntil(signal)]);
    this.#started.resolve();
    for (const client of this.#clients) this.#end(client);
  }

  onError(error: unknown): void {
    this.#options.onError(error);
  }

  /** Begins with what is released now: who listens gets older releases when it asks for them. */
  async positions(): Promise<Positions> {
    const { db, now } = this.#options;
    if (this.#readAtMs === undefined) {
      this.#revision = (await newestRelease(db.query, this.election)).revision;
      this.#readAtMs = now();
      this.#started.resolve();
    }
    this.#pollAtMs = now();
    return new Map([[this.election, this.#revision]]);
  }

  /**
   * Sends what is new. The totals are read after the releases and sent before them, so that nobody ever sees more
   * voters in the results than have been counted.
   */
  async take(_: News, page: () => Promise<readonly ReleaseRow[]>): Promise<boolean> {
    const releases = await this.#named(await page());
    if (releases.length > 0) await this.#readProgress();
    if (releases.length > 0) this.#sendReleases(releases);
    if (hasWithdrawal(releases)) this.#resetAll();
    return releases.length === this.pageReleases;
  }

  /** Sends a page of releases as one piece to all who have none of them: with a thousand listeners each piece counts. */
  #sendReleases(releases: readonly Release[]): void {
    const [first, last] = [releases[0]!.revision, releases.at(-1)!.revision];
    const events = releases.map((release) => this.#event("release", release, release.revision));
    const whole = new Uint8Array(Buffer.concat(events));
    for (const client of this.#clients) {
      if (!client.live || client.revision! >= last) continue;
      const has = releases.findIndex(({ revision }) => revision > client.revision!);
      const piece = client.revision! < first ? whole : new Uint8Array(Buffer.concat(events.slice(has)));
      this.#send(client, piece, last);
    }
    this.#revision = last;
  }

  async pass(): Promise<boolean> {
    if (Math.abs(this.#pollAtMs - this.#progressAtMs) >= this.#limits.progressMs) await this.#readProgress();
    this.#readAtMs = this.#pollAtMs;
    return false;
  }

  async #readProgress(): Promise<void> {
    this.#progressAtMs = this.#pollAtMs;
    this.#notify(await readProgress(this.#options.db, this.election));
  }

  /** Something was withdrawn: a client that keeps more than sums of releases must get the results again. */
  #resetAll(): void {
    const event = this.#event("reset", {}, this.#revision);
    for (const client of this.#clients) if (client.live) this.#send(client, event);
  }

  #notify(progress: Progress): void {
    const text = JSON.stringify(progress);
    if (text === this.#progressText) return;
    this.#progressText = text;
    this.#progress = this.#event("turnout", progress);
    for (const client of this.#clients) if (client.live) this.#sendProgress(client);
  }

  /** Releases as they are shown, with the regions of their stations. */
  async #named(rows: readonly ReleaseRow[]): Promise<Release[]> {
    if (rows.length === 0) return [];
    const { db, elections } = this.#options;
    const names = await elections.find(db.query, this.election);
    const regionOf = (station: string | null) =>
      station === null ? undefined : names?.index.stations.get(station)?.region;
    return rows.map((row) => ({ ...toRelease(row), region: regionOf(row.station) ?? row.region }));
  }

  async #tickUntil(signal: AbortSignal): Promise<void> {
    await Promise.race([this.#started.promise, aborted(signal)]);
    while (!signal.aborted) {
      this.#lag = await this.#readLag();
      const event = this.#tick();
      for (const client of this.#clients) if (client.live) this.#send(client, event);
      await pause(this.#limits.tickMs, signal);
    }
  }

  async #readLag(): Promise<number | null> {
    const { db, logEnds, onError } = this.#options;
    try {
      const ends = await logEnds(this.election);
      return ends === undefined ? null : await readLag(db.query, this.election, ends);
    } catch (error) {
      onError(error);
      return null;
    }
  }

  #tick(): Uint8Array<ArrayBuffer> {
    return this.#event(
      "tick",
      {
        now: new Date(this.#options.now()).toISOString(),
        readAt: this.#readAtMs === undefined ? null : new Date(this.#readAtMs).toISOString(),
        revision: this.#revision,
        lag: this.#lag ?? null,
      } satisfies Tick,
    );
  }

  /** Sends the releases that a client has missed, while there is room; after the last one the client is live. */
  async #catchUp(client: Client): Promise<void> {
    await this.#started.promise;
    try {
      client.revision ??= this.#revision;
      if (client.revision > this.#revision) await this.#resetIfVoid(client, client.revision);
      while (this.#clients.has(client) && client.revision < this.#revision) {
        if (client.controller.desiredSize! <= 0) return;
        this.#sendProgress(client);
        await this.#sendPage(client, client.revision, this.#revision);
      }
    } catch (error) {
      this.#options.onError(error);
      this.#end(client);
    }
    if (!this.#clients.has(client)) return;
    client.live = true;
    if (this.#lag !== undefined) this.#send(client, this.#tick());
    this.#sendProgress(client);
  }

  /** The client names a revision that does not exist: the database was replaced, so the client has results of another count. */
  async #resetIfVoid(client: Client, revision: number): Promise<void> {
    const newest = await newestRelease(this.#options.db.query, this.election);
    if (revision <= newest.revision) return; // The listener has only asked later than the poller.
    client.revision = newest.revision;
    this.#send(client, this.#event("reset", {}, newest.revision));
  }

  async #sendPage(client: Client, after: number, upTo: number): Promise<void> {
    const rows = await readReleases(this.#options.db.query, this.election, after, this.pageReleases);
    const releases = await this.#named(rows.filter(({ revision }) => revision <= upTo));
    if (!this.#clients.has(client)) return;
    for (const release of releases) {
      client.controller.enqueue(this.#event("release", release, release.revision));
    }
    client.revision = releases.at(-1)?.revision ?? upTo;
    if (hasWithdrawal(releases)) client.controller.enqueue(this.#event("reset", {}, client.revision));
  }

  #sendProgress(client: Client): void {
    if (this.#progress === undefined || client.progress === this.#progress) return;
    client.progress = this.#progress;
    this.#send(client, this.#progress);
  }

  /** Sends an event to a listener who is still there, or sends the listener away. */
  #send(client: Client, event: Uint8Array<ArrayBuffer>, revision?: number): void {
    if (!this.#clients.has(client)) return;
    if (client.controller.desiredSize! <= 0) {
      client.controller.enqueue(utf8(": too slow; come back with Last-Event-ID\n\n"));
      return this.#end(client);
    }
    client.controller.enqueue(event);
    if (revision !== undefined) client.revision = revision;
  }

  #end(client: Client): void {
    if (!this.#clients.has(client)) return;
    this.#leave(client);
    client.controller.close();
  }

  #leave(client: Client): void {
    if (!this.#clients.delete(client)) return;
    client.onLeave();
    if (this.#clients.size === 0) this.#empty.abort();
  }
}

function hasWithdrawal(releases: readonly Release[]): boolean {
  return releases.some(({ kind }) => kind === "withdrawn" || kind === "restored");
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => {});
}

function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  else signal.addEventListener("abort", () => resolve(), { once: true });
  return promise;
}
