/**
 * The Metadata request, version 12. kafkajs supports only up to version 6. From version 10 the answer has the topic's id,
 * the only thing that distinguishes a topic from an earlier one with the same name.
 * Source: https://kafka.apache.org/protocol#The_Messages_Metadata (broker 3.1 or later).
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { fromUtf8, utf8 } from "../bytes.ts";

const API_KEY = 3;
const API_VERSION = 12;

/** A cluster's answer about one topic. `error` is the broker's error code, 0 for none; ids are in hex. */
export type TopicIdentity = Readonly<{ error: number; cluster: string; topic: string }>;

/** A request for kafkajs's connections: they frame the result of `encode`, and pass `decode` the bytes after the correlation id. */
export function topicIdentityRequest(topic: string) {
  const name = utf8(topic);
  const body = Buffer.from([
    0, // no tagged fields in the header, which kafkajs writes in the old form without them
    2, // one topic
    ...new Uint8Array(16), // by name: no id
    ...unsignedVarint(name.length + 1),
    ...name,
    0, // no tagged fields of the topic
    0, // do not make it
    0, // do not say what is permitted
    0, // no tagged fields
  ]);
  return {
    request: {
      apiKey: API_KEY,
      apiVersion: API_VERSION,
      apiName: "Metadata",
      // The shape of kafkajs's own encoders.
      encode: () => Promise.resolve({ buf: body, buffer: body }),
    },
    response: {
      decode: (payload: Uint8Array) => Promise.resolve(decodeTopicIdentity(payload)),
      parse: (identity: TopicIdentity) => Promise.resolve(identity),
    },
  };
}

/** Parses the answer, without its correlation id. */
export function decodeTopicIdentity(payload: Uint8Array): TopicIdentity {
  const reader = new Reader(payload);
  reader.taggedFields();
  reader.skip(4); // throttle time
  for (let brokers = reader.length(); brokers > 0; brokers--) {
    reader.skip(4); // id
    reader.text(); // host
    reader.skip(4); // port
    reader.text(); // rack
    reader.taggedFields();
  }
  const cluster = reader.text();
  reader.skip(4); // controller
  if (reader.length() !== 1) {
    throw new RangeError("Cannot read the answer to Metadata: it must be of one topic");
  }
  const error = reader.int16();
  reader.text(); // the name that was asked for
  return { error, cluster, topic: reader.bytes(16).toHex() };
}

function unsignedVarint(value: number): number[] {
  const bytes: number[] = [];
  for (; value > 0x7f; value >>>= 7) bytes.push(value & 0x7f | 0x80);
  return [...bytes, value];
}

/** Reads Kafka's compact encoding. Reading past the end throws a RangeError. */
class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  bytes(length: number): Uint8Array {
    if (this.#at + length > this.#bytes.length) throw new RangeError("Cannot read the answer: it is cut off");
    return this.#bytes.subarray(this.#at, this.#at += length);
  }

  skip(length: number): void {
    this.bytes(length);
  }

  int16(): number {
    const [high, low] = this.bytes(2);
    return (high! << 8 | low!) << 16 >> 16;
  }

  varint(): number {
    let value = 0;
    for (let shift = 0;; shift += 7) {
      const byte = this.bytes(1)[0]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  }

  /** The length of an array or text: stored one higher, 0 for none. */
  length(): number {
    return Math.max(0, this.varint() - 1);
  }

  text(): string {
    return fromUtf8(this.bytes(this.length()));
  }

  taggedFields(): void {
    for (let fields = this.varint(); fields > 0; fields--) {
      this.varint();
      this.skip(this.varint());
    }
  }
}
