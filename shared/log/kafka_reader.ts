/**
 * Reads a topic without a consumer group: its identity, its ends, and records from any offset. kafkajs has no public API
 * for this, so it uses internal parts of kafkajs's consumer.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import {
  type Broker,
  type Cluster as ClusterType,
  ConfigResourceTypes,
  type DescribeConfigResponse,
  type KafkaMessage,
  type TopicOffsets,
} from "kafkajs";
import Batch from "kafkajs/src/consumer/batch.js";
import Cluster from "kafkajs/src/cluster/index.js";
import type { KafkaAddress } from "./address.ts";
import { isAnswer, KafkaClient } from "./kafka_client.ts";
import { topicIdentityRequest } from "./kafka_metadata.ts";
import { LogUnavailable } from "./vote_log.ts";

/** Maximum bytes of one fetch. A longer record is returned whole. */
const FETCH_BYTES = 4 * 1024 * 1024;
/** Attempts of a read, each with a new connection, and the wait between them, in milliseconds. */
const TRIES = 3;
const AGAIN_AFTER_MS = 300;
/** Timeout of a read with all its attempts, in milliseconds: other elections may wait for it. */
const READ_DEADLINE_MS = 10_000;
/**
 * Transactions are ignored: a record counts by its gateway's signature alone. Otherwise records of an aborted transaction
 * would be skipped, and an open transaction would block its partition.
 */
const READ_UNCOMMITTED = 0;

/** Broker answers after which a retry is useless until a person acts. */
const FOR_A_PERSON = [
  "UNKNOWN_TOPIC_OR_PARTITION",
  "TOPIC_AUTHORIZATION_FAILED",
  "GROUP_AUTHORIZATION_FAILED",
  "SASL_AUTHENTICATION_FAILED",
];

/** A broker's answer while it starts. The read is retried until the deadline, whatever the number of attempts. */
const STARTING = "GROUP_LOAD_IN_PROGRESS";

type Fetched = Readonly<{ messages: KafkaMessage[]; rawMessages: unknown[]; lastOffset(): string }>;
type DescribesConfigs = Readonly<{
  describeConfigs(request: {
    resources: { type: ConfigResourceTypes; name: string; configNames: string[] }[];
  }): Promise<DescribeConfigResponse>;
}>;
type Connected = Readonly<{ client: KafkaClient; cluster: Promise<ClusterType> }>;

/** Reads one topic. */
export class KafkaReader {
  readonly #address: KafkaAddress;
  readonly #clientId: string;
  readonly #topic: string;
  #connected?: Connected;
  readonly #ended = new AbortController();
  /** Reads that are running, or were given up. */
  readonly #leftBehind = new Set<Promise<unknown>>();

  constructor(address: KafkaAddress, clientId: string, topic: string) {
    this.#address = address;
    this.#clientId = clientId;
    this.#topic = topic;
  }

