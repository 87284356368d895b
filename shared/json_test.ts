import assert from "assert";
import fc from "fast-check";
import { utf8 } from "./bytes.ts";
import { readJson, writtenLength } from "./json.ts";
import { PROBLEMS } from "./problem.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** The reason why a text is not read; `undefined` when it is. */
function reasonOf(text: string | Uint8Array): string | undefined {
  const read = readJson(typeof text === "string" ? utf8(text) : text);
  if ("value" in read) return undefined;
  assert.ok(read.reason in PROBLEMS);
  return read.reason;
}

Deno.test("readJson() reads whatever JSON.stringify() writes, with spaces or without", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.nat(3), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent);
      assert.deepEqual(readJson(utf8(text)), { value: JSON.parse(text) });
    }),
    { numRuns: 2_000 },
  );
});

const stringsOnly = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.string({ unit: "binary" }),
    // Surrogates alone and in pairs, quotes, and control characters.
    fc.array(fc.constantFrom('"', "\\", "\n", "\u0001", "\x7f", "\ud800", "\udc00", "é", "€", "a"), {
      maxLength: 8,
    })
      .map((parts) => parts.join("")),
    fc.array(tie("value"), { maxLength: 5 }),
    fc.dictionary(fc.string({ unit: "binary" }), tie("value"), { maxKeys: 5 }),
  ),
})).value;

Deno.test("writtenLength() is the length of what JSON.stringify() writes", () => {
  fc.assert(
    fc.property(stringsOnly, (value) => {
      const text = JSON.stringify(value);
      assert.equal(writtenLength(JSON.parse(text)), text.length, text);
    }),
    { numRuns: 5_000 },
  );
});

Deno.test("readJson() refuses a key that comes twice, wherever it is and whatever stands there", () => {
  fc.assert(
    fc.property(fc.string(), fc.jsonValue(), fc.jsonValue(), fc.nat(3), (key, first, second, depth) => {
      const name = JSON.stringify(key);
      const twice = `{${name}:${JSON.stringify(first)},"${"x".repeat(40)}":0,${name}:${
        JSON.stringify(second)
      }}`;
      assert.equal(reasonOf(`${'[{"in":'.repeat(depth)}${twice}${"}]".repeat(depth)}`), "duplicate-key");
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("readJson() takes two spellings of a key for the same", () => {
  assert.equal(reasonOf(String.raw`{"a":1,"\u0061":2}`), "duplicate-key");
  assert.equal(reasonOf(`{"__proto__":1,"__proto__":2}`), "duplicate-key");
});

Deno.test("readJson() takes the same key of two objects, and colons and quotes in strings, for what they are", () => {
  for (
    const text of [`[{"a":1},{"a":2}]`, `{"a":{"a":1}}`, `{"a":":"}`, String.raw`{"a\":\"b":"\\"}`, `":"`]
  ) {
    assert.equal(reasonOf(text), undefined, text);
  }
});

Deno.test("readJson() gives __proto__ and constructor as keys like any others", () => {
  const read = readJson(utf8(`{"__proto__":{"polluted":1},"constructor":2}`));
  assert.ok("value" in read);
  assert.deepEqual(Object.keys(read.value as object), ["__proto__", "constructor"]);
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
});

Deno.test("readJson() reads what is nested 100,000 deep", () => {
  assert.equal(reasonOf("[".repeat(100_000) + "]".repeat(100_000)), undefined);
  assert.equal(reasonOf(`${'{"a":'.repeat(100_000)}0${"}".repeat(100_000)}`), undefined);
  assert.equal(reasonOf("[".repeat(100_000)), "not-json");
});

Deno.test("readJson() tells text in another encoding from text that is not JSON", () => {
  const text = `{"a":"é"}`;
  const utf16 = new Uint8Array(Uint16Array.from(text, (unit) => unit.charCodeAt(0)).buffer);
  assert.equal(reasonOf(utf16), "not-utf8");
  assert.equal(reasonOf(new Uint8Array([0xff, 0xfe, ...utf16])), "not-utf8");
  assert.equal(reasonOf(new Uint8Array([0xef, 0xbb, 0xbf, ...utf8(text)])), "not-utf8");
  assert.equal(reasonOf(Uint8Array.from(text, (unit) => unit.charCodeAt(0))), "not-utf8", "Latin-1");
  assert.equal(reasonOf(new Uint8Array([0x22, 0xc0, 0xaf, 0x22])), "not-utf8", "an overlong spelling");
  for (const broken of ["", " ", "{", "{'a':1}", `{"a":1,}`, "NaN", "{}{}", "\u00a0{}"]) {
    assert.equal(reasonOf(broken), "not-json", broken);
  }
});

Deno.test("readJson() says what is wrong, and what would be right", () => {
  const detail = (text: string) => (readJson(utf8(text)) as { detail: string }).detail;
  assert.match(detail("\ufeff{}"), /must be UTF-8.*byte order mark: leave it out/);
  assert.match(detail("{"), /must be JSON/);
  assert.match(detail(`{"a":1,"a":1}`), /every key must be there once/);
});

/** A value of objects, arrays and strings, as JSON text in one of its spellings. */
const strings = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 4 }, fc.string({ unit: "binary" }), fc.array(tie("value")), tie("object")),
  object: fc.dictionary(fc.oneof(fc.string(), fc.constant("__proto__")), tie("value")),
})).value;

Deno.test("readJson() reads values of strings alike, whether it is told that they are or not", () => {
  fc.assert(
    fc.property(strings, fc.nat(1), fc.boolean(), (value, indent, isEscaped) => {
      const written = JSON.stringify(value, undefined, indent);
      const text = isEscaped
        ? written.replaceAll(
          /[^\x20-\x7e\n]/g,
          (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
        )
        : written;
      const bytes = utf8(text.toWellFormed());
      assert.deepEqual(readJson(bytes, () => true), readJson(bytes));
      assert.deepEqual(readJson(text.toWellFormed(), () => true), readJson(bytes));
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("readJson() refuses a key that comes twice in a value of strings", () => {
  fc.assert(
    fc.property(fc.string(), strings, strings, strings, (key, first, second, other) => {
      const [name, ...values] = [key, first, second, other].map((each) => JSON.stringify(each));
      const twice = utf8(
        `{${name}:${values[0]},"${"x".repeat(40)}":${values[2]},${name}:${values[1]}}`.toWellFormed(),
      );
      const read = readJson(twice, () => true);
      assert.equal("reason" in read && read.reason, "duplicate-key");
    }),
    { numRuns: 2_000 },
  );
});
