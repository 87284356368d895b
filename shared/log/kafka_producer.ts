/**
 * A producer that loses nothing. It guards against two losses:
 *
 * - After a failed send it is not known whether the broker has appended the batch. If it has, it would take a later batch
 *   under the same sequence numbers for a repetition, acknowledge it, and drop it. So only one send is in flight, and after
 *   any error a new sender with a new producer id is used. Records that are sent twice are on the log twice.
 * - When a partition changes its leader during a send, its records may not be sent although the send succeeds. So every
 *   partition must be in the answer, with an offset above all its earlier ones.
 *
 * @module
 */
import type { KafkaAddress } from "./address.ts";
import { KafkaClient } from "./kafka_client.ts";
import type { PartitionAnswer } from "./kafka_produce.ts";
import { Sender, type SentMessage } from "./kafka_sender.ts";

/** Timeout of an append with all its retries, in milliseconds: other appends wait for it. */
export const APPEND_DEADLINE_MS = 10_000;
/**
 * Bytes of one partition that are sent at once. They are one batch, and a broker takes 1 MiB by
 * default. There is no linger: callers append all records that have collected meanwhile.
 */
const MAX_PARTITION_BYTES = 900_000;
/** Bytes of all partitions that are sent at once. */
const MAX_SEND_BYTES = 8_000_000;
/** Maximum bytes of a record besides its key, value and headers. */
const RECORD_OVERHEAD_BYTES = 64;

/** A message for a topic. The caller chooses the partition. */
export type ProducedMessage = SentMessage;

type Live = { client: KafkaClient; sender: Sender; ends: Map<number, number>; begun: Promise<void> };

/** Writes to one topic, one send at a time. */
export class KafkaProducer {
  readonly #address: KafkaAddress;
  readonly #clientId: string;
  readonly #topic: string;
  readonly #deadlineMs: number;
  #live?: Live;
  /** Sends of discarded senders. They end by themselves. */
  readonly #leftBehind = new Set<Promise<unknown>>();
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(address: KafkaAddress, clientId: string, topic: string, deadlineMs = APPEND_DEADLINE_MS) {
    this.#address = address;
    this.#clientId = clientId;
    this.#topic = topic;
    this.#deadlineMs = deadlineMs;
  }

  /**
   * Writes in order, and returns when all in-sync replicas have everything. After an error any of it may be there.
   *
   * @returns the offset of each message, in the order given.
   */
  append(messages: readonly ProducedMessage[]): Promise<number[]> {
    const mine = this.#turn.then(() => this.#append(messages));
    this.#turn = mine.catch(() => {});
    return mine;
  }

  /** Waits for the running append, and closes. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#turn;
    const live = this.#live;
    this.#live = undefined;
    if (live !== undefined) {
      await live.sender.disconnect().catch(() => {});
      live.client.destroy();
    }
    await Promise.all(this.#leftBehind);
  }

  async #append(messages: readonly ProducedMessage[]): Promise<number[]> {
    if (this.#closed) throw new Error(`Cannot append to ${this.#topic}: it is closed`);
    const deadline = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => deadline.reject(new Error(`no acknowledgement within ${this.#deadlineMs} ms`)),
      this.#deadlineMs,
    );
    deadline.promise.catch(() => {});
    try {
      const offsets: number[] = [];
      for (const part of sendable(messages)) {
        const live = this.#live ??= this.#begin();
        const sending = live.begun.then(() => this.#send(live, part));
        this.#remember(sending);
        offsets.push(...await Promise.race([sending, deadline.promise]));
      }
      return offsets;
    } catch (error) {
      const live = this.#live;
      this.#live = undefined;
      live?.client.destroy();
      throw live?.client.explain(`append to ${this.#topic}`, error) ?? error;
    } finally {
      clearTimeout(timer);
    }
  }

  #begin(): Live {
    const client = new KafkaClient(this.#address, this.#clientId);
    const sender = new Sender(client, this.#topic);
    return { client, sender, ends: new Map(), begun: sender.begin() };
  }

  async #send({ sender, ends }: Live, part: readonly ProducedMessage[]): Promise<number[]> {
    return acknowledgedOffsets(part, await sender.send(part), ends);
  }

  #remember(sending: Promise<unknown>): void {
    const ended = sending.catch(() => {}).finally(() => this.#leftBehind.delete(ended));
    this.#leftBehind.add(ended);
  }
}

/** Splits messages into sends, in order. */
function* sendable(messages: readonly ProducedMessage[]): Generator<ProducedMessage[]> {
  let part: ProducedMessage[] = [];
  let partBytes = 0;
  const partitionBytes = new Map<number, number>();
  for (const message of messages) {
    const bytes = bytesOf(message);
    const own = (partitionBytes.get(message.partition) ?? 0) + bytes;
    if (part.length > 0 && (own > MAX_PARTITION_BYTES || partBytes + bytes > MAX_SEND_BYTES)) {
      yield part;
      part = [];
      partBytes = 0;
      partitionBytes.clear();
    }
    part.push(message);
    partBytes += bytes;
    partitionBytes.set(message.partition, (partitionBytes.get(message.partition) ?? 0) + bytes);
  }
  if (part.length > 0) yield part;
}

function bytesOf({ key, value, headers }: ProducedMessage): number {
  let bytes = RECORD_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  for (const name in headers) {
    const header = headers[name]!;
    // A character takes up to 3 bytes.
    bytes += 3 * name.length + 10 + (typeof header === "string" ? 3 : 1) * header.length;
  }
  return bytes;
}

/**
 * Checks the brokers' answers: every partition must be there once, with offsets above all its earlier ones.
 *
 * @param ends The end of each partition by the last answer. Updated.
 * @returns the offset of each message.
 * @throws when a message is not in the answer, or was taken for a repetition of an earlier one.
 */
export function acknowledgedOffsets(
  part: readonly ProducedMessage[],
  answers: readonly PartitionAnswer[],
  ends: Map<number, number>,
): number[] {
  const next = new Map<number, number>();
  for (const { partition, errorCode, baseOffset } of answers) {
    const offset = Number(baseOffset);
    if (errorCode !== 0 || offset < (ends.get(partition) ?? 0) || next.has(partition)) {
      throw new Error(
        `partition ${partition} answered offset ${offset} (error ${errorCode}), and must answer once, with ${
          ends.get(partition) ?? 0
        } or more: a batch was taken for an earlier one`,
      );
    }
    next.set(partition, offset);
  }
  const offsets = part.map(({ partition }) => {
    const offset = next.get(partition);
    if (offset === undefined) {
      throw new Error(`partition ${partition} did not answer: its records were not sent`);
    }
    next.set(partition, offset + 1);
    return offset;
  });
  for (const [partition, end] of next) ends.set(partition, end);
  return offsets;
}
