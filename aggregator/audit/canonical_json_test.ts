import assert from "assert";
import { canonicalJson } from "./canonical_json.ts";

// RFC 8785, section 3.2.3, and the numbers of appendix B.
Deno.test("canonicalJson() sorts members by UTF-16 code units, at every depth", () => {
  const value = {
    "\u20ac": "Euro Sign",
    "\r": "Carriage Return",
    "\ufb33": "Hebrew Letter Dalet With Dagesh",
    "1": "One",
    "😀": "Emoji: Grinning Face",
    "\u0080": "Control",
    "ö": { b: [2, { d: 1, c: null }], a: true },
  };
  assert.deepEqual(Object.keys(JSON.parse(canonicalJson(value))).slice(1), [
    "\r",
    "\u0080",
    "ö",
    "\u20ac",
    "😀",
    "\ufb33",
  ]);
  assert.match(canonicalJson(value), /"ö":\{"a":true,"b":\[2,\{"c":null,"d":1\}\]\}/);
});

Deno.test("canonicalJson() writes numbers and texts as RFC 8785 does", () => {
  const value = { numbers: [333333333.33333329, 1e30, 4.50, 2e-3, 1e-27, -0], text: '€$\u000f\nA\'B"\\\\"/' };
  assert.equal(
    canonicalJson(value),
    '{"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27,0],"text":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
  );
});

Deno.test("canonicalJson() refuses what JSON cannot hold", () => {
  assert.throws(() => canonicalJson([NaN]), /Cannot write NaN as JSON/);
  assert.throws(() => canonicalJson({ text: "\ud800" }), /half of a surrogate pair/);
});
