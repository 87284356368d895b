/**
 * Bodies that are not what was signed up for, and votes that are wrong in each of their fields.
 *
 * @module
 */
import { gzipSync } from "node:zlib";
import { z } from "zod";
import { MAX_BATCH_BYTES, MAX_BATCH_VOTES } from "../../gateway/app.ts";
import { MAX_VOTE_BYTES } from "../../gateway/take.ts";
import { utf8 } from "../../shared/bytes.ts";
import type { ProblemType } from "../../shared/problem.ts";
import type { RawRequest } from "../raw_http.ts";
import { signedVoteSchema } from "../../shared/proof.ts";
import { voteSchema } from "../../shared/vote.ts";
import { testManifest } from "../fixture.ts";
import { DEVICE, signedText } from "../gateway_fixture.ts";
import { type Endpoint, ENDPOINTS, honest, post, type Row, signed, vote } from "./scene.ts";

/** Bodies as a whole. */
export function bodies(endpoint: Endpoint): Row[] {
  const maxBytes = endpoint === "vote" ? MAX_VOTE_BYTES : MAX_BATCH_BYTES;
  const large = new Uint8Array(maxBytes + 1).fill(0x20);
  const gzipped = gzipSync(utf8(signedText(vote())));
  const encoded = post(endpoint, new Uint8Array(gzipped));
  const tooLarge = new RegExp(`may have ${maxBytes} bytes`);
  const rows: Row[] = [
    { what: "an empty body", request: post(endpoint, ""), reason: "body-empty", says: /has no body/ },
    {
      what: "an empty body in chunks",
      request: chunked(endpoint, new Uint8Array(0)),
      reason: "body-empty",
      says: /has no body/,
    },
    { what: "a huge body", request: post(endpoint, large), reason: "body-too-large", says: tooLarge },
    {
      what: "a huge body in chunks",
      request: chunked(endpoint, large),
      reason: "body-too-large",
      says: tooLarge,
    },
  ];
  for (const coding of ["gzip", "br", "identity", ""]) {
    rows.push({
      what: `content-encoding ${coding}`,
      request: { ...encoded, headers: [...encoded.headers!, ["content-encoding", coding]] },
      reason: "encoded-body",
      says: /without Content-Encoding/,
    });
  }
  if (endpoint === "batch") {
    rows.push({
      what: "a line too many",
      request: post("batch", "{}\n".repeat(MAX_BATCH_VOTES + 1)),
      reason: "too-many-lines",
      says: new RegExp(`may have ${MAX_BATCH_VOTES} lines`),
    });
  }
  return rows;
}

/** A signed body in chunks of 10,000 bytes. */
export function chunked(endpoint: Endpoint, body: Uint8Array<ArrayBuffer>): RawRequest {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < body.length; at += 10_000) {
    const piece = body.subarray(at, at + 10_000);
    pieces.push(utf8(`${piece.length.toString(16)}\r\n`), piece, utf8("\r\n"));
  }
  pieces.push(utf8("0\r\n\r\n"));
  const sent = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    sent.set(piece, at);
    at += piece.length;
  }
  const headers = signed(endpoint, body);
  return {
    target: ENDPOINTS[endpoint].path,
    headers: [...headers, ["transfer-encoding", "chunked"]],
    body: sent,
  };
}

/** What is posted for a vote, and wrong, alone or as a line of a batch. */
export type BadVote = Readonly<{
  what: string;
  /** Called for each request, because a vote id must not come twice. */
  make(): Uint8Array<ArrayBuffer>;
  reason: ProblemType;
  says: RegExp;
  field?: string;
}>;

const ELSEWHERE = "2020-11-03T12:00:00.000Z";
/** A vote's text that is wrong, with a proof that fits it. */
const text = (change: Record<string, unknown>) =>
  edited((json) => JSON.stringify({ ...JSON.parse(json), ...change }));
const edited = (edit: (text: string) => string) => () => utf8(signedText(edit(JSON.stringify(vote()))));
/** What is posted around a text that is in order, and wrong. */
const posted = (edit: (text: string) => string) => () => utf8(edit(signedText(vote())));
const field = (change: Record<string, unknown>) =>
  posted((json) => JSON.stringify({ ...JSON.parse(json), ...change }));
