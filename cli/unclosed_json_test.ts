import assert from "assert";
import fc from "fast-check";
import { findUnclosed } from "./unclosed_json.ts";

Deno.test.sanitizer({ ops: true, resources: true });

for (
  const [what, text, line, message] of [
    ["a quote", '{\n  "name": "Town\n}\n', 2, /a quote opens here and is not closed/],
    ["a quote at the end", '{\n  "a": 1,\n  "name": "Tow', 3, /a quote opens here/],
    ["a quote after a backslash", '{\n  "name": "Town\\"', 2, /a quote opens here/],
    ["an object", '{\n  "a": {\n    "b": [1, 2],\n', 2, /an object begins here/],
    [
      "an object in a list",
      '[\n  {},\n  {\n    "b": 1,\n',
      3,
      /an object begins here and is not closed: the file was cut off, or a } is missing$/,
    ],
    ["the outermost object", '{\n  "a": 1,\n', 1, /an object begins here/],
    ["an array", "[\n  1,\n  2\n", 1, /an array begins here/],
    [
      "a field's value",
      '{\n  "a": 1,\n  "seats": tr',
      3,
      /the field "seats" begins here, and the file ends in it/,
    ],
    ["an object whose fields are whole", '{\n  "a": 1,\n  "b": {},\n  "c": 2\n', 1, /an object begins here/],
    ["a field without a value", '{\n  "a": 1,\n  "seats":\n\n', 3, /the field "seats"/],
    [
      "an array before the end of its object",
      '{\n  "a": [\n    1\n  }\n}\n',
      2,
      /an array begins here and is not closed before the } of line 4/,
    ],
  ] as const
) {
  Deno.test(`findUnclosed() names the line on which ${what} begins`, () => {
    const found = findUnclosed(text);
    assert.equal(found?.line, line);
    assert.match(found!.what, message);
  });
}

Deno.test("findUnclosed() finds nothing in JSON, and in what is wrong in another way", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.nat(3), (value, indent) => {
      assert.equal(findUnclosed(JSON.stringify(value, undefined, indent)), undefined);
    }),
  );
  for (const text of ["", "{}}", "]", '{"a" 1}', "{'a': 1}"]) {
    assert.equal(findUnclosed(text), undefined, text);
  }
});

Deno.test("findUnclosed() finds something wherever an object is cut off", () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.nat(3),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (value, indent, share) => {
        const text = JSON.stringify(value, undefined, indent);
        const cut = text.slice(0, 1 + Math.floor(share * (text.length - 2)));
        const found = findUnclosed(cut);
        assert.ok(found !== undefined, cut);
        assert.ok(found.line >= 1 && found.line <= cut.split("\n").length);
      },
    ),
    { numRuns: 1_000 },
  );
});
