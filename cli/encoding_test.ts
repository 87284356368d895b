import assert from "assert";
import fc from "fast-check";
import { detectEncoding, type FoundEncoding, UnknownEncoding } from "./encoding.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

/** The bytes that spell a text in an encoding of one byte a character. */
export function encodeAs(encoding: "windows-1252" | "macintosh", text: string): Uint8Array {
  const decoder = new TextDecoder(encoding);
  const bytes = new Map(
    Array.from({ length: 256 }, (_, byte) => [decoder.decode(Uint8Array.of(byte)), byte] as const),
  );
  return Uint8Array.from([...text].map((character) => {
    const byte = bytes.get(character);
    assert.ok(byte !== undefined, `${encoding} has no ${character}`);
    return byte;
  }));
}

async function detect(bytes: Uint8Array, pieceBytes = bytes.length || 1): Promise<FoundEncoding> {
  return await detectEncoding((async function* () {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
  })());
}

const utf8 = (text: string) => new TextEncoder().encode(text);

Deno.test("detectEncoding() takes valid UTF-8 for UTF-8, whatever characters it has", strict, async () => {
  for (const text of ["", "plain", "José \ufffd", "\ufeffa,b", "Оксана", "𝒜", "\u0080"]) {
    assert.deepEqual(await detect(utf8(text), 1), { encoding: "utf-8", notes: [] }, text);
  }
  await fc.assert(fc.asyncProperty(fc.string({ unit: "binary" }), async (text) => {
    if (text.startsWith("\ufeff") || text.includes("\0")) return;
    assert.equal((await detect(utf8(text))).encoding, "utf-8");
  }));
});

Deno.test(
  "detectEncoding() knows UTF-16 by its mark, and says what is missing without one",
  strict,
  async () => {
    const le = Uint8Array.of(0xff, 0xfe, 0x61, 0, 0x0a, 0);
    const be = Uint8Array.of(0xfe, 0xff, 0, 0x61, 0, 0x0a);
    assert.equal((await detect(le, 1)).encoding, "utf-16le");
    assert.equal((await detect(be, 1)).encoding, "utf-16be");
    await assert.rejects(detect(le.subarray(2)), /UTF-16 without a byte order mark/);
    await assert.rejects(detect(Uint8Array.of(0xff, 0xfe, 0, 0, 0x61, 0, 0, 0)), /UTF-32/);
  },
);

for (
  const text of [
    "José Núñez",
    "JOSÉ NÚÑEZ",
    "Peña 1\nGarcía\nMUÑOZ",
    "Bérard,Zoë,Ávila",
    "Côté, Gagné",
    "Señor, Muñoz",
    "Müller Straße",
    "Ángel Peña",
  ]
) {
  for (const encoding of ["windows-1252", "macintosh"] as const) {
    Deno.test(`detectEncoding() tells that ${JSON.stringify(text)} is ${encoding}`, strict, async () => {
      const found = await detect(encodeAs(encoding, text));
      assert.equal(found.encoding, encoding, found.notes.join());
      assert.doesNotMatch(found.notes[0]!, /uncertain/);
    });
  }
}

Deno.test("detectEncoding() says which word it goes by", strict, async () => {
  const found = await detect(encodeAs("windows-1252", "a,b\n1,José Ruïz\n"));
  assert.deepEqual(found.notes, ["the file is not UTF-8; read as Latin-1 (line 2: “José”)"]);
  const quoted = await detect(encodeAs("windows-1252", "a\n“José”\n"));
  assert.match(quoted.notes[0]!, /read as Windows-1252/);
});

Deno.test("detectEncoding() says what is uncertain, and how else it could be read", strict, async () => {
  const { notes } = await detect(encodeAs("windows-1252", "a\nD’angelo\n"));
  assert.match(notes[0]!, /uncertain: as .* it would be “D.angelo”/);
});

for (
  const [what, bytes, message] of [
    [
      "two encodings",
      [...utf8("a\nJosé\n"), 0x4a, 0xe9, 0x0a],
      /line 3: the byte 0xE9 is not UTF-8, and other/,
    ],
    [
      "a character cut off",
      utf8("José é").subarray(0, -1),
      /line 1: the file ends in the middle of a character/,
    ],
    [
      "Cyrillic of one byte a letter",
      [0xce, 0xea, 0xf1, 0xe0, 0xed, 0xe0, 0x0a],
      /neither Windows-1252 nor MacRoman/,
    ],
  ] as const
) {
  Deno.test(`detectEncoding() refuses ${what}`, strict, async () => {
    await assert.rejects(
      detect(Uint8Array.from(bytes)),
      (error) => error instanceof UnknownEncoding && message.test(error.message),
    );
  });
}