/** As deeply as the longest text allows, and as a line does. */
const TEXT_DEPTH = 40;
const LINE_SAFE_DEPTH = 30_000;
const deep = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
const utf16 = (text: string, mark: string) =>
  new Uint8Array(Uint16Array.from(mark + text, (unit) => unit.charCodeAt(0)).buffer);

/** Texts that are no JSON to be believed. */
const TEXTS: BadVote[] = [
  { what: "not JSON", make: () => utf8("vote for ann"), reason: "not-json", says: /must be JSON/ },
  { what: "cut off", make: edited((json) => json.slice(0, -1)), reason: "not-json", says: /must be JSON/ },
  {
    what: "with something behind",
    make: edited((json) => `${json}{}`),
    reason: "not-json",
    says: /must be JSON/,
  },
  { what: "with a comment", make: edited((json) => `${json}//`), reason: "not-json", says: /must be JSON/ },
  {
    what: "with NaN",
    make: edited((json) => json.replace(/"n-1"/, "NaN")),
    reason: "not-json",
    says: /must be JSON/,
  },
  {
    what: "in UTF-16",
    make: () => utf16(signedText(vote()), ""),
    reason: "not-utf8",
    says: /must be UTF-8/,
  },
  {
    what: "in UTF-16 with its mark",
    make: () => utf16(signedText(vote()), "\ufeff"),
    reason: "not-utf8",
    says: /must be UTF-8/,
  },
  {
    what: "with a byte order mark",
    make: edited((json) => `\ufeff${json}`),
    reason: "not-utf8",
    says: /leave it out/,
  },
  {
    what: "with bytes that are not UTF-8",
    make: () => new Uint8Array([...utf8(signedText(vote())), 0xff]),
    reason: "not-utf8",
    says: /must be UTF-8/,
  },
  {
    what: "with a surrogate in UTF-8",
    make: () => new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22]),
    reason: "not-utf8",
    says: /must be UTF-8/,
  },
  {
    what: "with a key twice",
    make: edited((json) => json.replace("{", `{"station":"s-1",`)),
    reason: "duplicate-key",
    says: /every key must be there once/,
  },
  {
    what: "with a key twice, spelled otherwise",
    make: edited((json) => json.replace("{", String.raw`{"st\u0061tion":"n-1",`)),
    reason: "duplicate-key",
    says: /once/,
  },
  {
    what: "with __proto__ twice",
    make: edited((json) => json.replace("{", `{"__proto__":1,"__proto__":2,`)),
    reason: "duplicate-key",
    says: /once/,
  },
];

