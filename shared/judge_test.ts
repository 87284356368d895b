import assert from "assert";
import fc from "fast-check";
import { MASTER, NOON_MS, testHistory, testManifest, testRecord } from "../tests/fixture.ts";
import { fromHex, lengthPrefixed, utf8 } from "./bytes.ts";
import { type ElectionHistory, judge, type Judgement } from "./judge.ts";
import { formatKeyName, gatewayKey, hmac, recordKey, seal, sealingKeyPair } from "./keys.ts";
import type { StoredRecord } from "./log/vote_log.ts";
import { marksOf } from "./marks.ts";
import { REJECTION_REASONS, type RejectionReason } from "./outcome.ts";
import { partitionOf } from "./partition.ts";
import type { VoteRecord } from "./record.ts";
import { MAX_CLOCK_SKEW_MS } from "./vote.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const FIRST = testManifest();
// Version 2: the election office closes station s-2 and lets gateway g-1 go back to n-1 and n-2 alone.
const SECOND = {
  ...FIRST,
  version: 2,
  stations: FIRST.stations.filter(({ id }) => id !== "s-2"),
  gateways: [
    { id: "g-1", stations: ["n-1", "n-2"], fallbackFor: [] },
    { id: "g-2", stations: ["s-1"], fallbackFor: ["n-1"] },
  ],
};
const HISTORY: ElectionHistory = testHistory(FIRST, SECOND);

const SENDER = sealingKeyPair(MASTER, "a gateway process");
const SEALING_KEY = recordKey(
  SENDER.privateKey,
  fromHex(FIRST.sealingKey),
  FIRST.election,
  SENDER.publicKey,
  fromHex(FIRST.sealingKey),
);

/** How a record came about; every field is a place where it can go wrong. */
type Making = {
  vote: VoteRecord;
  gateway: string;
  keyVersion: number;
  election: string;
  version: string;
  signingKey: Uint8Array | undefined;
  sealingKey: Uint8Array;
  senderKey: Uint8Array;
  /** What is sealed, when it is not the vote's text. */
  text: Uint8Array | undefined;
  partition: number | undefined;
  appendedAtMs: number | undefined;
};

function making(change: Partial<Making> = {}): Making {
  return {
    vote: testRecord("1"),
    gateway: "g-1",
    keyVersion: 1,
    election: FIRST.election,
    version: "1",
    signingKey: undefined,
    sealingKey: SEALING_KEY,
    senderKey: SENDER.publicKey,
    text: undefined,
    partition: undefined,
    appendedAtMs: undefined,
    ...change,
  };
}

/** Puts a record on the log, as the format says and in no words of record.ts, so that it can also lie. */
function make(change: Partial<Making> = {}): StoredRecord {
  const { vote, gateway, keyVersion, election, version, ...made } = making(change);
  const name = { election, id: gateway, version: keyVersion };
  const keyId = formatKeyName(name);
  const context = ["pollwire/1 record", election, "1", keyId, made.senderKey] as const;
  const padded = new Uint8Array(FIRST.recordBytes).fill(0x20);
  const text = made.text ?? utf8(JSON.stringify(vote));
  padded.set(text.subarray(0, FIRST.recordBytes));
  const value = seal(made.sealingKey, padded, lengthPrefixed(...context));
  return {
    version,
    keyId,
    senderKey: made.senderKey,
    signature: hmac(made.signingKey ?? gatewayKey(MASTER, name), lengthPrefixed(...context, value)),
    value,
    partition: made.partition ?? partitionOf(fromHex(vote.voterKey), FIRST.partitions),
    offset: 7,
    appendedAtMs: made.appendedAtMs ?? Date.parse(vote.acceptedAt),
  };
}

function reasonOf(judgement: Judgement): RejectionReason | undefined {
  return judgement.fate === "rejected" ? judgement.reason : undefined;
}

Deno.test("judge() accepts a record that is in order, and says region and gateway", () => {
  const vote = testRecord("1");
  assert.deepEqual(judge(make({ vote }), HISTORY), {
    fate: "acceptable",
    record: vote,
    marks: marksOf(HISTORY.manifest(1)!, vote),
    region: "north",
    gateway: "g-1",
  });
});

/** The reasons that judge() can give: all but those that need the roll. */
type JudgedReason = Exclude<RejectionReason, "unknown_voter" | "wrong_station">;

const ANN = { contest: "mayor", candidate: "ann" };
const at = (ms: number) => new Date(ms).toISOString();
const OPENS_MS = Date.parse(FIRST.opensAt);
const CLOSES_MS = Date.parse(FIRST.closesAt);
const ACCEPTS_UNTIL_MS = Date.parse(FIRST.acceptsUntil);

