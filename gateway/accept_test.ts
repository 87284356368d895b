import assert from "assert";
import fc from "fast-check";
import { fromHex, utf8 } from "../shared/bytes.ts";
import { judge } from "../shared/judge.ts";
import { ephemeralKeyPair, proofKey, recordKey } from "../shared/keys.ts";
import type { StoredRecord } from "../shared/log/vote_log.ts";
import type { Problem } from "../shared/problem.ts";
import { proofLeaf, proofOf, type SignedVote } from "../shared/proof.ts";
import { isGenuine } from "../shared/receipt.ts";
import { decodeRecord, entrySealer } from "../shared/record.ts";
import type { Vote } from "../shared/vote.ts";
import {
  MASTER,
  NOON_MS,
  testDefinition,
  testHistory,
  testManifest,
  testVoterKey,
} from "../tests/fixture.ts";
import { DEVICE, testElection, testVote } from "../tests/gateway_fixture.ts";
import { Acceptor, type Repeated, type Taken } from "./accept.ts";
import { HeldVotes } from "./held_votes.ts";
import type { Authenticated } from "./authenticate.ts";
import type { GatewayElection } from "./manifest.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const election = testElection();
const durable = Promise.resolve();

function deviceAt(station = "n-1", of: GatewayElection = election): Authenticated {
  return { name: DEVICE, station, election: of, idempotencyKey: "", digest: new Uint8Array(32), skewS: 0 };
}

/** What the device at n-1 posts for a text, whatever that is. */
function signed(text: string, election = "test-2026"): SignedVote {
  const key = proofKey(MASTER, { ...DEVICE, election });
  const proof = proofOf(key, election, "n-1-a.1", text).toHex();
  return { vote: text, proof, proofKey: "n-1-a.1", scheme: "hmac-sha256" };
}

/** Posts a vote, or a text in place of one; bytes are posted as they are. */
function accept(
  vote: unknown,
  {
    acceptor = new Acceptor(),
    device = deviceAt(),
    voteId = undefined as string | undefined,
    nowMs = NOON_MS,
  } = {},
): Taken | Repeated | Problem {
  const text = () => typeof vote === "string" ? vote : JSON.stringify(vote);
  const bytes = vote instanceof Uint8Array
    ? vote
    : utf8(JSON.stringify(signed(text(), device.election.index.manifest.election)));
  return acceptor.accept(device, bytes, voteId, nowMs, durable);
}

/** Seals what was accepted as the spool's thread does, and puts it on a log. */
function stored({ election: { sender }, record }: Taken, appendedAtMs: number): StoredRecord {
  const { privateKey, publicKey } = ephemeralKeyPair();
  const sealingKey = recordKey(privateKey, sender.sealingKey, "test-2026", publicKey, sender.sealingKey);
  const sealer = entrySealer({ ...sender, sealingKey, senderKey: publicKey });
  return {
    ...sealer.seal("vote", 1, record.plaintext),
    partition: record.partition,
    offset: 0,
    appendedAtMs,
  };
}

function taken(result: Taken | Repeated | Problem): Taken {
  assert.ok("record" in result, JSON.stringify(result));
  return result;
}

function refusal(result: Taken | Repeated | Problem): Problem & { reason: string } {
  assert.ok("status" in result, "it was taken");
  return { ...result, reason: result.type.replace("urn:pollwire:problem:", "") };
}

Deno.test("Acceptor.accept() makes a record that the aggregator counts, with all that the vote said", () => {
  const vote = testVote({
    voterId: "voter-7",
    mode: "absentee",
    selections: [
      { contest: "council", candidate: "dan" },
      { contest: "mayor", candidate: "bob" },
      { contest: "council", candidate: "fay" },
    ],
  });
  const entry = stored(taken(accept(vote, { nowMs: NOON_MS + 1_234 })), NOON_MS + 2_000);
  const { voterId: _, ...rest } = vote;
  assert.deepEqual(judge(entry, testHistory(testManifest())), [{
    fate: "acceptable",
    record: {
      ...rest,
      voterKey: testVoterKey("voter-7"),
      manifestVersion: 1,
      acceptedAt: "2026-11-03T12:00:01.234Z",
      device: "n-1-a",
    },
    marks: [
      ...vote.selections,
      { contest: "mayor", candidate: "#ballots" },
      { contest: "council", candidate: "#ballots" },
    ],
    region: "north",
    revision: 1,
    gateway: "g-1",
    gatewayKey: "g-1.1",
    sequence: 1,
  }]);
});

