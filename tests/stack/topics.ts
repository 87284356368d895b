/**
 * Makes and removes topics, for tests.
 *
 * @module
 */
import { type Admin, ConfigResourceTypes } from "kafkajs";
import { utf8 } from "../../shared/bytes.ts";
import type { KafkaAddress } from "../../shared/log/address.ts";
import { votesTopic } from "../../shared/log/kafka.ts";
import { KafkaClient } from "../../shared/log/kafka_client.ts";
import type { PlacedRecord } from "../../shared/log/vote_log.ts";
import { provisionTopics } from "../../aggregator/kafka_topics.ts";
import { eventually } from "../eventually.ts";

/** Makes an election's topic, as `deno task topics` does. */
export async function makeVotesTopic(
  address: KafkaAddress,
  election: string,
  partitions: number,
): Promise<void> {
  await provisionTopics(address, [{ election, partitions }]);
}

/** A record for a log. Only its text differs from others. */
export function plainEntry(partition: number, text = "a"): PlacedRecord {
  const bytes = new Uint8Array(32);
  return {
    partition,
    version: "2",
    kind: "vote",
    sequence: 1,
    keyId: "a",
    senderKey: bytes,
    signature: bytes,
    value: utf8(text),
  };
}

/** Removes an election's topic, and waits until it is gone. */
export async function removeTopic(address: KafkaAddress, election: string): Promise<void> {
  await withAdmin(address, async (admin) => {
    const topic = votesTopic(election);
    if (!(await admin.listTopics()).includes(topic)) return;
    await admin.deleteTopics({ topics: [topic] });
    await eventually(`${topic} is gone`, async () => !(await admin.listTopics()).includes(topic));
  });
}

/** Deletes what a partition of an election's log holds below an offset. */
export async function deleteRecords(
  address: KafkaAddress,
  election: string,
  partition: number,
  offset: number,
): Promise<void> {
  await withAdmin(address, async (admin) => {
    const topic = votesTopic(election);
    // kafkajs looks for the partition's leader among the topics that it was asked about before.
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({
      topic,
      partitions: [{ partition, offset: `${offset}` }],
    });
  });
}

/** Changes settings of an election's topic. */
export async function setTopic(
  address: KafkaAddress,
  election: string,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
  await withAdmin(address, async (admin) => {
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: votesTopic(election), configEntries }],
    });
  });
}

/** Lends a client for administration. */
export async function withAdmin<T>(address: KafkaAddress, work: (admin: Admin) => Promise<T>): Promise<T> {
  const client = new KafkaClient(address, "test");
  const admin = client.kafka.admin();
  try {
    await admin.connect();
    return await work(admin);
  } finally {
    await admin.disconnect();
    client.destroy();
  }
}