/** Ways to each reason, in words, and the record that went it. */
const REJECTED: Record<JudgedReason, [string, StoredRecord][]> = {
  unreadable: [
    ["another version of the format", make({ version: "2" })],
    ["no key id", { ...make(), keyId: "" }],
    ["a key id that is no key name", { ...make(), keyId: "test-2026/g-1" }],
    ["a signature that is too short", { ...make(), signature: new Uint8Array(31) }],
    ["a sender key that is too long", { ...make(), senderKey: new Uint8Array(33) }],
    ["a value of another length", { ...make(), value: make().value.subarray(1) }],
    ["no value", { ...make(), value: new Uint8Array(0) }],
  ],
  wrong_election: [["a gateway of another election", make({ election: "test-2027" })]],
  unknown_gateway: [["a gateway that no manifest names", make({ gateway: "g-9" })]],
  bad_signature: [
    ["another key", make({ signingKey: new Uint8Array(32) })],
    [
      "another version of the gateway's key",
      make({ signingKey: gatewayKey(MASTER, { election: "test-2026", id: "g-1", version: 2 }) }),
    ],
    ["another gateway's name", { ...make(), keyId: "test-2026/g-2.1" }],
    ["another record's value", { ...make(), value: make().value }],
    ["another sender key", { ...make(), senderKey: sealingKeyPair(MASTER, "another").publicKey }],
  ],
  cannot_open: [
    ["a seal under another key", make({ sealingKey: new Uint8Array(32) })],
    ["a sender key that agreed on another", make({ senderKey: sealingKeyPair(MASTER, "another").publicKey })],
    ["a sender key of low order", make({ senderKey: new Uint8Array(32) })],
    ["a sealed text that is not UTF-8", make({ text: new Uint8Array(FIRST.recordBytes).fill(0xff) })],
  ],
  malformed: [
    ["a sealed text that is no JSON", make({ text: utf8("vote") })],
    ["a sealed text that is blank", make({ text: new Uint8Array(0) })],
    ["a sealed vote id that is none", make({ vote: testRecord("1", { voteId: "1" }) })],
    ["a sealed field too many", make({ text: utf8(JSON.stringify({ ...testRecord("1"), voterId: "1" })) })],
    [
      "a day that does not exist",
      make({ vote: testRecord("1", { acceptedAt: "2026-11-31T12:00:00.000Z" }) }),
    ],
  ],
  wrong_partition: [
    ["the next partition", make({ partition: (partitionOf(fromHex(testRecord("1").voterKey), 3) + 1) % 3 })],
    ["a partition that there is not", make({ partition: 99 })],
  ],
  unknown_manifest: [["a version never published", make({ vote: testRecord("1", { manifestVersion: 3 }) })]],
  accepted_in_future: [
    ["a clock past the limit", make({ appendedAtMs: NOON_MS - MAX_CLOCK_SKEW_MS - 1 })],
  ],
  not_open: [
    ["acceptance before opening", make({ vote: testRecord("1", { acceptedAt: at(OPENS_MS - 1) }) })],
    ["acceptance too late", make({ vote: testRecord("1", { acceptedAt: at(ACCEPTS_UNTIL_MS + 1) }) })],
  ],
  cast_out_of_hours: [
    ["a vote before opening", make({ vote: testRecord("1", { castAt: at(OPENS_MS - 1) }) })],
    [
      "a vote after closing",
      make({ vote: testRecord("1", { castAt: at(CLOSES_MS + 1), acceptedAt: at(ACCEPTS_UNTIL_MS) }) }),
    ],
    [
      "a vote from the gateway's future",
      make({ vote: testRecord("1", { castAt: at(NOON_MS + MAX_CLOCK_SKEW_MS + 1) }) }),
    ],
  ],
  unknown_station: [
    ["a station that there never was", make({ vote: testRecord("1", { station: "n-9" }) })],
    [
      "a station that this version has no more",
      make({ gateway: "g-2", vote: testRecord("1", { station: "s-2", manifestVersion: 2 }) }),
    ],
  ],
  unknown_contest: [
    [
      "a contest of other stations",
      make({
        vote: testRecord("1", { station: "n-2", selections: [{ contest: "council", candidate: "dan" }] }),
      }),
    ],
  ],
  unknown_candidate: [
    [
      "a candidate of another contest",
      make({ vote: testRecord("1", { selections: [{ contest: "mayor", candidate: "dan" }] }) }),
    ],
  ],
  repeated_candidate: [["a candidate twice", make({ vote: testRecord("1", { selections: [ANN, ANN] }) })]],
  overvote: [
    [
      "two of one",
      make({ vote: testRecord("1", { selections: [ANN, { contest: "mayor", candidate: "bob" }] }) }),
    ],
  ],
  foreign_station: [
    ["a station of another gateway", make({ vote: testRecord("1", { station: "s-2" }) })],
    [
      "a station that this version takes from the gateway",
      make({ vote: testRecord("1", { station: "s-1", manifestVersion: 2 }) }),
    ],
  ],
};

