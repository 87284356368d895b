/**
 * The requests' side of the spool: gathers what comes while a commit is under way into the next one (group commit),
 * and tells each when its records are durable.
 *
 * @module
 */
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { type Chunk, MAX_CHUNK_RECORDS, packChunk } from "./chunk.ts";
import type { SpoolState } from "./spool.ts";
import type { SpoolReply, SpoolRequest } from "./spool_host.ts";

/** Records that wait for their commit at the most. */
export const MAX_WAITING_RECORDS = 50_000;
/** Records that one commit holds at the most, unless one request brings more. */
const MAX_COMMIT_RECORDS = 5_000;

/** Why records were not made durable: nothing was kept of them, and the device should come again. */
export class NotSpooled extends Error {
  override name = "NotSpooled";
  constructor(readonly reason: "busy" | "spool-full" | "spool-failed", message: string) {
    super(message);
  }
}

/** Records to be made durable together. */
type Waiting = Readonly<{
  election: string;
  partitions: number;
  records: readonly PlacedRecord[];
  resolve(): void;
  reject(error: NotSpooled): void;
}>;

/** What the client is told besides answers. */
export type SpoolEvents = Readonly<{
  onForwarded?(records: number): void;
  onFault?(election: string, why: string): void;
}>;

/** See the module. */
export class SpoolClient {
  readonly #send: (request: SpoolRequest, transfer: ArrayBuffer[]) => void;
  readonly #events: SpoolEvents;
  #waiting: Waiting[] = [];
  #waitingRecords = 0;
  #underWay: { id: number; batch: Waiting[] } | undefined;
  #nextId = 1;
  #state: SpoolState = { chunks: 0, records: 0, bytes: 0, damagedRecords: 0 };
  /** Why nothing can be made durable any more. */
  #closed: NotSpooled | undefined;
  #drained = Promise.withResolvers<SpoolState>();
  #opened = Promise.withResolvers<void>();

  /** @param send Posts to the spool's thread; the buffers named are the thread's from then on. */
  constructor(send: (request: SpoolRequest, transfer: ArrayBuffer[]) => void, events: SpoolEvents = {}) {
    this.#send = send;
    this.#events = events;
  }

  /** How full the spool was when its thread last spoke. */
  get state(): SpoolState {
    return this.#state;
  }

  /** Resolves when the spool is open. */
  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  /**
   * Makes records durable.
   *
   * @throws {NotSpooled}
   */
  append(election: string, partitions: number, records: readonly PlacedRecord[]): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    if (this.#waitingRecords + records.length > MAX_WAITING_RECORDS) {
      return Promise.reject(new NotSpooled("busy", `${this.#waitingRecords} votes wait for the disk`));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ election, partitions, records, resolve, reject });
      this.#waitingRecords += records.length;
      if (this.#underWay === undefined) queueMicrotask(() => this.#commit());
    });
  }

  /** Takes a message from the spool's thread. */
  handle(reply: SpoolReply): void {
    this.#state = reply.state;
    switch (reply.kind) {
      case "opened":
        return this.#opened.resolve();
      case "appended":
        return this.#settle(reply);
      case "forwarded":
        return this.#events.onForwarded?.(reply.records);
      case "fault":
        return this.#events.onFault?.(reply.election, reply.why);
      case "drained":
        this.#drained.resolve(reply.state);
        return this.fail("the spool is closed");
    }
  }

  /** Forwards what is spooled for so long at the most, and closes. Resolves with what is left on the disk. */
  async drain(forMs: number): Promise<SpoolState> {
    this.#send({ kind: "drain", forMs }, []);
    return await this.#drained.promise;
  }

  /** Tells everyone who waits that the spool's thread is gone. */
  fail(why: string): void {
    this.#closed = new NotSpooled("spool-failed", why);
    for (const { reject } of [...this.#underWay?.batch ?? [], ...this.#waiting]) reject(this.#closed);
    this.#waiting = [];
    this.#waitingRecords = 0;
    this.#underWay = undefined;
  }

  #commit(): void {
    if (this.#underWay !== undefined || this.#waiting.length === 0) return;
    let records = 0;
    let count = 0;
    while (count < this.#waiting.length && (count === 0 || records < MAX_COMMIT_RECORDS)) {
      records += this.#waiting[count++].records.length;
    }
    const batch = this.#waiting.splice(0, count);
    this.#waitingRecords -= records;
    this.#underWay = { id: this.#nextId++, batch };
    const chunks = packAll(batch);
    this.#send({ kind: "append", id: this.#underWay.id, chunks }, chunks.map(({ bytes }) => bytes.buffer));
  }

  #settle(reply: Extract<SpoolReply, { kind: "appended" }>): void {
    if (this.#underWay?.id !== reply.id) return;
    const { batch } = this.#underWay;
    this.#underWay = undefined;
    if (reply.failed === undefined) {
      for (const { resolve } of batch) resolve();
    } else {
      const error = new NotSpooled(reply.failed === "full" ? "spool-full" : "spool-failed", reply.why ?? "");
      for (const { reject } of batch) reject(error);
    }
    this.#commit();
  }
}

/** Packs what waits into as few chunks as may be: one run of records an election. */
function packAll(batch: readonly Waiting[]): Chunk[] {
  const byElection = new Map<string, { partitions: number; records: PlacedRecord[] }>();
  for (const { election, partitions, records } of batch) {
    let run = byElection.get(election);
    if (run === undefined) byElection.set(election, run = { partitions, records: [] });
    for (const record of records) run.records.push(record);
  }
  const chunks: Chunk[] = [];
  for (const [election, { partitions, records }] of byElection) {
    for (let from = 0; from < records.length; from += MAX_CHUNK_RECORDS) {
      chunks.push(
        packChunk({ election, partitions, records: records.slice(from, from + MAX_CHUNK_RECORDS) }),
      );
    }
  }
  return chunks;
}
