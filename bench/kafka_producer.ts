/**
 * What a record costs the log's producer and the broker, in processor time, against kafkajs's own idempotent producer on
 * the same broker. Without waiting: the link and the disk are the same for both.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { KafkaClient } from "../shared/log/kafka_client.ts";
import { KafkaProducer, type ProducedMessage } from "../shared/log/kafka_producer.ts";
import { votesTopic } from "../shared/log/kafka.ts";
import { makeVotesTopic, removeTopic } from "../tests/stack/topics.ts";
import { type Bench, type Benchmark, compare, median, type Row } from "./measure.ts";
import { type NamedProcess, processorMsOfEach, serversOf } from "./processes.ts";
import { kafkaOf } from "./real_servers.ts";

const ROUNDS = 3;
const PARTITIONS = 12;
/** Records of one append, appends a round, and the goal as a part of what kafkajs does in the same processor time. */
const SIZES = [[24, 1_000, 8], [2_000, 25, 25]] as const;
/** What a sealed record of a small election takes, in bytes. */
const VALUE_BYTES = 500;

/** See the module. */
export const kafkaProducer: Benchmark = {
  name: "producer",
  work:
    "records written in a second of the client's processor time; floor: kafkajs's own idempotent producer",
  on: "servers",
  async run(bench) {
    const rows: Row[] = [];
    for (const [size, appends, ratio] of SIZES) rows.push(await producing(bench, size, appends, ratio));
    return rows;
  },
};

type Append = (messages: readonly ProducedMessage[]) => Promise<unknown>;

async function producing(bench: Bench, size: number, appends: number, ratio: number): Promise<Row> {
  const address = kafkaOf(bench, "producer");
  const election = `bench-producer-${size}-${bench.run}`;
  await makeVotesTopic(address, election, PARTITIONS);
  bench.atEnd(() => removeTopic(address, election));
  const topic = votesTopic(election);
  const ours = new KafkaProducer(address, "bench", topic);
  bench.atEnd(() => ours.close());
  const client = new KafkaClient(address, "bench");
  bench.atEnd(() => Promise.resolve(client.destroy()));
  const kafkajs = await kafkajsProducer(client, topic);
  const messages = makeMessages(size);
  const brokers = (await serversOf(bench)).filter(({ name }) => name.startsWith("kafka"));
  const spent = { ours: new Map<string, number[]>(), kafkajs: new Map<string, number[]>() };
  const measured = (kind: keyof typeof spent, append: Append) => async (round: number) => {
    const us = await costOf(append, messages, appends, brokers);
    for (const [name, cost] of us) {
      if (round > 0) spent[kind].set(name, [...spent[kind].get(name) ?? [], cost]);
    }
    bench.log(`producer: ${kind}, ${size} at once: ${us.get("client")!.toFixed(1)} µs a record`);
    return 1e6 / us.get("client")!;
  };
  const compared = await compare(
    ROUNDS,
    measured("kafkajs", kafkajs),
    measured("ours", (messages) => ours.append(messages)),
  );
  const costs = (kind: keyof typeof spent) =>
    [...spent[kind]].map(([name, us]) => `${name} ${median(us).toFixed(1)}`).join(", ");
  return {
    benchmark: "producer",
    of: `append, ${size.toLocaleString("en")} at once`,
    ...compared,
    unit: "records/s of processor",
    goal: { ratio },
    notes: `µs a record: ${costs("ours")}; kafkajs: ${costs("kafkajs")}`,
  };
}

/** Processor time a record of this process and of the brokers, in microseconds. */
async function costOf(
  append: Append,
  messages: readonly ProducedMessage[],
  appends: number,
  brokers: readonly NamedProcess[],
): Promise<Map<string, number>> {
  const processes = [{ name: "client", pid: Deno.pid }, ...brokers];
  const before = await processorMsOfEach(processes);
  for (let n = 0; n < appends; n++) await append(messages);
  const after = await processorMsOfEach(processes);
  const records = appends * messages.length;
  return new Map([...after].map(([name, ms]) => [name, (ms - before.get(name)!) * 1_000 / records]));
}

/** What the log's producer was before it wrote its own batches. */
async function kafkajsProducer({ kafka }: KafkaClient, topic: string): Promise<Append> {
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    createPartitioner: () => ({ message }) => message.partition!,
  });
  await producer.connect();
  return (messages) =>
    producer.sendBatch({
      acks: -1,
      topicMessages: [{
        topic,
        messages: messages.map(({ partition, value, headers = {} }) => ({
          partition,
          value: Buffer.from(value!.buffer as ArrayBuffer, value!.byteOffset, value!.length),
          headers: Object.fromEntries(
            Object.entries(headers).map(([name, header]) => [name, Buffer.from(header as Uint8Array)]),
          ),
        })),
      }],
    });
}

/** Messages as the log makes them of a gateway's records. */
function makeMessages(count: number): ProducedMessage[] {
  return Array.from({ length: count }, (_, n) => ({
    partition: n % PARTITIONS,
    value: new Uint8Array(randomBytes(VALUE_BYTES)),
    headers: {
      "v": "2",
      "kind": "vote",
      "key-id": "bench-2026/gateway-1.1",
      "sender-key": new Uint8Array(randomBytes(32)),
      "sequence": String(100_000 + n),
      "signature": new Uint8Array(randomBytes(32)),
    },
  }));
}
