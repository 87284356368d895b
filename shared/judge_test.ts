import assert from "assert";
import fc from "fast-check";
import {
  type EntryMaking,
  madeEntry,
  PLAIN_BYTES,
  plainRecord,
  plainStatement,
  recordEntry,
  type RecordMaking,
  SENDER,
  voteText,
} from "../tests/entries.ts";
import { MASTER, NOON_MS, testManifest, type TestRecord, testRecord, testSealer } from "../tests/fixture.ts";
import { type KeptChange, keptHistory } from "../tests/kept_history.ts";
import { fromHex, lengthPrefixed, utf8 } from "./bytes.ts";
import type { Manifest } from "./election.ts";
import type { ElectionHistory } from "./history.ts";
import { judge, type Judgement, MANIFEST_OVERLAP_MS } from "./judge.ts";
import { deviceKey, gatewayKey, hmac, proofKey, pseudonymKey, sealingKeyPair } from "./keys.ts";
import type { StoredRecord } from "./log/vote_log.ts";
import { VOTING_MODES, type VotingMode } from "./mode.ts";
import { HELD_REASONS, REJECTION_REASONS, type RejectionReason } from "./outcome.ts";
import { MAX_ENTRY_RECORDS, MAX_SEQUENCE, sealedBytes } from "./record.ts";
import { MAX_CLOCK_SKEW_MS } from "./vote.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const FIRST = testManifest();
const at = (ms: number) => new Date(ms).toISOString();
const OPENS_MS = Date.parse(FIRST.opensAt);
const CLOSES_MS = Date.parse(FIRST.closesAt);
const ACCEPTS_UNTIL_MS = Date.parse(FIRST.acceptsUntil);
const MINUTE_MS = 60_000;

/** Offset from which every change but those of the beginning applies. */
const CHANGED_FROM = 10;
/** An offset before it. Entries of tests are at offset 20 where they say nothing else. */
const BEFORE = 5;

function gatewayKeyChange(gateway: string, version = 1): KeptChange["change"] {
  const key = gatewayKey(MASTER, { election: FIRST.election, id: gateway, version }).toHex();
  return { kind: "gateway_key", gateway, version, key };
}

function deviceKeyChange(device: string, station: string, version = 1): KeptChange["change"] {
  const key = proofKey(MASTER, { election: FIRST.election, id: device, version }).toHex();
  return { kind: "device_key", device, version, station, key };
}

function manifestChange(effectiveAtMs: number, change: Partial<Manifest>): KeptChange["change"] {
  return { kind: "manifest", effectiveAt: at(effectiveAtMs), manifest: { ...FIRST, ...change } };
}

/** An election with manifest 1, gateways g-1 and g-2, a device a station, and what changes from {@link CHANGED_FROM} on. */
function historyOf(...changes: KeptChange["change"][]): ElectionHistory {
  return historyFrom({}, ...changes);
}

/** @param first What its first manifest has besides. */
function historyFrom(first: Partial<Manifest>, ...changes: KeptChange["change"][]): ElectionHistory {
  const beginning = [
    manifestChange(OPENS_MS - 3_600_000, first),
    gatewayKeyChange("g-1"),
    gatewayKeyChange("g-2"),
    ...FIRST.stations.map(({ id }) => deviceKeyChange(`${id}-a`, id)),
  ];
  const from = (offset: number) => (change: KeptChange["change"]) => ({
    from: [offset, offset, offset],
    change,
  });
  return keptHistory({
    election: FIRST.election,
    partitions: FIRST.partitions,
    voteBytes: FIRST.voteBytes,
    pseudonymKey: pseudonymKey(MASTER, FIRST.election),
    aggregator: sealingKeyPair(MASTER, FIRST.election),
  }, [...beginning.map(from(0)), ...changes.map(from(CHANGED_FROM))]);
}

const HISTORY = historyOf();

function judged(entry: StoredRecord, history = HISTORY): Judgement {
  const judgements = judge(entry, history);
  assert.equal(judgements.length, 1);
  return judgements[0];
}

/** `acceptable`, or why it is not. */
function verdict(entry: StoredRecord, history = HISTORY): string {
  const judgement = judged(entry, history);
  return "reason" in judgement ? `${judgement.fate}/${judgement.reason}` : judgement.fate;
}

function entry(change: Partial<TestRecord>, making: Partial<EntryMaking> = {}): StoredRecord {
  return recordEntry({ vote: testRecord("1", change) }, making);
}

/** What the count knows of a test's record. */
function known({ election: _, voterId: __, ...vote }: TestRecord) {
  return vote;
}

Deno.test("judge() accepts a record that is in order, and says all that it found out", () => {
  const vote = testRecord("1");
  assert.deepEqual(judge(recordEntry({ vote }, { sequence: 7 }), HISTORY), [{
    fate: "acceptable",
    record: known(vote),
    marks: [
      { contest: "mayor", candidate: "ann" },
      { contest: "mayor", candidate: "#ballots" },
      { contest: "council", candidate: "#ballots" },
      { contest: "council", candidate: "#undervotes" },
      { contest: "council", candidate: "#undervotes" },
      { contest: "council", candidate: "#blank" },
    ],
    region: "north",
    revision: 7,
    gateway: "g-1",
    gatewayKey: "g-1.1",
    sequence: 7,
  }]);
});

/** The reasons that judge() can give in an election that is not certified: all but those that need the roll or a decision. */
type JudgedReason = Exclude<
  RejectionReason,
  "after_certification" | "unknown_voter" | "wrong_station" | "wrong_region" | "by_decision"
>;

const ANN = { contest: "mayor", candidate: "ann" };
const BOB = { contest: "mayor", candidate: "bob" };
const DAN = { contest: "council", candidate: "dan" };
const ANOTHER = sealingKeyPair(MASTER, "another process");

/** An entry that was in order until someone changed it. */
function changed(change: Partial<StoredRecord>): StoredRecord {
  return { ...recordEntry(), ...change };
}

/** An entry around a plaintext that was in order until its gateway changed it. */
function spoilt(spoil: (bytes: Uint8Array, view: DataView) => void): StoredRecord {
  const plaintext = plainRecord();
  spoil(plaintext, new DataView(plaintext.buffer));
  return recordEntry({}, { plaintext });
}

/** The text of a vote that its device signed, though it is none. */
function signedText(text: string | Uint8Array): StoredRecord {
  return recordEntry({ text: typeof text === "string" ? utf8(text) : text });
}

const TEXT = new TextDecoder().decode(voteText(testRecord("1")));
const statement = (making: Partial<EntryMaking> = {}) =>
  madeEntry({ kind: "statement", sequence: 3, plaintext: plainStatement(3), ...making });

