/**
 * A log for docs/vectors.json that has every outcome and every reason, with the history that it is judged by.
 *
 * @module
 */
import { fromHex, lengthPrefixed, utf8 } from "../../shared/bytes.ts";
import type { Manifest } from "../../shared/election.ts";
import {
  gatewayKey,
  hmac,
  type KeyPair,
  proofKey,
  pseudonymKey,
  sealingKeyPair,
  sha256,
} from "../../shared/keys.ts";
import type { StoredRecord } from "../../shared/log/vote_log.ts";
import { partitionOf } from "../../shared/partition.ts";
import {
  type EntryMaking,
  madeEntry,
  plainRecord,
  plainStatement,
  type RecordMaking,
  voteText,
} from "../entries.ts";
import { MASTER, NOON_MS, testManifest, type TestRecord, testRecord } from "../fixture.ts";
import type { KeptChange } from "../kept_history.ts";

/** What is expected of one record. */
export type ExpectedRecord = {
  outcome: string;
  /** The record's number, where it opened. */
  sequence?: number;
  /** How far the gateway's clock was ahead, where it was by more than 300 s. */
  clockAheadMs?: number;
  /** The vote id came before with other contents. */
  altered?: true;
  /** What a decision made of it. */
  decided?: string;
};
export type LogVector = { name: string; entry: StoredRecord; expected: ExpectedRecord[] };

const MANIFEST = testManifest();
const ELECTION = MANIFEST.election;
const OPENS_MS = Date.parse(MANIFEST.opensAt);
const CLOSES_MS = Date.parse(MANIFEST.closesAt);
const ACCEPTS_UNTIL_MS = Date.parse(MANIFEST.acceptsUntil);
const HOUR_MS = 3_600_000;
const ANN = { contest: "mayor", candidate: "ann" };
const BOB = { contest: "mayor", candidate: "bob" };
const DAN = { contest: "council", candidate: "dan" };
const at = (ms: number) => new Date(ms).toISOString();

/** Writes a log step by step: changes apply from where the log ends then. */
class LogWriter {
  readonly changes: KeptChange[] = [];
  readonly entries: LogVector[] = [];
  readonly #ends = new Array<number>(MANIFEST.partitions).fill(0);
  readonly #sequences = new Map<string, number>();
  #made = 0;

