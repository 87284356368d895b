import assert from "assert";
import fc from "fast-check";
import { elections, manifests } from "../tests/arbitraries.ts";
import {
  MASTER,
  testDefinition,
  testHistory,
  testManifest,
  testRecord,
  testSealer,
} from "../tests/fixture.ts";
import { equalBytes, fromHex, fromUtf8, lengthPrefixed, utf8 } from "./bytes.ts";
import { ELECTION_LIMITS, indexElection, type Manifest } from "./election.ts";
import { judge } from "./judge.ts";
import { gatewayKey, hmac, recordKey, seal, sealingKeyPair, unseal } from "./keys.ts";
import { marksOf } from "./marks.ts";
import { partitionOf } from "./partition.ts";
import {
  isRecordShaped,
  type LogRecord,
  longestRecordBytes,
  openRecord,
  parseRecord,
  RECORD_VERSION,
  recordBytesFor,
  recordContext,
  recordSealer,
  recordSignature,
  sealedBytes,
  type VoteRecord,
} from "./record.ts";
import { checkBallot, VOTING_MODES } from "./vote.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const MANIFEST = testManifest();
const HISTORY = testHistory(MANIFEST);
const SEALER = testSealer(MANIFEST);

function open(record: LogRecord, manifest = MANIFEST): VoteRecord | undefined {
  const sealingKey = testHistory(manifest).sealingKey(record.senderKey)!;
  const text = openRecord(sealingKey, recordContext(manifest.election, record), record.value);
  return text === undefined ? undefined : parseRecord(text);
}

/** The longest vote that a station can cast, put together with no regard for how the size is computed. */
function longestVote(manifest: Manifest, station: Manifest["stations"][number]): VoteRecord {
  const contests = manifest.contests.filter(({ id }) => station.contests?.includes(id) ?? true);
  return {
    voteId: "5f0c1f6e-0b1a-4c3d-8e2f-000000000001",
    station: station.id,
    mode: VOTING_MODES.toSorted((a, b) => b.length - a.length)[0],
    selections: contests.flatMap(({ id: contest, votesAllowed, candidates }) =>
      candidates.map(({ id }) => id).toSorted((a, b) => b.length - a.length).slice(0, votesAllowed)
        .map((candidate) => ({ contest, candidate }))
    ),
    castAt: manifest.opensAt,
    voterKey: "ff".repeat(32),
    manifestVersion: ELECTION_LIMITS.manifestVersion,
    acceptedAt: manifest.acceptsUntil,
  };
}

