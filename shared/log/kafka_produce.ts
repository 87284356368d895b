/**
 * The Produce request, version 7, for one topic (Kafka 2.1 or later). kafkajs has it too, and spends some thirty times as
 * long on a record: it makes many small buffers of each, and a checksum byte by byte.
 * Source: https://kafka.apache.org/protocol#The_Messages_Produce
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Batch, BatchBuffer } from "./kafka_batch.ts";

const API_KEY = 0;
const API_VERSION = 7;
/** All in-sync replicas. */
const ACKS_ALL = -1;
const NO_TRANSACTION = -1;

/** Messages of one partition. */
export type PartitionBatch = Batch & Readonly<{ partition: number }>;

/** A broker's answer about one partition. `errorCode` is 0 for none, `baseOffset` the offset of the first message. */
export type PartitionAnswer = Readonly<{ partition: number; errorCode: number; baseOffset: string }>;

/** A broker's answer. kafkajs waits `clientSideThrottleTime`, in milliseconds, before the next request. */
export type ProduceAnswer = Readonly<{ partitions: PartitionAnswer[]; clientSideThrottleTime: number }>;

/**
 * A request for kafkajs's connections: they frame the result of `encode`, which they copy before they use the buffer's
 * next content, and pass `decode` the bytes after the correlation id.
 *
 * @param buffer The request is written behind what it holds.
 * @param timeoutMs How long the broker may wait for its replicas.
 */
export function produceRequest(
  buffer: BatchBuffer,
  topic: string,
  timeoutMs: number,
  batches: readonly PartitionBatch[],
) {
  return {
    request: {
      apiKey: API_KEY,
      apiVersion: API_VERSION,
      apiName: "Produce",
      // The shape of kafkajs's own encoders.
      encode: () => {
        const buffered = encodeProduce(buffer, topic, timeoutMs, batches);
        return Promise.resolve({ buf: buffered, buffer: buffered });
      },
    },
    response: {
      decode: (payload: Uint8Array) => Promise.resolve(decodeProduceAnswer(payload)),
      // Errors of single partitions are the sender's affair.
      parse: (answer: ProduceAnswer) => Promise.resolve(answer),
    },
  };
}

/** Writes the request's body. The result is valid until the buffer is cleared. */
export function encodeProduce(
  buffer: BatchBuffer,
  topic: string,
  timeoutMs: number,
  batches: readonly PartitionBatch[],
): Buffer {
  const start = buffer.at;
  buffer.int16(NO_TRANSACTION);
  buffer.int16(ACKS_ALL);
  buffer.int32(timeoutMs);
  buffer.int32(1);
  buffer.string(topic);
  buffer.int32(batches.length);
  for (const batch of batches) {
    buffer.int32(batch.partition);
    buffer.batch(batch);
  }
  return buffer.from(start);
}

/** Bytes of a partition in the answer, and where its fields are. */
const ANSWER = { bytes: 30, errorAt: 4, offsetAt: 6 };

/** Reads the answer, without its correlation id. Throws a RangeError when it is cut off. */
export function decodeProduceAnswer(payload: Uint8Array): ProduceAnswer {
  const bytes = Buffer.from(payload.buffer as ArrayBuffer, payload.byteOffset, payload.byteLength);
  const partitions: PartitionAnswer[] = [];
  let at = 4;
  for (let topics = bytes.readInt32BE(0); topics > 0; topics--) {
    at += 2 + bytes.readInt16BE(at);
    const count = bytes.readInt32BE(at);
    at += 4;
    for (let n = 0; n < count; n++, at += ANSWER.bytes) {
      partitions.push({
        partition: bytes.readInt32BE(at),
        errorCode: bytes.readInt16BE(at + ANSWER.errorAt),
        baseOffset: `${bytes.readBigInt64BE(at + ANSWER.offsetAt)}`,
      });
    }
  }
  return { partitions, clientSideThrottleTime: bytes.readInt32BE(at) };
}
