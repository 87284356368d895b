/**
 * An election's log for many simulated programs: what is on it is durable, and everything on the way to it may fail. An append
 * that fails may have put all, some or none of its records on the log, or all of them twice.
 *
 * @module
 */
import {
  type ConsumeOptions,
  type LogConsumer,
  LogUnavailable,
  type PlacedRecord,
  type StoredRecord,
  type VoteLog,
} from "../../shared/log/vote_log.ts";
import type { Random } from "../../simulator/random.ts";
import type { Network } from "./network.ts";
import { currentOwner, delay, type Owner, type Scheduler } from "./virtual_time.ts";

/** Probabilities of one append: an error before it, after it, after some of it; and all of it twice. */
export type LogFaults = { before: number; after: number; part: number; twice: number };

/** How long a consumer waits until it delivers records again that waited for others, in milliseconds. */
const AGAIN_MS = 100;
/** Maximum time that a consumer waits for new records, in milliseconds. */
const POLL_MS = 1_000;
/** How long a client waits for the answer of a log that it does not reach, in milliseconds. */
const GIVE_UP_MS = 2_000;

type Member = { readonly owner: Owner; partitions: Set<number> };

/** What is on the log, and who consumes it. Its clock may be wrong. */
export class SimLog {
  readonly faults: LogFaults = { before: 0, after: 0, part: 0, twice: 0 };
  clockAheadMs = 0;
  isUp = true;
  identity = "log-1";
  /** Whether records were deleted from its front, read or not. */
  hasLostFront = false;
  readonly stored: StoredRecord[][];
  readonly starts: number[];
  readonly ends: number[];
  readonly committed: number[];
  members: Member[] = [];
  /** Called with a number that a sender key has given to two records. */
  onReused: (number: string) => void = () => {};
  #waiting: { key: string; wake(): void }[] = [];
  /** The signature under each sender key's number. */
  readonly #numbers = new Map<string, string>();

  constructor(
    readonly partitions: number,
    readonly scheduler: Scheduler,
    readonly network: Network,
    readonly chance: Random,
    readonly trace: (line: string) => void,
  ) {
    this.stored = Array.from({ length: partitions }, () => []);
    this.starts = new Array(partitions).fill(0);
    this.ends = new Array(partitions).fill(0);
    this.committed = new Array(partitions).fill(0);
  }

  /** The log as the program that calls this reaches it. */
  open(): VoteLog {
    return new LogClient(this, currentOwner()!);
  }

  /** The log for who reads it at one moment. */
  snapshot(): VoteLog {
    const { partitions, stored, starts, ends } = this;
    const unused = () => Promise.reject(new Error("Cannot use a snapshot of the log: it is only read"));
    return {
      partitions,
      identity: () => Promise.resolve(this.identity),
      append: unused,
      consume: unused,
      read: (partition, from, limit) =>
        Promise.resolve(stored[partition]!.filter(({ offset }) => offset >= from).slice(0, limit)),
      start: (partition) => Promise.resolve(starts[partition]!),
      retentionFaults: () => Promise.resolve([]),
      end: (partition) => Promise.resolve(ends[partition]!),
      committed: (_group, partition) => Promise.resolve(this.committed[partition]!),
      close: () => Promise.resolve(),
    };
  }

  put(records: readonly PlacedRecord[]): void {
    const appendedAtMs = Math.floor(this.scheduler.nowMs + this.clockAheadMs);
    for (const record of records) {
      const { partition, kind, senderKey, sequence, signature } = record;
      const number = `${kind} ${senderKey.toHex().slice(0, 8)}/${sequence}`;
      const signed = signature.toHex();
      if ((this.#numbers.get(number) ?? signed) !== signed && kind === "vote") this.onReused(number);
      this.#numbers.set(number, signed);
      // A broker keeps some offsets for itself.
      if (this.chance.next() < 0.05) this.ends[partition]! += 1 + this.chance.below(2);
      this.stored[partition]!.push({ ...record, offset: this.ends[partition]!++, appendedAtMs });
    }
    this.#wake();
    this.trace(`log: ${records.map(({ kind, partition }) => `${kind}@${partition}`).join(" ")}`);
  }

  /** Waits until something may have come, or the signal aborts. */
  async wait(partition: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, POLL_MS);
    const owner = currentOwner();
    const key = `${owner?.name}/${partition}`;
    this.#waiting.push({
      key,
      wake: () => void this.scheduler.after(this.network.latencyMs(), resolve, owner),
    });
    signal.addEventListener("abort", () => resolve(), { once: true });
    await promise;
    clearTimeout(timer);
  }

  #wake(): void {
    // In an order that does not depend on which of them began to wait first at one moment.
    const waiting = this.#waiting.splice(0).sort((a, b) => a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
    for (const { wake } of waiting) wake();
  }

  /** Deletes the front of a partition, as a topic's retention does. */
  deleteBefore(partition: number, offset: number): void {
    this.hasLostFront = true;
    this.stored[partition] = this.stored[partition]!.filter((each) => each.offset >= offset);
    this.starts[partition] = offset;
  }

  join(owner: Owner): Member {
    const member = { owner, partitions: new Set<number>() };
    this.members.push(member);
    this.share();
    return member;
  }

  leave(member: Member): void {
    this.members = this.members.filter((each) => each !== member);
    this.share();
  }

  /** Gives the partitions to those who live. What a member has taken and another has now, both may count for a while. */
  share(): void {
    this.members = this.members.filter(({ owner }) => owner.alive);
    this.#wake();
    for (const member of this.members) member.partitions = new Set();
    if (this.members.length === 0) return;
    const first = this.chance.below(this.members.length);
    for (let partition = 0; partition < this.partitions; partition++) {
      this.members[(first + partition) % this.members.length]!.partitions.add(partition);
    }
  }
}

