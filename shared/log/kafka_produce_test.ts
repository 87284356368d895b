import assert from "assert";
import { Buffer } from "node:buffer";
import Encoder from "kafkajs/src/protocol/encoder.js";
import kafkajsRequest from "kafkajs/src/protocol/requests/produce/v7/request.js";
import kafkajsResponse from "kafkajs/src/protocol/requests/produce/v7/response.js";
import { utf8 } from "../bytes.ts";
import { BatchBuffer } from "./kafka_batch.ts";
import { decodeProduceAnswer, produceRequest } from "./kafka_produce.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const NOW_MS = 1_604_415_845_000;
const messages = (partition: number, count: number) =>
  Array.from({ length: count }, (_, n) => ({
    value: utf8(`${partition}/${n}`),
    headers: { v: "2", "sender-key": new Uint8Array(32).fill(n) },
  }));
const batches = [[3, 0, 5], [0, 17, 1], [11, 2 ** 31 - 1, 90]].map(([partition, firstSequence, count]) => ({
  partition: partition!,
  firstSequence: firstSequence!,
  producerId: 4_294_967_299n,
  producerEpoch: 2,
  nowMs: NOW_MS,
  messages: messages(partition!, count!),
}));

Deno.test("produceRequest() is kafkajs's own request, byte for byte", async () => {
  const wanted = kafkajsRequest({
    acks: -1,
    timeout: 5_000,
    producerId: "4294967299",
    producerEpoch: 2,
    topicData: [{
      topic: "votes.ri-2020",
      partitions: batches.map(({ partition, firstSequence, messages }) => ({
        partition,
        firstSequence,
        messages: messages.map(({ value, headers }) => ({
          timestamp: NOW_MS,
          value: Buffer.from(value),
          headers: { v: Buffer.from(headers.v), "sender-key": Buffer.from(headers["sender-key"]) },
        })),
      })),
    }],
  });
  const buffer = new BatchBuffer();
  const { request } = produceRequest(buffer, "votes.ri-2020", 5_000, batches);
  assert.deepEqual([request.apiKey, request.apiVersion], [wanted.apiKey, wanted.apiVersion]);
  const [first, second] = [await request.encode(), await request.encode()];
  assert.deepEqual(first.buffer, (await wanted.encode()).buffer);
  assert.deepEqual(second.buffer, first.buffer);
});

/** An answer as a broker writes it. */
function answer(
  partitions: readonly (readonly [partition: number, error: number, offset: number])[],
): Buffer {
  const written = partitions.map(([partition, error, offset]) =>
    new Encoder().writeInt32(partition).writeInt16(error).writeInt64(offset).writeInt64(NOW_MS).writeInt64(0)
  );
  const topic = new Encoder().writeString("votes.ri-2020").writeArray(written);
  return new Encoder().writeArray([topic]).writeInt32(250).buffer;
}

Deno.test("decodeProduceAnswer() reads what kafkajs reads, and an error of one partition", async () => {
  const payload = answer([[3, 0, 2 ** 40], [0, 6, -1]]);
  const { partitions, clientSideThrottleTime } = decodeProduceAnswer(payload);
  const wanted = await kafkajsResponse.decode(payload);
  assert.deepEqual(partitions, [
    { partition: 3, errorCode: 0, baseOffset: `${2 ** 40}` },
    { partition: 0, errorCode: 6, baseOffset: "-1" },
  ]);
  assert.deepEqual(
    partitions,
    wanted.topics[0].partitions.map(({ partition, errorCode, baseOffset }: typeof partitions[0]) => ({
      partition,
      errorCode,
      baseOffset,
    })),
  );
  assert.equal(clientSideThrottleTime, wanted.clientSideThrottleTime);
});

Deno.test("decodeProduceAnswer() throws when the answer is cut off", () => {
  const payload = answer([[3, 0, 5]]);
  for (let length = 0; length < payload.length; length++) {
    assert.throws(() => decodeProduceAnswer(payload.subarray(0, length)), RangeError);
  }
});