Deno.test("seal() gives all legal votes of an election values of one length", () => {
  fc.assert(
    fc.property(elections, ({ manifest, records }) => {
      const sealer = testSealer(manifest);
      for (const record of records) {
        assert.equal(sealer.seal(record).value.length, sealedBytes(manifest.recordBytes));
      }
    }),
    { numRuns: 1_000 },
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

Deno.test("longestRecordBytes() is an upper bound of every legal vote", () => {
  fc.assert(
    fc.property(elections, ({ manifest, records }) => {
      const longest = longestRecordBytes(manifest);
      for (const record of records) assert.ok(utf8(JSON.stringify(record)).length <= longest);
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("longestRecordBytes() is attained by a legal vote", () => {
  fc.assert(
    fc.property(manifests, (manifest) => {
      const index = indexElection(manifest);
      const votes = manifest.stations.map((station) => longestVote(manifest, station));
      for (const vote of votes) {
        assert.equal(checkBallot(index, vote, Date.parse(manifest.opensAt)), undefined);
        assert.deepEqual(parseRecord(JSON.stringify(vote)), vote);
      }
      const lengths = votes.map((vote) => utf8(JSON.stringify(vote)).length);
      assert.equal(longestRecordBytes(manifest), Math.max(...lengths));
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("longestRecordBytes() is attained where every vote is blank", () => {
  const stations = MANIFEST.stations.map((station) => ({ ...station, contests: [] }));
  const [first] = stations;
  assert.equal(
    longestRecordBytes({ ...MANIFEST, stations }),
    JSON.stringify(longestVote({ ...MANIFEST, stations }, first)).length,
  );
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
  for (let number = 0; longestRecordBytes(parts) + 158 <= lengthBytes; number++) {
    contests.push(contest(number, 64));
    parts = { ...parts, contests: contests.slice() };
  }
  const rest = lengthBytes - longestRecordBytes(parts);
  // What is left goes to one more contest with a shorter name, and to the station's.
  if (rest > 100) parts = { ...parts, contests: [...contests, contest(999, rest - 94)] };
  else parts = { ...parts, stations: [{ ...parts.stations[0], id: id(1, 1 + rest) }] };
  return parts;
}

Deno.test("longestRecordBytes() takes a vote as long as the limit and refuses one that is longer", () => {
  assert.equal(
    longestRecordBytes(electionOfLength(ELECTION_LIMITS.recordBytes)),
    ELECTION_LIMITS.recordBytes,
  );
  assert.throws(
    () => longestRecordBytes(electionOfLength(ELECTION_LIMITS.recordBytes + 1)),
    new RegExp(
      `may take ${ELECTION_LIMITS.recordBytes + 1} bytes, and ${ELECTION_LIMITS.recordBytes} is the limit`,
    ),
  );
});

Deno.test("recordBytesFor() stays within the limit, so that a manifest takes it", () => {
  assert.equal(recordBytesFor(electionOfLength(ELECTION_LIMITS.recordBytes)), ELECTION_LIMITS.recordBytes);
});

Deno.test("recordBytesFor() is a multiple of 64 with 64 bytes of room", () => {
  fc.assert(
    fc.property(manifests, (manifest) => {
      const size = recordBytesFor(manifest);
      const longest = longestRecordBytes(manifest);
      assert.equal(size % 64, 0);
      assert.ok(size >= longest + 64 && size < longest + 128, `${size} for ${longest}`);
    }),
    { numRuns: 300 },
  );
});

Deno.test("openRecord() and parseRecord() give back what seal() sealed", () => {
  fc.assert(
    fc.property(elections, ({ manifest, records }) => {
      const sealer = testSealer(manifest);
      for (const record of records) assert.deepEqual(open(sealer.seal(record), manifest), record);
    }),
    { numRuns: 300 },
  );
});

Deno.test("seal() writes a record that judge() accepts, whatever the vote", () => {
  fc.assert(
    fc.property(elections, ({ manifest, records }) => {
      const sealer = testSealer(manifest);
      const history = testHistory(manifest);
      for (const record of records) {
        const partition = partitionOf(fromHex(record.voterKey), manifest.partitions);
        const appendedAtMs = Date.parse(record.acceptedAt);
        const judgement = judge({ ...sealer.seal(record), partition, offset: 0, appendedAtMs }, history);
        const marks = marksOf(history.manifest(record.manifestVersion)!, record);
        assert.deepEqual(judgement, { fate: "acceptable", record, marks, region: "north", gateway: "g-1" });
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("seal() seals and signs as the format says", () => {
  const name = { election: "test-2026", id: "g-1", version: 1 };
  const signingKey = gatewayKey(MASTER, name);
  const aggregator = sealingKeyPair(MASTER, "test-2026");
  const senderKey = sealingKeyPair(MASTER, "any").publicKey;
  const sealingKey = recordKey(
    aggregator.privateKey,
    senderKey,
    "test-2026",
    senderKey,
    aggregator.publicKey,
  );
  const record = testRecord("1");
  const sealed = recordSealer({ name, signingKey, sealingKey, senderKey, recordBytes: MANIFEST.recordBytes })
    .seal(record);
  assert.equal(sealed.version, "1");
  assert.equal(sealed.keyId, "test-2026/g-1.1");
  assert.deepEqual(sealed.senderKey, senderKey);
  const context = ["pollwire/1 record", "test-2026", "1", "test-2026/g-1.1", senderKey] as const;
  assert.deepEqual(sealed.signature, hmac(signingKey, lengthPrefixed(...context, sealed.value)));
  const text = fromUtf8(unseal(sealingKey, sealed.value, lengthPrefixed(...context))!);
  assert.equal(text, JSON.stringify(record).padEnd(MANIFEST.recordBytes, " "));
});

Deno.test("recordSignature() computes what seal() signed, also after other records were sealed", () => {
  const signingKey = gatewayKey(MASTER, { election: "test-2026", id: "g-1", version: 1 });
  const records = Array.from({ length: 10 }, (_, i) => SEALER.seal(testRecord(String(i))));
  for (const record of records) {
    const signature = recordSignature(signingKey, recordContext("test-2026", record), record.value);
    assert.ok(equalBytes(signature, record.signature));
  }
});

Deno.test("seal() gives two seals of the same vote nothing in common but their headers", () => {
  const record = testRecord("1");
  const [a, b] = [SEALER.seal(record), SEALER.seal(record)];
  assert.deepEqual([a.version, a.keyId, a.senderKey], [b.version, b.keyId, b.senderKey]);
  assert.notDeepEqual(a.signature, b.signature);
  const same = a.value.filter((byte, i) => byte === b.value[i]).length;
  assert.ok(same < a.value.length / 10, `${same} of ${a.value.length} bytes are the same`);
});

Deno.test("seal() lets nothing of the vote be read", () => {
  const record = testRecord("1");
  const value = String.fromCharCode(...SEALER.seal(record).value);
  for (
    const word of [record.voterKey, record.voteId, record.station, "mayor", "ann", "candidate", "      "]
  ) {
    assert.ok(!value.includes(word), word);
  }
});

Deno.test("seal() refuses a record that is longer than the manifest allows", () => {
  const selections = Array(200).fill({ contest: "mayor", candidate: "ann" });
  assert.throws(
    () => SEALER.seal(testRecord("1", { selections })),
    /^RangeError: Cannot seal a record of \d+ bytes/,
  );
});

/** A record with one bit of one of its parts flipped. */
function flipped(record: LogRecord, part: keyof LogRecord, bit: number): LogRecord {
  const whole = record[part];
  const bytes = typeof whole === "string" ? utf8(whole) : whole.slice();
  bytes[(bit >> 3) % bytes.length] ^= 1 << (bit & 7);
  return { ...record, [part]: typeof whole === "string" ? String.fromCharCode(...bytes) : bytes };
}

const PARTS = ["version", "keyId", "senderKey", "signature", "value"] as const;

for (const part of PARTS) {
  Deno.test(`judge() rejects a flip of any bit of ${part}`, () => {
    const vote = testRecord("1");
    const record = SEALER.seal(vote);
    const place = {
      partition: partitionOf(fromHex(vote.voterKey), 3),
      offset: 0,
      appendedAtMs: Date.parse(vote.acceptedAt),
    };
    assert.equal(judge({ ...record, ...place }, HISTORY).fate, "acceptable");
    // Every bit; of the value every third, which touches every byte.
    const step = part === "value" ? 3 : 1;
    for (let bit = 0; bit < record[part].length * 8; bit += step) {
      const judgement = judge({ ...flipped(record, part, bit), ...place }, HISTORY);
      assert.ok(judgement.fate === "rejected", `bit ${bit}`);
      assert.ok(
        ["unreadable", "wrong_election", "unknown_gateway", "bad_signature"].includes(judgement.reason),
        `bit ${bit}: ${judgement.reason}`,
      );
    }
  });
}

Deno.test("openRecord() opens nothing with a bit flipped in what the seal is bound to", () => {
  const record = SEALER.seal(testRecord("1"));
  const sealingKey = HISTORY.sealingKey(record.senderKey)!;
  const opened = (each: LogRecord) => openRecord(sealingKey, recordContext("test-2026", each), each.value);
  assert.ok(opened(record));
  fc.assert(
    fc.property(fc.constantFrom(...PARTS), fc.nat(), (part, bit) => {
      const text = opened(flipped(record, part, bit));
      // Version and signature are checked before the seal, and not by it.
      if (part === "version" || part === "signature") assert.ok(text);
      else assert.equal(text, undefined);
    }),
    { numRuns: 1_000 },
  );
  assert.equal(openRecord(sealingKey, recordContext("test-2027", record), record.value), undefined);
});

Deno.test("openRecord() gives up on sealed bytes that are not UTF-8, and does not throw", () => {
  const record = SEALER.seal(testRecord("1"));
  const sealingKey = HISTORY.sealingKey(record.senderKey)!;
  const context = lengthPrefixed("pollwire/1 record", "test-2026", "1", record.keyId, record.senderKey);
  const value = seal(sealingKey, new Uint8Array(MANIFEST.recordBytes).fill(0xff), context);
  assert.equal(openRecord(sealingKey, recordContext("test-2026", record), value), undefined);
});

for (
  const [what, change, shaped] of [
    ["a record as it is sealed", {}, true],
    ["another version", { version: "2" }, false],
    ["no version", { version: "" }, false],
    ["a sender key of 31 bytes", { senderKey: new Uint8Array(31) }, false],
    ["no signature", { signature: new Uint8Array(0) }, false],
    ["a signature of 33 bytes", { signature: new Uint8Array(33) }, false],
    ["a value that is a byte short", { value: new Uint8Array(sealedBytes(MANIFEST.recordBytes) - 1) }, false],
    ["a value that is a byte long", { value: new Uint8Array(sealedBytes(MANIFEST.recordBytes) + 1) }, false],
    ["no value", { value: new Uint8Array(0) }, false],
  ] as const
) {
  Deno.test(`isRecordShaped() is ${shaped} of ${what}`, () => {
    assert.equal(
      isRecordShaped({ ...SEALER.seal(testRecord("1")), ...change }, MANIFEST.recordBytes),
      shaped,
    );
  });
}

Deno.test("RECORD_VERSION is what is on the logs there are", () => {
  assert.equal(RECORD_VERSION, "1");
});

// Each makes of a record's text one that is none.
for (
  const [what, text] of [
    ["an extra field", (record: VoteRecord) => JSON.stringify({ ...record, voterId: "1" })],
    ["a field less", ({ acceptedAt: _, ...record }: VoteRecord) => JSON.stringify(record)],
    ["__proto__", (record: VoteRecord) => `${JSON.stringify(record).slice(0, -1)},"__proto__":{}}`],
    ["a manifest version of 0", (record: VoteRecord) => JSON.stringify({ ...record, manifestVersion: 0 })],
    ["half a manifest version", (record: VoteRecord) => JSON.stringify({ ...record, manifestVersion: 1.5 })],
    [
      "a voter key in capitals",
      (record: VoteRecord) => JSON.stringify({ ...record, voterKey: "AB".repeat(32) }),
    ],
    [
      "a voter key of 31 bytes",
      (record: VoteRecord) => JSON.stringify({ ...record, voterKey: "ab".repeat(31) }),
    ],
    ["a time that is none", (record: VoteRecord) => JSON.stringify({ ...record, acceptedAt: "noon" })],
    ["a mode that is none", (record: VoteRecord) => JSON.stringify({ ...record, mode: "by_proxy" })],
    ["a second record behind it", (record: VoteRecord) => JSON.stringify(record).repeat(2)],
    ["its end cut off", (record: VoteRecord) => JSON.stringify(record).slice(0, -1)],
    ["an array around it", (record: VoteRecord) => JSON.stringify([record])],
    ["nothing in it", () => ""],
    ["null", () => "null"],
  ] as const
) {
  Deno.test(`parseRecord() refuses a text with ${what}`, () => {
    const record = testRecord("1");
    assert.deepEqual(parseRecord(JSON.stringify(record)), record);
    assert.equal(parseRecord(text(record)), undefined);
  });
}

Deno.test("parseRecord() never throws", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => assert.equal(parseRecord(text), undefined)),
    { numRuns: 1_000 },
  );
});

Deno.test("recordBytesFor() asks for a definition's contests and stations only", () => {
  const { contests, stations } = testDefinition();
  assert.equal(recordBytesFor({ contests, stations }), MANIFEST.recordBytes);
});
