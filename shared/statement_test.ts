import assert from "assert";
import fc from "fast-check";
import { fromHex } from "./bytes.ts";
import { MAX_INSTANT_MS } from "./election.ts";
import { MAX_SEQUENCE } from "./record.ts";
import { decodeStatement, encodeStatement, STATEMENT_BYTES } from "./statement.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const statements = fc.record({
  records: fc.oneof(fc.integer({ min: 0, max: MAX_SEQUENCE }), fc.constantFrom(0, 1, 2 ** 32, MAX_SEQUENCE)),
  statedAtMs: fc.oneof(fc.integer({ min: 0, max: MAX_INSTANT_MS }), fc.constantFrom(0, MAX_INSTANT_MS)),
}, { noNullPrototype: true });

Deno.test("decodeStatement() reads what encodeStatement() wrote", () => {
  fc.assert(
    fc.property(statements, (statement) => {
      assert.deepEqual(decodeStatement(encodeStatement(statement)), statement);
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("encodeStatement() writes two numbers of 64 bits, the greatest byte first", () => {
  assert.equal(
    encodeStatement({ records: 258, statedAtMs: 1_793_707_200_000 }).toHex(),
    "0000000000000102000001a1a147ce00",
  );
});

Deno.test("decodeStatement() reads a statement that is a part of a larger buffer", () => {
  const buffer = new Uint8Array(40);
  buffer.set(encodeStatement({ records: 7, statedAtMs: 8 }), 11);
  assert.deepEqual(decodeStatement(buffer.subarray(11, 27)), { records: 7, statedAtMs: 8 });
});

for (
  const [what, bytes] of [
    ["a byte less", new Uint8Array(STATEMENT_BYTES - 1)],
    ["a byte more", new Uint8Array(STATEMENT_BYTES + 1)],
    ["nothing", new Uint8Array(0)],
    ["more records than a number holds exactly", fromHex("0020000000000000" + "00".repeat(8))],
    ["all bits", new Uint8Array(STATEMENT_BYTES).fill(0xff)],
    ["a time that no date can say", fromHex("00".repeat(8) + "001fffffffffffff")],
  ] as const
) {
  Deno.test(`decodeStatement() refuses ${what}`, () => assert.equal(decodeStatement(bytes), undefined));
}

Deno.test("decodeStatement() reads no time past MAX_INSTANT_MS", () => {
  assert.ok(decodeStatement(encodeStatement({ records: 1, statedAtMs: MAX_INSTANT_MS })));
  assert.equal(decodeStatement(encodeStatement({ records: 1, statedAtMs: MAX_INSTANT_MS + 1 })), undefined);
});
