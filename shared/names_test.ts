import assert from "assert";
import fc from "fast-check";
import { cleanName, nameFault, nameKey } from "./names.ts";

const code = (character: string) =>
  `U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`;

for (
  const name of [
    "Ann Smith",
    "José Núñez",
    "Оксана Дуб",
    "دانا\u200cپور",
    "ശ്രീ",
    "നന്\u200dമ",
    "王小明",
    "O’Neil-Łoś",
    "Ж",
    "QUILL\ufffdADA",
    "☆",
    "X Æ A-12",
  ]
) {
  Deno.test(`nameFault() takes ${name}`, () => assert.equal(nameFault(name), undefined));
}

for (
  const [name, fault] of [
    ["", "must not be empty"],
    [" ", "U+0020 at character 1 and nothing to see"],
    ["\u00a0\u3000", "U+00A0 at character 1 and nothing to see"],
    ["\u3164", "U+3164 at character 1 and nothing to see"],
    ["\u0301", "U+0301 at character 1 and nothing to see"],
    ["\u200b", "U+200B is invisible at character 1; leave it out"],
    ["Ann\u202e Smith", "U+202E changes the direction of text at character 4; leave it out"],
    ["Ann\u2067", "U+2067 changes the direction of text at character 4; leave it out"],
    ["\ufeffAnn", "U+FEFF is invisible at character 1; leave it out"],
    ["A\u00adnn", "U+00AD is invisible at character 2; leave it out"],
    ["A\u200dnn", "U+200D is invisible at character 2; leave it out"],
    ["Ann\nSmith", "U+000A is a control character at character 4; leave it out"],
    ["Ann\0", "U+0000 is a control character at character 4; leave it out"],
    ["𝒜\u2028", "U+2028 is a control character at character 2; leave it out"],
    ["A\ud800", "U+D800 is half a character at character 2; leave it out"],
    ["\u{e0041}", "U+E0041 is invisible at character 1; leave it out"],
  ]
) {
  Deno.test(`nameFault() refuses ${[...name].map(code).join(" ") || "an empty name"}`, () => {
    assert.equal(nameFault(name), fault);
  });
}

Deno.test("cleanName() leaves nothing that nameFault() forbids, or nothing at all", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 30 }), (text) => {
      const clean = cleanName(text);
      const fault = nameFault(clean);
      assert.ok(fault === undefined || /nothing to see|must not be empty/.test(fault), fault);
      assert.equal(cleanName(clean), clean);
    }),
  );
  assert.equal(cleanName(" \u202eAnn \u00a0 Smith\u200b\n"), "Ann Smith");
  assert.equal(cleanName("Ann \u200b Smith"), "Ann Smith");
});

Deno.test("nameKey() joins spellings of one name, and keeps two names two", () => {
  const same = (a: string, b: string) => assert.equal(nameKey(a), nameKey(b));
  const differ = (a: string, b: string) => assert.notEqual(nameKey(a), nameKey(b));
  same("José", "Jose\u0301");
  same("JOSEPH R. BIDEN", "Joseph R Biden");
  same("Quill, Ada", "quill  ada");
  differ("José", "Jose");
  differ("Мер", "Рада");
  differ("Quill, Ada", "Ada Quill");
  differ("★", "☆");
  differ("???", "!!!");
});
