/**
 * Drains the spool to the log, and frees only what the log has acknowledged. While a log is away it tries again,
 * with back-off, and goes on with the other elections.
 *
 * @module
 */
import type { PlacedRecord, VoteLog } from "../shared/log/vote_log.ts";
import { unpackChunk } from "./chunk.ts";
import type { DueStatements } from "./sender_keys.ts";
import type { Spool, SpooledChunk } from "./spool.ts";

/** Chunks that are read from the spool at once. */
const MAX_CHUNKS = 64;
/** Records that are appended to the log at once, unless one chunk holds more. */
export const MAX_APPEND_RECORDS = 2_000;
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
  onForwarded?(election: string, records: number): void;
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
    const due = spool.senderKeys.dueForLog(away.map(([election]) => election));
    if (due !== undefined) {
      await this.#appendStatements(due);
      return 0;
    }
    const chunks = spool.oldest(MAX_CHUNKS, MAX_APPEND_RECORDS, away.map(([election]) => election));
    if (chunks.length === 0) {
      if (away.length === 0) return undefined;
      return Math.max(1, Math.min(...away.map(([, { retryAtMs }]) => retryAtMs)) - now());
    }
    await this.#forward(chunks);
    return 0;
  }

  /** Closes the logs. */
  async close(): Promise<void> {
    for (const route of this.#routes.values()) await letGo(route);
  }

  async #forward(chunks: readonly SpooledChunk[]): Promise<void> {
    const { spool, openLog, onForwarded, onFault } = this.#options;
    const { election, partitions } = chunks[0];
    const route = this.#route(election);
    const records: PlacedRecord[] = [];
    try {
      const readable = chunks.filter((chunk) => this.#unpackInto(records, chunk));
      if (readable.length === 0) return;
      route.log ??= await openLog(election, partitions);
      await route.log.append(records);
      spool.free(readable);
    } catch (error) {
      // Should the records be on the log and still in the spool, they are sent twice: harmless.
      onFault?.(election, error);
      await this.#backOff(route);
      return;
    }
    route.waitMs = RETRY_FIRST_MS;
    onForwarded?.(election, records.length);
  }

  /** Statements go first: they are few, and they say what is missing should this spool be lost now. */
  async #appendStatements(due: DueStatements): Promise<void> {
    const { spool, openLog, onFault } = this.#options;
    const { election, partitions, entries } = due;
    const route = this.#route(election);
    try {
      route.log ??= await openLog(election, partitions);
      await route.log.append(entries);
      spool.senderKeys.markOnLog(due);
      route.waitMs = RETRY_FIRST_MS;
    } catch (error) {
      onFault?.(election, error);
      await this.#backOff(route);
    }
  }

  /** Unpacks a chunk; one that is damaged is set aside. */
  #unpackInto(records: PlacedRecord[], chunk: SpooledChunk): boolean {
    const { spool, onFault } = this.#options;
    let unpacked: PlacedRecord[];
    try {
      unpacked = unpackChunk(chunk);
    } catch (error) {
      onFault?.(chunk.election, error);
      spool.setAside(chunk, (error as Error).message);
      return false;
    }
    for (const record of unpacked) records.push(record);
    return true;
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
