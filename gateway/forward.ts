/**
 * Drains the spool to the log, and deletes only what the log has acknowledged. An append is as large as the link carries
 * in about a second, so a slow link drains the spool in small pieces. While a log is away the forwarder retries with
 * back-off, and continues with the other elections.
 *
 * @module
 */
import type { PlacedRecord, VoteLog } from "../shared/log/vote_log.ts";
import { recordsOfEach, unpackChunk } from "./chunk.ts";
import type { DueStatements } from "./sender_keys.ts";
import type { Spool, SpooledChunk } from "./spool.ts";

/** Maximum chunks read from the spool at once. */
const MAX_CHUNKS = 64;
/** Maximum records in one append. */
export const MAX_APPEND_RECORDS = 2_000;
/**
 * Bytes of an append: initial, minimum and maximum. An append always has at least one entry.
 */
const FIRST_APPEND_BYTES = 65_536;
const MIN_APPEND_BYTES = 4_096;
const MAX_APPEND_BYTES = 4_194_304;
/**
 * How long an append should take, in milliseconds. A Kafka client considers an answer lost after 5 s, and sends
 * everything once more.
 */
const APPEND_MS = 1_500;
/** Factors of the next append's size: the maximum growth, and the reduction after a failure. */
const GROWTH = 2;
const SHRINKING = 8;
/** Bytes of an entry on the wire besides its value. */
const ENTRY_OVERHEAD_BYTES = 200;
/** First and longest wait between retries while a log is away, in milliseconds. The wait doubles. */
const RETRY_FIRST_MS = 100;
const RETRY_LAST_MS = 10_000;

/** What a forwarder is made of. */
export type ForwarderOptions = Readonly<{
  spool: Spool;
  /** Opens an election's log. Called again after an error. */
  openLog(election: string, partitions: number): Promise<VoteLog>;
  now(): number;
  random(): number;
  /** Called when the log has acknowledged records, with how long that took, in milliseconds. */
  onForwarded?(election: string, records: number, appendMs: number): void;
  /** Called with the fingerprints of votes whose chunk is damaged. */
  onSetAside?(election: string, fingerprints: Uint8Array): void;
  onFault?(election: string, error: unknown): void;
}>;

/** How many of a chunk's first entries the log has acknowledged. */
type Progress = Readonly<{ chunk: number; entries: number }>;

type Route = {
  log?: VoteLog;
  retryAtMs: number;
  waitMs: number;
  /** Maximum bytes of the next append. */
  appendBytes: number;
  /** Progress in the oldest chunk. In memory only, because records that are sent twice are harmless. */
  sent?: Progress;
};

/** What one append takes. */
type Part = Readonly<{
  entries: PlacedRecord[];
  /** Records in these entries. */
  records: number;
  bytes: number;
  /** Chunks that the append completes. */
  finished: SpooledChunk[];
  /** Progress in the chunk after them. */
  sent?: Progress;
  /** Whether the size limit cut the append off. */
  isFull: boolean;
}>;

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
    for (const route of this.#routes.values()) await closeRoute(route);
  }

  async #forward(chunks: readonly SpooledChunk[]): Promise<void> {
    const { spool, openLog, onForwarded, onFault } = this.#options;
    const [first] = chunks;
    if (first === undefined) return;
    const { election, partitions } = first;
    const route = this.#route(election);
    try {
      const part = this.#nextPart(route, chunks);
      if (part.entries.length === 0) return;
      route.log ??= await openLog(election, partitions);
      const appendMs = await this.#append(route, route.log, part);
      if (part.finished.length > 0) spool.free(part.finished);
      route.sent = part.sent;
      route.waitMs = RETRY_FIRST_MS;
      onForwarded?.(election, part.records, appendMs);
    } catch (error) {
      // After a crash here the records are on the log and in the spool, and are sent twice, which is harmless.
      onFault?.(election, error);
      await this.#backOff(route);
    }
  }

  /** Statements go first: they are few, and they show what is missing if this spool is lost. */
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

  /** Appends, and adapts the append's size to the link. Returns how long it took, in milliseconds. */
  async #append(route: Route, log: VoteLog, { entries, bytes, isFull }: Part): Promise<number> {
    const { now } = this.#options;
    const begunMs = now();
    try {
      await log.append(entries);
    } catch (error) {
      route.appendBytes = Math.max(MIN_APPEND_BYTES, route.appendBytes / SHRINKING);
      throw error;
    }
    const tookMs = now() - begunMs;
    const factor = Math.min(GROWTH, APPEND_MS / Math.max(1, tookMs));
    // An append that was not full does not show that the link could carry more.
    if (factor < 1 || isFull) {
      route.appendBytes = Math.min(MAX_APPEND_BYTES, Math.max(MIN_APPEND_BYTES, bytes * factor));
    }
    return tookMs;
  }

  /** The oldest entries that fit into one append. */
  #nextPart({ appendBytes, sent }: Route, chunks: readonly SpooledChunk[]): Part {
    const entries: PlacedRecord[] = [];
    const finished: SpooledChunk[] = [];
    let [records, bytes] = [0, 0];
    for (const chunk of chunks) {
      const unpacked = this.#unpack(chunk);
      if (unpacked === undefined) continue;
      const each = recordsOfEach(unpacked, chunk);
      let at = sent?.chunk === chunk.id ? sent.entries : 0;
      for (; at < unpacked.length; at++) {
        const entry = unpacked[at]!;
        const size = ENTRY_OVERHEAD_BYTES + entry.value.length;
        const isTooMuch = records + each[at]! > MAX_APPEND_RECORDS || bytes + size > appendBytes;
        if (isTooMuch && entries.length > 0) {
          const progress = { chunk: chunk.id, entries: at };
          return { entries, records, bytes, finished, sent: progress, isFull: true };
        }
        entries.push(entry);
        records += each[at]!;
        bytes += size;
      }
      finished.push(chunk);
    }
    return { entries, records, bytes, finished, isFull: false };
  }

  /** Unpacks a chunk; one that is damaged is set aside. */
  #unpack(chunk: SpooledChunk): PlacedRecord[] | undefined {
    const { spool, onFault, onSetAside } = this.#options;
    try {
      return unpackChunk(chunk);
    } catch (error) {
      onFault?.(chunk.election, error);
      const fingerprints = spool.setAside(chunk, (error as Error).message);
      onSetAside?.(chunk.election, fingerprints);
      return undefined;
    }
  }

  /** Closes the log after an error; the next append opens it again. The old connection ends by itself. */
  async #backOff(route: Route): Promise<void> {
    const { now, random } = this.#options;
    route.retryAtMs = now() + route.waitMs * (0.5 + random() / 2);
    route.waitMs = Math.min(route.waitMs * 2, RETRY_LAST_MS);
    await closeRoute(route);
  }

  #route(election: string): Route {
    let route = this.#routes.get(election);
    if (route === undefined) {
      route = { retryAtMs: 0, waitMs: RETRY_FIRST_MS, appendBytes: FIRST_APPEND_BYTES };
      this.#routes.set(election, route);
    }
    return route;
  }
}

async function closeRoute(route: Route): Promise<void> {
  const { log } = route;
  route.log = undefined;
  await log?.close().catch(() => {});
}