/** For each reason: entries that are rejected for it, each with a description. */
const REJECTED: Record<JudgedReason, [string, StoredRecord][]> = {
  unreadable: [
    ["format 1", changed({ version: "1" })],
    ["no version", changed({ version: "" })],
    ["no kind", changed({ kind: "" })],
    ["a kind that is none", changed({ kind: "votes" })],
    ["a kind named after a property", changed({ kind: "constructor" })],
    ["no key id", changed({ keyId: "" })],
    ["a key id that is no key name", changed({ keyId: "test-2026/g-1" })],
    ["a signature that is too short", changed({ signature: new Uint8Array(31) })],
    ["a sender key that is too long", changed({ senderKey: new Uint8Array(33) })],
    ["a sequence that is no number", changed({ sequence: NaN })],
    ["a sequence below the first", changed({ sequence: 0 })],
    ["a negative sequence", changed({ sequence: -1 })],
    ["half a sequence", changed({ sequence: 1.5 })],
    ["a sequence past the limit", changed({ sequence: MAX_SEQUENCE + 1 })],
    ["a value that is a byte short", changed({ value: recordEntry().value.subarray(1) })],
    ["a value with a byte more", changed({ value: new Uint8Array(PLAIN_BYTES + 41) })],
    ["a value of no record", changed({ value: new Uint8Array(40) })],
    ["a value that is shorter than a seal", changed({ value: new Uint8Array(39) })],
    ["no value", changed({ value: new Uint8Array(0) })],
    [
      "more records than the limit",
      changed({ value: new Uint8Array((MAX_ENTRY_RECORDS + 1) * PLAIN_BYTES + 40) }),
    ],
    [
      "records whose numbers go past the limit",
      changed({ sequence: MAX_SEQUENCE, value: new Uint8Array(2 * PLAIN_BYTES + 40) }),
    ],
    ["a statement as long as a vote", changed({ kind: "statement" })],
    ["a statement that is a byte long", { ...statement(), value: new Uint8Array(57) }],
    ["a statement under a negative number", { ...statement(), sequence: -1 }],
    ["a vote as long as a statement", { ...statement(), kind: "vote" }],
  ],
  wrong_election: [
    ["a gateway of another election", recordEntry({}, { election: "test-2027" })],
    ["a statement of another election", statement({ election: "test-2027" })],
  ],
  unknown_gateway: [
    ["a gateway that does not exist", recordEntry({}, { gateway: "g-9" })],
    ["a version of its key that does not exist", recordEntry({}, { keyVersion: 2 })],
    ["a statement of a gateway that does not exist", statement({ gateway: "g-9" })],
  ],
  bad_signature: [
    ["another key", recordEntry({}, { signingKey: new Uint8Array(32) })],
    [
      "another version of the gateway's key",
      recordEntry({}, { signingKey: gatewayKey(MASTER, { election: "test-2026", id: "g-1", version: 2 }) }),
    ],
    ["another gateway's name", changed({ keyId: "test-2026/g-2.1" })],
    ["another record's value", changed({ value: recordEntry().value })],
    ["another sender key", changed({ senderKey: ANOTHER.publicKey })],
    ["another number", changed({ sequence: 2 })],
    ["a statement's domain", recordEntry({}, { domain: "pollwire/2 statement" })],
    ["format 1's domain", recordEntry({}, { domain: "pollwire/1 record" })],
    ["a statement under a vote's domain", statement({ domain: "pollwire/2 record" })],
    ["a statement of another number", { ...statement(), sequence: 4 }],
  ],
  cannot_open: [
    ["a seal under another key", recordEntry({}, { sealingKey: new Uint8Array(32) })],
    [
      "a seal under another sender's key",
      recordEntry({}, { sealingKey: recordSealingKeyOfAnother() }),
    ],
    [
      "a sender key of low order",
      recordEntry({}, {
        sender: { publicKey: new Uint8Array(32), privateKey: SENDER.privateKey },
        sealingKey: new Uint8Array(32),
      }),
    ],
    ["a statement under another key", statement({ sealingKey: new Uint8Array(32) })],
  ],
  malformed: [
    ["a credential that is none", spoilt((bytes) => bytes[0] = 0)],
    ["a token, which is not taken yet", spoilt((bytes) => bytes[0] = 2)],
    ["a scheme that is none", spoilt((bytes) => bytes[1] = 2)],
    ["a time past the year 9999", spoilt((_, view) => view.setBigUint64(2, 253_402_300_800_000n))],
    ["the greatest time", spoilt((_, view) => view.setBigUint64(2, 2n ** 64n - 1n))],
    ["no key name", spoilt((bytes) => bytes[14] = 0)],
    ["a key name of 255 bytes", spoilt((bytes) => bytes[14] = 255)],
    ["a key name in capitals", spoilt((bytes) => bytes[15] = 0x41)],
    ["a key name that is not UTF-8", spoilt((bytes) => bytes[15] = 0xff)],
    ["a key name without a version", spoilt((bytes) => bytes[20] = 0x2d)],
    ["a byte behind the vote", spoilt((bytes) => bytes[PLAIN_BYTES - 1] = 1)],
    ["white space behind the vote", spoilt((bytes, view) => bytes[58 + view.getUint32(54)] = 0x20)],
    ["a vote longer than the record", spoilt((_, view) => view.setUint32(54, PLAIN_BYTES))],
    ["a vote of 4 GiB", spoilt((_, view) => view.setUint32(54, 2 ** 32 - 1))],
    [
      "a vote with one byte more than the limit",
      spoilt((_, view) => view.setUint32(54, FIRST.voteBytes + 1)),
    ],
    ["zeros", recordEntry({}, { plaintext: new Uint8Array(PLAIN_BYTES) })],
    ["a statement of another number than its header's", statement({ plaintext: plainStatement(4) })],
    ["a statement of more than the greatest number", statement({ plaintext: plainStatement(2n ** 63n) })],
    [
      "a statement made after the year 9999",
      statement({ plaintext: plainStatement(3, 253_402_300_800_000) }),
    ],
  ],
  bad_proof: [
    ["a proof of zeros", recordEntry({ proof: new Uint8Array(32) })],
    ["another vote's proof", recordEntry({ provenText: voteText(testRecord("1")) })],
    ["a proof for another election", recordEntry({ provenFor: "test-2027" })],
    ["a device that does not exist", recordEntry({ device: "n-9-a" })],
    ["a version of the device's key that does not exist", recordEntry({ deviceVersion: 2 })],
    [
      "another device's key",
      recordEntry({ proofKey: proofKey(MASTER, { election: "test-2026", id: "n-2-a", version: 1 }) }),
    ],
    [
      "the key that gateways have of the device",
      recordEntry({ proofKey: deviceKey(MASTER, { election: "test-2026", id: "n-1-a", version: 1 }) }),
    ],
    ["a bit of the proof", spoilt((bytes) => bytes[30] ^= 1)],
    ["a bit of the vote", spoilt((bytes) => bytes[100] ^= 1)],
    [
      "a space behind the vote",
      spoilt((bytes, view) => {
        const length = view.getUint32(54);
        view.setUint32(54, length + 1);
        bytes[58 + length] = 0x20;
      }),
    ],
  ],
  invalid_vote: [
    ["a text that is no JSON", signedText("vote")],
    ["no text", signedText("")],
    ["a text that is not UTF-8", signedText(new Uint8Array([0xff]))],
    ["a byte order mark", signedText(`\ufeff${TEXT}`)],
    ["a key twice", signedText(TEXT.replace("{", `{"mode":"early",`))],
    ["a field too many", signedText(TEXT.replace("{", `{"weight":2,`))],
    ["a field too few", signedText(TEXT.replace(/,"castAt".*/, "}"))],
    ["__proto__", signedText(TEXT.replace("{", `{"__proto__":{},`))],
    ["a vote id that is none", signedText(TEXT.replace(/"voteId":"[^"]*"/, `"voteId":"1"`))],
    ["a voter id with a space", signedText(TEXT.replace(`"voterId":"1"`, `"voterId":"1 "`))],
    ["a day that does not exist", signedText(TEXT.replace("2026-11-03", "2026-11-31"))],
    ["a number in place of a vote", signedText("1")],
    ["null", signedText("null")],
    ["zeros behind the vote", signedText(`${TEXT}\0`)],
  ],
  wrong_partition: [
    ["the next partition", recordEntry({}, { partition: (recordEntry().partition + 1) % 3 })],
    ["a partition that does not exist", recordEntry({}, { partition: 99 })],
  ],
  unknown_manifest: [
    ["a version never published", entry({ manifestVersion: 2 })],
    ["version 0", entry({ manifestVersion: 0 })],
  ],
  not_open: [
    ["acceptance before opening", entry({ acceptedAt: at(OPENS_MS - 1) })],
    ["acceptance too late", entry({ acceptedAt: at(ACCEPTS_UNTIL_MS + 1) })],
    ["acceptance in 1970", entry({ acceptedAt: at(0) })],
  ],
  cast_out_of_hours: [
    ["a vote before opening", entry({ castAt: at(OPENS_MS - 1) })],
    ["a vote after closing", entry({ castAt: at(CLOSES_MS + 1), acceptedAt: at(ACCEPTS_UNTIL_MS) })],
    ["a vote from the gateway's future", entry({ castAt: at(NOON_MS + MAX_CLOCK_SKEW_MS + 1) })],
  ],
  unknown_station: [["a station that there never was", entry({ station: "n-9", device: "n-1-a" })]],
  unknown_contest: [
    ["a contest of other stations", entry({ station: "n-2", selections: [DAN] })],
    ["a contest that does not exist", entry({ selections: [{ contest: "sheriff", candidate: "ann" }] })],
  ],
  unknown_candidate: [
    ["a candidate of another contest", entry({ selections: [{ contest: "mayor", candidate: "dan" }] })],
  ],
  repeated_candidate: [["a candidate twice", entry({ selections: [ANN, ANN] })]],
  overvote: [["two of one", entry({ selections: [ANN, BOB] })]],
  foreign_device: [["a device of another station", entry({ device: "s-1-a" })]],
  foreign_station: [["a station of another gateway", entry({ station: "s-2" })]],
};

function recordSealingKeyOfAnother(): Uint8Array {
  return HISTORY.sealingKey(ANOTHER.publicKey)!;
}

for (const [reason, ways] of Object.entries(REJECTED)) {
  for (const [what, stored] of ways) {
    Deno.test(`judge() rejects ${what}: ${reason}`, () => {
      assert.equal(verdict(stored), `rejected/${reason}`);
    });
  }
}

Deno.test("judge() has a test for every reason that it can give", () => {
  assert.deepEqual(
    Object.keys(REJECTION_REASONS).filter((reason) => !(reason in REJECTED)),
    ["after_certification", "unknown_voter", "wrong_station", "wrong_region", "by_decision"],
  );
});

for (
  const [what, stored] of [
    ["a clock ahead by the limit", entry({}, { appendedAtMs: NOON_MS - MAX_CLOCK_SKEW_MS })],
    ["a vote that lay in the spool for a year", entry({}, { appendedAtMs: NOON_MS + 365 * 86_400_000 })],
    ["a primary gateway", entry({ station: "n-1" })],
    ["a fallback gateway", entry({ station: "n-1" }, { gateway: "g-2" })],
    ["a blank vote", entry({ selections: [] })],
    [
      "as many as the contest allows",
      entry({ selections: [DAN, ANN, { contest: "council", candidate: "eve" }] }),
    ],
    ["a vote at the opening", entry({ castAt: at(OPENS_MS), acceptedAt: at(OPENS_MS) })],
    [
      "a vote at the closing, accepted at the last moment",
      entry({ castAt: at(CLOSES_MS), acceptedAt: at(ACCEPTS_UNTIL_MS) }),
    ],
    ["the greatest number", entry({}, { sequence: MAX_SEQUENCE })],
    [
      "a vote text with white space and its keys in another order",
      recordEntry({ text: utf8(reordered(TEXT)) }),
    ],
    ["a vote text of the greatest length", recordEntry({ text: utf8(TEXT.padEnd(FIRST.voteBytes, " ")) })],
    [
      "a vote text with escapes",
      recordEntry({ text: utf8(TEXT.replace(`"voterId":"1"`, `"voterId":"\\u0031"`)) }),
    ],
  ] as [string, StoredRecord][]
) {
  Deno.test(`judge() accepts ${what}`, () => assert.equal(verdict(stored), "acceptable"));
}

function reordered(text: string): string {
  return JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(text)).reverse()), null, 1);
}

