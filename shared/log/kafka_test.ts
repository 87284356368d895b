import assert from "assert";
import fc from "fast-check";
import { MAX_SEQUENCE } from "../record.ts";
import { parseSequence } from "./kafka.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("parseSequence() reads every number as it is written", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: MAX_SEQUENCE }), (number) => {
      assert.equal(parseSequence(String(number)), number);
    }),
    { numRuns: 1_000, examples: [[0], [1], [MAX_SEQUENCE]] },
  );
});

for (
  const text of [
    "",
    " ",
    "00",
    "01",
    "-1",
    "+1",
    "1.0",
    "1e3",
    "0x10",
    "1 ",
    " 1",
    "1\n",
    "1\0",
    "\ufeff1",
    "NaN",
    "Infinity",
    "١",
    "1".repeat(16),
    "1".repeat(1_000),
  ]
) {
  Deno.test(`parseSequence() reads ${JSON.stringify(text.slice(0, 20))} as no number`, () => {
    assert.ok(Number.isNaN(parseSequence(text)));
  });
}

Deno.test("parseSequence() reads no text but a number's one spelling", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 6 }), (text) => {
      const number = parseSequence(text);
      assert.ok(Number.isNaN(number) || String(number) === text);
    }),
    { numRuns: 2_000 },
  );
});