  /** The cluster's id and the topic's id. It changes when the topic is removed and made again. */
  async identity(): Promise<string> {
    return await this.#trying("read what topic it is:", async (cluster) => {
      const { error, cluster: clusterId, topic } = await this.#ask(await cluster.findControllerBroker());
      // The controller may know a new topic earlier or later than the broker that was asked for the partitions.
      if (error !== 0) throw new TypeError(`its controller does not know the topic (error ${error})`);
      return `${clusterId}/${topic}`;
    });
  }

  /** How many partitions the topic has. */
  async partitions(): Promise<number> {
    return await this.#trying(
      "open",
      (cluster) => Promise.resolve(cluster.findTopicPartitionMetadata(this.#topic).length),
    );
  }

  /** The offset of a partition's next record. */
  async end(partition: number): Promise<number> {
    return await this.#trying("find the end of", (cluster) => this.#bound(cluster, partition, false));
  }

  /** The offset of a partition's first record; its end when it is empty. */
  async start(partition: number): Promise<number> {
    return await this.#trying("find the start of", (cluster) => this.#bound(cluster, partition, true));
  }

  /** The values of some of the topic's settings, by name. */
  async settings(names: readonly string[]): Promise<Map<string, string>> {
    return await this.#trying("read the settings of", async (cluster) => {
      const broker = await cluster.findControllerBroker();
      // Missing in the types, although the administration client calls it.
      const { resources } = await (broker as unknown as DescribesConfigs)
        .describeConfigs({
          resources: [{ type: ConfigResourceTypes.TOPIC, name: this.#topic, configNames: [...names] }],
        });
      return new Map(
        only(resources).configEntries.map(({ configName, configValue }) => [configName, configValue]),
      );
    });
  }

  /** Records of a partition from an offset, in kafkajs's form; none at the end. */
  async read(partition: number, fromOffset: number, limit: number): Promise<KafkaMessage[]> {
    return await this.#trying("read", async (cluster) => {
      const messages: KafkaMessage[] = [];
      for (let from = fromOffset; messages.length < limit;) {
        const fetched = await this.#fetch(cluster, partition, from);
        if (fetched === undefined || fetched.rawMessages.length === 0) break;
        for (const message of fetched.messages) {
          if (messages.length < limit) messages.push(message);
        }
        from = Number(fetched.lastOffset()) + 1;
      }
      return messages;
    });
  }

  /** A group's committed offset; 0 when there is none, or the broker has dropped it. */
  async committed(group: string, partition: number): Promise<number> {
    return await this.#trying("read how far counting had come on", async (cluster) => {
      const coordinator = await cluster.findGroupCoordinator({ groupId: group });
      // The type requires offsets, but only the partitions are used.
      const topics = [{ topic: this.#topic, partitions: [{ partition }] }] as unknown as TopicOffsets[];
      const { responses } = await coordinator.offsetFetch({
        groupId: group,
        topics,
      });
      return Math.max(0, Number(only(only(responses).partitions).offset));
    });
  }

  /** Cuts the connections. Running reads reject. */
  async close(): Promise<void> {
    this.#ended.abort();
    if (this.#connected !== undefined) this.#disconnect(this.#connected);
    // Running reads end by themselves, because their connection is cut.
    await Promise.all(this.#leftBehind);
  }

  async #ask(broker: Broker) {
    // Missing in the types: the method that every request of kafkajs uses.
    const { connectionPool } = broker as unknown as {
      connectionPool: {
        send(request: ReturnType<typeof topicIdentityRequest>): Promise<
          Awaited<ReturnType<ReturnType<typeof topicIdentityRequest>["response"]["parse"]>>
        >;
      };
    };
    return await connectionPool.send(topicIdentityRequest(this.#topic));
  }

  async #bound(cluster: ClusterType, partition: number, fromBeginning: boolean): Promise<number> {
    const offsets = await cluster.fetchTopicsOffset([
      { topic: this.#topic, partitions: [{ partition }], fromBeginning },
    ]);
    return Number(only(only(offsets).partitions).offset);
  }

  /** One fetch; `undefined` past the end. An offset before the start is moved to the start. */
  async #fetch(cluster: ClusterType, partition: number, fromOffset: number): Promise<Fetched | undefined> {
    const [leader] = Object.keys(cluster.findLeaderForPartitions(this.#topic, [partition]));
    if (leader === undefined) throw new TypeError(`no broker leads partition ${partition}`);
    const broker = await cluster.findBroker({ nodeId: leader });
    try {
      const { responses } = await broker.fetch({
        isolationLevel: READ_UNCOMMITTED,
        maxWaitTime: 0,
        minBytes: 0,
        maxBytes: FETCH_BYTES,
        topics: [{
          topic: this.#topic,
          partitions: [{ partition, fetchOffset: `${fromOffset}`, maxBytes: FETCH_BYTES }],
        }],
      });
      return new Batch(this.#topic, `${fromOffset}`, responses[0].partitions[0]) as Fetched;
    } catch (error) {
      if (!isAnswer(error, "OFFSET_OUT_OF_RANGE")) throw error;
      const beginning = await this.#bound(cluster, partition, true);
      return fromOffset < beginning ? await this.#fetch(cluster, partition, beginning) : undefined;
    }
  }

  /** Does work, and retries it with a new connection when the old one has failed. */
  async #trying<T>(action: string, work: (cluster: ClusterType) => Promise<T>): Promise<T> {
    const deadline = Promise.withResolvers<never>();
    deadline.promise.catch(() => {});
    const why = new Error(`no answer within ${READ_DEADLINE_MS} ms`);
    const timer = setTimeout(() => deadline.reject(why), READ_DEADLINE_MS);
    const close = () => deadline.reject(new Error("it was closed"));
    this.#ended.signal.addEventListener("abort", close, { once: true });
    try {
      for (let tries = 1;; tries++) {
        const connected = this.#connect();
        try {
          const done = connected.cluster.then(work);
          this.#remember(done);
          return await Promise.race([done, deadline.promise]);
        } catch (error) {
          this.#disconnect(connected);
          const isOver = error === why || this.#ended.signal.aborted || isAnswer(error, ...FOR_A_PERSON);
          if (isOver || (tries >= TRIES && !isAnswer(error, STARTING))) {
            throw connected.client.explain(`${action} ${this.#topic}`, error);
          }
          await delay(AGAIN_AFTER_MS, undefined, { signal: this.#ended.signal }).catch(() => {});
        }
      }
    } finally {
      clearTimeout(timer);
      this.#ended.signal.removeEventListener("abort", close);
    }
  }

  #remember(work: Promise<unknown>): void {
    const ended = work.catch(() => {}).finally(() => this.#leftBehind.delete(ended));
    this.#leftBehind.add(ended);
  }

  #connect(): Connected {
    if (this.#ended.signal.aborted) throw new LogUnavailable(`Cannot read ${this.#topic}: it is closed`);
    if (this.#connected !== undefined) return this.#connected;
    const client = new KafkaClient(this.#address, this.#clientId);
    const cluster = this.#open(client);
    cluster.catch(() => {});
    return this.#connected = { client, cluster };
  }

  async #open(client: KafkaClient): Promise<ClusterType> {
    const cluster: ClusterType = new Cluster({
      ...client.config,
      logger: client.kafka.logger(),
      allowAutoTopicCreation: false,
      isolationLevel: READ_UNCOMMITTED,
    });
    await cluster.connect();
    await cluster.addMultipleTargetTopics([this.#topic]);
    return cluster;
  }

  /** Cuts a connection. The next read opens a new one. */
  #disconnect(connected: Connected): void {
    if (this.#connected === connected) this.#connected = undefined;
    connected.client.destroy();
  }
}

/** The only item of a broker's answer. */
function only<Item>(items: readonly Item[]): Item {
  const [item] = items;
  if (item === undefined) throw new TypeError("its answer is empty, and must have one entry");
  return item;
}