// What can go wrong together, one list a place where it can. An entry has at most one of each list.
type Spoiling = [
  JudgedReason,
  (record: Partial<RecordMaking> & { vote: TestRecord }, entry: Partial<EntryMaking>) => void,
];
const select = (...selections: TestRecord["selections"]): Spoiling[1] => (r) =>
  r.vote = { ...r.vote, selections };
const SPOILINGS: Spoiling[][] = [
  [["unreadable", (_, e) => e.version = "1"]],
  [["wrong_election", (_, e) => e.election = "test-2027"]],
  [
    ["unknown_gateway", (_, e) => e.gateway = "g-9"],
    ["foreign_station", (r) => r.vote = { ...r.vote, station: "s-2", device: "s-2-a" }],
    ["unknown_station", (r) => r.vote = { ...r.vote, station: "n-9" }],
  ],
  [["bad_signature", (_, e) => e.signingKey = new Uint8Array(32)]],
  [["cannot_open", (_, e) => e.sealingKey = new Uint8Array(32)]],
  [["malformed", (r) => r.scheme = 9]],
  [["bad_proof", (r) => r.proof = new Uint8Array(32)]],
  [["invalid_vote", (r) => r.text = utf8(`${new TextDecoder().decode(voteText(r.vote))}]`)]],
  [["wrong_partition", (_, e) => e.partition = 99]],
  [["unknown_manifest", (r) => r.vote = { ...r.vote, manifestVersion: 3 }]],
  [["not_open", (r) => r.vote = { ...r.vote, acceptedAt: at(ACCEPTS_UNTIL_MS + 1) }]],
  [["cast_out_of_hours", (r) => r.vote = { ...r.vote, castAt: at(OPENS_MS - 1) }]],
  [
    ["unknown_contest", select({ contest: "sheriff", candidate: "ann" })],
    ["unknown_candidate", select({ contest: "mayor", candidate: "zoe" })],
    ["repeated_candidate", select(ANN, ANN)],
    ["overvote", select(ANN, BOB)],
  ],
  [["foreign_device", (r) => r.device = "s-1-a"]],
];

