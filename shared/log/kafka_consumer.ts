/**
 * Consumes a topic as a member of a group. kafkajs distributes the partitions among the members. The database decides
 * where to begin and who may count: `take` is called for every partition after every change of the group.
 *
 * @module
 */
import { setImmediate as turn, setTimeout as delay } from "node:timers/promises";
import type { Consumer, EachBatchPayload, KafkaMessage } from "kafkajs";
import type { KafkaClient } from "./kafka_client.ts";
import { isAnswer } from "./kafka_client.ts";
import { type ConsumeOptions, type LogConsumer, LogFault, type StoredRecord } from "./vote_log.ts";

/**
 * How long a member may be silent before its partitions go to others, in milliseconds: the minimum of a broker's default
 * settings. A member that lost its broker returns as another member, and waits this long for its former self.
 */
const SESSION_MS = 6_000;
/** How often a member sends a heartbeat, also while a batch is being counted, in milliseconds. */
const HEARTBEAT_MS = 1_500;
/** How long a change of the group waits for a member that is processing a batch, in milliseconds. */
const REBALANCE_MS = 20_000;
/**
 * How long a fetch waits where there is nothing, in milliseconds: it is answered as soon as there is a record. A consumer takes
 * up to this long to stop.
 */
const FETCH_WAIT_MS = 500;
/**
 * How long a consumer rests before it fetches again where the log had no more, in milliseconds, and as a multiple of the time that
 * the records before took: a fetch has a fixed cost for broker, database and consumer, which is larger than that of a few votes.
 */
const FETCH_SHORTEST_REST_MS = 25;
const FETCH_LONGEST_REST_MS = 100;
const FETCH_REST_SHARE = 3;
/** Maximum bytes of a fetch, for one partition and for all. */
const FETCH_PARTITION_BYTES = 2 * 1024 * 1024;
const FETCH_BYTES = 8 * 1024 * 1024;
/** How often an idle consumer checks that the topic is still the same, in milliseconds. */
const IDENTITY_EVERY_MS = 5_000;
/** How long to wait for a consumer to leave its group before its connections are cut, in milliseconds. */
const LEAVE_MS = 15_000;

/** A broker's answers that mean that the group has changed, or that this consumer is no longer a member. */
const GROUP_CHANGED = [
  "REBALANCE_IN_PROGRESS",
  "ILLEGAL_GENERATION",
  "UNKNOWN_MEMBER_ID",
  "NOT_COORDINATOR_FOR_GROUP",
];

/** Options of a consumption. */
export type ConsumptionParts = Readonly<{
  client: KafkaClient;
  topic: string;
  /** See VoteLog.identity. */
  identity(): Promise<string>;
  /** See VoteLog.committed: of every partition. */
  committed(): Promise<number[]>;
  toRecord(partition: number, message: KafkaMessage): StoredRecord;
}>;

/** One run of one member, from joining to leaving. Used once. */
export class Consumption {
  readonly #parts: ConsumptionParts;
  readonly #consumer: LogConsumer;
  readonly #options: ConsumeOptions;
  readonly #kafka: Consumer;
  /** The next offset of each partition that was taken since the last change of the group. */
  readonly #next = new Map<number, number>();
  readonly #done = Promise.withResolvers<void>();
  readonly #ended = new AbortController();
  #identity = "";
  /** Whether the topic is still the same, checked in this microtask. */
  #confirmed?: Promise<void>;
  /** Offsets that are about to be committed together, by partition. */
  #committing?: Readonly<{ offsets: Map<number, string>; done: Promise<void> }>;
  /** The group's committed offset of each partition at the start of this run. */
  #committed: readonly number[] = [];
  #failure?: unknown;

