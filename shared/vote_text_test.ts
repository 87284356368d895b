import assert from "assert";
import fc from "fast-check";
import { utf8 } from "./bytes.ts";
import { VOTING_MODES } from "./mode.ts";
import type { Vote } from "./vote.ts";
import { readAny, readPlain, readVote } from "./vote_text.ts";

const VOTE: Vote = {
  voteId: "0190163d-8694-4e57-aab4-0d2a32a0f7c8",
  voterId: "voter-000017",
  station: "station-12",
  mode: "in_person",
  selections: [{ contest: "president", candidate: "ada" }, { contest: "measure-1", candidate: "yes" }],
  castAt: "2026-11-03T07:00:00.000Z",
};
const TEXT = JSON.stringify(VOTE);

Deno.test("readPlain() reads what JSON.stringify() writes of a vote", () => {
  assert.deepEqual(readPlain(utf8(TEXT)), VOTE);
  for (const mode of VOTING_MODES) {
    assert.equal(readPlain(utf8(JSON.stringify({ ...VOTE, mode })))?.mode, mode);
  }
  assert.deepEqual(readPlain(utf8(JSON.stringify({ ...VOTE, selections: [] })))?.selections, []);
});

Deno.test("readPlain() reads a part of a longer array", () => {
  const bytes = utf8(`xyz${TEXT}}}}`);
  assert.deepEqual(readPlain(bytes.subarray(3, 3 + TEXT.length)), VOTE);
});

Deno.test("readVote() reads votes that are written otherwise", () => {
  const { castAt, ...rest } = VOTE;
  for (
    const text of [
      JSON.stringify({ castAt, ...rest }),
      JSON.stringify(VOTE, null, 1),
      TEXT.replace("voter-", "\\u0076oter-"),
      TEXT.replace('"ada"', ' "ada"'),
    ]
  ) {
    assert.equal(readPlain(utf8(text)), undefined, text);
    assert.deepEqual(readVote(utf8(text)), VOTE, text);
  }
});

/** Texts that are nearly a vote's. */
const WRONG: Record<string, string> = {
  "another version of UUID": TEXT.replace("-4e57-", "-1e57-"),
  "a vote id in upper case": TEXT.replace("0190163d", "0190163D"),
  "no voter id": TEXT.replace("voter-000017", ""),
  "a voter id of 65 characters": TEXT.replace("voter-000017", "v".repeat(65)),
  "a voter id with a space": TEXT.replace("voter-000017", "voter 000017"),
  "a voter id that is not ASCII": TEXT.replace("voter-000017", "vötér"),
  "a backslash that escapes nothing": TEXT.replace("voter-000017", "voter\\000017"),
  "a station that ends with a hyphen": TEXT.replace("station-12", "station-"),
  "a station of 65 characters": TEXT.replace("station-12", "s".repeat(65)),
  "another mode": TEXT.replace("in_person", "in_persona"),
  "a candidate in upper case": TEXT.replace("ada", "Ada"),
  "a comma after the last selection": TEXT.replace('"yes"}', '"yes"},'),
  "no comma between selections": TEXT.replace("},{", "}{"),
  "a selection with a third field": TEXT.replace('"ada"', '"ada","rank":1'),
  "a selection that is a list": TEXT.replace('{"contest":"president","candidate":"ada"}', "[]"),
  "a day that its month has not": TEXT.replace("2026-11-03", "2026-11-31"),
  "a day that the year has not": TEXT.replace("2026-11-03", "2026-02-29"),
  "a month that no year has": TEXT.replace("2026-11-03", "2026-13-03"),
  "a time without milliseconds": TEXT.replace(".000Z", "Z"),
  "a text that ends early": TEXT.slice(0, -1),
  "a bracket after the vote": `${TEXT}}`,
  "a second object after the vote": `${TEXT}\n{}`,
  "a key twice": TEXT.replace('{"voteId"', `{"voteId":"${VOTE.voteId}","voteId"`),
  "a key twice, at the end": TEXT.replace(/\}$/, `,"castAt":"${VOTE.castAt}"}`),
  "too many selections": TEXT.replace(
    /\[.*\]/,
    `[${Array(1_001).fill('{"contest":"president","candidate":"ada"}')}]`,
  ),
  "a byte order mark": `\ufeff${TEXT}`,
  "a zero byte": `${TEXT}\0`,
};
for (const [what, text] of Object.entries(WRONG)) {
  Deno.test(`readVote() refuses ${what}`, () => {
    assert.equal(readVote(utf8(text)), undefined);
  });
}

