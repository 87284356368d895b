/**
 * Drains the spool to the log, and frees only what the log has acknowledged. While a log is away it tries again,
 * with back-off, and goes on with the other elections.
 *
 * @module
 */
import type { VoteLog } from "../shared/log/vote_log.ts";
import { unpackChunk } from "./chunk.ts";
import type { Spool, SpooledChunk } from "./spool.ts";

/** Chunks that are read from the spool at once. */
const MAX_CHUNKS = 64;
/** Records that are appended to the log at once, unless one chunk holds more. */
const MAX_APPEND_RECORDS = 2_000;
/** Waits between tries while a log is away, in milliseconds: doubled from the first up to the last. */
const RETRY_FIRST_MS = 100;
const RETRY_LAST_MS = 10_000;

/** What a forwarder is made of. */
export type ForwarderOptions = Readonly<{
  spool: Spool;
  /** Opens an election's log. Called again after an error. */
  openLog(election: string, partitions: number): Promise<VoteLog>;
  now(): number;
  random(): number;
  onForwarded?(records: number): void;
  onFault?(election: string, error: unknown): void;
}>;

type Route = { log?: VoteLog; retryAtMs: number; waitMs: number };

/** Forwards one spool. */
export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #routes = new Map<string, Route>();

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /**
   * Forwards a batch, if there is something to forward.
   *
   * @returns milliseconds to wait before the next step: 0 when there may be more, `undefined` when the spool is empty.
   */
  async step(): Promise<number | undefined> {
    const { spool, now } = this.#options;
    const away = [...this.#routes].filter(([, { retryAtMs }]) => retryAtMs > now());
    const chunks = spool.oldest(MAX_CHUNKS, away.map(([election]) => election));
    if (chunks.length === 0) {
      return away.length === 0 ? undefined : Math.min(...away.map(([, { retryAtMs }]) => retryAtMs)) - now();
    }
    const { election } = chunks[0];
    await this.#forward(election, firstRun(chunks));
    return 0;
  }

  /** Closes the logs. */
  async close(): Promise<void> {
    for (const route of this.#routes.values()) await letGo(route);
  }

  async #forward(election: string, chunks: readonly SpooledChunk[]): Promise<void> {
    const { spool, onForwarded, onFault } = this.#options;
    const readable: SpooledChunk[] = [];
    const records = chunks.flatMap((chunk) => {
      try {
        const unpacked = unpackChunk(chunk);
        readable.push(chunk);
        return unpacked;
      } catch (error) {
        onFault?.(election, error);
        spool.setAside(chunk, (error as Error).message);
        return [];
      }
    });
    if (readable.length === 0) return;
    const route = this.#route(election);
    try {
      route.log ??= await this.#options.openLog(election, readable[0].partitions);
      await route.log.append(records);
    } catch (error) {
      onFault?.(election, error);
      await this.#backOff(route);
      return;
    }
    route.waitMs = RETRY_FIRST_MS;
    spool.free(readable);
    onForwarded?.(records.length);
  }

  /** After an error the log is opened anew: what the old connection still does is its own affair. */
  async #backOff(route: Route): Promise<void> {
    const { now, random } = this.#options;
    route.retryAtMs = now() + route.waitMs * (0.5 + random() / 2);
    route.waitMs = Math.min(route.waitMs * 2, RETRY_LAST_MS);
    await letGo(route);
  }

  #route(election: string): Route {
    let route = this.#routes.get(election);
    if (route === undefined) this.#routes.set(election, route = { retryAtMs: 0, waitMs: RETRY_FIRST_MS });
    return route;
  }
}

async function letGo(route: Route): Promise<void> {
  const { log } = route;
  route.log = undefined;
  await log?.close().catch(() => {});
}

/** Chunks at the front that go to one log together. */
function firstRun(chunks: readonly SpooledChunk[]): SpooledChunk[] {
  const { election } = chunks[0];
  const run: SpooledChunk[] = [];
  let records = 0;
  for (const chunk of chunks) {
    const fits = run.length === 0 || records + chunk.records <= MAX_APPEND_RECORDS;
    if (chunk.election !== election || !fits) break;
    run.push(chunk);
    records += chunk.records;
  }
  return run;
}