for (const [reason, ways] of Object.entries(REJECTED)) {
  for (const [what, record] of ways) {
    Deno.test(`judge() rejects ${what}: ${reason}`, () => {
      const judgement = judge(record, HISTORY);
      assert.equal(reasonOf(judgement), reason);
    });
  }
}

Deno.test("judge() has a test for every reason that it can give", () => {
  assert.deepEqual(
    Object.keys(REJECTION_REASONS).filter((reason) => !(reason in REJECTED)),
    ["unknown_voter", "wrong_station"],
  );
});

for (
  const [what, change] of [
    ["a clock ahead by the limit", { appendedAtMs: NOON_MS - MAX_CLOCK_SKEW_MS }],
    ["a vote that lay in the spool for a year", { appendedAtMs: NOON_MS + 365 * 86_400_000 }],
    ["a fallback gateway", { gateway: "g-2" }],
    ["another version of a gateway's key", { keyVersion: 2 }],
    ["a station by the version that had it", { gateway: "g-2", vote: testRecord("1", { station: "s-2" }) }],
    ["a fallback by the version that named it", { vote: testRecord("1", { station: "s-1" }) }],
    ["a blank vote", { vote: testRecord("1", { selections: [] }) }],
    ["a vote at the opening", { vote: testRecord("1", { castAt: at(OPENS_MS), acceptedAt: at(OPENS_MS) }) }],
    [
      "a vote at the closing, accepted at the last moment",
      { vote: testRecord("1", { castAt: at(CLOSES_MS), acceptedAt: at(ACCEPTS_UNTIL_MS) }) },
    ],
  ] as [string, Partial<Making>][]
) {
  Deno.test(`judge() accepts ${what}`, () => {
    assert.equal(reasonOf(judge(make(change), HISTORY)), undefined);
  });
}

// What can go wrong together, one list a place where it can. A record has at most one of each list.
type Spoiling = [JudgedReason, (making: Making) => void];
const SPOILINGS: Spoiling[][] = [
  [["unreadable", (m) => m.version = "2"]],
  [["wrong_election", (m) => m.election = "test-2027"]],
  [
    ["unknown_gateway", (m) => m.gateway = "g-9"],
    ["foreign_station", (m) => m.vote = { ...m.vote, station: "s-2" }],
    ["unknown_station", (m) => m.vote = { ...m.vote, station: "n-9" }],
  ],
  [["bad_signature", (m) => m.signingKey = new Uint8Array(32)]],
  [["cannot_open", (m) => m.sealingKey = new Uint8Array(32)]],
  [["malformed", (m) => m.vote = { ...m.vote, voteId: "1" }]],
  [["wrong_partition", (m) => m.partition = 99]],
  [["unknown_manifest", (m) => m.vote = { ...m.vote, manifestVersion: 3 }]],
  [["accepted_in_future", (m) => m.appendedAtMs = 0]],
  [["not_open", (m) => m.vote = { ...m.vote, acceptedAt: at(ACCEPTS_UNTIL_MS + 1) }]],
  [["cast_out_of_hours", (m) => m.vote = { ...m.vote, castAt: at(OPENS_MS - 1) }]],
  [
    [
      "unknown_contest",
      (m) => m.vote = { ...m.vote, selections: [{ contest: "sheriff", candidate: "ann" }] },
    ],
    [
      "unknown_candidate",
      (m) => m.vote = { ...m.vote, selections: [{ contest: "mayor", candidate: "zoe" }] },
    ],
    ["repeated_candidate", (m) => m.vote = { ...m.vote, selections: [ANN, ANN] }],
    ["overvote", (m) => m.vote = { ...m.vote, selections: [ANN, { contest: "mayor", candidate: "bob" }] }],
  ],
];

