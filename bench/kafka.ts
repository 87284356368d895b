/**
 * The log on a real broker against Kafka's own tools on the same one: writing against ProducerPerformance, reading
 * against ConsumerPerformance. Needs Java, and a stack whose broker lets everybody in.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { Failure } from "../cli/command.ts";
import type { KafkaAddress } from "../shared/log/address.ts";
import { openKafkaLog, votesTopic } from "../shared/log/kafka.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { RECORD_VERSION } from "../shared/record.ts";
import { kafkaTool } from "../tests/stack/broker.ts";
import { makeVotesTopic, removeTopic } from "../tests/stack/topics.ts";
import { type Bench, type Benchmark, compare, perSecond, type Row } from "./measure.ts";
import { kafkaOf } from "./real_servers.ts";

const ROUNDS = 3;
const PARTITIONS = 12;
/** Records a round; of one append: what a gateway's forwarder takes at once; and how many appends are under way. */
const RECORDS = 200_000;
const APPEND_RECORDS = 2_000;
/** What a sealed record of a small election takes, in bytes. */
const VALUE_BYTES = 500;
const HEADER_BYTES = 130;
/** An aim: kafkajs works in JavaScript, and Kafka's own client compresses nothing, checks nothing and runs on two cores. */
const GOALS = { write: { ratio: 0.25 }, read: { ratio: 0.25 } };

/** See the module. */
export const kafka: Benchmark = {
  name: "kafka",
  work:
    "records written to and read from the broker; floor: Kafka's own performance tools on the same broker",
  on: "servers",
  async run(bench) {
    const address = kafkaOf(bench, "kafka");
    if (address.tls !== undefined || address.sasl !== undefined) {
      throw new Failure(
        "Cannot measure kafka: --stack must name a broker without TLS and users, for Kafka's tools",
      );
    }
    return [await writing(bench, address), await reading(bench, address)];
  },
};

/** Makes a topic that is removed when the run ends, and opens it as a log. */
async function openTopic(bench: Bench, address: KafkaAddress, name: string) {
  const election = `bench-${name}-${bench.run}`;
  await makeVotesTopic(address, election, PARTITIONS);
  bench.atEnd(() => removeTopic(address, election));
  const log = await openKafkaLog(address, election, PARTITIONS);
  bench.atEnd(() => log.close());
  return { log, topic: votesTopic(election) };
}

async function writing(bench: Bench, address: KafkaAddress): Promise<Row> {
  const { log, topic } = await openTopic(bench, address, "write");
  const batch = makeRecords(APPEND_RECORDS);
  const compared = await compare(ROUNDS, () => producerPerformance(address, topic), async (round) => {
    const rate = await perSecond(RECORDS, async () => {
      for (let n = 0; n < RECORDS; n += APPEND_RECORDS) await log.append(batch);
    });
    bench.log(`kafka: round ${round} of ${ROUNDS}: ${Math.round(rate)} records/s written`);
    return rate;
  });
  return {
    benchmark: "kafka",
    of: `append, ${APPEND_RECORDS.toLocaleString("en")} at once, acks all`,
    ...compared,
    unit: "records/s",
    goal: GOALS.write,
  };
}

async function reading(bench: Bench, address: KafkaAddress): Promise<Row> {
  const { log, topic } = await openTopic(bench, address, "read");
  const batch = makeRecords(APPEND_RECORDS);
  for (let n = 0; n < RECORDS; n += APPEND_RECORDS) await log.append(batch);
  const ours = async (round: number) => {
    let read = 0;
    let fromMs = 0;
    const abort = new AbortController();
    await log.consume({
      // From the first partition on: joining the group is no part of it, as it is none of the tool's figure.
      take: () => Promise.resolve((fromMs ||= performance.now(), 0)),
      batch: (_partition, records) => {
        read += records.length;
        if (read >= RECORDS) abort.abort();
        return Promise.resolve();
      },
    }, { group: `bench-${bench.run}-${round}`, batchRecords: APPEND_RECORDS, signal: abort.signal });
    const rate = RECORDS / ((performance.now() - fromMs) / 1_000);
    bench.log(`kafka: round ${round} of ${ROUNDS}: ${Math.round(rate)} records/s read`);
    return rate;
  };
  const compared = await compare(ROUNDS, () => consumerPerformance(address, topic), ours);
  return { benchmark: "kafka", of: "consume", ...compared, unit: "records/s", goal: GOALS.read };
}

/** Records of random bytes, as sealed ones are, spread over the partitions. */
function makeRecords(count: number): PlacedRecord[] {
  return Array.from({ length: count }, (_, n) => ({
    partition: n % PARTITIONS,
    version: RECORD_VERSION,
    kind: "vote",
    keyId: "bench-2026/gateway-1.1",
    senderKey: randomBytes(32),
    sequence: n + 1,
    signature: randomBytes(32),
    value: randomBytes(VALUE_BYTES),
  }));
}

async function producerPerformance(address: KafkaAddress, topic: string): Promise<number> {
  const said = await kafkaTool("org.apache.kafka.tools.ProducerPerformance", [
    ...["--topic", topic, "--num-records", `${RECORDS}`, "--record-size", `${VALUE_BYTES + HEADER_BYTES}`],
    ...["--throughput", "-1", "--producer-props", `bootstrap.servers=${address.brokers}`, "acks=all"],
  ]);
  return Number([...said.matchAll(/([\d.]+) records\/sec/g)].at(-1)![1]);
}

async function consumerPerformance(address: KafkaAddress, topic: string): Promise<number> {
  const said = await kafkaTool("org.apache.kafka.tools.ConsumerPerformance", [
    ...["--bootstrap-server", `${address.brokers}`, "--topic", topic, "--num-records", `${RECORDS}`],
    ...["--timeout", "30000", "--hide-header"],
  ]);
  // The last column is of fetching alone, without joining the group.
  return Number(said.trim().split("\n").at(-1)!.split(",").at(-1)!.trim());
}
