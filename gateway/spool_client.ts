/**
 * The spool's client in the requests' thread. It collects records that arrive during a commit for the next one (group
 * commit), and resolves each request when its records are durable.
 *
 * @module
 */
import { FINGERPRINT_BYTES } from "./fingerprint.ts";
import { HeldVotes } from "./held_votes.ts";
import type { ElectionKeys, SenderElection } from "./sender_keys.ts";
import type { SpoolPart, SpoolRun, SpoolState } from "./spool.ts";
import type { SpoolReply, SpoolRequest } from "./spool_host.ts";

/** Maximum records that wait for a commit. */
export const MAX_WAITING_RECORDS = 50_000;
/** Maximum records in one commit, unless one request brings more. */
const MAX_COMMIT_RECORDS = 5_000;

/** Why records were not made durable. None of them is stored; the device should retry. */
export class NotSpooled extends Error {
  override name = "NotSpooled";
  constructor(readonly reason: "busy" | "spool-full" | "spool-failed" | "device-share", message: string) {
    super(message);
  }
}

/**
 * A record on its way to the spool's thread, which numbers and seals it. See `encodeRecord` in record.ts, and
 * `makeFingerprint` in fingerprint.ts.
 */
export type SpoolRecord = Readonly<{ partition: number; plaintext: Uint8Array; fingerprint: Uint8Array }>;

/** One device's records, to be made durable together. */
type Waiting = Readonly<{
  election: string;
  device: string;
  records: readonly SpoolRecord[];
  resolve(): void;
  reject(error: NotSpooled): void;
}>;

/** Events of the client. */
export type SpoolEvents = Readonly<{
  /** Records that were numbered and made durable. */
  onNumbered?(records: number): void;
  /** Records were made durable by one transaction, which took so long, in milliseconds. */
  onStored?(tookMs: number): void;
  /** The log has records, which took so long, in milliseconds. */
  onForwarded?(election: string, records: number, appendMs: number): void;
  onFault?(election: string, why: string): void;
  /** A sender key was made or has ended, or a statement has reached the log or the aggregator. */
  onSenderKeys?(): void;
}>;

/** See the module. */
export class SpoolClient {
  readonly #send: (request: SpoolRequest, transfer: ArrayBuffer[]) => void;
  readonly #events: SpoolEvents;
  #waiting: Waiting[] = [];
  #waitingRecords = 0;
  #underWay: { id: number; batch: Waiting[] } | undefined;
  #nextId = 1;
  /** The thread's last report of each election's sender keys, and of the records numbered since its start. */
  #keys = new Map<string, ElectionKeys>();
  readonly #numbered = new Map<string, number>();
  #state: SpoolState = { chunks: 0, records: 0, bytes: 0, damagedRecords: 0 };
  /** Why nothing can become durable any more. */
  #closed: NotSpooled | undefined;
  #drained = Promise.withResolvers<SpoolState>();
  #opened = Promise.withResolvers<void>();
  /** The votes that the spool holds, or has forwarded recently. Complete once it is open. */
  readonly votes: HeldVotes;

  /** @param send Posts to the spool's thread, and transfers the given buffers to it. */
  constructor(
    send: (request: SpoolRequest, transfer: ArrayBuffer[]) => void,
    events: SpoolEvents = {},
    votes: HeldVotes = new HeldVotes(),
  ) {
    this.#send = send;
    this.#events = events;
    this.votes = votes;
  }

  /** How full the spool was at its thread's last message. */
  get state(): SpoolState {
    return this.#state;
  }

  /** Resolves when the spool is open. */
  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  /** What is known of an election's sender keys; `undefined` when this spool has used none. */
  keysOf(election: string): ElectionKeys | undefined {
    return this.#keys.get(election);
  }

  /** Records of an election that this process numbered. */
  numberedOf(election: string): number {
    return this.#numbered.get(election) ?? 0;
  }

  /** Statements of all elections that the log or the aggregator does not have yet. */
  get statementsDue(): number {
    return this.#keys.values().reduce((sum, keys) => sum + keys.statementsDue, 0);
  }

  /** Adds or updates an election. Call it before the election's first record. */
  use(election: SenderElection): void {
    this.#send({ kind: "election", election }, []);
  }

  /** Reports that the aggregator has the statements of these sender keys, in hex. */
  told(election: string, senderKeys: readonly string[]): void {
    if (senderKeys.length > 0) this.#send({ kind: "told", election, senderKeys }, []);
  }