  constructor(parts: ConsumptionParts, consumer: LogConsumer, options: ConsumeOptions) {
    this.#parts = parts;
    this.#consumer = consumer;
    this.#options = options;
    // A crash while the consumer connects or starts comes before anybody waits; #failure has it, and run() throws.
    this.#done.promise.catch(() => {});
    this.#kafka = parts.client.kafka.consumer({
      groupId: options.group,
      sessionTimeout: SESSION_MS,
      heartbeatInterval: HEARTBEAT_MS,
      rebalanceTimeout: REBALANCE_MS,
      maxWaitTimeInMs: FETCH_WAIT_MS,
      minBytes: 1,
      maxBytesPerPartition: FETCH_PARTITION_BYTES,
      maxBytes: FETCH_BYTES,
      allowAutoTopicCreation: false,
      // Transactions are ignored: see kafka_reader.ts.
      readUncommitted: true,
      // The caller starts a new run, and checks the log first.
      retry: { restartOnFailure: () => Promise.resolve(false) },
    });
  }

  /** Runs until the signal aborts. Rejects with the consumer's error, or with the error that ended the membership. */
  async run(): Promise<void> {
    const { client, topic, identity, committed } = this.#parts;
    const { signal } = this.#options;
    const abort = () => this.#end();
    signal.addEventListener("abort", abort, { once: true });
    this.#kafka.on(this.#kafka.events.GROUP_JOIN, ({ payload: { memberAssignment } }) => {
      this.#beginAnew(memberAssignment[topic] ?? []);
    });
    this.#kafka.on(this.#kafka.events.CRASH, ({ payload: { error } }) => {
      this.#end(client.explain(`consume ${topic}`, error));
    });
    try {
      [this.#identity, this.#committed] = await Promise.all([identity(), committed()]);
      await this.#kafka.connect();
      await this.#kafka.subscribe({ topic, fromBeginning: true });
      if (!signal.aborted) {
        await this.#kafka.run({
          autoCommit: false,
          eachBatchAutoResolve: false,
          partitionsConsumedConcurrently: this.#options.partitionsAtOnce ?? 1,
          eachBatch: (payload) => this.#batch(payload),
        });
        await Promise.all([this.#done.promise, this.#watchIdentity()]);
      }
    } catch (error) {
      throw this.#isOurs(error) ? error : client.explain(`consume ${topic}`, error);
    } finally {
      this.#end();
      signal.removeEventListener("abort", abort);
      await this.#leave();
    }
  }

  /**
   * The group has changed: every partition is to be taken again. kafkajs does not wait for its listeners, so they are
   * taken in #batch; and there is a batch only when there are records, so each partition begins at the last one that
   * the group is done with. It comes again, and nothing is made of it: but the database is asked, even when it wants
   * more of what is behind, and nothing new ever comes.
   */
  #beginAnew(partitions: readonly number[]): void {
    this.#next.clear();
    for (const partition of partitions) {
      const offset = Math.max(0, (this.#committed[partition] ?? 0) - 1);
      this.#kafka.seek({ topic: this.#parts.topic, partition, offset: `${offset}` });
    }
  }

  /** Whether an error comes from the caller, and is thrown unchanged. */
  #isOurs(error: unknown): boolean {
    return error instanceof LogFault || error === this.#failure;
  }

  #end(failure?: unknown): void {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort();
    if (failure === undefined) return this.#done.resolve();
    this.#failure = failure;
    this.#done.reject(failure);
  }

  async #leave(): Promise<void> {
    const waited = new AbortController();
    const late = delay(LEAVE_MS, undefined, { signal: waited.signal }).catch(() => {});
    await Promise.race([this.#kafka.disconnect().catch(() => {}), late]);
    waited.abort();
    this.#parts.client.destroy();
  }

  /** Handles one fetched batch. An error that is thrown here makes kafkajs rejoin; other errors end the run. */
  async #batch(payload: EachBatchPayload): Promise<void> {
    const beating = new Heartbeat(payload.heartbeat);
    const isOver = () => this.#ended.signal.aborted || beating.lost !== undefined;
    const deliveredMs = performance.now();
    try {
      const answer = await this.#deliver(payload, isOver);
      // kafkajs fetches again once all batches of a fetch are done.
      if (!isOver()) await this.#rest(payload, performance.now() - deliveredMs, answer);
    } catch (error) {
      this.#end(error);
    } finally {
      beating.stop();
    }
    if (beating.lost !== undefined && !this.#ended.signal.aborted) throw beating.lost;
  }

  /** Delivers what is new in a fetched batch, unless it is over. Returns what the consumer last answered. */
  async #deliver(payload: EachBatchPayload, isOver: () => boolean): Promise<"again" | void> {
    const { batch: { partition, messages } } = payload;
    await this.#confirmIdentity();
    const from = await this.#positionIn(partition, messages);
    const records = from === undefined
      ? []
      : messages.filter(({ offset }) => Number(offset) >= from).map((message) =>
        this.#parts.toRecord(partition, message)
      );
    // The next fetch begins after the resolved offset. Without this, records that are delivered again would come with the
    // ones below the position, and the partition would be taken again each time.
    const below = from === undefined ? undefined : messages.findLast(({ offset }) => Number(offset) < from);
    if (below !== undefined) payload.resolveOffset(below.offset);
    for (let at = 0; at < records.length && this.#next.has(partition);) {
      if (isOver()) return;
      const slice = records.slice(at, at += this.#options.batchRecords);
      // What is not resolved comes again with the next fetch.
      if (await this.#consumer.batch(partition, slice) === "again") return "again";
      await this.#noteDone(payload, slice.at(-1)!.offset);
    }
  }

  /**
   * Rests after a fetch that brought all there was; shortly where records are urgent and were soon counted.
   * Those that wait for others come again after the longest rest.
   */
  async #rest({ batch }: EachBatchPayload, tookMs: number, answer: "again" | void): Promise<void> {
    if (Number(batch.lastOffset()) + 1 < Number(batch.highWatermark)) return;
    const isSoon = answer !== "again" && this.#options.isUrgent?.();
    const wantedMs = Math.max(FETCH_SHORTEST_REST_MS, FETCH_REST_SHARE * tookMs);
    const restMs = isSoon ? Math.min(FETCH_LONGEST_REST_MS, wantedMs) : FETCH_LONGEST_REST_MS;
    await delay(restMs, undefined, { signal: this.#ended.signal }).catch(() => {});
  }

  /**
   * The offset to go on from in what was fetched; `undefined` when this fetch is not to be used. A partition is taken
   * when its first records come; and again when they come from below, which happens when kafkajs has found the log
   * shorter than it was and begins at its beginning: `take` finds out why.
   */
  async #positionIn(partition: number, messages: readonly KafkaMessage[]): Promise<number | undefined> {
    if (this.#ended.signal.aborted) return undefined;
    const [first, last] = [Number(messages[0]!.offset), Number(messages.at(-1)!.offset)];
    const next = this.#next.get(partition);
    if (next !== undefined && first >= next) return next;
    const from = await this.#consumer.take(partition);
    if (this.#ended.signal.aborted) return undefined;
    this.#next.set(partition, from);
    if (first <= from && from <= last + 1) return from;
    // Once: whatever then comes at or above it is next, since offsets have gaps.
    this.#kafka.seek({ topic: this.#parts.topic, partition, offset: `${from}` });
    return undefined;
  }

  async #noteDone(payload: EachBatchPayload, lastOffset: number): Promise<void> {
    const { partition } = payload.batch;
    if (!this.#next.has(partition)) return; // The group has changed meanwhile, and kafkajs has restarted.
    this.#next.set(partition, lastOffset + 1);
    payload.resolveOffset(`${lastOffset}`);
    try {
      this.#committing ??= this.#beginCommit(payload);
      this.#committing.offsets.set(partition, `${lastOffset + 1}`);
      await this.#committing.done;
    } catch (error) {
      // The commit is only a hint, so a failure is harmless; the next heartbeat shows kafkajs the same error.
      if (!isAnswer(error, ...GROUP_CHANGED)) throw error;
    }
  }

  /** Commits in the next turn: partitions that were counted together are done in one, and one request is for all of them. */
  #beginCommit({ batch: { topic }, commitOffsetsIfNecessary }: EachBatchPayload) {
    const offsets = new Map<number, string>();
    const commit = async () => {
      await turn();
      this.#committing = undefined;
      // The group may have changed since: then others commit.
      const partitions = [...offsets].filter(([partition]) => this.#next.has(partition))
        .map(([partition, offset]) => ({ partition, offset }));
      if (partitions.length > 0) await commitOffsetsIfNecessary({ topics: [{ topic, partitions }] });
    };
    return { offsets, done: commit() };
  }

  /**
   * Fetching goes by the topic's name. So what was fetched is used only when, after the fetch, the topic still is the
   * one that it was at the beginning: ids are never used again.
   */
  #confirmIdentity(): Promise<void> {
    // kafkajs hands out all partitions of a fetch in one synchronous run: one answer is for all of them.
    if (this.#confirmed === undefined) {
      this.#confirmed = this.#askIdentity();
      queueMicrotask(() => this.#confirmed = undefined);
    }
    return this.#confirmed;
  }

  async #askIdentity(): Promise<void> {
    const { topic, identity } = this.#parts;
    const now = await identity();
    if (now === this.#identity) return;
    throw new LogFault(
      `Cannot continue with ${topic}: it was removed and created again while it was read: it is ${now}, and was ${this.#identity}`,
    );
  }

  /** Checks an idle topic, too: a topic that was made again may never deliver a record. */
  async #watchIdentity(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      await delay(IDENTITY_EVERY_MS, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      try {
        await this.#confirmIdentity();
      } catch (error) {
        if (error instanceof LogFault) this.#end(error);
      }
    }
  }
}

/** Sends heartbeats during a batch; kafkajs sends them between batches only. */
class Heartbeat {
  readonly #timer: ReturnType<typeof setInterval>;
  /** The broker's error that means that the group has changed. kafkajs rejoins when it is thrown. */
  lost?: unknown;

  constructor(heartbeat: () => Promise<void>) {
    this.#timer = setInterval(() => {
      heartbeat().catch((error) => {
        if (isAnswer(error, ...GROUP_CHANGED)) this.lost ??= error;
      });
    }, HEARTBEAT_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
