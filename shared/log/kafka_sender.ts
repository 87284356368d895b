/**
 * Sends record batches under one producer id, over kafkajs's own connections. kafkajs has no public API for this, so it
 * uses internal parts of kafkajs: its cluster, its retries and its errors.
 *
 * A send that is tried again has the same sequence numbers, so the broker knows a batch that it has: it gives the first
 * offset again. After any error that {@link Sender.send} throws, this sender must not be used any more.
 *
 * @module
 */
import type { Broker, Cluster as ClusterType } from "kafkajs";
import Cluster from "kafkajs/src/cluster/index.js";
import { createErrorFromCode, staleMetadata } from "kafkajs/src/protocol/error.js";
import createRetry from "kafkajs/src/retry/index.js";
import { BatchBuffer, type BatchMessage, sequenceAfter } from "./kafka_batch.ts";
import { type KafkaClient, REQUEST_MS } from "./kafka_client.ts";
import {
  type PartitionAnswer,
  type PartitionBatch,
  type ProduceAnswer,
  produceRequest,
} from "./kafka_produce.ts";

/** How long kafkajs believes what it knows of brokers and leaders, in milliseconds. */
const METADATA_MAX_AGE_MS = 300_000;
/** Required by the request, and without a meaning outside transactions, in milliseconds. */
const TRANSACTION_TIMEOUT_MS = 60_000;

/** A message and its partition. */
export type SentMessage = BatchMessage & Readonly<{ partition: number }>;

/** What a sender uses of kafkajs's cluster. */
export type SenderCluster = Pick<
  ClusterType,
  | "connect"
  | "disconnect"
  | "isConnected"
  | "addMultipleTargetTopics"
  | "refreshMetadata"
  | "refreshMetadataIfNecessary"
  | "findControllerBroker"
  | "findBroker"
  | "findLeaderForPartitions"
  | "removeBroker"
>;

/** Parts of kafkajs that its types leave out. */
type Producing = Readonly<{
  initProducerId(request: { transactionalId?: string; transactionTimeout: number }): Promise<
    { producerId: string; producerEpoch: number }
  >;
  connectionPool: Readonly<{ send(request: ReturnType<typeof produceRequest>): Promise<ProduceAnswer> }>;
}>;
type KafkajsError = Error & Readonly<{ retriable?: boolean; host?: string; port?: number }>;
type Retrier = <T>(work: (bail: (error: unknown) => void) => Promise<T>) => Promise<T>;

/** See the module. Not for concurrent sends. */
export class Sender {
  readonly #topic: string;
  readonly #cluster: SenderCluster;
  readonly #retry: Retrier;
  /** The next sequence number of each partition. */
  readonly #sequences = new Map<number, number>();
  /** Of this sender alone: one that was given up may still read its own. */
  readonly #buffer = new BatchBuffer();
  #producer = { id: -1n, epoch: 0 };

