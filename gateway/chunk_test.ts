import assert from "assert";
import fc from "fast-check";
import { packChunk, unpackChunk } from "./chunk.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const PARTITIONS = 7;
const senderKey = new Uint8Array(32).fill(3);
const shared = { version: "2", kind: "vote", keyId: "test-2026/g-1.1", senderKey };
const chunked = { version: "2", keyId: "test-2026/g-1.1", senderKey, sequence: 1, devices: { "n-1-a": 1 } };

const devices = { "n-1-a": 2, "n-2-a": 1 };

const records = fc.array(
  fc.record({
    partition: fc.nat(PARTITIONS - 1),
    signature: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    value: fc.uint8Array({ maxLength: 80 }),
  }).map((record) => ({ ...shared, ...record })),
  { minLength: 1, maxLength: 20 },
).chain((list) =>
  fc.nat(2 ** 40).map((first) => list.map((record, i) => ({ ...record, sequence: first + i })))
);
const chunks = records.map((list) =>
  packChunk({ election: "test-2026", partitions: PARTITIONS, devices, records: list })
);

Deno.test("unpackChunk() gives back what packChunk() packed", () => {
  fc.assert(
    fc.property(records, (list) => {
      const chunk = packChunk({ election: "test-2026", partitions: PARTITIONS, devices, records: list });
      const { bytes: _, ...rest } = chunk;
      assert.deepEqual(rest, {
        election: "test-2026",
        partitions: PARTITIONS,
        version: "2",
        keyId: "test-2026/g-1.1",
        senderKey,
        sequence: list[0].sequence,
        records: list.length,
        devices,
      });
      assert.deepEqual(unpackChunk(chunk), list);
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("packChunk() keeps the highest partition and a value as large as a record may be", () => {
  const value = new Uint8Array(70_000).fill(9);
  const record = { ...shared, sequence: 2 ** 48, partition: 1_023, signature: senderKey, value };
  const chunk = packChunk({ election: "a", partitions: 1_024, devices, records: [record] });
  assert.deepEqual(unpackChunk(chunk), [record]);
});

Deno.test("unpackChunk() reads bytes that stand somewhere in a larger buffer", () => {
  fc.assert(fc.property(chunks, fc.nat(9), (chunk, before) => {
    const buffer = new Uint8Array(before + chunk.bytes.length + 5);
    buffer.set(chunk.bytes, before);
    const bytes = buffer.subarray(before, before + chunk.bytes.length);
    assert.deepEqual(unpackChunk({ ...chunk, bytes }), unpackChunk(chunk));
  }));
});

Deno.test("unpackChunk() refuses a chunk that was cut off at any byte", () => {
  fc.assert(
    fc.property(chunks, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (chunk, part) => {
      const bytes = chunk.bytes.slice(0, Math.floor(part * chunk.bytes.length));
      assert.throws(() => unpackChunk({ ...chunk, bytes }), RangeError);
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("unpackChunk() refuses a chunk that has another number of records", () => {
  fc.assert(fc.property(chunks, (chunk) => {
    assert.throws(() => unpackChunk({ ...chunk, records: chunk.records + 1 }), /should hold/);
    assert.throws(() => unpackChunk({ ...chunk, records: chunk.records - 1 }), /should hold/);
  }));
});

Deno.test("unpackChunk() refuses a partition that the election does not have", () => {
  const record = { ...shared, sequence: 1, partition: PARTITIONS, signature: senderKey, value: senderKey };
  const chunk = packChunk({ election: "a", partitions: PARTITIONS, devices, records: [record] });
  assert.throws(() => unpackChunk(chunk), new RangeError("Cannot unpack a chunk: there is no partition 7"));
});

Deno.test("unpackChunk() throws a RangeError, and nothing else, of any bytes at all", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(4), (bytes, count) => {
      const chunk = {
        ...chunked,
        election: "a",
        partitions: PARTITIONS,
        records: count,
        bytes: bytes.slice(),
      };
      try {
        assert.equal(unpackChunk(chunk).length, count);
      } catch (error) {
        assert.ok(error instanceof RangeError, String(error));
      }
    }),
    { numRuns: 1_000 },
  );
});