Deno.test("judge() gives the first reason of REJECTION_REASONS when there are several", () => {
  const order = Object.keys(REJECTION_REASONS);
  const some = fc.tuple(
    ...SPOILINGS.map((place) => fc.option(fc.constantFrom(...place), { nil: undefined, freq: 2 })),
  );
  fc.assert(
    fc.property(some, (chosen) => {
      const spoilings = chosen.filter((spoiling) => spoiling !== undefined);
      const made = making();
      for (const [, spoil] of spoilings) spoil(made);
      const reasons = spoilings.map(([reason]) => reason).toSorted((a, b) =>
        order.indexOf(a) - order.indexOf(b)
      );
      assert.equal(reasonOf(judge(make(made), HISTORY)), reasons[0]);
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("judge() names the gateway once its signature was checked, and the record once it was read", () => {
  for (const [reason, ways] of Object.entries(REJECTED) as [JudgedReason, [string, StoredRecord][]][]) {
    for (const [what, stored] of ways) {
      const judgement = judge(stored, HISTORY);
      assert.ok(judgement.fate === "rejected");
      const believed = !["unreadable", "wrong_election", "unknown_gateway", "bad_signature"].includes(reason);
      const opened = believed && !["cannot_open", "malformed"].includes(reason);
      assert.equal(judgement.gateway !== undefined, believed, `${reason}: ${what}`);
      assert.equal(judgement.record !== undefined, opened, `${reason}: ${what}`);
    }
  }
});

Deno.test("judge() gives the same judgement of the same bytes again", () => {
  for (const [, stored] of Object.values(REJECTED).flat()) {
    assert.deepEqual(judge(stored, HISTORY), judge(structuredClone(stored), HISTORY));
  }
});

const REASONS = new Set(Object.keys(REJECTION_REASONS));

/** Holds a judgement to the closed list; a throw fails the property by itself. */
function isJudged(stored: StoredRecord): void {
  const judgement = judge(stored, HISTORY);
  assert.ok(judgement.fate === "rejected", "garbage is accepted");
  assert.ok(REASONS.has(judgement.reason), judgement.reason);
}

const some32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const places = {
  partition: fc.oneof(fc.nat({ max: 3 }), fc.integer()),
  offset: fc.nat(),
  appendedAtMs: fc.oneof(fc.integer(), fc.constant(NOON_MS), fc.constantFrom(0, -1, Number.MAX_SAFE_INTEGER)),
};

Deno.test("judge() never throws on garbage of any size", () => {
  const garbage = fc.record({
    version: fc.oneof(fc.constant("1"), fc.string({ unit: "binary" })),
    keyId: fc.oneof(fc.constantFrom("test-2026/g-1.1", "test-2026/g-1", "/"), fc.string({ unit: "binary" })),
    senderKey: fc.oneof(some32, fc.uint8Array({ maxLength: 64 })),
    signature: fc.oneof(some32, fc.uint8Array({ maxLength: 64 })),
    value: fc.oneof(
      fc.uint8Array({ maxLength: 2_000 }),
      fc.constant(new Uint8Array(FIRST.recordBytes + 40)),
    ),
    ...places,
  });
  fc.assert(fc.property(garbage, isJudged), { numRuns: 1_000 });
});

Deno.test("judge() never throws on garbage that a gateway signed", () => {
  const keyId = "test-2026/g-1.1";
  const signingKey = gatewayKey(MASTER, { election: "test-2026", id: "g-1", version: 1 });
  const garbage = fc.record({ senderKey: some32, head: fc.uint8Array({ maxLength: 40 }), ...places })
    .map(({ senderKey, head, ...place }) => {
      const value = new Uint8Array(FIRST.recordBytes + 40);
      value.set(head);
      const signature = hmac(
        signingKey,
        lengthPrefixed("pollwire/1 record", "test-2026", "1", keyId, senderKey, value),
      );
      return { version: "1", keyId, senderKey, signature, value, ...place };
    });
  fc.assert(
    fc.property(garbage, (stored) => {
      isJudged(stored);
      assert.equal(reasonOf(judge(stored, HISTORY)), "cannot_open");
    }),
    { numRuns: 300 },
  );
});

Deno.test("judge() never throws on garbage that a gateway signed and sealed", () => {
  const texts = fc.oneof(
    fc.uint8Array({ maxLength: 400 }),
    fc.string({ unit: "binary" }).map(utf8),
    fc.json().map(utf8),
  );
  fc.assert(
    fc.property(texts, fc.record(places), (text, place) => isJudged({ ...make({ text }), ...place })),
    { numRuns: 1_000 },
  );
});

Deno.test("judge() never throws on a vote in which some fields are anything at all", () => {
  const anything = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom("constructor", "__proto__", "toString", "n-1"),
  );
  const odd = fc.record({
    voteId: anything,
    station: anything,
    mode: anything,
    selections: fc.oneof(
      anything,
      fc.array(fc.record({ contest: anything, candidate: anything }), { maxLength: 3 }),
    ),
    castAt: anything,
    voterKey: anything,
    manifestVersion: anything,
    acceptedAt: anything,
  }, { requiredKeys: [] });
  fc.assert(
    fc.property(odd, (fields) => {
      const text = utf8(JSON.stringify({ ...testRecord("1"), ...fields }));
      const { fate } = judge(make({ text }), HISTORY);
      assert.ok(fate === "rejected" || fate === "acceptable");
    }),
    { numRuns: 1_000 },
  );
});