  /**
   * Numbers and seals records of one device, and makes them durable.
   *
   * @throws {NotSpooled}
   */
  append(election: string, device: string, records: readonly SpoolRecord[]): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    if (this.#waitingRecords + records.length > MAX_WAITING_RECORDS) {
      return Promise.reject(new NotSpooled("busy", `${this.#waitingRecords} votes wait for the disk`));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ election, device, records, resolve, reject });
      this.#waitingRecords += records.length;
      if (this.#underWay === undefined) queueMicrotask(() => this.#commit());
    });
  }

  /** Handles a message from the spool's thread. */
  handle(reply: SpoolReply): void {
    this.#state = reply.state;
    switch (reply.kind) {
      case "held":
        return this.votes.add(reply.election, reply.fingerprints);
      case "opened":
        return this.#opened.resolve();
      case "appended":
        return this.#settle(reply);
      case "forwarded":
        this.votes.forwarded(reply.election, reply.held);
        return this.#events.onForwarded?.(reply.election, reply.records, reply.appendMs);
      case "setAside":
        return this.votes.forget(reply.election, reply.fingerprints);
      case "fault":
        return this.#events.onFault?.(reply.election, reply.why);
      case "senderKeys":
        this.#keys = new Map(reply.keys.map((keys) => [keys.election, keys]));
        return this.#events.onSenderKeys?.();
      case "drained":
        this.#drained.resolve(reply.state);
        return this.fail("the spool is closed");
    }
  }

  /** Forwards the spool's records for a limited time, and closes. Resolves with what is left on the disk. */
  async drain(forMs: number): Promise<SpoolState> {
    this.#send({ kind: "drain", forMs }, []);
    return await this.#drained.promise;
  }

  /** Rejects all waiting requests, because the spool's thread has ended. */
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
      records += this.#waiting[count++]!.records.length;
    }
    const batch = this.#waiting.splice(0, count);
    this.#waitingRecords -= records;
    this.#underWay = { id: this.#nextId++, batch };
    const runs = gather(batch);
    this.#send(
      { kind: "append", id: this.#underWay.id, runs },
      runs.flatMap(({ partitions, plaintexts, fingerprints }) =>
        [partitions, plaintexts, fingerprints].map(({ buffer }) => buffer)
      ),
    );
  }

  #settle(reply: Extract<SpoolReply, { kind: "appended" }>): void {
    if (this.#underWay?.id !== reply.id) return;
    const { batch } = this.#underWay;
    this.#underWay = undefined;
    if (reply.failed === undefined) {
      this.#events.onStored?.(reply.tookMs);
      const refused = new Set(reply.refused);
      batch.forEach((each, part) => this.#answer(each, refused.has(part)));
    } else {
      const error = new NotSpooled(reply.failed === "full" ? "spool-full" : "spool-failed", reply.why ?? "");
      for (const { reject } of batch) reject(error);
    }
    this.#commit();
  }

  #answer({ election, device, records, resolve, reject }: Waiting, isRefused: boolean): void {
    if (isRefused) {
      const message =
        `votes of device ${device} fill its share of the spool: wait until the log accepts records again`;
      return reject(new NotSpooled("device-share", message));
    }
    for (const { fingerprint } of records) this.votes.add(election, fingerprint);
    this.#numbered.set(election, this.numberedOf(election) + records.length);
    this.#events.onNumbered?.(records.length);
    resolve();
  }
}

/** Joins waiting records into one run for each election. A part's id is its index in the batch. */
function gather(batch: readonly Waiting[]): SpoolRun[] {
  const byElection = Map.groupBy(batch.map((each, id) => ({ ...each, id })), ({ election }) => election);
  return [...byElection].map(([election, parts]) => {
    const records = parts.flatMap((part) => part.records);
    const size = records[0]?.plaintext.length ?? 0;
    const plaintexts = new Uint8Array(records.length * size);
    const fingerprints = new Uint8Array(records.length * FINGERPRINT_BYTES);
    records.forEach(({ plaintext, fingerprint }, i) => {
      plaintexts.set(plaintext, i * size);
      fingerprints.set(fingerprint, i * FINGERPRINT_BYTES);
    });
    return {
      election,
      partitions: Uint16Array.from(records, ({ partition }) => partition),
      plaintexts,
      fingerprints,
      parts: parts.map(({ id, device, records }): SpoolPart => ({ id, device, records: records.length })),
    };
  });
}
