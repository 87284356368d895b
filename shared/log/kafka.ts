/**
 * The log on Kafka: one topic for each election, `votes.<election>`, created before by `deno task topics`. Only the files
 * `kafka_*.ts` beside this one import kafkajs.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { IHeaders, KafkaMessage } from "kafkajs";
import type { KafkaAddress } from "./address.ts";
import { KafkaClient } from "./kafka_client.ts";
import { Consumption } from "./kafka_consumer.ts";
import { KafkaProducer, type ProducedMessage } from "./kafka_producer.ts";
import { KafkaReader } from "./kafka_reader.ts";
import {
  type ConsumeOptions,
  type LogConsumer,
  LogFault,
  type PlacedRecord,
  type StoredRecord,
  type VoteLog,
} from "./vote_log.ts";

const NOTHING = new Uint8Array(0);
const headerText = new TextDecoder("utf-8", { ignoreBOM: true });

/** Settings of a topic that never deletes a record. */
export const RETENTION = {
  "cleanup.policy": "delete",
  "retention.ms": "-1",
  "retention.bytes": "-1",
} as const;

/** The topic of an election's log. */
export function votesTopic(election: string): string {
  return `votes.${election}`;
}

/** See {@link VoteLog}. Open it with {@link openKafkaLog}. */
export class KafkaLog implements VoteLog {
  readonly partitions: number;
  readonly #address: KafkaAddress;
  readonly #clientId: string;
  readonly #topic: string;
  readonly #reader: KafkaReader;
  readonly #producer: KafkaProducer;

  /** @internal */
  constructor(
    { address, clientId, topic, partitions, reader }: {
      address: KafkaAddress;
      clientId: string;
      topic: string;
      partitions: number;
      reader: KafkaReader;
    },
  ) {
    this.#address = address;
    this.#clientId = clientId;
    this.#topic = topic;
    this.partitions = partitions;
    this.#reader = reader;
    this.#producer = new KafkaProducer(address, clientId, topic);
  }

  identity(): Promise<string> {
    return this.#reader.identity();
  }

  async append(records: readonly PlacedRecord[]): Promise<void> {
    for (const { partition } of records) this.#check(partition);
    if (records.length > 0) await this.#producer.append(records.map(toMessage));
  }

  async consume(consumer: LogConsumer, options: ConsumeOptions): Promise<void> {
    if (options.signal.aborted) return;
    const parts = {
      // A separate client: kafkajs shares a group's offsets among all consumers of one client.
      client: new KafkaClient(this.#address, this.#clientId),
      topic: this.#topic,
      identity: () => this.#reader.identity(),
      committed: () =>
        Promise.all(Array.from({ length: this.partitions }, (_, partition) => {
          return this.#reader.committed(options.group, partition);
        })),
      toRecord,
    };
    await new Consumption(parts, consumer, options).run();
  }

  async read(partition: number, fromOffset: number, limit: number): Promise<StoredRecord[]> {
    this.#check(partition);
    const messages = await this.#reader.read(partition, fromOffset, limit);
    return messages.map((message) => toRecord(partition, message));
  }

  async start(partition: number): Promise<number> {
    this.#check(partition);
    return await this.#reader.start(partition);
  }

  async retentionFaults(): Promise<string[]> {
    const set = await this.#reader.settings(Object.keys(RETENTION));
    return Object.entries(RETENTION).flatMap(([name, wanted]) => {
      const is = set.get(name);
      return is === wanted ? [] : [`${name} of ${this.#topic} is ${is ?? "not set"}, and must be ${wanted}`];
    });
  }

  async end(partition: number): Promise<number> {
    this.#check(partition);
    return await this.#reader.end(partition);
  }

  async committed(group: string, partition: number): Promise<number> {
    this.#check(partition);
    return await this.#reader.committed(group, partition);
  }

  async close(): Promise<void> {
    await this.#producer.close();
    await this.#reader.close();
  }

  #check(partition: number): void {
    if (Number.isInteger(partition) && partition >= 0 && partition < this.partitions) return;
    throw new LogFault(`Cannot use partition ${partition}: the log has 0 to ${this.partitions - 1}`);
  }
}

function toMessage(
  { partition, version, kind, keyId, senderKey, sequence, signature, value }: PlacedRecord,
): ProducedMessage {
  return {
    partition,
    value,
    headers: {
      "v": version,
      "kind": kind,
      "key-id": keyId,
      "sender-key": senderKey,
      "sequence": String(sequence),
      "signature": signature,
    },
  };
}

/** Converts a message to a record. It may hold anything: missing headers are empty, and the first of two headers counts. */
function toRecord(partition: number, { offset, timestamp, headers, value }: KafkaMessage): StoredRecord {
  return {
    partition,
    offset: Number(offset),
    appendedAtMs: Number(timestamp),
    version: headerText.decode(header(headers, "v")),
    kind: headerText.decode(header(headers, "kind")),
    keyId: headerText.decode(header(headers, "key-id")),
    senderKey: header(headers, "sender-key"),
    sequence: parseSequence(headerText.decode(header(headers, "sequence"))),
    signature: header(headers, "signature"),
    value: value ?? NOTHING,
  };
}

/** Reads the header `sequence`: decimal digits, without a leading zero; NaN for anything else. */
export function parseSequence(text: string): number {
  return /^(0|[1-9][0-9]{0,14})$/.test(text) ? Number(text) : NaN;
}

function header(headers: IHeaders | undefined, name: string): Uint8Array {
  const given = headers !== undefined && Object.hasOwn(headers, name) ? headers[name] : undefined;
  const first = Array.isArray(given) ? given[0] : given;
  return typeof first === "string" ? Buffer.from(first) : first ?? NOTHING;
}

/**
 * Opens an election's log.
 *
 * @param partitions From the manifest.
 * @param clientId The name of this process in the broker's logs and quotas.
 * @param signal Cancels the attempt.
 * @throws {LogFault} when the topic has another number of partitions; an Error when it does not exist or cannot be reached.
 */
export async function openKafkaLog(
  address: KafkaAddress,
  election: string,
  partitions: number,
  clientId = "pollwire",
  signal?: AbortSignal,
): Promise<KafkaLog> {
  const topic = votesTopic(election);
  const reader = new KafkaReader(address, clientId, topic);
  const giveUp = () => void reader.close();
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    const found = await reader.partitions();
    if (found === partitions) return new KafkaLog({ address, clientId, topic, partitions, reader });
    throw new LogFault(
      `Cannot use ${topic} of ${
        address.brokers.join(",")
      }: it has ${found} partitions, and the manifest says ${partitions}`,
    );
  } catch (error) {
    await reader.close();
    throw error;
  } finally {
    signal?.removeEventListener("abort", giveUp);
  }
}
