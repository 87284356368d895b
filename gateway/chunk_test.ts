import assert from "assert";
import fc from "fast-check";
import { MAX_ENTRY_RECORDS } from "../shared/record.ts";
import { type Packable, packChunk, recordsOfEach, unpackChunk } from "./chunk.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const PARTITIONS = 7;
const senderKey = new Uint8Array(32).fill(3);
const shared = { version: "2", kind: "vote", keyId: "test-2026/g-1.1", senderKey };
const chunked = { version: "2", keyId: "test-2026/g-1.1", senderKey, sequence: 1, devices: { "n-1-a": 1 } };

const devices = { "n-1-a": 2, "n-2-a": 1 };

/** Entries with consecutive numbers, and how many records they hold. */
type Entries = Pick<Packable, "entries" | "records">;

const entries: fc.Arbitrary<Entries> = fc.tuple(
  fc.nat(2 ** 40),
  fc.array(
    fc.record({
      partition: fc.nat(PARTITIONS - 1),
      signature: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      value: fc.uint8Array({ maxLength: 80 }),
      records: fc.integer({ min: 1, max: MAX_ENTRY_RECORDS }),
    }),
    { minLength: 1, maxLength: 20 },
  ),
).map(([first, list]) => {
  let sequence = first;
  const entries = list.map(({ records, ...entry }) => {
    const numbered = { ...shared, ...entry, sequence };
    sequence += records;
    return numbered;
  });
  return { entries, records: sequence - first };
});

const pack = (each: Entries) =>
  packChunk({ election: "test-2026", partitions: PARTITIONS, devices, ...each });
const chunks = entries.map(pack);

Deno.test("unpackChunk() gives back what packChunk() packed", () => {
  fc.assert(
    fc.property(entries, (each) => {
      const chunk = pack(each);
      const { bytes: _, ...rest } = chunk;
      assert.deepEqual(rest, {
        election: "test-2026",
        partitions: PARTITIONS,
        version: "2",
        keyId: "test-2026/g-1.1",
        senderKey,
        sequence: each.entries[0].sequence,
        records: each.records,
        devices,
      });
      assert.deepEqual(unpackChunk(chunk), each.entries);
      assert.equal(recordsOfEach(each.entries, chunk).reduce((sum, n) => sum + n, 0), each.records);
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("packChunk() keeps the highest partition and a value as large as a record may be", () => {
  const value = new Uint8Array(70_000).fill(9);
  const record = { ...shared, sequence: 2 ** 48, partition: 1_023, signature: senderKey, value };
  const chunk = packChunk({ election: "a", partitions: 1_024, devices, entries: [record], records: 1 });
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

Deno.test("packChunk() refuses an entry without records, and one that its frame cannot say", () => {
  const entry = { ...shared, sequence: 5, partition: 0, signature: senderKey, value: senderKey };
  const packed = (records: number, change = {}) => pack({ entries: [{ ...entry, ...change }], records });
  assert.throws(() => packed(0), /Cannot pack an entry of 0 records/);
  assert.equal(packed(256).records, 256);
  assert.throws(() => packed(257), /Cannot pack an entry of 257 records/);
  assert.throws(() => packed(1, { value: new Uint8Array(2 ** 24) }), RangeError);
});

Deno.test("unpackChunk() reads a chunk of before, whose frames have four bytes of length", () => {
  const chunk = pack({
    entries: [1, 2].map((sequence) => ({
      ...shared,
      sequence,
      partition: 3,
      signature: senderKey,
      value: senderKey,
    })),
    records: 2,
  });
  const view = new DataView(chunk.bytes.buffer);
  assert.deepEqual([view.getUint32(2), view.getUint32(70 + 2)], [32, 32]);
});

Deno.test("unpackChunk() refuses a partition that the election does not have", () => {
  const record = { ...shared, sequence: 1, partition: PARTITIONS, signature: senderKey, value: senderKey };
  const chunk = packChunk({ election: "a", partitions: PARTITIONS, devices, entries: [record], records: 1 });
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