Deno.test("readVote() refuses bytes that are not UTF-8", () => {
  for (const [at, byte] of [[TEXT.indexOf("voter-0"), 0xff], [0, 0x80], [TEXT.length - 1, 0xc3]] as const) {
    const bytes = utf8(TEXT);
    bytes[at] = byte;
    assert.equal(readVote(bytes), undefined);
  }
});

Deno.test("readPlain() takes the days that months have", () => {
  for (const day of ["2028-02-29", "2026-12-31", "2026-04-30", "2026-01-01"]) {
    const castAt = `${day}T23:59:59.999Z`;
    assert.equal(readPlain(utf8(JSON.stringify({ ...VOTE, castAt })))?.castAt, castAt);
  }
});

Deno.test("equal ballots share selections that nobody can change", () => {
  const [one, other] = [TEXT, TEXT.replace("station-12", "station-13")].map((text) => readPlain(utf8(text))!);
  assert.equal(one!.selections, other!.selections);
  assert.throws(() => one!.selections.push({ contest: "president", candidate: "bob" }), TypeError);
  assert.throws(() => one!.selections[0]!.candidate = "bob", TypeError);
});

Deno.test("readPlain() reads lists that are too long to be kept", () => {
  const selections = Array.from(
    { length: 1_000 },
    (_, i) => ({ contest: "council", candidate: `person-${i}` }),
  );
  assert.deepEqual(readPlain(utf8(JSON.stringify({ ...VOTE, selections }))), { ...VOTE, selections });
});

const idArbitrary = fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/);
const voteArbitrary = fc.record({
  voteId: fc.uuid({ version: 4 }),
  voterId: fc.stringMatching(/^[\x21-\x7e]{1,64}$/),
  station: idArbitrary,
  mode: fc.constantFrom(...VOTING_MODES),
  selections: fc.array(
    fc.record({ contest: idArbitrary, candidate: idArbitrary }, { noNullPrototype: true }),
    { maxLength: 4 },
  ),
  castAt: fc.date({ min: new Date(0), max: new Date("9999-12-31"), noInvalidDate: true }).map((date) =>
    date.toISOString()
  ),
}, { noNullPrototype: true });

Deno.test("readPlain() and readAny() read the same of every vote", () => {
  fc.assert(fc.property(voteArbitrary, (vote) => {
    const bytes = utf8(JSON.stringify(vote));
    assert.deepEqual(readAny(bytes), vote);
    const isEscaped = /["\\]/.test(vote.voterId);
    assert.deepEqual(readPlain(bytes), isEscaped ? undefined : vote);
  }));
});

Deno.test("readPlain() reads nothing that readAny() reads otherwise, whatever is changed in a vote", () => {
  const changes = fc.array(
    fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      take: fc.nat({ max: 3 }),
      put: fc.oneof(
        fc.constantFrom(
          '"',
          "\\",
          "{",
          "}",
          "[",
          "]",
          ",",
          ":",
          "-",
          " ",
          "\n",
          "\0",
          "9",
          "A",
          "é",
          "}]",
          "],",
          '",',
        ),
        fc.string({ maxLength: 3 }),
      ),
    }),
    { minLength: 1, maxLength: 3 },
  );
  fc.assert(
    fc.property(voteArbitrary, changes, (vote, changed) => {
      let text = JSON.stringify(vote);
      for (const { at, take, put } of changed) {
        const from = Math.floor(at * text.length);
        text = text.slice(0, from) + put + text.slice(from + take);
      }
      const bytes = utf8(text);
      const plain = readPlain(bytes);
      if (plain !== undefined) assert.deepEqual(plain, readAny(bytes));
    }),
    { numRuns: 2_000 },
  );
});