class LogClient implements VoteLog {
  readonly partitions: number;

  constructor(readonly log: SimLog, readonly owner: Owner) {
    this.partitions = log.partitions;
  }

  /** One way to the log. Rejects when it is not reached; a program that has crashed waits forever. */
  async #reach(): Promise<void> {
    const { log, owner } = this;
    if (!owner.alive) await new Promise(() => {});
    await log.scheduler.sleep(log.network.latencyMs());
    if (log.isUp && !log.network.isCut(owner.name, "log") && !log.network.isLost()) return;
    await log.scheduler.sleep(GIVE_UP_MS);
    throw new LogUnavailable("the log does not answer");
  }

  async #ask<T>(answer: () => T): Promise<T> {
    await this.#reach();
    const answered = answer();
    await this.#reach();
    return answered;
  }

  identity(): Promise<string> {
    return this.#ask(() => this.log.identity);
  }

  async append(records: readonly PlacedRecord[]): Promise<void> {
    const { log } = this;
    const { before, after, part, twice } = log.faults;
    await this.#reach();
    const fate = log.chance.next();
    if (fate < before) throw new LogUnavailable("the append was refused");
    if (fate < before + part) {
      log.put(records.slice(0, log.chance.below(records.length + 1)));
      throw new LogUnavailable("the connection broke during the append");
    }
    log.put(records);
    if (fate < before + part + twice) log.put(records);
    if (fate > 1 - after) throw new LogUnavailable("the answer to the append was lost");
    await this.#reach();
  }

  async consume(consumer: LogConsumer, { batchRecords, signal }: ConsumeOptions): Promise<void> {
    const { log } = this;
    await this.#reach();
    const member = log.join(this.owner);
    const failed = Promise.withResolvers<never>();
    failed.promise.catch(() => {});
    let isOver = false;
    try {
      const partitions = Array.from(
        { length: this.partitions },
        (_, partition) =>
          this.#consumePartition(member, partition, consumer, batchRecords, signal, () => isOver).catch(
            failed.reject,
          ),
      );
      await Promise.race([Promise.all(partitions), failed.promise]).finally(() => isOver = true);
      await Promise.all(partitions);
    } finally {
      log.leave(member);
    }
  }

  async #consumePartition(
    member: Member,
    partition: number,
    consumer: LogConsumer,
    batchRecords: number,
    signal: AbortSignal,
    isOver: () => boolean,
  ): Promise<void> {
    const { log } = this;
    let next: number | undefined;
    while (!signal.aborted && !isOver()) {
      if (!member.partitions.has(partition)) next = undefined;
      else if (next === undefined && log.ends[partition]! > 0) {
        await this.#reach();
        next = await consumer.take(partition);
        continue;
      } else if (next !== undefined && log.ends[partition]! > next) {
        const records = await this.read(partition, next, Math.min(batchRecords, 1 + log.chance.below(20)));
        if (signal.aborted || isOver()) return;
        const verdict = records.length > 0 ? await consumer.batch(partition, records) : "again";
        if (verdict === "again") await delay(AGAIN_MS, undefined, { signal }).catch(() => {});
        else {
          next = records.at(-1)!.offset + 1;
          // A member that was cut off commits nothing.
          if (member.partitions.has(partition) && !log.network.isCut(this.owner.name, "log")) {
            log.committed[partition] = next;
          }
        }
        continue;
      }
      await log.wait(partition, signal);
    }
  }

  read(partition: number, fromOffset: number, limit: number): Promise<StoredRecord[]> {
    return this.#ask(() =>
      this.log.stored[partition]!.filter(({ offset }) => offset >= fromOffset).slice(0, limit)
    );
  }

  start(partition: number): Promise<number> {
    return this.#ask(() => this.log.starts[partition]!);
  }

  retentionFaults(): Promise<string[]> {
    return Promise.resolve([]);
  }

  end(partition: number): Promise<number> {
    return this.#ask(() => this.log.ends[partition]!);
  }

  committed(_group: string, partition: number): Promise<number> {
    return this.#ask(() => this.log.committed[partition]!);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
