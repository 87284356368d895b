/**
 * Topics of changes on Kafka: a compacted topic each, of one partition.
 *
 * @module
 */
import { utf8 } from "../bytes.ts";
import { CHANGE_TOPICS, type ChangeLog, type ChangeMessage, type ChangeTopic } from "../changes.ts";
import type { KafkaAddress } from "./address.ts";
import { KafkaProducer } from "./kafka_producer.ts";
import { KafkaReader } from "./kafka_reader.ts";

/** The one partition of each. */
const PARTITION = 0;
/** Messages that are read, or written, at once when an election is erased. */
const ERASE_READ = 1_000;

type Topic = Readonly<{ producer: KafkaProducer; reader: KafkaReader }>;

/** See {@link ChangeLog}. Connects when something is read or written. */
export class KafkaChanges implements ChangeLog {
  readonly #topics: ReadonlyMap<ChangeTopic, Topic>;

  constructor(address: KafkaAddress, clientId: string) {
    this.#topics = new Map(
      CHANGE_TOPICS.map((topic) => [topic, {
        producer: new KafkaProducer(address, clientId, topic),
        reader: new KafkaReader(address, clientId, topic),
      }]),
    );
  }

  async append(topic: ChangeTopic, messages: readonly ChangeMessage[]): Promise<void> {
    await this.#topics.get(topic)!.producer.append(
      messages.map(({ key, value }) => ({ partition: PARTITION, key: utf8(key), value: utf8(value) })),
    );
  }

  async erase(topic: ChangeTopic, election: string): Promise<void> {
    const { producer, reader } = this.#topics.get(topic)!;
    const keys = new Set<string>();
    const end = await reader.end(PARTITION);
    for (let from = 0; from < end;) {
      const read = await reader.read(PARTITION, from, ERASE_READ);
      if (read.length === 0) break;
      for (const { key, value } of read) {
        const name = key!.toString();
        if (!name.startsWith(`${election}/`)) continue;
        if (value === null) keys.delete(name);
        else keys.add(name);
      }
      from = Number(read.at(-1)!.offset) + 1;
    }
    const left = [...keys];
    while (left.length > 0) {
      const page = left.splice(-ERASE_READ);
      await producer.append(page.map((key) => ({ partition: PARTITION, key: utf8(key), value: null })));
    }
  }

  async read(topic: ChangeTopic, from: number, limit: number) {
    const { reader } = this.#topics.get(topic)!;
    if (from >= await reader.end(PARTITION)) return { messages: [], next: from };
    const read = await reader.read(PARTITION, from, limit);
    return {
      // A compacted topic takes nothing without a key.
      messages: read.filter(({ value }) => value !== null).map(({ key, value }) => ({
        key: key!.toString(),
        value: value!.toString(),
      })),
      next: read.length === 0 ? from : Number(read.at(-1)!.offset) + 1,
    };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#topics.values()].flatMap(({ producer, reader }) => [
      producer.close(),
      reader.close(),
    ]));
  }
}
