/**
 * The views on Kafka: a compacted topic each, of one partition.
 *
 * @module
 */
import { utf8 } from "../bytes.ts";
import type { KafkaAddress } from "./address.ts";
import { KafkaProducer } from "./kafka_producer.ts";
import { VIEW_TOPICS } from "./kafka_topics.ts";
import type { View, ViewRow, Views } from "./views.ts";

/** See {@link Views}. Connects when something is written. */
export class KafkaViews implements Views {
  readonly #producers: Readonly<Record<View, KafkaProducer>>;

  constructor(address: KafkaAddress, clientId: string) {
    const producer = (view: View) => new KafkaProducer(address, clientId, VIEW_TOPICS[view]);
    this.#producers = {
      tallies: producer("tallies"),
      turnout: producer("turnout"),
      rejections: producer("rejections"),
    };
  }

  async write(view: View, rows: readonly ViewRow[]): Promise<void> {
    if (rows.length === 0) return;
    await this.#producers[view].append(rows.map(({ key, value }) => ({
      partition: 0,
      key: utf8(key),
      value: utf8(JSON.stringify(value)),
    })));
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.#producers).map((producer) => producer.close()));
  }
}
