import assert from "assert";
import fc from "fast-check";
import {
  copyOf,
  equalBytes,
  fromHex,
  fromHexPortably,
  fromUtf8,
  lengthPrefixed,
  newBytes,
  toBase64,
  toHex,
  toHexPortably,
  utf8,
} from "./bytes.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const bytes = fc.uint8Array({ maxLength: 40 });

Deno.test("utf8() and fromUtf8() give every well-formed text back", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => assert.equal(fromUtf8(utf8(text)), text)),
    { numRuns: 1_000 },
  );
});

Deno.test("fromUtf8() keeps a byte order mark", () => {
  assert.equal(fromUtf8(new Uint8Array([0xef, 0xbb, 0xbf, 0x61])), "\ufeffa");
});

for (
  const [what, hex] of [["a cut sequence", "e282"], ["an overlong one", "c080"], ["a surrogate", "eda080"]]
) {
  Deno.test(`fromUtf8() throws on ${what}`, () => {
    assert.throws(() => fromUtf8(Uint8Array.fromHex(hex)), TypeError);
  });
}

Deno.test("toBase64() writes what the runtime's own does", () => {
  fc.assert(fc.property(bytes, (value) => assert.equal(toBase64(value), value.toBase64())));
});

Deno.test("fromHex() reads what toHex() wrote", () => {
  fc.assert(fc.property(bytes, (value) => assert.deepEqual(fromHex(toHex(value)), value)), {
    numRuns: 1_000,
  });
});

Deno.test("hex without the runtime's own is the same", () => {
  fc.assert(
    fc.property(bytes, (value) => {
      assert.equal(toHexPortably(value), value.toHex());
      assert.deepEqual(fromHexPortably(value.toHex()), value);
    }),
  );
});

for (const text of ["0", "0g", "0x00", " 00"]) {
  Deno.test(`fromHex() refuses "${text}"`, () => {
    assert.throws(() => fromHex(text), SyntaxError);
    assert.throws(() => fromHexPortably(text), SyntaxError);
  });
}

Deno.test("lengthPrefixed() puts four bytes of length, big-endian, before each part", () => {
  assert.equal(
    lengthPrefixed("é", new Uint8Array([1, 2, 3]), "").toHex(),
    "00000002c3a9" + "00000003010203" + "00000000",
  );
  assert.equal(lengthPrefixed("a".repeat(0x0102)).subarray(0, 4).toHex(), "00000102");
});

Deno.test("lengthPrefixed() takes a text for its UTF-8", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "binary" })), (texts) => {
      assert.deepEqual(lengthPrefixed(...texts), lengthPrefixed(...texts.map(utf8)));
    }),
    { numRuns: 1_000 },
  );
  for (const length of [0, 126, 127, 128, 255, 256, 70_000]) {
    const texts = ["a", "b".repeat(length), "\0"];
    assert.deepEqual(lengthPrefixed(...texts), lengthPrefixed(...texts.map(utf8)), `${length} characters`);
  }
});

Deno.test("lengthPrefixed() can be read back, so no two lists of parts give the same bytes", () => {
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 6 }), (parts) => {
      const joined = lengthPrefixed(...parts);
      const read: Uint8Array[] = [];
      for (let at = 0; at < joined.length;) {
        const length = new DataView(joined.buffer, at).getUint32(0);
        read.push(joined.slice(at + 4, at + 4 + length));
        at += 4 + length;
      }
      assert.deepEqual(read, parts);
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("equalBytes() is true of equal bytes and of no others", () => {
  assert.ok(equalBytes(new Uint8Array(0), new Uint8Array(0)));
  fc.assert(
    fc.property(bytes, bytes, (a, b) => {
      assert.ok(equalBytes(a, a.slice()));
      assert.equal(equalBytes(a, b), a.toHex() === b.toHex());
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("equalBytes() sees any one bit", () => {
  const a = crypto.getRandomValues(new Uint8Array(32));
  for (let bit = 0; bit < 256; bit++) {
    const b = a.slice();
    b[bit >> 3] ^= 1 << (bit & 7);
    assert.ok(!equalBytes(a, b));
  }
});

Deno.test("equalBytes() is false when one is the other's beginning", () => {
  assert.ok(!equalBytes(new Uint8Array([1, 2]), new Uint8Array([1, 2, 0])));
  assert.ok(!equalBytes(new Uint8Array([1, 2, 0]), new Uint8Array([1, 2])));
});

Deno.test("newBytes() gives zeros of any length, and no two arrays share a byte", () => {
  fc.assert(fc.property(fc.array(fc.nat(2_000), { maxLength: 60 }), (lengths) => {
    const all = lengths.map((length, i) => {
      const made = newBytes(length);
      assert.equal(made.length, length);
      assert.ok(made.every((byte) => byte === 0));
      return made.fill(i + 1);
    });
    all.forEach((made, i) => assert.ok(made.every((byte) => byte === i + 1)));
  }));
});

Deno.test("copyOf() copies a part of an array", () => {
  const whole = new Uint8Array(100).map((_, i) => i);
  const copy = copyOf(whole, 10, 20);
  assert.deepEqual([...copy], [...whole.subarray(10, 30)]);
  whole.fill(0);
  assert.equal(copy[0], 10);
});
