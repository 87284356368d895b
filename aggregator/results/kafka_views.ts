/**
 * The views on Kafka: a compacted topic each, of one partition.
 *
 * @module
 */
import { utf8 } from "../../shared/bytes.ts";
import type { KafkaAddress } from "../../shared/log/address.ts";
import { KafkaProducer } from "../../shared/log/kafka_producer.ts";
import { KafkaReader } from "../../shared/log/kafka_reader.ts";
import { VIEW_TOPICS } from "../view_topics.ts";
import type { View, ViewPage, ViewRow, Views } from "./views.ts";

/** The one partition of each. */
const PARTITION = 0;
/** Rows that one read of a topic asks for: more than one fetch brings, so that little of it is fetched twice. */
const READ_ROWS = 20_000;

type Topic = Readonly<{ producer: KafkaProducer; reader: KafkaReader }>;

/** See {@link Views}. Connects when something is read or written. */
export class KafkaViews implements Views {
  readonly #topics: Readonly<Record<View, Topic>>;

  constructor(address: KafkaAddress, clientId: string) {
    const topic = (view: View): Topic => ({
      producer: new KafkaProducer(address, clientId, VIEW_TOPICS[view]),
      reader: new KafkaReader(address, clientId, VIEW_TOPICS[view]),
    });
    this.#topics = { tallies: topic("tallies"), turnout: topic("turnout"), rejections: topic("rejections") };
  }

  async end(view: View): Promise<number> {
    return await this.#topics[view].reader.end(PARTITION);
  }

  async *pages(view: View): AsyncGenerator<ViewPage> {
    const { reader } = this.#topics[view];
    const end = await reader.end(PARTITION);
    for (let from = 0; from < end;) {
      const messages = await reader.read(PARTITION, from, READ_ROWS);
      // What is left are offsets without messages.
      if (messages.length === 0) break;
      from = Number(messages.at(-1)!.offset) + 1;
      const rows = messages.filter(({ offset }) => Number(offset) < end);
      // A compacted topic takes nothing without a key.
      yield { rows: rows.map(({ key, value }) => [key!.toString(), value && value.toString()]), end };
    }
    yield { rows: [], end };
  }

  async write(view: View, rows: readonly ViewRow[]): Promise<void> {
    await this.#topics[view].producer.append(rows.map(({ key, value }) => ({
      partition: PARTITION,
      key: utf8(key),
      value: value === null ? null : utf8(JSON.stringify(value)),
    })));
  }

  async close(): Promise<void> {
    await Promise.all(
      Object.values(this.#topics).flatMap(({ producer, reader }) => [producer.close(), reader.close()]),
    );
  }
}
