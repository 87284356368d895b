import assert from "assert";
import type { Buffer } from "node:buffer";
import Decoder from "kafkajs/src/protocol/decoder.js";
import decodeBatch from "kafkajs/src/protocol/recordBatch/v0/decoder.js";
import { fromUtf8, utf8 } from "../bytes.ts";
import { KafkaClient } from "./kafka_client.ts";
import type { PartitionAnswer, produceRequest } from "./kafka_produce.ts";
import { Sender, type SenderCluster, type SentMessage } from "./kafka_sender.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const TOPIC = "votes.test-2026";
const NOT_LEADER = 6;
const OUT_OF_ORDER = 45;

/** One batch as a broker got it: leader, partition, first sequence number, values. */
type Got = [leader: string, partition: number, firstSequence: number, values: string[]];

async function readRequest(leader: string, body: Buffer): Promise<Got[]> {
  const decoder = new Decoder(body);
  assert.deepEqual([decoder.readInt16(), decoder.readInt16(), decoder.readInt32()], [-1, -1, 5_000]);
  assert.equal(decoder.readInt32(), 1, "topics");
  assert.equal(decoder.readString(), TOPIC);
  const got: Got[] = [];
  for (let count = decoder.readInt32(); count > 0; count--) {
    const partition = decoder.readInt32();
    const batch = new Decoder(decoder.readBytes(decoder.readInt32()));
    const { firstSequence, producerId, records } = await decodeBatch(batch);
    assert.equal(producerId, "77");
    const values = records.map(({ value }: { value: Buffer }) => fromUtf8(value));
    got.push([leader, partition, firstSequence, values]);
  }
  return got;
}

/** Brokers that answer as they are told; partition 0 and 1 are led by broker 1, partition 2 by broker 2. */
class FakeCluster {
  readonly leaders = new Map([[0, "1"], [1, "1"], [2, "2"]]);
  readonly got: Got[] = [];
  refreshed = 0;
  readonly #ends = new Map<number, number>();
  /** Called with each request, before it is answered: error codes by partition, or it throws. */
  fail: (leader: string, request: number) => Partial<Record<number, number>> = () => ({});
  #requests = 0;

  connect = () => Promise.resolve();
  disconnect = () => Promise.resolve();
  isConnected = () => true;
  addMultipleTargetTopics = () => Promise.resolve();
  refreshMetadataIfNecessary = () => Promise.resolve();
  removeBroker = () => {};
  refreshMetadata = () => {
    this.refreshed++;
    return Promise.resolve();
  };
  findLeaderForPartitions = (_topic: string, partitions: readonly number[]) => {
    const found: Record<string, number[]> = {};
    for (const partition of partitions) {
      const leader = this.leaders.get(partition);
      if (leader !== undefined) (found[leader] ??= []).push(partition);
    }
    return found;
  };
  findControllerBroker = () => Promise.resolve({ initProducerId: () => this.#producerId() });
  findBroker = ({ nodeId }: { nodeId: string }) =>
    Promise.resolve({
      connectionPool: {
        send: async ({ request }: ReturnType<typeof produceRequest>) => {
          // kafkajs encodes and copies in one turn.
          const body = (await request.encode()).buffer;
          const got = await readRequest(nodeId, body.subarray() as Buffer);
          this.got.push(...got);
          const failing = this.fail(nodeId, this.#requests++);
          return { partitions: got.map((each) => this.#answer(each, failing)), clientSideThrottleTime: 0 };
        },
      },
    });

  #producerId() {
    return Promise.resolve({ producerId: "77", producerEpoch: 0 });
  }

  #answer([, partition, , values]: Got, failing: Partial<Record<number, number>>): PartitionAnswer {
    const errorCode = failing[partition] ?? 0;
    if (errorCode !== 0) return { partition, errorCode, baseOffset: "-1" };
    const end = this.#ends.get(partition) ?? 0;
    this.#ends.set(partition, end + values.length);
    return { partition, errorCode, baseOffset: `${end}` };
  }
}

/** Messages, each named by its partition: `0a` goes to partition 0. */
const messages = (...names: string[]): SentMessage[] =>
  names.map((name) => ({ partition: Number(name[0]), value: utf8(name) }));

async function withSender(work: (sender: Sender, cluster: FakeCluster) => Promise<void>): Promise<void> {
  const client = new KafkaClient({ kind: "kafka", brokers: ["127.0.0.1:1"] }, "test");
  const cluster = new FakeCluster();
  const quick: KafkaClient = Object.create(client, {
    config: { value: { ...client.config, retry: { retries: 4, initialRetryTime: 1, maxRetryTime: 2 } } },
  });
  const sender = new Sender(quick, TOPIC, cluster as unknown as SenderCluster);
  await sender.begin();
  await work(sender, cluster);
  client.destroy();
}

Deno.test("send() gives each leader its partitions, numbered from 0 on and on", async () => {
  await withSender(async (sender, { got }) => {
    const answers = await sender.send(messages("0a", "2a", "0b", "1a"));
    assert.deepEqual(answers.map(({ partition, baseOffset }) => [partition, baseOffset]).toSorted(), [
      [0, "0"],
      [1, "0"],
      [2, "0"],
    ]);
    await sender.send(messages("2b", "0c"));
    assert.deepEqual(got.toSorted(), [
      ["1", 0, 0, ["0a", "0b"]],
      ["1", 0, 2, ["0c"]],
      ["1", 1, 0, ["1a"]],
      ["2", 2, 0, ["2a"]],
      ["2", 2, 1, ["2b"]],
    ]);
  });
});

Deno.test("send() sends again only what has no answer, to the leader of then, under the same numbers", async () => {
  await withSender(async (sender, cluster) => {
    await sender.send(messages("0a", "1a", "2a"));
    cluster.got.length = 0;
    cluster.fail = (leader) => {
      if (leader === "1") cluster.leaders.set(1, "2");
      return leader === "1" ? { 1: NOT_LEADER } : {};
    };
    const answers = await sender.send(messages("0b", "1b", "2b", "1c"));
    assert.equal(answers.length, 3);
    assert.ok(answers.every(({ errorCode }) => errorCode === 0));
    assert.deepEqual(cluster.got.toSorted(), [
      ["1", 0, 1, ["0b"]],
      ["1", 1, 1, ["1b", "1c"]],
      ["2", 1, 1, ["1b", "1c"]],
      ["2", 2, 1, ["2b"]],
    ]);
    assert.equal(cluster.refreshed, 1);
  });
});

Deno.test("send() ends at an error that no other try can help, though another broker's could", async () => {
  await withSender(async (sender, cluster) => {
    cluster.fail = (leader) => leader === "1" ? { 0: OUT_OF_ORDER } : { 2: NOT_LEADER };
    await assert.rejects(sender.send(messages("0a", "2a")), { type: "OUT_OF_ORDER_SEQUENCE_NUMBER" });
    assert.equal(cluster.got.length, 2);
  });
});

Deno.test("send() gives up after a few tries, and says why", async () => {
  await withSender(async (sender, cluster) => {
    cluster.fail = () => ({ 0: NOT_LEADER });
    await assert.rejects(sender.send(messages("0a")), /not the leader/);
    assert.equal(cluster.got.length, 5);
    assert.deepEqual([...new Set(cluster.got.map(String))], ["1,0,0,0a"], "always the same");
  });
});

Deno.test("send() leaves out a partition that nobody leads", async () => {
  await withSender(async (sender, cluster) => {
    cluster.leaders.delete(1);
    assert.deepEqual((await sender.send(messages("0a", "1a"))).map(({ partition }) => partition), [0]);
  });
});
