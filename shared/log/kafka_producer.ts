/**
 * A producer that loses nothing. kafkajs's idempotent producer is guarded where it would:
 *
 * - After a failed send it takes its sequence numbers back. Had the broker appended after all, a later batch of the
 *   same length would pass for a repetition, and be acknowledged and lost. So one send is in flight, and after any
 *   error the producer is thrown away: the next has an id of its own, and what was sent twice is twice on the log.
 * - When a partition changes its leader in the midst of a send it may never be sent, and the send still succeed. So
 *   every partition must be answered for, with an offset past all that it answered before.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Message, Producer, RecordMetadata } from "kafkajs";
import type { KafkaAddress } from "./address.ts";
import { KafkaClient, REQUEST_MS } from "./kafka_client.ts";

/** How long an append may take with all its tries, in milliseconds: others wait for their turn behind it. */
export const APPEND_DEADLINE_MS = 10_000;
/**
 * Bytes of one partition that are sent at once. kafkajs makes one batch of them, and a broker takes 1 MiB by
 * default. There is no linger: whoever appends brings what has gathered meanwhile.
 */
const MAX_PARTITION_BYTES = 900_000;
/** Bytes of all partitions that are sent at once. */
const MAX_SEND_BYTES = 8_000_000;
/** What a record takes besides its key, value and headers, at most, in bytes. */
const RECORD_OVERHEAD_BYTES = 64;
/** All in-sync replicas. */
const ACKS_ALL = -1;

/** What is written to a topic: the partition is chosen by the caller, never by kafkajs. */
export type ProducedMessage = Readonly<{
  partition: number;
  key?: Uint8Array;
  value: Uint8Array | null;
  headers?: Readonly<Record<string, Uint8Array>>;
}>;

type Live = { client: KafkaClient; producer: Producer; ends: Map<number, number>; begun: Promise<void> };

/** Writes to one topic, one send at a time. */
export class KafkaProducer {
  readonly #address: KafkaAddress;
  readonly #clientId: string;
  readonly #topic: string;
  readonly #deadlineMs: number;
  #live?: Live;
  /** Sends whose producer was thrown away, and which end by themselves. */
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

  /** Waits for the append that is under way, and closes. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#turn;
    const live = this.#live;
    this.#live = undefined;
    if (live !== undefined) {
      await live.producer.disconnect().catch(() => {});
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
    const producer = client.kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      // Never asked, since every message names its partition; kafkajs warns of its own when there is none.
      createPartitioner: () => ({ message }) => message.partition!,
    });
    return { client, producer, ends: new Map(), begun: producer.connect() };
  }

  async #send({ producer, ends }: Live, part: readonly ProducedMessage[]): Promise<number[]> {
    const answers = await producer.sendBatch({
      acks: ACKS_ALL,
      timeout: REQUEST_MS,
      topicMessages: [{ topic: this.#topic, messages: part.map(toMessage) }],
    });
    return acknowledgedOffsets(part, answers, ends);
  }

  #remember(sending: Promise<unknown>): void {
    const ended = sending.catch(() => {}).finally(() => this.#leftBehind.delete(ended));
    this.#leftBehind.add(ended);
  }
}

/** kafkajs writes bytes that are not a Buffer as the text "12,34,…". */
function toMessage({ partition, key, value, headers }: ProducedMessage): Message {
  const wrapped = Object.entries(headers ?? {}).map(([name, bytes]) => [name, asBuffer(bytes)]);
  return {
    partition,
    key: key === undefined ? null : asBuffer(key),
    value: value === null ? null : asBuffer(value),
    headers: Object.fromEntries(wrapped),
  };
}

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
}

/** Cuts messages into sends, in order. */
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
  for (const [name, header] of Object.entries(headers ?? {})) bytes += 2 * name.length + 10 + header.length;
  return bytes;
}

/**
 * Checks what the brokers answered: every partition, once, with offsets beyond those that it answered before.
 *
 * @param ends Where each partition ended by the last answer; brought up to date.
 * @returns the offset of each message.
 * @throws when a message was not answered for, or was taken for a repetition of an earlier one.
 */
export function acknowledgedOffsets(
  part: readonly ProducedMessage[],
  answers: readonly Pick<RecordMetadata, "partition" | "errorCode" | "baseOffset">[],
  ends: Map<number, number>,
): number[] {
  const next = new Map<number, number>();
  for (const { partition, errorCode, baseOffset } of answers) {
    const offset = Number(baseOffset ?? -1);
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