Deno.test("Acceptor.accept() records the text that the device signed, byte for byte, and its proof", () => {
  const text = JSON.stringify(testVote(), null, 1).replaceAll("\n", "\r\n");
  const { record } = taken(accept(text));
  const { vote, proof, ...more } = decodeRecord(record.plaintext)!;
  assert.deepEqual(more, { acceptedAtMs: NOON_MS, manifestVersion: 1, proofKey: "n-1-a.1" });
  assert.equal(new TextDecoder().decode(vote), text);
  assert.equal(proof.toHex(), signed(text).proof);
});

Deno.test("Acceptor.accept() keeps a vote's text in its record, whatever comes after it", () => {
  const acceptor = new Acceptor();
  const texts = [1, 2, 3].map((i) => JSON.stringify(testVote({ voterId: `V-${i}`.padEnd(8 * i, "x") })));
  const votes = texts.map((text) => taken(accept(text, { acceptor })));
  for (const [i, { record }] of votes.entries()) {
    assert.equal(new TextDecoder().decode(decodeRecord(record.plaintext)!.vote), texts[i]);
  }
  // Each vote's text is part of its fingerprint.
  for (const text of texts) assert.ok("repeated" in accept(text, { acceptor }));
});

Deno.test("Acceptor.accept() writes a receipt that says who and when, and never what", () => {
  const vote = testVote({ voterId: "voter-7" });
  const { receipt } = taken(accept(vote));
  const { mac, ...said } = receipt;
  assert.deepEqual(said, {
    election: "test-2026",
    voteId: vote.voteId,
    voterKey: testVoterKey("voter-7"),
    proof: proofLeaf(fromHex(signed(JSON.stringify(vote)).proof)),
    gateway: "g-1.1",
    minute: "2026-11-03T12:00Z",
  });
  assert.match(mac, /^[0-9a-f]{32}$/);
  assert.ok(isGenuine(election.receiptKey, receipt));
});

Deno.test("Acceptor.accept() gives each vote its own time, not that of the one before", () => {
  const acceptor = new Acceptor();
  const minutes = [NOON_MS, NOON_MS, NOON_MS + 60_000].map((nowMs) =>
    taken(accept(testVote(), { acceptor, nowMs })).receipt.minute
  );
  assert.deepEqual(minutes, ["2026-11-03T12:00Z", "2026-11-03T12:00Z", "2026-11-03T12:01Z"]);
});

Deno.test("Acceptor.accept() makes records of one length, whatever was chosen", () => {
  const lengths = [[], [{ contest: "mayor", candidate: "ann" }], [
    { contest: "council", candidate: "dan" },
    { contest: "council", candidate: "eve" },
  ]].map((selections) => taken(accept(testVote({ selections }))).record.plaintext.length);
  assert.equal(new Set(lengths).size, 1);
});

for (const text of ["", "{", "nil", `{"a":1}x`, "[1,]"]) {
  Deno.test(`Acceptor.accept() refuses ${JSON.stringify(text)}: not JSON`, () => {
    const { status, reason } = refusal(accept(text));
    assert.deepEqual([status, reason], [400, "not-json"]);
  });
}

Deno.test("Acceptor.accept() refuses what is not UTF-8, though it might be read as JSON", () => {
  const bytes = utf8(JSON.stringify(signed(JSON.stringify(testVote({ voterId: "v*" })))));
  bytes[bytes.indexOf("*".charCodeAt(0))] = 0xff;
  assert.equal(refusal(accept(bytes)).reason, "not-utf8");
  assert.equal(refusal(accept(utf8("\ufeff{}"))).reason, "not-utf8");
  assert.equal(refusal(accept("\ufeff{}")).reason, "not-utf8");
});

Deno.test("Acceptor.accept() refuses half a surrogate pair: its bytes are not what the device signed", () => {
  const text = JSON.stringify(testVote()).replace("in_person", "\ud800");
  const { status, reason, detail } = refusal(accept(text));
  assert.deepEqual([status, reason], [400, "not-utf8"]);
  assert.match(detail!, /lone surrogate/);
});