/** Values of JSON that are no vote. */
const SHAPES: BadVote[] = [
  ...["null", "true", "1", '"a"', "[]", "{}", "1e999", "-0"].map((json): BadVote => ({
    what: json,
    make: () => utf8(json),
    reason: "invalid-vote",
    says: /see errors for each field/,
  })),
  {
    what: "nested deeply, in lists",
    make: () => utf8(deep(LINE_SAFE_DEPTH)),
    reason: "invalid-vote",
    says: /see errors/,
  },
  {
    what: "nested deeply, in place of the text",
    make: posted((json) => json.replace(/"vote":".*?[^\\\\]"/, `"vote":${deep(LINE_SAFE_DEPTH)}`)),
    reason: "invalid-vote",
    says: /see errors/,
    field: "vote",
  },
  {
    what: "nested deeply, in selections",
    make: edited((json) => json.replace(/"selections":\[.*?\]/, `"selections":${deep(TEXT_DEPTH)}`)),
    reason: "invalid-vote",
    says: /see errors/,
    field: "selections.0",
  },
  {
    what: "nested deeply, in an unknown field",
    make: edited((json) => json.replace("{", `{"x":${deep(TEXT_DEPTH)},`)),
    reason: "invalid-vote",
    says: /see errors/,
    field: "(body)",
  },
  ...["votes", "__proto__", "constructor", "toString", "length", ""].map((name): BadVote => ({
    what: `an extra field ${name}`,
    make: edited((json) => json.replace("{", `{${JSON.stringify(name)}:{"votes":1000},`)),
    reason: "invalid-vote",
    says: /see errors/,
    field: "(body)",
  })),
  {
    what: "a lone surrogate",
    make: edited((json) => json.replace(/"voterId":"[^"]+"/, String.raw`"voterId":"\ud800"`)),
    reason: "invalid-vote",
    says: /see errors/,
    field: "voterId",
  },
  {
    what: "1e999 for a station",
    make: edited((json) => json.replace('"n-1"', "1e999")),
    reason: "invalid-vote",
    says: /see errors/,
    field: "station",
  },
  {
    what: "1,001 selections",
    make: text({ selections: Array(1_001).fill({ contest: "a", candidate: "b" }) }),
    reason: "vote-too-long",
    says: /remove white space/,
  },
  {
    what: "much white space",
    make: edited((json) => json.padEnd(testManifest().voteBytes + 1)),
    reason: "vote-too-long",
    says: new RegExp(`has ${testManifest().voteBytes + 1} bytes, and may have ${testManifest().voteBytes}`),
  },
  {
    what: "an extra field in a selection",
    make: text({ selections: [{ contest: "mayor", candidate: "ann", votes: 9 }] }),
    reason: "invalid-vote",
    says: /see errors/,
    field: "selections.0",
  },
];

/** What is posted around the text: each field missing, of a wrong type, or another device's. */
const PROOFS: BadVote[] = [
  ...Object.keys(signedVoteSchema.shape).flatMap((name) =>
    ([["missing", undefined], ["null", null], ["a number", 1], ["empty", ""]] as const)
      .filter(([what]) => name !== "vote" || what !== "empty")
      .map(([what, value]): BadVote => ({
        what: `${name} ${what}`,
        make: field({ [name]: value }),
        reason: "invalid-vote",
        says: /^see errors for each field/,
        field: name,
      }))
  ),
  { what: "an empty text", make: field({ vote: "" }), reason: "not-json", says: /^in the vote's text: / },
  {
    what: "half a surrogate pair",
    make: posted((json) => json.replace("in_person", String.raw`\ud800`)),
    reason: "not-utf8",
    says: /lone surrogate/,
  },
  {
    what: "another device's proof",
    make: () => utf8(signedText(vote(), { ...DEVICE, id: "n-2-a" })),
    reason: "foreign-proof",
    says: /the proof key is n-2-a\.1, and the request is signed by n-1-a/,
  },
  {
    what: "a proof twice",
    make: posted((json) => json.replace("{", `{"proof":"00",`)),
    reason: "duplicate-key",
    says: /^an object has a key twice/,
  },
  {
    what: "an extra field beside the proof",
    make: field({ station: "n-1" }),
    reason: "invalid-vote",
    says: /^see errors/,
    field: "(body)",
  },
  {
    what: "a vote of format 1",
    make: () => utf8(JSON.stringify(vote())),
    reason: "invalid-vote",
    says: /errors/,
  },
];

/** Every field of the schema: missing, null, of each wrong type, too long, and padded. */
function fields(): BadVote[] {
  const { properties } = z.toJSONSchema(voteSchema) as { properties: Record<string, { type?: string }> };
  return Object.entries(properties).flatMap(([field, { type }]) => {
    const wrong: [what: string, value: unknown][] = [
      ["missing", undefined],
      ["null", null],
      ["a number", 1],
      ["true", true],
      ["an object", {}],
      ["an empty text", ""],
      ["too long", "a".repeat(100)],
      ["padded", " n-1 "],
      ["in capitals", "N-1"],
      ["not ASCII", "ä"],
      ["of control characters", "\u0000\u001b[2J"],
    ];
    if (type !== "array") wrong.push(["a list", []], ["a list of itself", [vote()[field as "station"]]]);
    const allowed: Record<string, string[]> = { voterId: ["in capitals"] };
    return wrong.filter(([what]) => !allowed[field]?.includes(what)).map(([what, value]): BadVote => ({
      what: `${field} ${what}`,
      make: text({ [field]: value }),
      reason: "invalid-vote",
      says: /see errors for each field/,
      field,
    }));
  });
}

/** Votes in the right form that the election does not take. */
const CHOICES: BadVote[] = [
  {
    what: "an id of version 1",
    make: text({ voteId: "5f0c1f6e-7a53-1d0e-9b1c-0c8a4b7f2e11" }),
    reason: "invalid-vote",
    says: /see errors/,
    field: "voteId",
  },
  {
    what: "the nil id",
    make: text({ voteId: "00000000-0000-0000-0000-000000000000" }),
    reason: "invalid-vote",
    says: /see errors/,
    field: "voteId",
  },
  {
    what: "another station's vote",
    make: text({ station: "n-2" }),
    reason: "wrong-station",
    says: /n-1-a stands at n-1, and the vote says n-2/,
  },
  {
    what: "an unknown mode",
    make: text({ mode: "online" }),
    reason: "invalid-vote",
    says: /see errors/,
    field: "mode",
  },
  {
    what: "cast before opening",
    make: text({ castAt: ELSEWHERE }),
    reason: "cast-out-of-hours",
    says: /castAt must lie between/,
  },
  {
    what: "cast in the future",
    make: () => utf8(signedText(vote({ castAt: new Date(Date.now() + 400_000).toISOString() }))),
    reason: "cast-out-of-hours",
    says: /ahead of the gateway's clock/,
  },
  {
    what: "a date that is none",
    make: text({ castAt: "2026-02-30T12:00:00.000Z" }),
    reason: "invalid-vote",
    says: /see errors/,
    field: "castAt",
  },
  {
    what: "another time zone",
    make: text({ castAt: "2026-11-03T12:00:00.000+01:00" }),
    reason: "invalid-vote",
    says: /see errors/,
    field: "castAt",
  },
  {
    what: "an unknown contest",
    make: text({ selections: [{ contest: "x", candidate: "ann" }] }),
    reason: "unknown-contest",
    says: /does not vote on contest x/,
  },
  {
    what: "the contest __proto__",
    make: text({ selections: [{ contest: "constructor", candidate: "ann" }] }),
    reason: "unknown-contest",
    says: /does not vote on contest constructor/,
  },
  {
    what: "an unknown candidate",
    make: text({ selections: [{ contest: "mayor", candidate: "x" }] }),
    reason: "unknown-candidate",
    says: /no candidate x stands/,
  },
  {
    what: "a candidate of another contest",
    make: text({ selections: [{ contest: "mayor", candidate: "dan" }] }),
    reason: "unknown-candidate",
    says: /no candidate dan stands/,
  },
  {
    what: "a candidate twice",
    make: text({ selections: Array(2).fill({ contest: "council", candidate: "dan" }) }),
    reason: "repeated-candidate",
    says: /is selected twice/,
  },
  {
    what: "an overvote",
    make: text({ selections: ["ann", "bob"].map((candidate) => ({ contest: "mayor", candidate })) }),
    reason: "overvote",
    says: /allows 1 of its candidates/,
  },
];

/** Every vote that is wrong by itself. */
export const BAD_VOTES: readonly BadVote[] = [...TEXTS, ...SHAPES, ...PROOFS, ...fields(), ...CHOICES];

/** Single requests of those votes. The header's id is the vote's, where that can be read. */
export function badVotes(): Row[] {
  return BAD_VOTES.map(({ what, make, reason, says, field }) => {
    const body = make();
    const idempotencyKey = /voteId\\?":\\?"([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f-]{21})/.exec(
      new TextDecoder("latin1").decode(body),
    )?.[1];
    return { what, request: post("vote", body, { idempotencyKey }), reason, says, field };
  });
}

/** What only a single vote can have wrong: its id and the header's, and an id that came before. */
export function ids(before: { voteId: string }): Row[] {
  return [
    {
      what: "another id in the header",
      request: honest("vote", { idempotencyKey: crypto.randomUUID() }),
      reason: "vote-id-mismatch",
      says: /they must be the same/,
    },
    {
      what: "an id that came before, with another text",
      request: post("vote", signedText(vote({ voteId: before.voteId })), {
        idempotencyKey: before.voteId,
      }),
      reason: "vote-id-reused",
      says: /a vote id belongs to one vote/,
    },
  ];
}