  change(change: KeptChange["change"]): void {
    this.changes.push({ from: [...this.#ends], change });
  }

  /** Leaves an offset out, as a broker does for its control records. */
  skip(partition: number): void {
    this.#ends[partition]++;
  }

  nextVoteId(): string {
    return `5f0c1f6e-0b1a-4c3d-8e2f-${String(++this.#made).padStart(12, "0")}`;
  }

  /** Appends an entry that is numbered by its sender key, and sealed under a nonce of its own. */
  append(
    name: string,
    making: Partial<EntryMaking>,
    expected: ExpectedRecord[],
    change: Partial<StoredRecord> = {},
  ): string {
    const { partition = 0, sender = SENDER } = making;
    const id = sender.publicKey.toHex();
    const sequence = making.sequence ?? (this.#sequences.get(id) ?? 0) + 1;
    if (making.sequence === undefined) this.#sequences.set(id, sequence + expected.length - 1);
    const offset = this.#ends[partition]++;
    const nonce = sha256(utf8(`nonce ${this.entries.length}`)).subarray(0, 24);
    const entry = { ...madeEntry({ sender, sequence, nonce, offset, ...making, partition }), ...change };
    for (const [index, record] of expected.entries()) {
      if (OPENED.test(record.outcome) && making.kind !== "statement") record.sequence = sequence + index;
    }
    this.entries.push({ name, entry, expected });
    return `${partition}/${offset}/0`;
  }

  /** Appends one record, on its voter's partition, when it was accepted. */
  vote(name: string, outcome: string, made: VoteMaking = {}, more: Partial<ExpectedRecord> = {}): string {
    const { voter = this.nextVoter(), vote: change, record, entry, headers } = made;
    const vote = this.record(voter, change);
    return this.append(
      name,
      {
        plaintext: plainRecord({ vote, ...record }),
        partition: partitionOf(fromHex(vote.voterKey), MANIFEST.partitions),
        appendedAtMs: Date.parse(vote.acceptedAt),
        ...entry,
      },
      [{ outcome, ...more }],
      headers,
    );
  }

  record(voter: string, change: Partial<TestRecord> = {}): TestRecord {
    return testRecord(voter, { voteId: this.nextVoteId(), ...change });
  }

  #voters = 0;
  nextVoter(): string {
    if (this.#voters === MAX_VOTERS) throw new Error("The vectors need more voters on the roll");
    return `voter-${++this.#voters}`;
  }

  get voters(): string[] {
    return Array.from({ length: MAX_VOTERS }, (_, i) => `voter-${i + 1}`);
  }
}

/** Voters on the roll from the beginning. */
const MAX_VOTERS = 200;
/** Outcomes of records that opened, so that their number is believed. */
const OPENED =
  /^(?!rejected\/(unreadable|wrong_election|unknown_gateway|bad_signature|cannot_open)|statement)/;

type VoteMaking = {
  voter?: string;
  vote?: Partial<TestRecord>;
  record?: Partial<RecordMaking>;
  entry?: Partial<EntryMaking>;
  headers?: Partial<StoredRecord>;
};

const SENDER: KeyPair = sealingKeyPair(MASTER, "vectors, a sender key of g-1");
const SECOND_SENDER: KeyPair = sealingKeyPair(MASTER, "vectors, a sender key of g-2");
const BY_SECOND: Partial<EntryMaking> = { gateway: "g-2", sender: SECOND_SENDER };

function gatewayKeyChange(gateway: string, version = 1): KeptChange["change"] {
  const key = gatewayKey(MASTER, { election: ELECTION, id: gateway, version }).toHex();
  return { kind: "gateway_key", gateway, version, key };
}

function deviceKeyChange(device: string, station: string, version = 1): KeptChange["change"] {
  const key = proofKey(MASTER, { election: ELECTION, id: device, version }).toHex();
  return { kind: "device_key", device, version, station, key };
}

function voterKey(voter: string): string {
  return hmac(pseudonymKey(MASTER, ELECTION), utf8(voter)).toHex();
}

function rollEntry(voter: string, change: { region?: string; station?: string | null } = {}) {
  return {
    voterKey: voterKey(voter),
    region: "north",
    station: null,
    ageGroup: "30-44",
    gender: "f",
    ...change,
  };
}

/** The log and its history. */
export function vectorLog(): { changes: KeptChange[]; entries: LogVector[] } {
  const log = new LogWriter();
  log.change({ kind: "manifest", effectiveAt: at(OPENS_MS - HOUR_MS), manifest: MANIFEST });
  for (const gateway of ["g-1", "g-2"]) log.change(gatewayKeyChange(gateway));
  for (const { id } of MANIFEST.stations) log.change(deviceKeyChange(`${id}-a`, id));
  const roll = [
    ...log.voters.map((voter) => rollEntry(voter)),
    rollEntry("voter-south", { region: "south" }),
    rollEntry("voter-n-2", { station: "n-2" }),
    rollEntry("voter-s-1", { station: "s-1" }),
    rollEntry("voter-struck"),
  ];
  log.change({ kind: "roll", add: roll, strike: [] });
  goodVotes(log);
  rejectedOnes(log);
  rollOnes(log);
  clocks(log);
  keys(log);
  manifests(log);
  decisions(log);
  noVotes(log);
  laterManifests(log);
  return { changes: log.changes, entries: log.entries };
}

function goodVotes(log: LogWriter): void {
  const vote = log.record("voter-1");
  const entry = (change: Partial<TestRecord>, making: Partial<EntryMaking> = {}) => ({
    plaintext: plainRecord({ vote: { ...vote, ...change } }),
    partition: partitionOf(fromHex(vote.voterKey), MANIFEST.partitions),
    ...making,
  });
  log.nextVoter();
  log.append("a vote", entry({}), [{ outcome: "counted" }]);
  log.append("the same record again, byte for byte in its plaintext", entry({}), [{
    outcome: "duplicate/retransmission",
  }]);
  log.append(
    "the same vote through the other gateway, later",
    entry({ acceptedAt: at(NOON_MS + 60_000) }, BY_SECOND),
    [
      { outcome: "duplicate/retransmission" },
    ],
  );
  log.append("the same vote id with other contents", entry({ selections: [BOB] }), [
    { outcome: "duplicate/retransmission", altered: true },
  ]);
  log.append("another vote id of a voter who has voted", entry({ voteId: log.nextVoteId() }), [
    { outcome: "duplicate/double_vote" },
  ]);
  log.vote("a blank vote", "counted", { vote: { selections: [] } });
  log.vote("as many candidates as the contests allow", "counted", {
    vote: { selections: [DAN, ANN, { contest: "council", candidate: "eve" }], mode: "early" },
  });
  log.vote("cast and accepted at the opening", "counted", {
    vote: { castAt: at(OPENS_MS), acceptedAt: at(OPENS_MS) },
  });
  log.vote("cast at the closing, accepted at the last moment", "counted", {
    vote: { castAt: at(CLOSES_MS), acceptedAt: at(ACCEPTS_UNTIL_MS) },
  });
  log.vote("cast as far ahead of its gateway's clock as is allowed", "counted", {
    vote: { castAt: at(NOON_MS + 300_000) },
  });
  log.vote("a vote that lay in the spool for a year", "counted", {
    entry: { appendedAtMs: NOON_MS + 365 * 24 * HOUR_MS },
  });
  const text = (vote: TestRecord) => new TextDecoder().decode(voteText(vote));
  const odd = log.record(log.nextVoter());
  const spaced = text(odd).replace(`"voterId":"v`, `"voterId" : "\\u0076`);
  log.vote("a text with white space and an escape", "counted", {
    voter: odd.voterId,
    vote: odd,
    record: { text: utf8(`\t${spaced}\n`) },
  });
  const long = log.record(log.nextVoter());
  log.vote("a text as long as the manifest allows", "counted", {
    voter: long.voterId,
    vote: long,
    record: { text: utf8(text(long).padEnd(MANIFEST.voteBytes)) },
  });
  several(log);
  log.append("a statement", { kind: "statement", sequence: 5, plaintext: plainStatement(5), partition: 2 }, [
    { outcome: "statement" },
  ]);
  log.append("a statement that no record was taken", {
    kind: "statement",
    sequence: 0,
    plaintext: plainStatement(0),
    ...BY_SECOND,
  }, [{ outcome: "statement" }]);
}

/** Voters of partition 1, who are on the roll. */
function neighbours(log: LogWriter, count: number): TestRecord[] {
  const found: TestRecord[] = [];
  while (found.length < count) {
    const record = log.record(log.nextVoter());
    if (partitionOf(fromHex(record.voterKey), MANIFEST.partitions) === 1) found.push(record);
  }
  return found;
}

function join(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

function several(log: LogWriter): void {
  const [a, b, c, d] = neighbours(log, 4);
  const plaintext = join(
    plainRecord({ vote: a }),
    plainRecord({ vote: b, proof: new Uint8Array(32) }),
    plainRecord({ vote: c }),
    plainRecord({ vote: c }),
    plainRecord({ vote: { ...d, selections: [ANN, BOB] } }),
  );
  log.append("an entry of five records", { plaintext, partition: 1 }, [
    { outcome: "counted" },
    { outcome: "rejected/bad_proof" },
    { outcome: "counted" },
    { outcome: "duplicate/retransmission" },
    { outcome: "rejected/overvote" },
  ]);
  log.append("an entry of two records that nobody signed", {
    plaintext: join(plainRecord({ vote: b }), plainRecord({ vote: d })),
    partition: 1,
    sequence: 900,
    signingKey: new Uint8Array(32),
  }, [{ outcome: "rejected/bad_signature" }, { outcome: "rejected/bad_signature" }]);
  log.skip(1);
  log.vote("an entry behind an offset that the log leaves out", "counted", { voter: b.voterId, vote: b });
}

/** What can go wrong, in the order of the checks. */
type Spoil = (record: Partial<RecordMaking> & { vote: TestRecord }, entry: Partial<EntryMaking>) => void;
const SPOILS: [string, Spoil][] = [
  ["unreadable", (_, entry) => entry.version = "1"],
  ["wrong_election", (_, entry) => entry.election = "test-2027"],
  ["unknown_gateway", (_, entry) => entry.gateway = "g-9"],
  ["bad_signature", (_, entry) => entry.signingKey = new Uint8Array(32)],
  ["cannot_open", (_, entry) => entry.sealingKey = new Uint8Array(32)],
  ["malformed", (record) => record.scheme = 9],
  ["bad_proof", (record) => record.proof = new Uint8Array(32)],
  ["invalid_vote", (record) => record.text = utf8(`${new TextDecoder().decode(voteText(record.vote))}]`)],
  ["wrong_partition", (record, entry) => {
    entry.partition = (partitionOf(fromHex(record.vote.voterKey), MANIFEST.partitions) + 1) %
      MANIFEST.partitions;
  }],
  ["unknown_manifest", (record) => record.vote = { ...record.vote, manifestVersion: 9 }],
  ["not_open", (record) => record.vote = { ...record.vote, acceptedAt: at(ACCEPTS_UNTIL_MS + 1) }],
  ["cast_out_of_hours", (record) => record.vote.castAt = at(OPENS_MS - 1)],
  ["unknown_station", (record) => record.vote.station = "n-9"],
  ["unknown_contest", (record) => record.vote.selections = [{ contest: "sheriff", candidate: "ann" }]],
  ["unknown_candidate", (record) => record.vote.selections = [{ contest: "mayor", candidate: "zoe" }]],
  ["repeated_candidate", (record) => record.vote.selections = [ANN, ANN]],
  ["overvote", (record) => record.vote.selections = [ANN, BOB]],
  ["foreign_device", (record) => record.device = "s-1-a"],
  [
    "foreign_station",
    (record) =>
      record.vote = { ...record.vote, station: "s-2", device: record.vote.device.replace("n-1", "s-2") },
  ],
];

function rejectedOnes(log: LogWriter): void {
  SPOILS.forEach(([reason], i) => {
    for (
      const [name, spoils] of [[`${reason}, and nothing else wrong`, [SPOILS[i]]], [
        `${reason}, and all that is checked later`,
        SPOILS.slice(i),
      ]] as const
    ) {
      const vote = { ...log.record(log.nextVoter()) };
      const record = { vote };
      const entry: Partial<EntryMaking> = {
        partition: partitionOf(fromHex(vote.voterKey), MANIFEST.partitions),
        appendedAtMs: ACCEPTS_UNTIL_MS,
      };
      // From the last to the first, so that what comes first in the order of the checks is what stays.
      for (const [, spoil] of spoils.toReversed()) spoil(record, entry);
      log.append(name, { ...entry, plaintext: plainRecord(record) }, [{ outcome: `rejected/${reason}` }]);
    }
  });
  moreUnreadable(log);
  moreRejected(log);
}

function moreUnreadable(log: LogWriter): void {
  const outcome = "rejected/unreadable";
  log.vote("a kind that is none", outcome, { headers: { kind: "votes" } });
  log.vote("a key id that is none", outcome, { headers: { keyId: "test-2026/g-1" } });
  log.vote("a signature of 31 bytes", outcome, { headers: { signature: new Uint8Array(31) } });
  log.vote("no sender key", outcome, { headers: { senderKey: new Uint8Array(0) } });
  log.vote("no sequence", outcome, { headers: { sequence: NaN } });
  log.vote("number 0", outcome, { entry: { sequence: 0 } });
  log.vote("a number past 2^48", outcome, { entry: { sequence: 2 ** 48 + 1 } });
  log.vote("a value that is a byte long", outcome, {
    headers: { value: new Uint8Array(163 + MANIFEST.voteBytes) },
  });
  log.append("a statement of a number past 2^48", {
    kind: "statement",
    sequence: 2 ** 48 + 1,
    plaintext: plainStatement(2 ** 48 + 1),
  }, [{ outcome }]);
  log.append("a statement as long as a vote", {
    kind: "statement",
    sequence: 1,
    plaintext: plainRecord({ vote: log.record("voter-1") }),
  }, [{ outcome }]);
}

function moreRejected(log: LogWriter): void {
  const statement = { kind: "statement", sequence: 3, plaintext: plainStatement(3) };
  log.append("a statement under a vote's domain", { ...statement, domain: "pollwire/2 record" }, [
    { outcome: "rejected/bad_signature" },
  ]);
  log.append("a statement of another number than its header's", {
    ...statement,
    plaintext: plainStatement(4),
  }, [
    { outcome: "rejected/malformed" },
  ]);
  log.vote("a sender key of low order", "rejected/cannot_open", {
    entry: {
      sender: { publicKey: new Uint8Array(32), privateKey: SENDER.privateKey },
      sealingKey: new Uint8Array(32),
      sequence: 1,
    },
  });
  const malformed = (name: string, spoil: (bytes: Uint8Array, view: DataView) => void) => {
    const vote = log.record(log.nextVoter());
    const plaintext = plainRecord({ vote });
    spoil(plaintext, new DataView(plaintext.buffer));
    log.vote(name, "rejected/malformed", { voter: vote.voterId, vote, entry: { plaintext } });
  };
  malformed("a token in place of a voter id", (bytes) => bytes[0] = 2);
  malformed("a time past the year 9999", (_, view) => view.setBigUint64(2, 253_402_300_800_000n));
  malformed("padding that is not zero", (bytes) => bytes[bytes.length - 1] = 1);
  malformed(
    "a vote a byte longer than the manifest allows",
    (_, view) => view.setUint32(54, MANIFEST.voteBytes + 1),
  );
  const vote = log.record(log.nextVoter());
  const altered = { ...vote, selections: [BOB] };
  log.vote("a selection that the gateway changed", "rejected/bad_proof", {
    voter: vote.voterId,
    vote,
    record: { vote: altered, provenText: voteText(vote) },
  });
  log.vote("a vote that the gateway made up, under the key that it has of the device", "rejected/bad_proof", {
    record: { proofKey: hmac(MASTER, utf8("any other key")) },
  });
  log.vote("a version of the device's key that there is not", "rejected/bad_proof", {
    record: { deviceVersion: 2 },
  });
  const doubled = log.record(log.nextVoter());
  const text = new TextDecoder().decode(voteText(doubled));
  log.vote("a vote with a key twice, which many programs would read", "rejected/invalid_vote", {
    voter: doubled.voterId,
    vote: doubled,
    record: { text: utf8(text.replace("{", `{"mode":"early",`)) },
  });
  log.vote("manifest version 0", "rejected/unknown_manifest", { vote: { manifestVersion: 0 } });
  log.vote("a contest of other stations", "rejected/unknown_contest", {
    vote: { station: "n-2", selections: [DAN] },
  });
  log.vote("cast too far ahead of its gateway's clock", "rejected/cast_out_of_hours", {
    vote: { castAt: at(NOON_MS + 300_001) },
  });
  log.vote("an overvote before an unknown contest: the first selection decides", "rejected/overvote", {
    vote: { selections: [ANN, BOB, { contest: "sheriff", candidate: "ann" }] },
  });
}

function rollOnes(log: LogWriter): void {
  log.vote("a voter who is not on the roll", "rejected/unknown_voter", { voter: "nobody" });
  log.vote("a voter of another station", "rejected/wrong_station", { voter: "voter-n-2" });
  log.vote("a voter of this station", "counted", { voter: "voter-n-2", vote: { station: "n-2" } });
  log.vote("a voter of another region", "rejected/wrong_region", { voter: "voter-south" });
  log.vote("a voter of another station, whose region is another too", "rejected/wrong_station", {
    voter: "voter-s-1",
  });
  log.vote("a voter whose station the roll names, in another region", "counted", {
    voter: "voter-s-1",
    vote: { station: "s-1" },
  });
  log.vote("a voter who is added later", "rejected/unknown_voter", { voter: "voter-late" });
  log.change({
    kind: "roll",
    add: [rollEntry("voter-late")],
    strike: [{ voterKey: voterKey("voter-struck"), at: at(NOON_MS + HOUR_MS) }],
  });
  log.vote("a voter who was added, accepted before that", "counted", { voter: "voter-late" });
  log.vote("a voter who was struck, accepted then", "rejected/unknown_voter", {
    voter: "voter-struck",
    vote: { acceptedAt: at(NOON_MS + HOUR_MS) },
  });
  log.vote("a voter who was struck, accepted before that", "counted", {
    voter: "voter-struck",
    vote: { acceptedAt: at(NOON_MS + HOUR_MS - 1) },
  });
}

function clocks(log: LogWriter): void {
  const cast = { castAt: at(OPENS_MS) };
  const ahead = (acceptedMs: number, appendedAtMs: number, more: Partial<TestRecord> = {}): VoteMaking => ({
    vote: { ...cast, acceptedAt: at(acceptedMs), ...more },
    entry: { appendedAtMs },
  });
  log.vote("a clock ahead by 300 s", "counted", ahead(NOON_MS + 300_000, NOON_MS));
  log.vote("a clock ahead by more, while votes are taken", "counted", ahead(NOON_MS + 300_001, NOON_MS), {
    clockAheadMs: 300_001,
  });
  log.vote(
    "a clock ahead, appended at the last moment",
    "counted",
    ahead(ACCEPTS_UNTIL_MS + 400_000, ACCEPTS_UNTIL_MS),
    {
      clockAheadMs: 400_000,
    },
  );
  log.vote(
    "a clock ahead, appended after that",
    "held/clock",
    ahead(ACCEPTS_UNTIL_MS + 400_000, ACCEPTS_UNTIL_MS + 1),
    {
      clockAheadMs: 399_999,
      decided: "counted",
    },
  );
  log.vote(
    "a clock ahead, appended before the opening",
    "held/clock",
    ahead(OPENS_MS + 300_000, OPENS_MS - 1),
    {
      clockAheadMs: 300_001,
      decided: "rejected/by_decision",
    },
  );
  log.vote(
    "a clock ahead, appended before the opening, with an overvote",
    "rejected/overvote",
    ahead(OPENS_MS + 300_000, OPENS_MS - 1, { selections: [ANN, BOB] }),
  );
}

function keys(log: LogWriter): void {
  const rotated = { keyVersion: 2 };
  log.vote("a key that is made later", "rejected/unknown_gateway", { entry: rotated });
  log.change(gatewayKeyChange("g-1", 2));
  log.vote("a new key of the gateway", "counted", { entry: rotated });
  log.vote("its old key, which is not revoked", "counted");
  log.change({ kind: "gateway_revoked", gateway: "g-1", version: 1 });
  log.vote("a revoked key of the gateway", "held/gateway_revoked", {}, { decided: "rejected/by_decision" });
  log.vote("a revoked key, accepted long before", "held/gateway_revoked", {
    vote: { castAt: at(OPENS_MS), acceptedAt: at(OPENS_MS) },
  }, { decided: "rejected/by_decision" });
  log.vote("a revoked key, and a voter who is not on the roll", "rejected/unknown_voter", {
    voter: "nobody",
  });
  log.vote("a revoked key, accepted when no votes were taken", "rejected/not_open", {
    vote: { acceptedAt: at(OPENS_MS - 1) },
    entry: { appendedAtMs: NOON_MS },
  });
  log.append("a statement under a revoked key", {
    kind: "statement",
    sequence: 9,
    plaintext: plainStatement(9),
  }, [
    { outcome: "statement" },
  ]);
  log.change(deviceKeyChange("n-1-a", "n-1", 2));
  log.change({ kind: "device_revoked", device: "n-1-a", version: 1 });
  log.vote("a revoked key of the device", "held/device_revoked", { entry: rotated }, { decided: "counted" });
  log.vote("both keys revoked, and a clock ahead", "held/gateway_revoked", {
    vote: { castAt: at(OPENS_MS), acceptedAt: at(OPENS_MS + 300_000) },
    entry: { appendedAtMs: OPENS_MS - 1 },
  }, { clockAheadMs: 300_001, decided: "rejected/by_decision" });
  log.vote("the device's key revoked, and a clock ahead", "held/device_revoked", {
    vote: { castAt: at(OPENS_MS), acceptedAt: at(OPENS_MS + 300_000) },
    entry: { ...rotated, appendedAtMs: OPENS_MS - 1 },
  }, { clockAheadMs: 300_001, decided: "counted" });
  log.vote("a new key of the device", "counted", { record: { deviceVersion: 2 }, entry: rotated });
}

/** From 14:00 on n-2 turns to g-2 alone, s-2 is in the north, and n-3 is new; at 16:00 the office closes early. */
const MOVED_MS = NOON_MS + 2 * HOUR_MS;
const CLOSED_MS = NOON_MS + 4 * HOUR_MS;

function manifests(log: LogWriter): void {
  const byNew = { keyVersion: 2 };
  const n2 = (afterMs: number): VoteMaking => ({
    vote: { station: "n-2", acceptedAt: at(MOVED_MS + afterMs) },
    entry: { ...byNew, appendedAtMs: MOVED_MS + HOUR_MS },
  });
  const n3 = (afterMs: number): VoteMaking => ({
    vote: { station: "n-3", manifestVersion: 2, acceptedAt: at(MOVED_MS + afterMs) },
    entry: { ...byNew, appendedAtMs: MOVED_MS + HOUR_MS },
  });
  log.vote("a station before it moves, appended before the change is made", "counted", n2(HOUR_MS));
  log.vote("a manifest version before it is made", "rejected/unknown_manifest", {
    vote: { station: "n-2", manifestVersion: 2 },
    entry: byNew,
  });
  const moved: Manifest = {
    ...MANIFEST,
    version: 2,
    stations: [
      ...MANIFEST.stations.map((station) => station.id === "s-2" ? { ...station, region: "north" } : station),
      { id: "n-3", name: "North 3", region: "north" },
    ],
    gateways: [
      { id: "g-1", stations: ["n-1", "n-3"], fallbackFor: [] },
      { id: "g-2", stations: ["n-2", "s-1", "s-2"], fallbackFor: ["n-1"] },
    ],
  };
  log.change({ kind: "manifest", effectiveAt: at(MOVED_MS), manifest: moved });
  log.change(deviceKeyChange("n-3-a", "n-3"));
  log.vote("a station that moved, within 60 s", "counted", n2(59_999));
  log.vote("a station that moved, after 60 s", "held/superseded", n2(60_000));
  log.vote("a station that moved, through its new gateway", "counted", {
    vote: { station: "n-2", acceptedAt: at(MOVED_MS + 60_000) },
    entry: { ...BY_SECOND, appendedAtMs: MOVED_MS + HOUR_MS },
  });
  const s2 = (afterMs: number): VoteMaking => ({
    vote: { station: "s-2", acceptedAt: at(MOVED_MS + afterMs) },
    entry: { ...BY_SECOND, appendedAtMs: MOVED_MS + HOUR_MS },
  });
  log.vote("a station that changed its region, before it did", "rejected/wrong_region", s2(-1));
  log.vote("a station that changed its region, as it does", "counted", s2(0));
  log.vote("a station that is new, as it is", "counted", n3(0));
  log.vote("a station that is new, by a clock less than 60 s slow", "counted", n3(-59_999));
  log.vote("a station that is new, accepted 60 s before", "rejected/unknown_station", n3(-60_000));
  const closed: Manifest = {
    ...moved,
    version: 3,
    closesAt: at(CLOSED_MS),
    acceptsUntil: at(CLOSED_MS + 2 * HOUR_MS),
    heldModes: ["provisional"],
  };
  log.change({ kind: "manifest", effectiveAt: at(CLOSED_MS), manifest: closed });
  const late = (castMs: number, acceptedMs: number): VoteMaking => ({
    vote: { castAt: at(castMs), acceptedAt: at(acceptedMs), manifestVersion: 2 },
    record: { deviceVersion: 2 },
    entry: { ...byNew, appendedAtMs: acceptedMs },
  });
  log.vote(
    "cast before an early close, accepted in its window",
    "counted",
    late(CLOSED_MS, CLOSED_MS + 2 * HOUR_MS),
  );
  log.vote(
    "cast after an early close, by a gateway that did not hear of it",
    "held/superseded",
    late(CLOSED_MS + 1, CLOSED_MS + HOUR_MS),
  );
  const provisional = (castMs: number, acceptedMs: number): VoteMaking => {
    const { vote, ...rest } = late(castMs, acceptedMs);
    return { ...rest, vote: { ...vote, mode: "provisional" } };
  };
  log.vote(
    "of a mode that a later manifest holds",
    "counted",
    provisional(CLOSED_MS - 60_000, CLOSED_MS - 60_000),
  );
  log.vote(
    "of a mode that the manifest holds, admitted by a decision",
    "held/mode",
    provisional(CLOSED_MS, CLOSED_MS + HOUR_MS),
    { decided: "counted" },
  );
  const outOfTime = CLOSED_MS + 2 * HOUR_MS + 1;
  log.vote(
    "of a mode that the manifest holds, by a clock that is not believed",
    "held/mode",
    {
      ...provisional(CLOSED_MS, outOfTime + 300_001),
      entry: { ...byNew, appendedAtMs: outOfTime },
    },
    { clockAheadMs: 300_001 },
  );
  log.vote(
    "of a mode that only the manifest before does not hold",
    "held/superseded",
    provisional(CLOSED_MS + 1, CLOSED_MS + HOUR_MS),
  );
  log.vote(
    "cast and accepted within 60 s of an early close",
    "counted",
    late(CLOSED_MS + 59_999, CLOSED_MS + 59_999),
  );
  log.vote(
    "accepted after every version's window",
    "rejected/not_open",
    late(CLOSED_MS, ACCEPTS_UNTIL_MS + 1),
  );
}

function decisions(log: LogWriter): void {
  const byNew = { keyVersion: 2 };
  const clock = { appendedAtMs: OPENS_MS - 1, ...byNew };
  const vote = log.record(log.nextVoter(), { castAt: at(OPENS_MS), acceptedAt: at(OPENS_MS + 300_000) });
  const record = { deviceVersion: 2 };
  const copy = (
    name: string,
    outcome: string,
    more: Partial<ExpectedRecord> = {},
    entry: Partial<EntryMaking> = clock,
  ) => log.vote(name, outcome, { voter: vote.voterId, vote, record, entry }, more);
  const first = copy("a copy that is held", "held/clock", {
    clockAheadMs: 300_001,
    decided: "duplicate/retransmission",
  });
  copy("another copy of it, which is in order: it counts", "counted", {}, {
    ...byNew,
    appendedAtMs: OPENS_MS,
  });
  const alone = log.record(log.nextVoter(), { castAt: at(OPENS_MS), acceptedAt: at(OPENS_MS + 300_000) });
  const second = { voter: alone.voterId, vote: alone, record };
  log.vote("the only copy of a vote, which is held", "held/clock", { ...second, entry: clock }, {
    clockAheadMs: 300_001,
    decided: "counted",
  });
  const positionsOf = (wanted: (expected: ExpectedRecord) => boolean) =>
    log.entries.filter(({ expected: [only] }) => wanted(only))
      .map(({ entry }) => `${entry.partition}/${entry.offset}/0`);
  log.change({
    kind: "decision",
    action: "admit",
    selector: { positions: [...positionsOf(({ decided }) => decided === "counted"), first] },
  });
  const rejected = ({ outcome, decided }: ExpectedRecord) =>
    outcome === "held/clock" && decided === "rejected/by_decision";
  const later = log.record(log.nextVoter(), { castAt: at(OPENS_MS), acceptedAt: at(OPENS_MS + 300_000) });
  const after = log.vote(
    "a vote that is held, rejected by a decision, and admitted by a later one",
    "held/clock",
    { voter: later.voterId, vote: later, record, entry: clock },
    { clockAheadMs: 300_001, decided: "counted" },
  );
  log.change({
    kind: "decision",
    action: "reject",
    selector: { positions: [...positionsOf(rejected), after] },
  });
  const late: VoteMaking = { vote: { acceptedAt: at(NOON_MS + 1) } };
  log.vote("a revoked key, accepted when the next decision no longer means it", "held/gateway_revoked", late);
  log.change({ kind: "decision", action: "defer", selector: { reason: "superseded" } });
  log.change({
    kind: "decision",
    action: "reject",
    selector: {
      reason: "gateway_revoked",
      gateway: "g-1",
      senderKey: SENDER.publicKey.toHex(),
      until: at(NOON_MS + 1),
    },
  });
  log.change({ kind: "decision", action: "readmit", selector: { positions: [after] } });
  log.vote("a copy of a vote that was admitted after all", "duplicate/retransmission", {
    voter: later.voterId,
    vote: later,
    record,
    entry: { ...byNew, appendedAtMs: OPENS_MS },
  });
  log.vote("a copy of a vote that was held and admitted", "duplicate/retransmission", {
    ...second,
    entry: { ...byNew, appendedAtMs: OPENS_MS },
  });
  log.vote("another vote of that voter", "duplicate/double_vote", {
    voter: alone.voterId,
    record,
    entry: byNew,
  });
  log.vote("a revoked key, after officials decided about those before", "held/gateway_revoked", { record });
}

/** Texts that a device signed, and that are no votes. */
function noVotes(log: LogWriter): void {
  const none = (name: string, spoil: (vote: Record<string, unknown>) => void) => {
    const vote = log.record(log.nextVoter());
    const parsed = JSON.parse(new TextDecoder().decode(voteText(vote)));
    spoil(parsed);
    log.vote(name, "rejected/invalid_vote", {
      voter: vote.voterId,
      vote,
      record: { deviceVersion: 2, text: utf8(JSON.stringify(parsed)) },
      entry: { keyVersion: 2 },
    });
  };
  none("a field that votes do not have", (vote) => vote.note = "");
  none("a field that is left out", (vote) => delete vote.mode);
  none("a mode that is none", (vote) => vote.mode = "by_phone");
  none("a station that is no identifier", (vote) => vote.station = "N-1");
  none("a voter id with a space", (vote) => vote.voterId = `${vote.voterId} `);
  none("a vote id of another version", (vote) => vote.voteId = String(vote.voteId).replace("-4", "-1"));
  none("a vote id of another variant", (vote) => vote.voteId = String(vote.voteId).replace("-8", "-c"));
  none("a time without milliseconds", (vote) => vote.castAt = String(vote.castAt).replace(".000Z", "Z"));
  none("a day that is none", (vote) => vote.castAt = "2026-11-31T12:00:00.000Z");
  none("a selection with another field", (vote) => vote.selections = [{ ...ANN, rank: "1" }]);
}

/** Hours that are extended, pauses, versions of one time, and the end: a draft, cancelled, certified. */
function laterManifests(log: LogWriter): void {
  const MINUTE_MS = 60_000;
  let version = 3;
  const { manifest: closed } = log.changes.map(({ change }) => change)
    .findLast((change) => change.kind === "manifest")!;
  const change = (effectiveMs: number, closesMs: number, more: Partial<Manifest> = {}) =>
    log.change({
      kind: "manifest",
      effectiveAt: at(effectiveMs),
      manifest: {
        ...closed,
        version: ++version,
        closesAt: at(closesMs),
        acceptsUntil: at(CLOSED_MS + 4 * HOUR_MS),
        ...more,
      },
    });
  const minute = (minutes: number) => CLOSED_MS + minutes * MINUTE_MS;
  const vote = (
    name: string,
    outcome: string,
    castMs: number,
    acceptedMs: number,
    making: VoteMaking = { record: { deviceVersion: 2 }, entry: { keyVersion: 2 } },
  ) =>
    log.vote(name, outcome, {
      ...making,
      vote: { ...making.vote, castAt: at(castMs), acceptedAt: at(acceptedMs) },
    });
  const atN2: VoteMaking = { vote: { station: "n-2" }, entry: BY_SECOND };

  const closes = minute(60);
  change(minute(30), closes);
  vote("cast in extended hours", "counted", minute(45), minute(45));
  vote("one choice where a contest allows two", "counted", minute(45), minute(45), {
    vote: { selections: [DAN] },
    record: { deviceVersion: 2 },
    entry: { keyVersion: 2 },
  });
  vote("cast as voting would have closed, had hours not been extended", "counted", CLOSED_MS, minute(45));
  change(minute(50), closes, { paused: ["n-1"] });
  vote("within 60 s of a pause", "counted", minute(50), minute(51) - 1);
  vote("amid a pause, by a gateway that did not hear of it", "held/superseded", minute(55), minute(55));
  vote("at a station that is not paused", "counted", minute(55), minute(55), atN2);
  vote("cast before a pause, accepted as voting closes", "held/superseded", minute(49), closes);
  vote("cast before a pause, accepted after voting closed", "counted", minute(49), closes + 1);
  change(minute(90), minute(120), { paused: "all" });
  vote("amid a pause of all stations", "held/superseded", minute(95), minute(95), atN2);

  const other = closed.gateways.map(({ id, ...gateway }) => ({
    id,
    ...gateway,
    fallbackFor: id === "g-1" ? ["n-2"] : gateway.fallbackFor,
  }));
  change(minute(130), minute(150), { gateways: other });
  change(minute(130), minute(150));
  const byFirst: VoteMaking = { vote: { station: "n-2" }, entry: { keyVersion: 2 } };
  vote(
    "allowed by a version that another replaced at once, within 60 s",
    "counted",
    minute(130),
    minute(131) - 1,
    byFirst,
  );
  vote(
    "allowed by a version that another replaced at once, after 60 s",
    "held/superseded",
    minute(130),
    minute(131),
    byFirst,
  );
  change(minute(160), minute(150), { inactive: "draft" });
  vote("accepted while the election is a draft again", "held/superseded", minute(149), minute(165));
  change(minute(170), minute(180), { inactive: "cancelled" });
  vote("accepted before it was cancelled, on the log after", "rejected/not_open", minute(149), minute(155));
  vote("what would be held, after it was cancelled", "rejected/not_open", minute(149), minute(165));
  log.vote("a vote that is wrong, after it was cancelled", "rejected/overvote", {
    record: { deviceVersion: 2 },
    vote: { selections: [ANN, BOB], castAt: at(minute(149)), acceptedAt: at(minute(155)) },
    entry: { keyVersion: 2 },
  });
  change(minute(190), minute(180), { inactive: "cancelled", certified: true });
  vote(
    "accepted before it was certified, on the log after",
    "rejected/after_certification",
    minute(149),
    minute(155),
  );
  vote(
    "what would be held, after it was certified",
    "rejected/after_certification",
    minute(149),
    minute(165),
  );
  log.append("a statement after it was certified", {
    kind: "statement",
    sequence: 3,
    plaintext: plainStatement(3),
    ...BY_SECOND,
  }, [{ outcome: "statement" }]);
}

/** The context that an entry's seal and signature are bound to, built again from its parts. */
export function contextOf(entry: StoredRecord): Uint8Array {
  const number = new Uint8Array(8);
  new DataView(number.buffer).setBigUint64(0, BigInt(entry.sequence));
  const domain = entry.kind === "statement" ? "pollwire/2 statement" : "pollwire/2 record";
  return lengthPrefixed(domain, ELECTION, entry.version, entry.keyId, entry.senderKey, number);
}
