import assert from "assert";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import kafkajsCrc from "kafkajs/src/protocol/recordBatch/crc32C/index.js";
import Encoder from "kafkajs/src/protocol/encoder.js";
import { RecordBatch } from "kafkajs/src/protocol/recordBatch/v0/index.js";
import Record from "kafkajs/src/protocol/recordBatch/record/v0/index.js";
import { utf8 } from "../bytes.ts";
import {
  BatchBuffer,
  type BatchMessage,
  crc32c,
  sequenceAfter,
  varintBytes,
  writeVarint,
} from "./kafka_batch.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("crc32c() gives the values of RFC 3720 and the usual check value", () => {
  const ascending = Uint8Array.from({ length: 32 }, (_, n) => n);
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  assert.equal(crc32c(ascending), 0x46dd794e);
  assert.equal(crc32c(ascending.toReversed()), 0x113fdb5c);
  assert.equal(crc32c(utf8("123456789")), 0xe3069283);
  assert.equal(crc32c(new Uint8Array(0)), 0);
});

Deno.test("crc32c() gives what kafkajs gives, at every length and place", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(8), (bytes, from) => {
    const part = bytes.subarray(from);
    assert.equal(crc32c(part), kafkajsCrc(Buffer.from(part)));
  }));
});

Deno.test("writeVarint() gives what kafkajs gives, for every number of 32 bits", () => {
  const check = (value: number) => {
    const to = new Uint8Array(8);
    const end = writeVarint(to, 1, value);
    assert.deepEqual(Buffer.from(to.subarray(1, end)), new Encoder().writeVarInt(value).buffer);
    assert.equal(varintBytes(value), end - 1);
  };
  for (const value of [0, -1, 63, 64, -64, -65, 8_191, 8_192, 2 ** 31 - 1, -(2 ** 31)]) check(value);
  fc.assert(fc.property(fc.integer(), check));
});

Deno.test("sequenceAfter() begins again at 0 after 2^31 - 1, without leaving a number out", () => {
  assert.equal(sequenceAfter(0, 2_000), 2_000);
  assert.equal(sequenceAfter(2 ** 31 - 1, 1), 0);
  assert.equal(sequenceAfter(2 ** 31 - 3, 10), 7);
});

/** kafkajs's own bytes of a batch, with the length before it. */
async function kafkajsBatch(
  { messages, nowMs, producerId, producerEpoch, firstSequence }: {
    messages: readonly BatchMessage[];
    nowMs: number;
    producerId: bigint;
    producerEpoch: number;
    firstSequence: number;
  },
): Promise<Buffer> {
  const wrap = (bytes: Uint8Array | string | null | undefined) =>
    bytes === null || bytes === undefined ? null : Buffer.from(bytes as Uint8Array);
  const batch = await RecordBatch({
    records: messages.map(({ key, value, headers = {} }, offsetDelta) =>
      Record({
        offsetDelta,
        timestampDelta: 0,
        key: wrap(key),
        value: wrap(value),
        headers: Object.fromEntries(Object.entries(headers).map(([name, header]) => [name, wrap(header)])),
      })
    ),
    firstTimestamp: nowMs,
    maxTimestamp: nowMs,
    producerId: `${producerId}`,
    producerEpoch,
    firstSequence,
    lastOffsetDelta: messages.length - 1,
  });
  return new Encoder().writeInt32(batch.size()).writeEncoder(batch).buffer;
}

const bytesUpTo = (maxLength: number) => fc.uint8Array({ maxLength });
const message: fc.Arbitrary<BatchMessage> = fc.record({
  key: fc.option(bytesUpTo(40), { nil: undefined }),
  value: fc.option(bytesUpTo(300), { nil: null }),
  headers: fc.option(
    fc.dictionary(
      fc.string({ unit: "grapheme", maxLength: 10 }).filter((name) => name !== "__proto__"),
      fc.oneof(bytesUpTo(70), fc.string({ unit: "grapheme", maxLength: 70 })),
    ),
    { nil: undefined },
  ),
});

Deno.test("batch() appends the same bytes to a buffer as kafkajs, for any messages", async () => {
  const buffer = new BatchBuffer();
  await fc.assert(fc.asyncProperty(
    fc.array(message, { minLength: 1, maxLength: 80 }),
    fc.bigInt({ min: -1n, max: 2n ** 63n - 1n }),
    fc.integer({ min: 0, max: 2 ** 15 - 1 }),
    fc.nat(2 ** 31 - 1),
    fc.nat(2 ** 42),
    async (messages, producerId, producerEpoch, firstSequence, nowMs) => {
      const batch = { messages, producerId, producerEpoch, firstSequence, nowMs };
      const wanted = await kafkajsBatch(batch);
      buffer.clear();
      for (let n = 0; n < 2; n++) {
        const at = buffer.at;
        buffer.batch(batch);
        assert.deepEqual(buffer.from(at), wanted);
      }
    },
  ));
});

Deno.test("batch() grows its buffer, keeps what was written, and is right in a used one", async () => {
  const buffer = new BatchBuffer();
  const large = Array.from({ length: 40 }, (_, n) => ({ value: new Uint8Array(100_000).fill(n) }));
  const batch = { messages: large, producerId: 7n, producerEpoch: 0, firstSequence: 0, nowMs: 1_000 };
  const wanted = await kafkajsBatch(batch);
  for (let round = 0; round < 2; round++) {
    buffer.clear();
    buffer.string("votes.ä");
    buffer.batch(batch);
    assert.deepEqual(buffer.from(0), Buffer.concat([new Encoder().writeString("votes.ä").buffer, wanted]));
  }
});