Deno.test("Acceptor.accept() refuses a key that comes twice, whatever it says, in either JSON", () => {
  const text = JSON.stringify(testVote());
  const inner = refusal(accept(text.replace("{", `{"station":"n-1",`)));
  assert.deepEqual([inner.reason, /^in the vote's text: /.test(inner.detail!)], ["duplicate-key", true]);
  const outer = JSON.stringify(signed(text)).replace("{", `{"proof":"00",`);
  assert.equal(refusal(accept(utf8(outer))).reason, "duplicate-key");
});

const posts: [what: string, change: Record<string, unknown>, path: string][] = [
  ["without a proof", { proof: undefined }, "proof"],
  ["with half a proof", { proof: "ab".repeat(16) }, "proof"],
  ["with a proof in capitals", { proof: "AB".repeat(32) }, "proof"],
  ["without a proof key", { proofKey: undefined }, "proofKey"],
  ["with a proof key of no version", { proofKey: "n-1-a" }, "proofKey"],
  ["with another scheme", { scheme: "none" }, "scheme"],
  ["with a vote that is no text", { vote: testVote() }, "vote"],
  ["with a field too many", { station: "n-1" }, "(body)"],
];
for (const [what, change, path] of posts) {
  Deno.test(`Acceptor.accept() refuses a vote ${what}, and names it`, () => {
    const posted = { ...signed(JSON.stringify(testVote())), ...change };
    const { status, reason, errors } = refusal(accept(utf8(JSON.stringify(posted))));
    assert.deepEqual([status, reason, errors![0].path], [422, "invalid-vote", path]);
  });
}

Deno.test("Acceptor.accept() refuses the proof of another device, and takes one of the device's older key", () => {
  const post = (proofKey: string) =>
    accept(utf8(JSON.stringify({ ...signed(JSON.stringify(testVote())), proofKey })));
  for (const foreign of ["n-2-a.1", "n-1-a-.1", "n-1.1", "1-a.1"]) {
    const { status, reason, detail } = refusal(post(foreign));
    assert.deepEqual([status, reason], [422, "foreign-proof"], foreign);
    assert.match(detail!, /signed by n-1-a/);
  }
  taken(post("n-1-a.1"));
  taken(post("n-1-a.7"));
});

Deno.test("Acceptor.accept() takes a text as long as the manifest allows, and refuses one byte more: vote-too-long", () => {
  const { voteBytes } = election.index.manifest;
  const padded = (bytes: number) => JSON.stringify(testVote()).padEnd(bytes, " ");
  taken(accept(padded(voteBytes)));
  const { status, reason, detail } = refusal(accept(padded(voteBytes + 1)));
  assert.deepEqual([status, reason], [422, "vote-too-long"]);
  assert.match(detail!, new RegExp(`has ${voteBytes + 1} bytes, and may have ${voteBytes}`));
  // In bytes, not in characters: é has two.
  assert.equal(refusal(accept(`"${"é".repeat(voteBytes / 2)}"`)).reason, "vote-too-long");
});

const shapes: [what: string, vote: unknown, path: string][] = [
  ["a number", 7, "(body)"],
  ["null", null, "(body)"],
  ["a list", [testVote()], "(body)"],
  ["a missing field", { ...testVote(), voterId: undefined }, "voterId"],
  ["an extra field", { ...testVote(), weight: 1_000 }, "(body)"],
  ["an extra field of a selection", {
    ...testVote(),
    selections: [{ contest: "mayor", candidate: "ann", votes: 2 }],
  }, "selections.0"],
  ["an unknown mode", testVote({ mode: "post" as Vote["mode"] }), "mode"],
  ["a voter id with a space", testVote({ voterId: "a b" }), "voterId"],
  ["a voter id that is too long", testVote({ voterId: "a".repeat(65) }), "voterId"],
  ["a time without milliseconds", testVote({ castAt: "2026-11-03T12:00:00Z" }), "castAt"],
  ["a vote id that tells the time", testVote({ voteId: "0190a8f0-7f6c-7cc0-98e5-6f2d3a1b4c5d" }), "voteId"],
];
for (const [what, vote, path] of shapes) {
  Deno.test(`Acceptor.accept() refuses ${what}, and names it`, () => {
    const { status, reason, errors } = refusal(accept(vote));
    assert.deepEqual([status, reason, errors![0].path], [422, "invalid-vote", path]);
  });
}

for (const key of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
  Deno.test(`Acceptor.accept() refuses a vote and a selection with the key ${key}`, () => {
    const vote = JSON.stringify(testVote());
    assert.equal(refusal(accept(vote.replace("{", `{"${key}":{"station":"n-1"},`))).reason, "invalid-vote");
    const selection = vote.replace(`"contest"`, `"${key}":{},"contest"`);
    assert.equal(refusal(accept(selection)).reason, "invalid-vote");
  });
}

Deno.test("Acceptor.accept() does not take a missing field from the key __proto__", () => {
  const vote = JSON.stringify(testVote()).replace(`"station":"n-1",`, `"__proto__":{"station":"n-1"},`);
  assert.equal(refusal(accept(vote)).reason, "invalid-vote");
});

Deno.test("Acceptor.accept() refuses deep nesting like anything else that is wrong", () => {
  const roomy = testElection({ ...testManifest(), voteBytes: 16_384 });
  const device = deviceAt("n-1", roomy);
  const deep = "[".repeat(7_000) + "]".repeat(7_000);
  const vote = JSON.stringify(testVote({ selections: [] })).replace("[]", deep);
  assert.equal(refusal(accept(vote, { device })).reason, "invalid-vote");
  assert.equal(refusal(accept("[".repeat(16_000), { device })).reason, "not-json");
  const outer = "[".repeat(30_000) + "]".repeat(30_000);
  assert.equal(refusal(accept(utf8(outer))).reason, "invalid-vote");
  assert.equal(refusal(accept(utf8(`{"vote":${outer}}`))).reason, "invalid-vote");
});

Deno.test("Acceptor.accept() refuses more selections than any vote has", () => {
  const device = deviceAt("n-1", testElection({ ...testManifest(), voteBytes: 16_384 }));
  const selections = Array(1_001).fill({ contest: "", candidate: "" });
  const { reason, errors } = refusal(accept(testVote({ selections }), { device }));
  assert.equal(reason, "vote-too-long", "the longest text that any manifest allows has no room for them");
  assert.equal(errors, undefined);
});

Deno.test("Acceptor.accept() never answers with more than a few faults of a few words", () => {
  const vote = {
    ...testVote(),
    ["x".repeat(10_000)]: 1,
    selections: Array(100).fill({ a: "b".repeat(9) }),
  };
  const device = deviceAt("n-1", testElection({ ...testManifest(), voteBytes: 16_384 }));
  const found = refusal(accept(vote, { device }));
  assert.equal(found.reason, "invalid-vote");
  assert.ok(JSON.stringify(found).length < 10_000);
  const outer = { ...signed("{}"), ["x".repeat(50_000)]: 1 };
  assert.ok(JSON.stringify(refusal(accept(utf8(JSON.stringify(outer))))).length < 1_000);
});

Deno.test("Acceptor.accept() refuses a vote whose id is not the header's", () => {
  const vote = testVote();
  const { status, reason } = refusal(accept(vote, { voteId: crypto.randomUUID() }));
  assert.deepEqual([status, reason], [422, "vote-id-mismatch"]);
  taken(accept(vote, { voteId: vote.voteId }));
});

const now = "2026-11-03T12:00:00.000Z";
const ballots: [what: string, change: Partial<Vote>, reason: string, now?: string][] = [
  ["cast before opening", { castAt: "2026-11-03T06:59:59.999Z" }, "cast-out-of-hours", now],
  ["cast in the future", { castAt: "2026-11-03T12:05:00.001Z" }, "cast-out-of-hours", now],
  ["for an unknown contest", { selections: [{ contest: "sheriff", candidate: "ann" }] }, "unknown-contest"],
  ["for another contest's candidate", {
    selections: [{ contest: "mayor", candidate: "dan" }],
  }, "unknown-candidate"],
  ["for a name that every object has", {
    selections: [{ contest: "mayor", candidate: "constructor" }],
  }, "unknown-candidate"],
  ["twice for one candidate", {
    selections: Array(2).fill({ contest: "council", candidate: "dan" }),
  }, "repeated-candidate"],
  ["for more than are allowed", {
    selections: ["ann", "bob"].map((candidate) => ({ contest: "mayor", candidate })),
  }, "overvote"],
  ["of another station", { station: "n-2" }, "wrong-station"],
  ["of no station at all", { station: "nowhere" }, "wrong-station"],
];
for (const [what, change, reason, now] of ballots) {
  Deno.test(`Acceptor.accept() refuses a vote ${what}: ${reason}`, () => {
    const found = refusal(accept(testVote(change)));
    assert.deepEqual([found.reason, found.status, found.now], [reason, 422, now]);
    assert.ok(found.detail);
  });
}

Deno.test("Acceptor.accept() takes votes from opening until the last moment, and gives its time outside of it", () => {
  const opensAtMs = Date.parse("2026-11-03T07:00:00.000Z");
  const acceptsUntilMs = Date.parse("2026-11-03T23:00:00.000Z");
  const vote = () => testVote({ castAt: "2026-11-03T07:00:00.000Z" });
  taken(accept(vote(), { nowMs: opensAtMs }));
  taken(accept(vote(), { nowMs: acceptsUntilMs }));
  for (const nowMs of [opensAtMs - 1, acceptsUntilMs + 1]) {
    const { reason, now } = refusal(accept(vote(), { nowMs }));
    assert.deepEqual([reason, now], ["not-open", new Date(nowMs).toISOString()]);
  }
});

Deno.test("Acceptor.accept() answers voting-paused where officials paused voting, until voting closes", () => {
  const paused = testElection({ ...testManifest(), paused: ["n-1"] });
  const at = (station: string, nowMs = NOON_MS) =>
    accept(testVote({ station }), { device: deviceAt(station, paused), nowMs });
  const { reason, status } = refusal(at("n-1"));
  assert.deepEqual([reason, status], ["voting-paused", 503]);
  taken(at("s-1"));
  // What was cast before it may still be delivered.
  taken(at("n-1", Date.parse("2026-11-03T21:00:00.001Z")));
  const all = testElection({ ...testManifest(), paused: "all" });
  assert.equal(refusal(accept(testVote(), { device: deviceAt("n-1", all) })).reason, "voting-paused");
});

Deno.test("Acceptor.accept() takes nothing of a draft, nor of a cancelled election, and says which it is", () => {
  for (const [inactive, why] of [["draft", /not scheduled/], ["cancelled", /cancelled/]] as const) {
    const none = testElection({ ...testManifest(), inactive });
    const { reason, detail } = refusal(accept(testVote(), { device: deviceAt("n-1", none) }));
    assert.equal(reason, "not-open");
    assert.match(detail!, why);
  }
});

Deno.test("Acceptor.accept() takes a fallback's votes, and sends those of other stations elsewhere", () => {
  taken(accept(testVote({ station: "s-1" }), { device: deviceAt("s-1") }));
  const { status, reason } = refusal(accept(testVote({ station: "s-2" }), { device: deviceAt("s-2") }));
  assert.deepEqual([status, reason], [421, "foreign-station"]);
});

Deno.test("Acceptor.accept() refuses a station that a later manifest has no more", () => {
  const { stations, gateways } = testDefinition();
  const later = testElection(testManifest(testDefinition({
    stations: stations.filter(({ id }) => id !== "n-1"),
    gateways: gateways.map((gateway) => ({
      ...gateway,
      stations: gateway.stations.filter((id) => id !== "n-1"),
      fallbackFor: gateway.fallbackFor.filter((id) => id !== "n-1"),
    })),
  })));
  assert.equal(refusal(accept(testVote(), { device: deviceAt("n-1", later) })).reason, "unknown-station");
});

Deno.test("Acceptor.accept() gives the same vote the same receipt, and no second record", () => {
  const acceptor = new Acceptor();
  const vote = testVote();
  const { receipt } = taken(accept(vote, { acceptor }));
  const again = accept(vote, { acceptor, nowMs: NOON_MS + 999_999_999_999 });
  assert.deepEqual(again, { repeated: receipt, durable }, "even when the election has closed meanwhile");
});

Deno.test("Acceptor.accept() gives the same text and proof the same receipt, however the JSON around them is spelled", () => {
  const acceptor = new Acceptor();
  const posted = signed(JSON.stringify(testVote()));
  const post = (text: string) => accept(utf8(text), { acceptor });
  const { receipt } = taken(post(JSON.stringify(posted)));
  assert.deepEqual(post(`${JSON.stringify(posted, null, 2)}\r`), { repeated: receipt, durable });
});

Deno.test("Acceptor.accept() refuses another proof under the same id", () => {
  const acceptor = new Acceptor();
  const posted = signed(JSON.stringify(testVote()));
  const post = (change: Partial<SignedVote>) =>
    accept(utf8(JSON.stringify({ ...posted, ...change })), { acceptor });
  taken(post({}));
  assert.equal(refusal(post({ proof: "ab".repeat(32) })).reason, "vote-id-reused");
});

Deno.test("Acceptor.accept() refuses another text under the same id, were it one space", () => {
  const acceptor = new Acceptor();
  const vote = testVote();
  taken(accept(vote, { acceptor }));
  for (const other of [{ ...vote, voterId: "other" }, `${JSON.stringify(vote)} `]) {
    const { status, reason } = refusal(accept(other, { acceptor }));
    assert.deepEqual([status, reason], [422, "vote-id-reused"]);
  }
});

Deno.test("Acceptor.accept() gives no device another station's receipt", () => {
  const acceptor = new Acceptor();
  const vote = testVote();
  taken(accept(vote, { acceptor }));
  assert.equal(refusal(accept(vote, { acceptor, device: deviceAt("n-2") })).reason, "wrong-station");
});

Deno.test("Acceptor.accept() keeps the ids of different elections apart", () => {
  const acceptor = new Acceptor();
  const vote = testVote();
  taken(accept(vote, { acceptor }));
  const other = testElection(testManifest(testDefinition({ election: "other-2026" })));
  taken(accept({ ...vote, voterId: "other" }, { acceptor, device: deviceAt("n-1", other) }));
});

Deno.test("Acceptor.settle() lets a vote come again that is not held, with whatever body", () => {
  const acceptor = new Acceptor();
  const vote = testVote();
  acceptor.settle([taken(accept(vote, { acceptor }))]);
  taken(accept({ ...vote, voterId: "other" }, { acceptor }));
});

Deno.test("Acceptor remembers no vote that was refused", () => {
  const acceptor = new Acceptor();
  const vote = testVote({ selections: [{ contest: "mayor", candidate: "nobody" }] });
  refusal(accept(vote, { acceptor }));
  taken(accept({ ...vote, selections: [] }, { acceptor }));
});

Deno.test("Acceptor.accept() gives a vote that is held the same receipt, and refuses another under its id", async () => {
  const held = new HeldVotes();
  const acceptor = new Acceptor(held);
  const vote = testVote();
  const first = taken(accept(vote, { acceptor }));
  held.add("test-2026", first.record.fingerprint);
  acceptor.settle([first]);
  const again = accept(vote, { acceptor, nowMs: NOON_MS + 3_600_000 });
  assert.ok("repeated" in again);
  assert.deepEqual(again.repeated, first.receipt);
  await again.durable;
  assert.equal(
    refusal(accept({ ...vote, voterId: "other" }, { acceptor })).reason,
    "vote-id-reused",
  );
  held.forget("test-2026", first.record.fingerprint);
  taken(accept(vote, { acceptor }));
});

Deno.test("Acceptor.accept() recognizes a vote after the gateway's key has changed", () => {
  const held = new HeldVotes();
  const vote = testVote();
  held.add("test-2026", taken(accept(vote)).record.fingerprint);
  const next = { ...election, receiptName: "g-1.2", receiptKey: new Uint8Array(32) };
  const again = accept(vote, { acceptor: new Acceptor(held), device: deviceAt("n-1", next) });
  assert.ok("repeated" in again);
  assert.equal(again.repeated.gateway, "g-1.2");
});

Deno.test("Acceptor.accept() throws on nothing that a device can send", () => {
  const acceptor = new Acceptor();
  const vote = testVote();
  const values = fc.oneof(fc.anything(), fc.constantFrom<unknown>(...Object.values(vote)));
  const almost = fc.record(Object.fromEntries(Object.keys(vote).map((name) => [name, values])), {
    requiredKeys: [],
  }).map((change) => ({ ...vote, ...change }));
  fc.assert(
    fc.property(fc.oneof(almost, fc.anything(), fc.json()), (value) => {
      let text: string;
      try {
        text = typeof value === "string" ? value : JSON.stringify(value) ?? "undefined";
      } catch {
        return; // A bigint, or a loop.
      }
      accept(text, { acceptor });
      accept(utf8(text), { acceptor });
      accept(utf8(JSON.stringify({ ...signed("{}"), vote: value })), { acceptor });
    }),
    { numRuns: 1_000 },
  );
});
