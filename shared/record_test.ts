import assert from "assert";
import fc from "fast-check";
import { elections, manifests, voterIds } from "../tests/arbitraries.ts";
import { plainRecord, voteText } from "../tests/entries.ts";
import {
  MASTER,
  NOON_MS,
  placed,
  testDefinition,
  testDevice,
  testHistory,
  testManifest,
  type TestRecord,
  testRecord,
  testSealer,
  testVoterKey,
} from "../tests/fixture.ts";
import { equalBytes, fromHex, lengthPrefixed, utf8 } from "./bytes.ts";
import { ELECTION_LIMITS, indexElection, type Manifest, MAX_INSTANT_MS } from "./election.ts";
import { judge } from "./judge.ts";
import { gatewayKey, hmac, recordKey, sealingKeyPair, unseal } from "./keys.ts";
import type { PlacedRecord } from "./log/vote_log.ts";
import { marksOf } from "./marks.ts";
import {
  decodeRecord,
  encodeRecord,
  ENTRY_KINDS,
  entryContext,
  type EntryHead,
  entryRecords,
  entrySealer,
  entrySignature,
  type LogRecord,
  longestVoteBytes,
  MAX_ENTRY_RECORDS,
  MAX_SEQUENCE,
  openEntry,
  RECORD_OVERHEAD_BYTES,
  RECORD_VERSION,
  recordBytes,
  type RecordContent,
  sealedBytes,
  voteBytesFor,
} from "./record.ts";
import { STATEMENT_BYTES } from "./statement.ts";
import { VOTING_MODES } from "./mode.ts";
import { checkBallot, voteSchema } from "./vote.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const MANIFEST = testManifest();
const HISTORY = testHistory(MANIFEST);
const SEALER = testSealer(MANIFEST);

/** The longest vote that a station can cast, put together with no regard for how the size is computed. */
function longestVote(manifest: Manifest, station: Manifest["stations"][number]): TestRecord {
  const contests = manifest.contests.filter(({ id }) => station.contests?.includes(id) ?? true);
  return testRecord("v".repeat(64), {
    election: manifest.election,
    voterKey: testVoterKey("v".repeat(64), manifest.election),
    station: station.id,
    device: testDevice(station.id),
    mode: VOTING_MODES.toSorted((a, b) => b.length - a.length)[0],
    selections: contests.flatMap(({ id: contest, votesAllowed, candidates }) =>
      candidates.map(({ id }) => id).toSorted((a, b) => b.length - a.length).slice(0, votesAllowed)
        .map((candidate) => ({ contest, candidate }))
    ),
    castAt: manifest.opensAt,
    acceptedAt: manifest.opensAt,
  });
}

/** A vote's text with a space after each separator, as Python's `json.dumps` writes it. */
function spaced(vote: TestRecord): Uint8Array {
  return utf8(spacedJson(JSON.parse(new TextDecoder().decode(voteText(vote)))));
}

function spacedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spacedJson).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${spacedJson(each)}`);
  return `{${members.join(", ")}}`;
}

// Length.

Deno.test("seal() gives all legal votes of an election values of one length", () => {
  fc.assert(
    fc.property(elections, ({ manifest, records }) => {
      const sealer = testSealer(manifest);
      for (const record of records) {
        assert.equal(sealer.seal(record).value.length, sealedBytes(manifest.voteBytes));
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("seal() gives a blank vote and the longest one values of one length, at every station", () => {
  fc.assert(
    fc.property(manifests, (manifest) => {
      const sealer = testSealer(manifest);
      const lengths = manifest.stations.flatMap((station) => {
        const longest = longestVote(manifest, station);
        return [longest, { ...longest, selections: [] }].map((record) => sealer.seal(record).value.length);
      });
      assert.equal(new Set(lengths).size, 1);
    }),
    { numRuns: 300 },
  );
});

Deno.test("longestVoteBytes() is attained by a legal vote, and by none exceeded", () => {
  fc.assert(
    fc.property(manifests, (manifest) => {
      const index = indexElection(manifest);
      const votes = manifest.stations.map((station) => longestVote(manifest, station));
      for (const vote of votes) {
        assert.equal(checkBallot(index, vote, Date.parse(manifest.opensAt)), undefined);
        assert.ok(voteSchema.safeParse(JSON.parse(new TextDecoder().decode(voteText(vote)))).success);
      }
      assert.equal(longestVoteBytes(manifest), Math.max(...votes.map((vote) => voteText(vote).length)));
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("longestVoteBytes() is attained where every vote is blank", () => {
  const stations = MANIFEST.stations.map((station) => ({ ...station, contests: [] }));
  const [first] = stations;
  const manifest = { ...MANIFEST, stations };
  assert.equal(longestVoteBytes(manifest), voteText(longestVote(manifest, first)).length);
});

Deno.test("voteBytesFor() has room for every legal vote, with or without spaces, and any voter id", () => {
  fc.assert(
    fc.property(elections, voterIds, ({ manifest, records }, voterId) => {
      for (const record of records) {
        for (const vote of [record, { ...record, voterId }, { ...record, voterId: `"\\`.repeat(32) }]) {
          assert.ok(voteText(vote).length <= manifest.voteBytes);
          assert.ok(spaced(vote).length <= manifest.voteBytes);
        }
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("voteBytesFor() has room for the longest vote with spaces where another station's is longer without them", () => {
  // Ten contests with long names here, forty-five with short ones there: the second's spaces take more than the first's names.
  const contest = (id: string) => ({ ...MANIFEST.contests[0], id, candidates: [{ id, name: "x" }] });
  const long = Array.from({ length: 10 }, (_, i) => contest(`${i}`.padStart(64, "a")));
  const short = Array.from({ length: 45 }, (_, i) => contest(`${i}`.padStart(2, "b")));
  const [first, second] = MANIFEST.stations;
  const manifest = {
    ...MANIFEST,
    contests: [...long, ...short],
    stations: [
      { ...first, contests: long.map(({ id }) => id) },
      { ...second, contests: short.map(({ id }) => id) },
    ],
  };
  const [a, b] = manifest.stations.map((station) => longestVote(manifest, station));
  assert.ok(voteText(a).length > voteText(b).length && spaced(b).length > spaced(a).length + 64);
  assert.ok(spaced(b).length + 64 <= voteBytesFor(manifest));
});

/** An election whose longest vote is as long as asked for, in bytes. */
function electionOfLength(lengthBytes: number) {
  const id = (number: number, length: number) => `${number}`.padStart(length, "a");
  const contest = (number: number, length: number) => ({
    ...MANIFEST.contests[0],
    id: id(number, length),
    candidates: [{ id: id(number, 64), name: "x" }],
  });
  const contests = [];
  let parts = {
    contests: [contest(0, 4)],
    stations: [{ ...MANIFEST.stations[0], id: "a", contests: undefined }],
  };
  for (let number = 0; longestVoteBytes(parts) + 158 <= lengthBytes; number++) {
    contests.push(contest(number, 64));
    parts = { ...parts, contests: contests.slice() };
  }
  const rest = lengthBytes - longestVoteBytes(parts);
  // What is left goes to one more contest with a shorter name, and to the station's.
  if (rest > 100) parts = { ...parts, contests: [...contests, contest(999, rest - 94)] };
  else parts = { ...parts, stations: [{ ...parts.stations[0], id: id(1, 1 + rest) }] };
  return parts;
}

Deno.test("longestVoteBytes() takes a vote as long as the limit and refuses one that is longer", () => {
  const { voteBytes } = ELECTION_LIMITS;
  assert.equal(longestVoteBytes(electionOfLength(voteBytes)), voteBytes);
  assert.throws(
    () => longestVoteBytes(electionOfLength(voteBytes + 1)),
    new RegExp(`may take ${voteBytes + 1} bytes, and ${voteBytes} is the limit`),
  );
});

Deno.test("voteBytesFor() stays within the limit, so that a manifest takes it", () => {
  assert.equal(voteBytesFor(electionOfLength(ELECTION_LIMITS.voteBytes)), ELECTION_LIMITS.voteBytes);
});