  /** @param cluster Replaces kafkajs's in tests. */
  constructor(client: KafkaClient, topic: string, cluster?: SenderCluster) {
    this.#topic = topic;
    this.#retry = createRetry(client.config.retry);
    this.#cluster = cluster ?? new Cluster({
      ...client.config,
      logger: client.kafka.logger(),
      metadataMaxAge: METADATA_MAX_AGE_MS,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
    });
  }

  /** Connects, and asks for a producer id. */
  async begin(): Promise<void> {
    this.#producer = await this.#retry(async (bail) => {
      try {
        await this.#cluster.connect();
        await this.#cluster.addMultipleTargetTopics([this.#topic]);
        const broker = await this.#cluster.findControllerBroker() as unknown as Producing;
        const { producerId, producerEpoch } = await broker.initProducerId({
          transactionTimeout: TRANSACTION_TIMEOUT_MS,
        });
        return { id: BigInt(producerId), epoch: producerEpoch };
      } catch (error) {
        if (!(error as KafkajsError).retriable) bail(error);
        throw error;
      }
    });
  }

  /**
   * Sends one batch a partition, and returns when all in-sync replicas have them.
   *
   * @returns the answers, one a partition that a broker leads.
   */
  async send(messages: readonly SentMessage[]): Promise<PartitionAnswer[]> {
    const batches = this.#batches(messages);
    const answers = new Map<number, PartitionAnswer>();
    await this.#retry(async (bail) => {
      const missing = batches.filter(({ partition }) => !answers.has(partition));
      try {
        await this.#try(missing, answers);
      } catch (error) {
        await this.#recover(error as KafkajsError, bail);
        throw error;
      }
    });
    return [...answers.values()];
  }

  async disconnect(): Promise<void> {
    await this.#cluster.disconnect();
  }

  /** The batches of a send, and with them the sequence numbers that they use up. */
  #batches(messages: readonly SentMessage[]): PartitionBatch[] {
    const nowMs = Date.now();
    return [...Map.groupBy(messages, ({ partition }) => partition)].map(([partition, own]) => {
      const firstSequence = this.#sequences.get(partition) ?? 0;
      this.#sequences.set(partition, sequenceAfter(firstSequence, own.length));
      return {
        partition,
        producerId: this.#producer.id,
        producerEpoch: this.#producer.epoch,
        firstSequence,
        nowMs,
        messages: own,
      };
    });
  }

  /** Sends to every leader once, and waits for all, so that no two tries are under way at once. */
  async #try(batches: readonly PartitionBatch[], answers: Map<number, PartitionAnswer>): Promise<void> {
    await this.#cluster.refreshMetadataIfNecessary();
    this.#buffer.clear();
    const partitions = batches.map(({ partition }) => partition);
    const byLeader = Object.entries(this.#cluster.findLeaderForPartitions(this.#topic, partitions));
    const ended = await Promise.allSettled(byLeader.map(async ([nodeId, led]) => {
      const broker = await this.#cluster.findBroker({ nodeId });
      return await this.#produce(broker, batches.filter(({ partition }) => led.includes(partition)));
    }));
    const errors = ended.flatMap((each) => {
      if (each.status === "rejected") return [each.reason];
      const failed = each.value.filter(({ errorCode }) => errorCode !== 0);
      for (const answer of each.value) if (answer.errorCode === 0) answers.set(answer.partition, answer);
      return failed.map(({ errorCode }) => createErrorFromCode(errorCode));
    });
    // One that is hopeless decides, whatever the others are.
    if (errors.length > 0) throw errors.find(({ retriable }) => retriable === false) ?? errors[0];
  }

  async #produce(broker: Broker, batches: readonly PartitionBatch[]): Promise<PartitionAnswer[]> {
    const { connectionPool } = broker as unknown as Producing;
    const request = produceRequest(this.#buffer, this.#topic, REQUEST_MS, batches);
    const { partitions } = await connectionPool.send(request);
    const asked = new Set(batches.map(({ partition }) => partition));
    for (const { partition } of partitions) {
      if (!asked.delete(partition)) throw new TypeError(`partition ${partition} answered, and was not asked`);
    }
    return partitions;
  }

  /** Prepares the next try, as kafkajs's own producer does, or bails out when none can help. */
  async #recover(error: KafkajsError, bail: (error: unknown) => void): Promise<void> {
    const { name, host, port } = error;
    const isClosed = name === "KafkaJSConnectionClosedError";
    if (isClosed) this.#cluster.removeBroker({ host: host!, port: port! });
    if (!this.#cluster.isConnected()) {
      await this.#cluster.connect();
      await this.#cluster.refreshMetadata();
      return;
    }
    const isStale = staleMetadata(error) || isClosed || name === "KafkaJSMetadataNotLoaded" ||
      name === "KafkaJSConnectionError" || name === "KafkaJSProtocolError" && error.retriable;
    if (isStale) await this.#cluster.refreshMetadata();
    else if (!error.retriable) bail(error);
  }
}