Deno.test("judge() gives the first reason of REJECTION_REASONS when there are several", () => {
  const order = Object.keys(REJECTION_REASONS);
  const some = fc.tuple(
    ...SPOILINGS.map((place) => fc.option(fc.constantFrom(...place), { nil: undefined, freq: 2 })),
  );
  fc.assert(
    fc.property(some, (chosen) => {
      const spoilings = chosen.filter((spoiling) => spoiling !== undefined);
      const record = { vote: testRecord("1") };
      const making: Partial<EntryMaking> = { appendedAtMs: ACCEPTS_UNTIL_MS };
      for (const [, spoil] of spoilings) spoil(record, making);
      const reasons = spoilings.map(([reason]) => reason).toSorted((a, b) =>
        order.indexOf(a) - order.indexOf(b)
      );
      const expected = reasons.length === 0 ? "acceptable" : `rejected/${reasons[0]}`;
      assert.equal(verdict(recordEntry(record, making)), expected);
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("judge() asks one selection after another, each for contest, candidate, repetition and number", () => {
  const ZOE = { contest: "mayor", candidate: "zoe" };
  const SHERIFF = { contest: "sheriff", candidate: "ann" };
  for (
    const [selections, reason] of [
      [[ANN, BOB, SHERIFF], "overvote"],
      [[ANN, ZOE, ANN], "unknown_candidate"],
      [[ANN, ANN, ZOE], "repeated_candidate"],
      [[SHERIFF, ANN, BOB], "unknown_contest"],
    ] as const
  ) assert.equal(verdict(entry({ selections: [...selections] })), `rejected/${reason}`);
});

const UNSIGNED = ["unreadable", "wrong_election", "unknown_gateway", "bad_signature"];

Deno.test("judge() names the gateway once its signature was checked, the number once it opened, the record once it was read", () => {
  for (const [reason, ways] of Object.entries(REJECTED) as [JudgedReason, [string, StoredRecord][]][]) {
    for (const [what, stored] of ways) {
      const judgement = judged(stored);
      assert.ok(judgement.fate === "rejected");
      const signed = !UNSIGNED.includes(reason);
      const opened = signed && reason !== "cannot_open" && stored.kind === "vote";
      // A bad proof never attaches to a vote: the gateway may have invented it.
      const read = opened && !["malformed", "bad_proof", "invalid_vote"].includes(reason);
      const { gateway, gatewayKey, sequence, record } = judgement;
      assert.equal(gateway, signed ? stored.keyId.slice(10, 13) : undefined, `${reason}: ${what}`);
      assert.equal(gatewayKey, signed ? stored.keyId.slice(10) : undefined, `${reason}: ${what}`);
      assert.equal(sequence, opened ? stored.sequence : undefined, `${reason}: ${what}`);
      assert.equal(record !== undefined, read, `${reason}: ${what}`);
    }
  }
});

Deno.test("judge() gives the same judgement of the same bytes again", () => {
  for (const [, stored] of Object.values(REJECTED).flat()) {
    assert.deepEqual(judge(stored, HISTORY), judge(structuredClone(stored), HISTORY));
  }
});

// Several records an entry.

const join = (...parts: Uint8Array[]) => new Uint8Array(parts.flatMap((part) => [...part]));

/** Voters of one partition. */
const NEIGHBOURS = Array.from({ length: 300 }, (_, i) => testRecord(`voter-${i}`))
  .filter((vote) => Number(`0x${vote.voterKey.slice(0, 8)}`) % 3 === 1);

Deno.test("judge() judges the records of an entry one by one, in order, and numbers them on", () => {
  const [a, b, c, d] = NEIGHBOURS;
  const plaintext = join(
    plainRecord({ vote: a }),
    plainRecord({ vote: b, proof: new Uint8Array(32) }),
    plainRecord({ vote: c, scheme: 9 }),
    plainRecord({ vote: { ...d, selections: [ANN, BOB] } }),
    plainRecord({ vote: a }),
  );
  const found = judge(madeEntry({ plaintext, partition: 1, sequence: 41 }), HISTORY);
  assert.deepEqual(
    found.map((each) => [each.fate, "reason" in each && each.reason, "sequence" in each && each.sequence]),
    [
      ["acceptable", false, 41],
      ["rejected", "bad_proof", 42],
      ["rejected", "malformed", 43],
      ["rejected", "overvote", 44],
      ["acceptable", false, 45],
    ],
  );
  assert.ok(found[0].fate === "acceptable" && found[4].fate === "acceptable");
  assert.deepEqual([found[0].record, found[4].record], [known(a), known(a)]);
});

Deno.test("judge() takes an entry of as many records as the limit", () => {
  const votes = Array.from({ length: MAX_ENTRY_RECORDS }, (_, i) => NEIGHBOURS[i]);
  const plaintext = join(...votes.map((vote) => plainRecord({ vote })));
  const found = judge(madeEntry({ plaintext, partition: 1 }), HISTORY);
  assert.deepEqual(found.map((each) => each.fate === "acceptable" && each.record), votes.map(known));
});

Deno.test("judge() gives every record of an entry that cannot be opened the entry's reason, and none a number", () => {
  const plaintext = join(plainRecord(), plainRecord(), plainRecord());
  for (
    const [making, reason] of [
      [{ election: "test-2027" }, "wrong_election"],
      [{ gateway: "g-9" }, "unknown_gateway"],
      [{ signingKey: new Uint8Array(32) }, "bad_signature"],
      [{ sealingKey: new Uint8Array(32) }, "cannot_open"],
    ] as const
  ) {
    const found = judge(madeEntry({ plaintext, ...making }), HISTORY);
    assert.equal(found.length, 3);
    for (const each of found) {
      assert.ok(each.fate === "rejected" && each.reason === reason && each.sequence === undefined);
    }
  }
});

Deno.test("testSealer() seals several records in one entry that judge() accepts", () => {
  const sealer = testSealer(FIRST);
  const votes = NEIGHBOURS.slice(0, 3);
  const found = judge({ ...sealer.seal(...votes), partition: 1, offset: 0, appendedAtMs: NOON_MS }, HISTORY);
  assert.deepEqual(
    found.map((each) => each.fate === "acceptable" && [each.record, each.sequence]),
    votes.map((vote, i) => [known(vote), i + 1]),
  );
  const next = { ...sealer.seal(NEIGHBOURS[3]), partition: 1, offset: 1, appendedAtMs: NOON_MS };
  assert.equal(judged(next).fate === "acceptable" && next.sequence, 4);
});

// Statements.

Deno.test("judge() reads a statement, whatever its partition, and gives it no number of its own", () => {
  const expected = {
    fate: "statement",
    records: 3,
    statedAtMs: NOON_MS,
    gateway: "g-1",
    gatewayKey: "g-1.1",
  };
  for (const partition of [0, 1, 2]) assert.deepEqual(judge(statement({ partition }), HISTORY), [expected]);
});

Deno.test("judge() reads a statement that no record was taken, and one of the greatest number", () => {
  for (const records of [0, MAX_SEQUENCE]) {
    const judgement = judged(statement({ sequence: records, plaintext: plainStatement(records) }));
    assert.ok(judgement.fate === "statement" && judgement.records === records);
  }
});

Deno.test("judge() takes nothing that was signed as one kind for the other, with records of any size", () => {
  // An election whose record is as long as a statement is impossible, so the lengths already differ; the domains differ as well.
  assert.notEqual(sealedBytes(1), 56);
  for (const kind of ["vote", "statement"]) {
    const plaintext = kind === "vote" ? plainRecord() : plainStatement(3);
    const domain = kind === "vote" ? "pollwire/2 statement" : "pollwire/2 record";
    assert.equal(verdict(madeEntry({ kind, domain, sequence: 3, plaintext })), "rejected/bad_signature");
  }
});

// Held records.

const REVOKED_GATEWAY: KeptChange["change"] = { kind: "gateway_revoked", gateway: "g-1", version: 1 };
const REVOKED_DEVICE: KeptChange["change"] = { kind: "device_revoked", device: "n-1-a", version: 1 };
/** The office closes early, at noon, and keeps the length of the acceptance window: two hours. */
const CLOSED_EARLY = manifestChange(NOON_MS, {
  version: 2,
  closesAt: at(NOON_MS),
  acceptsUntil: at(NOON_MS + 2 * 3_600_000),
});

Deno.test("judge() holds what stands past the revocation of its gateway, whenever it says that it was accepted", () => {
  const history = historyOf(REVOKED_GATEWAY);
  for (const acceptedAt of [OPENS_MS, NOON_MS, ACCEPTS_UNTIL_MS].map(at)) {
    const stored = (offset: number) =>
      entry({ castAt: at(OPENS_MS), acceptedAt }, { offset, appendedAtMs: ACCEPTS_UNTIL_MS });
    assert.equal(verdict(stored(CHANGED_FROM), history), "held/gateway_revoked");
    assert.equal(verdict(stored(CHANGED_FROM - 1), history), "acceptable");
  }
  assert.equal(verdict(entry({}, { gateway: "g-2" }), history), "acceptable");
});

Deno.test("judge() holds what stands past the revocation of its device", () => {
  const history = historyOf(REVOKED_DEVICE);
  assert.equal(verdict(entry({}, { offset: CHANGED_FROM }), history), "held/device_revoked");
  assert.equal(verdict(entry({}, { offset: CHANGED_FROM - 1 }), history), "acceptable");
  assert.equal(verdict(entry({ station: "n-2" }), history), "acceptable");
});

Deno.test("judge() reads the statement of a revoked gateway", () => {
  assert.equal(verdict(statement(), historyOf(REVOKED_GATEWAY)), "statement");
});

Deno.test("judge() knows a new key from its position on, and the old one as before", () => {
  const history = historyOf(gatewayKeyChange("g-1", 2), deviceKeyChange("n-1-a", "n-1", 2));
  const record = { vote: testRecord("1") };
  assert.equal(
    verdict(recordEntry(record, { keyVersion: 2, offset: BEFORE }), history),
    "rejected/unknown_gateway",
  );
  assert.equal(verdict(recordEntry(record, { keyVersion: 2 }), history), "acceptable");
  assert.equal(verdict(recordEntry(record), history), "acceptable");
  const made = { ...record, deviceVersion: 2 };
  assert.equal(verdict(recordEntry(made, { offset: BEFORE }), history), "rejected/bad_proof");
  assert.equal(verdict(recordEntry(made), history), "acceptable");
});

Deno.test("judge() goes by the history of the record's own partition", () => {
  const basis = historyOf();
  const calls: [number, number][] = [];
  const history = {
    ...basis,
    at: (partition: number, offset: number) => (calls.push([partition, offset]), basis.at(partition, offset)),
  };
  judge(entry({}, { offset: 17 }), history);
  assert.deepEqual(calls, [[entry({}).partition, 17]]);
});

Deno.test("judge() says the newest revision that applies at the position, and no newer", () => {
  const history = historyOf(CLOSED_EARLY);
  const revisionAt = (offset: number) => {
    const judgement = judged(entry({ castAt: at(OPENS_MS), acceptedAt: at(OPENS_MS) }, { offset }), history);
    return judgement.fate === "acceptable" && judgement.revision;
  };
  assert.deepEqual([revisionAt(CHANGED_FROM - 1), revisionAt(CHANGED_FROM)], [7, 8]);
});

for (
  const [what, appendedAtMs, acceptedAtMs, expected, ahead] of [
    ["within the skew", NOON_MS, NOON_MS + MAX_CLOCK_SKEW_MS, "acceptable", undefined],
    ["past the skew, while votes are taken", NOON_MS, NOON_MS + 300_001, "acceptable", 300_001],
    [
      "a year ahead, while votes are taken",
      NOON_MS,
      NOON_MS + 365 * 86_400_000,
      "acceptable",
      365 * 86_400_000,
    ],
    ["past the skew, appended at the opening", OPENS_MS, OPENS_MS + 300_001, "acceptable", 300_001],
    ["past the skew, appended before the opening", OPENS_MS - 1, OPENS_MS + 300_000, "held/clock", 300_001],
    [
      "past the skew, appended at the last moment",
      ACCEPTS_UNTIL_MS,
      ACCEPTS_UNTIL_MS + 300_001,
      "acceptable",
      300_001,
    ],
    [
      "past the skew, appended too late",
      ACCEPTS_UNTIL_MS + 1,
      ACCEPTS_UNTIL_MS + 300_002,
      "held/clock",
      300_001,
    ],
    ["within the skew, appended before the opening", OPENS_MS - 1, OPENS_MS, "acceptable", undefined],
    ["by a log whose clock says 1970", 0, NOON_MS, "held/clock", NOON_MS],
    ["by a log whose clock says nothing", -1, NOON_MS, "held/clock", NOON_MS + 1],
  ] as const
) {
  Deno.test(`judge() finds a vote of a gateway ahead ${what}: ${expected}`, () => {
    const stored = entry({ castAt: at(OPENS_MS), acceptedAt: at(acceptedAtMs) }, { appendedAtMs });
    assert.equal(verdict(stored), expected);
    const judgement = judged(stored);
    assert.ok(judgement.fate === "acceptable" || judgement.fate === "held");
    assert.equal(judgement.clockAheadMs, ahead);
    const timeMs = ahead === undefined ? acceptedAtMs : Math.max(0, appendedAtMs);
    assert.equal(judgement.record.acceptedAt, at(timeMs));
  });
}

Deno.test("judge() rejects a vote of a gateway ahead that no manifest allows, whatever the time", () => {
  const ahead = { appendedAtMs: OPENS_MS - 1 };
  assert.equal(verdict(entry({ selections: [ANN, BOB] }, ahead)), "rejected/overvote");
  assert.equal(verdict(entry({ station: "s-2" }, ahead)), "rejected/foreign_station");
  const moved = historyOf(manifestChange(OPENS_MS - 2, { version: 2, gateways: MOVED }));
  assert.equal(verdict(entry({ station: "n-2" }, ahead), moved), "held/clock");
  const longAgo = historyOf(manifestChange(OPENS_MS - 3_000_000, { version: 2, gateways: MOVED }));
  assert.equal(verdict(entry({ station: "n-2" }, ahead), longAgo), "held/clock");
});

/** Station n-2 is assigned to g-2, and g-1 no longer takes its votes. */
const MOVED: Manifest["gateways"] = [
  { id: "g-1", stations: ["n-1"], fallbackFor: [] },
  { id: "g-2", stations: ["n-2", "s-1", "s-2"], fallbackFor: ["n-1"] },
];
/** Station n-3 is added, in the south, at g-1. */
const ADDED: Partial<Manifest> = {
  version: 2,
  stations: [...FIRST.stations, { id: "n-3", name: "North 3", region: "south" }],
  gateways: [{ ...FIRST.gateways[0], stations: ["n-1", "n-2", "n-3"] }, FIRST.gateways[1]],
};
const EFFECTIVE_MS = NOON_MS + 3_600_000;

for (
  const [what, change, vote, afterMs, expected] of [
    [
      "a station that moved, before it did",
      { version: 2, gateways: MOVED },
      { station: "n-2" },
      -1,
      "acceptable",
    ],
    [
      "a station that moved, as it does",
      { version: 2, gateways: MOVED },
      { station: "n-2" },
      0,
      "acceptable",
    ],
    [
      "a station that moved, within the minute",
      { version: 2, gateways: MOVED },
      { station: "n-2" },
      MANIFEST_OVERLAP_MS - 1,
      "acceptable",
    ],
    [
      "a station that moved, after the minute",
      { version: 2, gateways: MOVED },
      { station: "n-2" },
      MANIFEST_OVERLAP_MS,
      "held/superseded",
    ],
    ["a station that was added, as it is", ADDED, { station: "n-3" }, 0, "acceptable"],
    [
      "a station that was added, by a clock that is a minute slow",
      ADDED,
      { station: "n-3" },
      1 - MINUTE_MS,
      "acceptable",
    ],
    [
      "a station that was added, before that",
      ADDED,
      { station: "n-3" },
      -MINUTE_MS,
      "rejected/unknown_station",
    ],
    [
      "an early close, within the minute",
      { version: 2, closesAt: at(EFFECTIVE_MS), acceptsUntil: at(EFFECTIVE_MS) },
      {},
      MANIFEST_OVERLAP_MS - 1,
      "acceptable",
    ],
    [
      "an early close, of a gateway that did not hear of it",
      { version: 2, closesAt: at(EFFECTIVE_MS), acceptsUntil: at(EFFECTIVE_MS) },
      {},
      MANIFEST_OVERLAP_MS,
      "held/superseded",
    ],
    [
      "a longer day, in its new hours",
      { version: 2, acceptsUntil: at(ACCEPTS_UNTIL_MS + 3_600_000) },
      {},
      ACCEPTS_UNTIL_MS + 3_600_000 - EFFECTIVE_MS,
      "acceptable",
    ],
  ] as [string, Partial<Manifest>, Partial<TestRecord>, number, string][]
) {
  Deno.test(`judge() finds a vote for ${what}: ${expected}`, () => {
    const history = historyOf(manifestChange(EFFECTIVE_MS, change), deviceKeyChange("n-3-a", "n-3"));
    assert.equal(verdict(entry({ ...vote, acceptedAt: at(EFFECTIVE_MS + afterMs) }), history), expected);
  });
}

Deno.test("judge() knows no manifest that was made after the record stood on the log", () => {
  const history = historyOf(manifestChange(EFFECTIVE_MS, { version: 2, gateways: MOVED }));
  const acceptedAt = at(EFFECTIVE_MS + 3_600_000);
  assert.equal(verdict(entry({ station: "n-2", acceptedAt }, { offset: BEFORE }), history), "acceptable");
  assert.equal(
    verdict(entry({ manifestVersion: 2, acceptedAt }, { offset: BEFORE }), history),
    "rejected/unknown_manifest",
  );
});

Deno.test("judge() does not go by the manifest that the record names", () => {
  const history = historyOf(CLOSED_EARLY);
  for (const manifestVersion of [1, 2]) {
    const acceptedAt = at(NOON_MS + 3 * 3_600_000);
    assert.equal(verdict(entry({ manifestVersion, acceptedAt }), history), "held/superseded");
  }
});

Deno.test("judge() takes the region from the newest manifest that allows the vote", () => {
  const swapped = (id: string) => id === "north" ? "south" : "north";
  const stations = FIRST.stations.map((each) => ({ ...each, region: swapped(each.region) }));
  const regionOf = (change: Partial<Manifest>, vote: Partial<TestRecord>, afterMs: number) => {
    const history = historyOf(manifestChange(EFFECTIVE_MS, { version: 2, stations, ...change }));
    const judgement = judged(entry({ ...vote, acceptedAt: at(EFFECTIVE_MS + afterMs) }), history);
    return "region" in judgement ? judgement.region : judgement;
  };
  assert.equal(regionOf({}, {}, -1), "north");
  assert.equal(regionOf({}, {}, 0), "south");
  assert.equal(regionOf({}, {}, MINUTE_MS), "south");
  assert.equal(regionOf({ gateways: MOVED }, { station: "n-2" }, 30_000), "north");
  assert.equal(regionOf({ gateways: MOVED }, { station: "n-2" }, 90_000), "north");
});

Deno.test("judge() tells apart manifests that took effect at the same moment", () => {
  const history = historyOf(
    manifestChange(EFFECTIVE_MS, { ...ADDED, version: 2 }),
    manifestChange(EFFECTIVE_MS, { version: 3 }),
    deviceKeyChange("n-3-a", "n-3"),
  );
  const found = [0, MINUTE_MS - 1, MINUTE_MS].map((afterMs) =>
    verdict(entry({ station: "n-3", acceptedAt: at(EFFECTIVE_MS + afterMs) }), history)
  );
  assert.deepEqual(found, ["acceptable", "acceptable", "held/superseded"]);
});

Deno.test("judge() gives the reason of the newest manifest when none allows the vote", () => {
  const history = historyOf(manifestChange(EFFECTIVE_MS, { version: 2, gateways: MOVED }));
  const stored = entry({ station: "n-2", selections: [DAN], acceptedAt: at(EFFECTIVE_MS) });
  assert.equal(verdict(stored, history), "rejected/unknown_contest");
  const closed = historyOf(CLOSED_EARLY);
  const late = entry({ station: "s-2", acceptedAt: at(NOON_MS + 4 * 3_600_000) });
  assert.equal(verdict(late, closed), "rejected/not_open");
});

Deno.test("judge() holds votes of the modes that the manifest by which they are judged names", () => {
  const history = historyOf(
    manifestChange(EFFECTIVE_MS, { version: 2, heldModes: ["provisional", "early"] }),
  );
  const of = (mode: VotingMode, afterMs: number) =>
    verdict(entry({ mode, acceptedAt: at(EFFECTIVE_MS + afterMs) }), history);
  assert.deepEqual(VOTING_MODES.map((mode) => of(mode, 0)), [
    "acceptable",
    "held/mode",
    "acceptable",
    "held/mode",
  ]);
  assert.equal(of("provisional", -60_000), "acceptable");
});

// `ways`, `isHeldMode` and `isAhead` may apply together.
Deno.test("judge() gives the first reason of HELD_REASONS when there are several, and rejects before it holds", () => {
  const ways: [keyof typeof HELD_REASONS, KeptChange["change"][]][] = [
    ["gateway_revoked", [REVOKED_GATEWAY]],
    ["device_revoked", [REVOKED_DEVICE]],
    ["superseded", [CLOSED_EARLY]],
  ];
  fc.assert(
    fc.property(
      fc.subarray(ways),
      fc.boolean(),
      fc.boolean(),
      fc.boolean(),
      (chosen, isAhead, isOvervote, isHeldMode) => {
        const late = at(NOON_MS + 3 * 3_600_000);
        const vote = {
          castAt: at(OPENS_MS),
          acceptedAt: late,
          selections: isOvervote ? [ANN, BOB] : [ANN],
          mode: isHeldMode ? "provisional" as const : "in_person" as const,
        };
        const stored = entry(vote, { appendedAtMs: isAhead ? OPENS_MS - 1 : ACCEPTS_UNTIL_MS });
        const reasons = chosen.map(([reason]) => reason as string);
        const held = isAhead ? [...reasons.filter((each) => each !== "superseded"), "clock"] : [...reasons];
        if (isHeldMode) held.push("mode");
        const [first] = Object.keys(HELD_REASONS).filter((each) => held.includes(each));
        const expected = isOvervote
          ? `rejected/${!isAhead && reasons.includes("superseded") ? "not_open" : "overvote"}`
          : first === undefined
          ? "acceptable"
          : `held/${first}`;
        const changes = chosen.flatMap(([, changes]) => changes);
        assert.equal(verdict(stored, historyFrom({ heldModes: ["provisional"] }, ...changes)), expected);
      },
    ),
    { numRuns: 200 },
  );
});

// What a gateway could do.

Deno.test("judge() rejects as bad_proof every vote that a gateway altered after its device had signed it", () => {
  const alterations: Record<string, fc.Arbitrary<Partial<TestRecord>>> = {
    selections: fc.subarray([ANN, DAN]).map((selections) => ({ selections: [BOB, ...selections.slice(1)] })),
    station: fc.constantFrom("n-2", "s-1").map((station) => ({ station })),
    voter: fc.constantFrom(...NEIGHBOURS.slice(0, 20)).map(({ voterId, voterKey }) => ({
      voterId,
      voterKey,
    })),
    castAt: fc.constantFrom(1, -1, 60_000).map((ms) => ({ castAt: at(NOON_MS + ms) })),
    mode: fc.constantFrom("early", "absentee").map((mode) => ({ mode }) as Partial<TestRecord>),
    voteId: fc.uuid({ version: 4 }).map((voteId) => ({ voteId })),
  };
  for (const [what, alteration] of Object.entries(alterations)) {
    fc.assert(
      fc.property(alteration, (change) => {
        const vote = testRecord("voter-x");
        const altered = { ...vote, ...change };
        const stored = recordEntry({ vote: altered, device: vote.device, provenText: voteText(vote) });
        const judgement = judged(stored);
        assert.ok(judgement.fate === "rejected" && judgement.reason === "bad_proof", what);
        assert.equal(judgement.gateway, "g-1");
        assert.equal(judgement.record, undefined);
      }),
      { numRuns: 50 },
    );
  }
});

Deno.test("judge() rejects as bad_proof any change of any byte of the signed text", () => {
  const vote = testRecord("1");
  const text = voteText(vote);
  for (let bit = 0; bit < text.length * 8; bit += 3) {
    const altered = text.slice();
    altered[bit >> 3] ^= 1 << (bit & 7);
    assert.equal(verdict(recordEntry({ vote, text: altered, provenText: text })), "rejected/bad_proof");
  }
});

// Garbage.

const REASONS = new Set(Object.keys(REJECTION_REASONS));

/** Checks judgements against the closed list; a throw fails the property by itself. */
function isRejected(stored: StoredRecord): void {
  const judgements = judge(stored, HISTORY);
  assert.ok(judgements.length >= 1);
  for (const judgement of judgements) {
    assert.ok(judgement.fate === "rejected", "garbage is accepted");
    assert.ok(REASONS.has(judgement.reason), judgement.reason);
  }
}

const some32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const oddNumbers = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.constantFrom(NaN, -0, 0, 1, Infinity, -Infinity, 2 ** 48, 2 ** 53, 2 ** 64),
);
const places = {
  partition: fc.oneof(fc.nat({ max: 3 }), fc.integer()),
  offset: fc.nat(),
  appendedAtMs: fc.oneof(fc.integer(), fc.constantFrom(NOON_MS, 0, -1, NaN, Number.MAX_SAFE_INTEGER)),
};

Deno.test("judge() never throws on garbage of any size", () => {
  const garbage = fc.record({
    version: fc.oneof(fc.constant("2"), fc.string({ unit: "binary" })),
    kind: fc.oneof(
      fc.constantFrom("vote", "statement", "__proto__", "toString"),
      fc.string({ unit: "binary" }),
    ),
    keyId: fc.oneof(fc.constantFrom("test-2026/g-1.1", "test-2026/g-1", "/"), fc.string({ unit: "binary" })),
    senderKey: fc.oneof(some32, fc.uint8Array({ maxLength: 64 })),
    signature: fc.oneof(some32, fc.uint8Array({ maxLength: 64 })),
    sequence: oddNumbers,
    value: fc.oneof(
      fc.uint8Array({ maxLength: 2_000 }),
      fc.constantFrom(0, 16, PLAIN_BYTES, 2 * PLAIN_BYTES).map((bytes) => new Uint8Array(bytes + 40)),
    ),
    ...places,
  });
  fc.assert(fc.property(garbage, isRejected), { numRuns: 2_000 });
});

Deno.test("judge() never throws on garbage that a gateway signed", () => {
  const signingKey = gatewayKey(MASTER, { election: "test-2026", id: "g-1", version: 1 });
  const garbage = fc.record({
    sender: some32,
    head: fc.uint8Array({ maxLength: 40 }),
    kind: fc.constantFrom("vote", "statement"),
    ...places,
  });
  fc.assert(
    fc.property(garbage, ({ sender, head, kind, ...place }) => {
      const made = madeEntry({
        kind,
        sender: { publicKey: sender, privateKey: sender },
        sealingKey: new Uint8Array(32),
      });
      const value = new Uint8Array((kind === "vote" ? PLAIN_BYTES : 16) + 40);
      value.set(head);
      const number = fromHex("0000000000000001");
      const domain = kind === "vote" ? "pollwire/2 record" : "pollwire/2 statement";
      const context = [domain, "test-2026", "2", "test-2026/g-1.1", sender, number] as const;
      const signature = hmac(signingKey, lengthPrefixed(...context, value));
      assert.equal(verdict({ ...made, ...place, value, signature }), "rejected/cannot_open");
    }),
    { numRuns: 300 },
  );
});

Deno.test("judge() never throws on garbage that a gateway signed and sealed", () => {
  const plaintexts = fc.oneof(
    fc.uint8Array({ minLength: PLAIN_BYTES, maxLength: PLAIN_BYTES }),
    fc.tuple(fc.nat({ max: PLAIN_BYTES - 1 }), fc.nat({ max: 255 })).map(([at, byte]) => {
      const bytes = plainRecord();
      bytes[at] = bytes[at] === byte ? byte ^ 1 : byte;
      return bytes;
    }),
  );
  fc.assert(
    fc.property(plaintexts, fc.record(places), (plaintext, place) => {
      const { fate } = judged({ ...recordEntry({}, { plaintext }), ...place });
      // Another time of acceptance or manifest version may be legal: a gateway says those.
      assert.ok(["rejected", "acceptable", "held"].includes(fate));
    }),
    { numRuns: 2_000 },
  );
  const statements = fc.tuple(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  );
  fc.assert(
    fc.property(statements, oddNumbers, ([records, statedAtMs], number) => {
      const sequence = Number.isSafeInteger(number) && number >= 0 ? number : 0;
      const judgement = judged(statement({ sequence, plaintext: plainStatement(records, statedAtMs) }));
      if (judgement.fate === "statement") assert.ok(new Date(judgement.statedAtMs).toISOString());
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("judge() never throws on a text that a device signed, whatever it is", () => {
  const texts = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.string({ unit: "binary", maxLength: 100 }).map(utf8),
    fc.json({ maxDepth: 3 }).map(utf8).filter((text) => text.length <= FIRST.voteBytes),
  );
  fc.assert(
    fc.property(texts, (text) => assert.equal(verdict(recordEntry({ text })), "rejected/invalid_vote")),
    { numRuns: 1_000 },
  );
  assert.equal(verdict(recordEntry({ text: utf8("[".repeat(FIRST.voteBytes)) })), "rejected/invalid_vote");
});

Deno.test("judge() never throws on a vote in which some fields are anything at all", () => {
  const anything = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom("constructor", "__proto__", "toString", "n-1"),
  );
  const odd = fc.record({
    voteId: anything,
    voterId: anything,
    station: anything,
    mode: anything,
    selections: fc.oneof(
      anything,
      fc.array(fc.record({ contest: anything, candidate: anything }), { maxLength: 3 }),
    ),
    castAt: anything,
  }, { requiredKeys: [] });
  fc.assert(
    fc.property(odd, (fields) => {
      const { voteId, voterId, station, mode, selections, castAt } = testRecord("1");
      const text = utf8(JSON.stringify({ voteId, voterId, station, mode, selections, castAt, ...fields }));
      fc.pre(text.length <= FIRST.voteBytes);
      const { fate } = judged(recordEntry({ text }));
      assert.ok(fate === "rejected" || fate === "acceptable");
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("judge() never throws on an acceptance or an append at any time", () => {
  const times = fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.integer({ min: 0, max: 253_402_300_799_999 }).map(BigInt),
  );
  fc.assert(
    fc.property(times, places.appendedAtMs, (acceptedAtMs, appendedAtMs) => {
      const { fate } = judged(recordEntry({ acceptedAtMs }, { appendedAtMs }), historyOf(CLOSED_EARLY));
      assert.ok(["acceptable", "held", "rejected"].includes(fate));
    }),
    { numRuns: 1_000 },
  );
});

// What officials change while votes arrive.

const LATER_MS = NOON_MS + 600_000;
const behind = (change: Partial<TestRecord>) => entry(change, { offset: CHANGED_FROM });

Deno.test("judge() rejects what comes after certification, counts it again after a reopening, and keeps what came before", () => {
  const certified = manifestChange(LATER_MS, { version: 2, certified: true });
  const history = historyOf(certified);
  assert.equal(verdict(entry({}, { offset: BEFORE }), history), "acceptable");
  assert.equal(verdict(behind({}), history), "rejected/after_certification");
  assert.equal(
    verdict(behind({ selections: [ANN, BOB] }), history),
    "rejected/overvote",
    "other reasons come first",
  );
  const reopened = manifestChange(LATER_MS + 1, { version: 3 });
  assert.equal(verdict(behind({}), historyOf(certified, reopened)), "acceptable");
});

Deno.test("judge() rejects everything that comes after an election was cancelled, and holds what a draft does not allow", () => {
  const history = historyOf(manifestChange(LATER_MS, { version: 2, inactive: "cancelled" }));
  assert.equal(verdict(entry({}, { offset: BEFORE }), history), "acceptable");
  assert.equal(verdict(behind({}), history), "rejected/not_open", "also what was accepted before");
  assert.equal(verdict(behind({ selections: [ANN, BOB] }), history), "rejected/overvote");
  const draft = historyOf(manifestChange(NOON_MS - 120_000, { version: 2, inactive: "draft" }));
  assert.equal(verdict(behind({}), draft), "held/superseded");
});

Deno.test("judge() marks what was cast after the closing of a version before, also when other versions follow", () => {
  const at = (castAt: string, ...changes: Parameters<typeof historyOf>) => {
    const atMs = Date.parse(castAt);
    const found = judged(
      entry({ castAt, acceptedAt: castAt }, { offset: CHANGED_FROM, appendedAtMs: atMs }),
      historyOf(...changes),
    );
    assert.ok(found.fate === "acceptable", found.fate);
    return found.marks.filter(({ candidate }) => candidate === "#extended").map(({ contest }) => contest);
  };
  const extended = manifestChange(LATER_MS, { version: 2, closesAt: "2026-11-03T22:00:00.000Z" });
  const paused = manifestChange(LATER_MS + 1, {
    version: 3,
    closesAt: "2026-11-03T22:00:00.000Z",
    paused: ["s-1"],
  });
  assert.deepEqual(at("2026-11-03T21:00:00.000Z", extended), [], "the last moment is in time");
  assert.deepEqual(at("2026-11-03T21:00:00.001Z", extended), ["mayor", "council"]);
  assert.deepEqual(at("2026-11-03T21:00:00.001Z", extended, paused), ["mayor", "council"]);
});

Deno.test("judge() takes a vote of a paused station up to a minute into the pause, and holds a later one", () => {
  const history = historyOf(
    manifestChange(NOON_MS, { version: 2, paused: ["n-1"] }),
    manifestChange(LATER_MS, { version: 3 }),
  );
  const at = (ms: number, station = "n-1") =>
    verdict(
      behind({
        acceptedAt: new Date(ms).toISOString(),
        castAt: new Date(NOON_MS - 60_000).toISOString(),
        station,
        device: `${station}-a`,
      }),
      history,
    );
  assert.equal(at(NOON_MS - 1), "acceptable");
  assert.equal(at(NOON_MS + 59_999), "acceptable", "its gateway had not heard of it yet");
  assert.equal(at(NOON_MS + 61_000), "held/superseded");
  assert.equal(at(NOON_MS + 61_000, "s-1"), "acceptable", "other stations go on");
  assert.equal(at(LATER_MS + 1), "acceptable");
});