Deno.test("voteBytesFor() is a multiple of 64, and asks for a definition's contests and stations only", () => {
  fc.assert(
    fc.property(manifests, (manifest) => {
      assert.equal(voteBytesFor(manifest) % 64, 0);
      assert.ok(voteBytesFor(manifest) >= longestVoteBytes(manifest) + 64);
    }),
    { numRuns: 300 },
  );
  const { contests, stations } = testDefinition();
  assert.equal(voteBytesFor({ contests, stations }), MANIFEST.voteBytes);
});

// Plaintext.

const VOTE_BYTES = 300;
const proofKeys = fc.tuple(fc.stringMatching(/^[a-z0-9-]{1,64}$/), fc.integer({ min: 1, max: 999_999 }))
  .map(([device, version]) => `${device}.${version}`);
const contents: fc.Arbitrary<RecordContent> = fc.record({
  acceptedAtMs: fc.oneof(fc.integer({ min: 0, max: MAX_INSTANT_MS }), fc.constantFrom(0, MAX_INSTANT_MS)),
  manifestVersion: fc.oneof(fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.constantFrom(1, 2 ** 32 - 1)),
  proofKey: fc.oneof(proofKeys, fc.constantFrom("a.1", `${"d".repeat(64)}.999999`)),
  proof: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  vote: fc.oneof(
    fc.uint8Array({ maxLength: VOTE_BYTES }),
    fc.constantFrom(0, VOTE_BYTES).map((length) => new Uint8Array(length)),
  ),
}, { noNullPrototype: true });

