import assert from "assert";
import fc from "fast-check";
import { partitionOf } from "./partition.ts";

Deno.test.sanitizer({ ops: true, resources: true });

// Frozen: a change of any of these would put a voter's records of one election on two partitions.
for (
  const [head, partitions, partition] of [
    ["00000000", 12, 0],
    ["00000001", 12, 1],
    ["01000000", 12, 4],
    ["7fffffff", 12, 7],
    ["80000000", 12, 8],
    ["ffffffff", 12, 3],
    ["ffffffff", 1_024, 1_023],
    ["deadbeef", 7, 6],
    ["deadbeef", 1, 0],
  ] as const
) {
  Deno.test(`partitionOf() puts ${head}… on ${partition} of ${partitions}`, () => {
    assert.equal(partitionOf(Uint8Array.fromHex(head + "ab".repeat(28)), partitions), partition);
  });
}

Deno.test("partitionOf() is the key's first eight hex digits modulo the partitions", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.integer({ min: 1, max: 1_024 }),
      (key, partitions) => {
        const expected = Number(BigInt(`0x${key.toHex().slice(0, 8)}`) % BigInt(partitions));
        assert.equal(partitionOf(key, partitions), expected);
      },
    ),
    { numRuns: 1_000 },
  );
});

Deno.test("partitionOf() reads a key that is a part of a larger buffer", () => {
  const buffer = new Uint8Array(64);
  buffer.set(Uint8Array.fromHex("00000005"), 13);
  assert.equal(partitionOf(buffer.subarray(13, 45), 12), 5);
});