Deno.test("decodeRecord() reads what encodeRecord() wrote", () => {
  fc.assert(
    fc.property(contents, (content) => {
      const bytes = encodeRecord(content, VOTE_BYTES);
      assert.equal(bytes.length, recordBytes(VOTE_BYTES));
      assert.deepEqual(decodeRecord(bytes), content);
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("decodeRecord() reads nothing but what encodeRecord() writes, byte for byte", () => {
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 3 });
  let read = 0;
  fc.assert(
    fc.property(contents, changes, (content, edits) => {
      const bytes = encodeRecord(content, VOTE_BYTES);
      // Most of the changes hit what is before the vote.
      for (const [at, to] of edits) bytes[at % (at % 3 === 0 ? bytes.length : 90)] = to;
      const found = decodeRecord(bytes);
      if (found === undefined) return;
      read++;
      assert.deepEqual(encodeRecord(found, VOTE_BYTES), bytes);
    }),
    { numRuns: 5_000 },
  );
  assert.ok(read > 500, "some are read: the property says something");
});

Deno.test("decodeRecord() never throws, and reads only what encodeRecord() writes, of any bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      const found = decodeRecord(bytes);
      if (found !== undefined) {
        assert.deepEqual(encodeRecord(found, bytes.length - RECORD_OVERHEAD_BYTES), bytes);
      }
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("decodeRecord() reads a record that is a part of a larger buffer", () => {
  const content: RecordContent = {
    acceptedAtMs: NOON_MS,
    manifestVersion: 3,
    proofKey: "n-1-a.1",
    proof: new Uint8Array(32).fill(7),
    vote: utf8("{}"),
  };
  const buffer = new Uint8Array(1_000).fill(0xff);
  buffer.set(encodeRecord(content, VOTE_BYTES), 77);
  assert.deepEqual(decodeRecord(buffer.subarray(77, 77 + recordBytes(VOTE_BYTES))), content);
});

Deno.test("encodeRecord() writes the bytes that the format says", () => {
  const vote = testRecord("1");
  const proof = new Uint8Array(32).map((_, i) => i);
  const bytes = encodeRecord({
    acceptedAtMs: Date.parse(vote.acceptedAt),
    manifestVersion: 1,
    proofKey: "n-1-a.1",
    proof,
    vote: voteText(vote),
  }, MANIFEST.voteBytes);
  assert.deepEqual(bytes, plainRecord({ vote, proof }));
});

for (
  const [what, change, message] of [
    ["a proof of 31 bytes", { proof: new Uint8Array(31) }, /a proof of 31 bytes/],
    ["a proof key's name that is too long", { proofKey: `${"d".repeat(66)}.999999` }, /a name of 73 bytes/],
    ["a time before 1970", { acceptedAtMs: -1 }, /accepted at -1/],
    ["a time past the year 9999", { acceptedAtMs: MAX_INSTANT_MS + 1 }, /accepted at 253402300800000/],
  ] as const
) {
  Deno.test(`encodeRecord() refuses ${what}, which decodeRecord() would not read`, () => {
    const content = {
      acceptedAtMs: 0,
      manifestVersion: 1,
      proofKey: "a.1",
      proof: new Uint8Array(32),
      vote: utf8("{}"),
    };
    assert.throws(() => encodeRecord({ ...content, ...change }, VOTE_BYTES), message);
  });
}

Deno.test("encodeRecord() refuses a vote that is longer than the manifest allows", () => {
  const content = { acceptedAtMs: 0, manifestVersion: 1, proofKey: "a.1", proof: new Uint8Array(32) };
  assert.ok(encodeRecord({ ...content, vote: new Uint8Array(VOTE_BYTES) }, VOTE_BYTES));
  assert.throws(
    () => encodeRecord({ ...content, vote: new Uint8Array(VOTE_BYTES + 1) }, VOTE_BYTES),
    new RangeError("Cannot record a vote of 301 bytes: the manifest allows 300"),
  );
});

// Entries.

Deno.test("seal() writes an entry that judge() accepts, whatever the vote", () => {
  fc.assert(
    fc.property(elections, ({ manifest, records }) => {
      const sealer = testSealer(manifest);
      const history = testHistory(manifest);
      for (const [i, record] of records.entries()) {
        const entry = placed(sealer, record, manifest.partitions);
        const { election: _, voterId: __, ...known } = record;
        assert.deepEqual(
          judge({ ...entry, offset: 0, appendedAtMs: Date.parse(record.acceptedAt) }, history),
          [{
            fate: "acceptable",
            record: known,
            marks: marksOf(indexElection(manifest), record),
            region: "north",
            revision: 1,
            gateway: "g-1",
            gatewayKey: "g-1.1",
            sequence: i + 1,
          }],
        );
      }
    }),
    { numRuns: 300 },
  );
});

/** A sealer whose keys a test has. */
function knownSealer() {
  const name = { election: "test-2026", id: "g-1", version: 1 };
  const signingKey = gatewayKey(MASTER, name);
  const aggregator = sealingKeyPair(MASTER, "test-2026");
  const { publicKey: senderKey } = sealingKeyPair(MASTER, "any");
  const sealingKey = recordKey(
    aggregator.privateKey,
    senderKey,
    "test-2026",
    senderKey,
    aggregator.publicKey,
  );
  return {
    signingKey,
    sealingKey,
    senderKey,
    sealer: entrySealer({ name, signingKey, sealingKey, senderKey }),
  };
}

for (
  const [kind, domain, sequence, number] of [
    ["vote", "pollwire/2 record", 258, "0000000000000102"],
    ["statement", "pollwire/2 statement", MAX_SEQUENCE, "0001000000000000"],
  ] as const
) {
  Deno.test(`seal() seals and signs a ${kind} as the format says`, () => {
    const { signingKey, sealingKey, senderKey, sealer } = knownSealer();
    const plaintext = utf8("anything at all");
    const { signature, value, ...head } = sealer.seal(kind, sequence, plaintext);
    assert.deepEqual(head, { version: "2", kind, keyId: "test-2026/g-1.1", senderKey, sequence });
    const context = [domain, "test-2026", "2", "test-2026/g-1.1", senderKey, fromHex(number)] as const;
    assert.deepEqual(signature, hmac(signingKey, lengthPrefixed(...context, value)));
    assert.deepEqual(unseal(sealingKey, value, lengthPrefixed(...context)), plaintext);
    assert.deepEqual(openEntry(sealingKey, entryContext("test-2026", { ...head }), value), plaintext);
  });
}

Deno.test("entrySignature() computes what seal() signed, also after other entries were sealed", () => {
  const signingKey = gatewayKey(MASTER, { election: "test-2026", id: "g-1", version: 1 });
  const entries = Array.from({ length: 10 }, (_, i) => SEALER.seal(testRecord(String(i))));
  for (const entry of [...entries, SEALER.state()]) {
    const signature = entrySignature(signingKey, entryContext("test-2026", entry), entry.value);
    assert.ok(equalBytes(signature, entry.signature));
  }
});

Deno.test("entryContext() gives entries that differ in anything contexts that differ", () => {
  const head: EntryHead = {
    version: "2",
    kind: "vote",
    keyId: "e/g.1",
    senderKey: new Uint8Array(32),
    sequence: 1,
  };
  const others = [
    { ...head, version: "3" },
    { ...head, kind: "statement" },
    { ...head, keyId: "e/g.2" },
    { ...head, senderKey: new Uint8Array(32).fill(1) },
    { ...head, sequence: 2 },
    { ...head, sequence: 1 + 2 ** 32 },
  ];
  const contexts = [...[head, ...others].map((each) => entryContext("e", each)), entryContext("f", head)];
  assert.equal(new Set(contexts.map((each) => each.toHex())).size, 8);
});

for (const kind of ["", "votes", "constructor", "__proto__", "toString"]) {
  Deno.test(`entryContext() refuses the kind ${JSON.stringify(kind)}`, () => {
    const head = { version: "2", kind, keyId: "e/g.1", senderKey: new Uint8Array(32), sequence: 1 };
    assert.throws(() => entryContext("e", head), new RangeError(`Cannot sign an entry of kind ${kind}`));
  });
}

Deno.test("seal() gives two seals of the same vote nothing in common but their headers", () => {
  const { sealer } = knownSealer();
  const plaintext = plainRecord();
  const [a, b] = [sealer.seal("vote", 1, plaintext), sealer.seal("vote", 1, plaintext)];
  assert.notDeepEqual(a.signature, b.signature);
  const same = a.value.filter((byte, i) => byte === b.value[i]).length;
  assert.ok(same < a.value.length / 10, `${same} of ${a.value.length} bytes are the same`);
});

Deno.test("seal() lets nothing of the vote be read", () => {
  const record = testRecord("voter-1");
  const value = String.fromCharCode(...SEALER.seal(record).value);
  for (
    const word of [record.voterId, record.voteId, record.device, "mayor", "ann", "candidate", "\0\0\0\0"]
  ) {
    assert.ok(!value.includes(word), word);
  }
});

/** An entry with one bit of one of its parts flipped. */
function flipped(
  entry: LogRecord,
  part: "version" | "kind" | "keyId" | "senderKey" | "signature" | "value",
  bit: number,
) {
  const whole = entry[part];
  const bytes = typeof whole === "string" ? utf8(whole) : whole.slice();
  bytes[(bit >> 3) % bytes.length] ^= 1 << (bit & 7);
  return { ...entry, [part]: typeof whole === "string" ? String.fromCharCode(...bytes) : bytes };
}

const PARTS = ["version", "kind", "keyId", "senderKey", "signature", "value"] as const;
const UNSIGNED = ["unreadable", "wrong_election", "unknown_gateway", "bad_signature"];

const WHOLE: [string, PlacedRecord][] = [
  ["a vote", placed(SEALER, testRecord("1"))],
  ["a statement", { ...SEALER.state(), partition: 0 }],
];
for (const [what, whole] of WHOLE) {
  const place = { offset: 0, appendedAtMs: NOON_MS };
  for (const part of PARTS) {
    Deno.test(`judge() rejects a flip of any bit of ${part} of ${what}`, () => {
      assert.notEqual(judge({ ...whole, ...place }, HISTORY)[0].fate, "rejected");
      // Every bit; of the value every third, which touches every byte.
      const step = part === "value" ? 3 : 1;
      for (let bit = 0; bit < whole[part].length * 8; bit += step) {
        const [judgement] = judge(
          { ...flipped(whole, part, bit), partition: whole.partition, ...place },
          HISTORY,
        );
        assert.ok(judgement.fate === "rejected", `bit ${bit}`);
        assert.ok(UNSIGNED.includes(judgement.reason), `bit ${bit}: ${judgement.reason}`);
      }
    });
  }

  Deno.test(`judge() rejects a flip of any bit of the sequence of ${what}`, () => {
    for (let bit = 0; bit < 53; bit++) {
      const sequence = Number(BigInt(whole.sequence) ^ (1n << BigInt(bit)));
      const [judgement] = judge({ ...whole, sequence, ...place }, HISTORY);
      assert.ok(judgement.fate === "rejected" && UNSIGNED.includes(judgement.reason), `bit ${bit}`);
    }
  });
}

Deno.test("openEntry() opens nothing with a bit flipped in what the seal is bound to", () => {
  const entry = SEALER.seal(testRecord("1"));
  const sealingKey = HISTORY.sealingKey(entry.senderKey)!;
  const opened = (each: LogRecord) => openEntry(sealingKey, entryContext("test-2026", each), each.value);
  assert.ok(opened(entry));
  fc.assert(
    fc.property(fc.constantFrom("version", "keyId", "senderKey", "value"), fc.nat(), (part, bit) => {
      assert.equal(opened(flipped(entry, part as "version", bit)), undefined);
    }),
    { numRuns: 1_000 },
  );
  assert.equal(opened({ ...entry, kind: "statement" }), undefined);
  assert.equal(opened({ ...entry, sequence: entry.sequence + 1 }), undefined);
  assert.equal(openEntry(sealingKey, entryContext("test-2027", entry), entry.value), undefined);
});

const ENTRY = SEALER.seal(testRecord("1"));
const STATEMENT = SEALER.state(3);
const value = (plainBytes: number) => new Uint8Array(plainBytes + 40);
const RECORD_BYTES = recordBytes(MANIFEST.voteBytes);

for (
  const [what, entry, records] of [
    ["an entry of one record", ENTRY, 1],
    ["an entry of as many as the limit", { ...ENTRY, value: value(MAX_ENTRY_RECORDS * RECORD_BYTES) }, 64],
    ["an entry of one more", { ...ENTRY, value: value((MAX_ENTRY_RECORDS + 1) * RECORD_BYTES) }, undefined],
    ["an entry of half a record more", { ...ENTRY, value: value(1.5 * RECORD_BYTES) }, undefined],
    ["a value that is a byte short", { ...ENTRY, value: value(RECORD_BYTES - 1) }, undefined],
    ["a value that is a byte long", { ...ENTRY, value: value(RECORD_BYTES + 1) }, undefined],
    ["a value of a seal alone", { ...ENTRY, value: value(0) }, undefined],
    ["no value", { ...ENTRY, value: new Uint8Array(0) }, undefined],
    ["another version", { ...ENTRY, version: "1" }, undefined],
    ["another kind", { ...ENTRY, kind: "toString" }, undefined],
    ["a sender key of 31 bytes", { ...ENTRY, senderKey: new Uint8Array(31) }, undefined],
    ["a signature of 33 bytes", { ...ENTRY, signature: new Uint8Array(33) }, undefined],
    ["a vote of number 0", { ...ENTRY, sequence: 0 }, undefined],
    ["a vote of no number", { ...ENTRY, sequence: NaN }, undefined],
    ["a vote of the greatest number", { ...ENTRY, sequence: MAX_SEQUENCE }, 1],
    ["a vote of a greater number", { ...ENTRY, sequence: MAX_SEQUENCE + 1 }, undefined],
    ["two votes up to the greatest number", {
      ...ENTRY,
      sequence: MAX_SEQUENCE - 1,
      value: value(2 * RECORD_BYTES),
    }, 2],
    ["two votes past it", { ...ENTRY, sequence: MAX_SEQUENCE, value: value(2 * RECORD_BYTES) }, undefined],
    ["a statement", STATEMENT, 1],
    ["a statement of no records", { ...STATEMENT, sequence: 0 }, 1],
    ["a statement that is a byte long", { ...STATEMENT, value: value(STATEMENT_BYTES + 1) }, undefined],
    ["a statement of two", { ...STATEMENT, value: value(2 * STATEMENT_BYTES) }, undefined],
    ["a statement of a number past the limit", { ...STATEMENT, sequence: MAX_SEQUENCE + 1 }, undefined],
  ] as const
) {
  Deno.test(`entryRecords() says ${records} of ${what}`, () => {
    assert.equal(entryRecords(entry, MANIFEST.voteBytes), records);
  });
}

Deno.test("the version and the kinds are what is on the logs there are", () => {
  assert.equal(RECORD_VERSION, "2");
  assert.deepEqual(ENTRY_KINDS, ["vote", "statement"]);
  assert.equal(RECORD_OVERHEAD_BYTES, 122);
});
