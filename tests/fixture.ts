/**
 * A small election for tests, with its keys, and gateways that seal records for it.
 *
 * @module
 */
import { fromHex, utf8 } from "../shared/bytes.ts";
import {
  definitionSchema,
  type ElectionDefinition,
  indexElection,
  type Manifest,
  manifestPart,
  manifestSchema,
} from "../shared/election.ts";
import type { ElectionHistory } from "../shared/history.ts";
import type { VoteRecord } from "../shared/judge.ts";
import {
  answerKeyPair,
  ephemeralKeyPair,
  gatewayKey,
  parseKeyName,
  proofKey,
  pseudonymKey,
  recordKey,
  sealingKeyPair,
  voterKeyOf,
} from "../shared/keys.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { partitionOf } from "../shared/partition.ts";
import { proofOf, type SignedVote } from "../shared/proof.ts";
import { type Receipt, receiptKey } from "../shared/receipt.ts";
import { encodeRecord, entrySealer, type LogRecord, voteBytesFor } from "../shared/record.ts";
import { encodeStatement } from "../shared/statement.ts";
import type { Vote } from "../shared/vote.ts";

/** The master key of every election in tests. */
export const MASTER: Uint8Array = fromHex("5a".repeat(32));

/** Some time while the election is open, in milliseconds. */
export const NOON_MS = Date.parse("2026-11-03T12:00:00.000Z");

/** Two contests, four stations in two regions, two gateways that stand in for one another. */
export function testDefinition(change: Partial<ElectionDefinition> = {}): ElectionDefinition {
  return definitionSchema.parse({
    election: "test-2026",
    name: "A test",
    opensAt: "2026-11-03T07:00:00.000Z",
    closesAt: "2026-11-03T21:00:00.000Z",
    acceptsUntil: "2026-11-03T23:00:00.000Z",
    partitions: 3,
    releaseThreshold: 3,
    resultsBeforeClosing: true,
    parties: [{ id: "red", name: "Red", colour: "#cc0000" }, { id: "blue", name: "Blue", colour: "#0000cc" }],
    contests: [
      {
        id: "mayor",
        name: "Mayor",
        votesAllowed: 1,
        candidates: [
          { id: "ann", name: "Ann", party: "red" },
          { id: "bob", name: "Bob", party: "blue" },
          { id: "cyd", name: "Cyd" },
        ],
      },
      {
        id: "council",
        name: "Council",
        votesAllowed: 2,
        candidates: [
          { id: "dan", name: "Dan", party: "red" },
          { id: "eve", name: "Eve", party: "blue" },
          { id: "fay", name: "Fay" },
        ],
      },
    ],
    regions: [{ id: "north", name: "North" }, { id: "south", name: "South" }],
    stations: [
      { id: "n-1", name: "North 1", region: "north" },
      { id: "n-2", name: "North 2", region: "north", contests: ["mayor"] },
      { id: "s-1", name: "South 1", region: "south" },
      { id: "s-2", name: "South 2", region: "south" },
    ],
    gateways: [
      { id: "g-1", stations: ["n-1", "n-2"], fallbackFor: ["s-1"] },
      { id: "g-2", stations: ["s-1", "s-2"], fallbackFor: ["n-1", "n-2"] },
    ],
    ...change,
  });
}

/** The same with what the office alone keeps: of Ann everything, of Bob a biography; where one region and station lie. */
export function definitionWithFacts(change: Partial<ElectionDefinition> = {}): ElectionDefinition {
  const { contests: [mayor, council], regions: [north, south], stations: [first, ...stations], ...rest } =
    testDefinition(change);
  const [ann, bob, cyd] = mayor!.candidates;
  return definitionSchema.parse({
    ...rest,
    contests: [{
      ...mayor,
      candidates: [
        { ...ann, biography: "Born “here”.", platform: "More trees; less noise.", photo: ANNS_PHOTO },
        { ...bob, biography: "Born there." },
        cyd,
      ],
    }, council],
    regions: [{ ...north, latitude: 54.5, longitude: -1.25 }, south],
    stations: [{ ...first, latitude: 54.51, longitude: -1.26 }, ...stations],
  });
}

/** {@link testDefinition} with a third contest, which nobody votes on: its two candidates have two seats. */
export function uncontestedDefinition(change: Partial<ElectionDefinition> = {}): ElectionDefinition {
  const { contests: [mayor, council], ...rest } = testDefinition(change);
  return definitionSchema.parse({
    ...rest,
    contests: [mayor, {
      id: "clerk",
      name: "Clerks",
      votesAllowed: 1,
      seats: 2,
      uncontested: true,
      candidates: [{ id: "gus", name: "Gus", party: "red" }, { id: "hal", name: "Hal" }],
    }, council],
  });
}

/** Ann's photo in {@link definitionWithFacts}. */
export const ANNS_PHOTO = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>';

/** The manifest that the aggregator makes of a definition. */
export function testManifest(definition: ElectionDefinition = testDefinition(), version = 1): Manifest {
  const part = manifestPart(definition);
  return manifestSchema.parse({
    ...part,
    version,
    voteBytes: voteBytesFor(part),
    sealingKey: sealingKeyPair(MASTER, definition.election).publicKey.toHex(),
    denied: [],
  });
}

/** Devices of tests: one a station, `<station>-a`, as an election without named devices has them. */
export function testDevice(station: string): string {
  return `${station}-a`;
}

/**
 * The history of an election whose manifests are given, oldest first. Each took effect an hour before the one after it;
 * the last at 06:00 of the election's day. All apply from the log's beginning on.
 */
export function testHistory(...manifests: Manifest[]): ElectionHistory & { reload(): Promise<void> } {
  const { election, partitions, voteBytes } = manifests[0]!;
  const aggregator = sealingKeyPair(MASTER, election);
  const gateways = new Set(manifests.flatMap((manifest) => manifest.gateways.map(({ id }) => id)));
  const stations = new Map(
    manifests.flatMap((manifest) => manifest.stations.map(({ id }) => [testDevice(id), id])),
  );
  const denied = new Set(manifests.flatMap((manifest) => manifest.denied));
  const view = {
    revision: manifests.length,
    manifests: manifests.map((manifest, i) => ({
      effectiveAtMs: NOON_MS - (6 + manifests.length - 1 - i) * 3_600_000,
      index: indexElection(manifest),
    })),
    gatewayKey: (name: { election: string; id: string; version: number }) =>
      gateways.has(name.id) ? { key: gatewayKey(MASTER, name), isRevoked: false } : undefined,
    deviceKey(device: string, version: number) {
      const station = stations.get(device);
      if (station === undefined) return undefined;
      const key = proofKey(MASTER, { election, id: device, version });
      return { key, station, isRevoked: denied.has(`${device}.${version}`) };
    },
  };
  return {
    election,
    partitions,
    voteBytes,
    pseudonymKey: pseudonymKey(MASTER, election),
    at: () => view,
    sealingKey: (senderKey) => {
      try {
        return recordKey(aggregator.privateKey, senderKey, election, senderKey, aggregator.publicKey);
      } catch {
        return undefined;
      }
    },
    reload: () => Promise.resolve(),
  };
}

/** A vote with what its gateway adds: what {@link TestSealer} seals. `device` signs it; `proof` replaces its proof. */
export type TestRecord = VoteRecord & Readonly<{ voterId: string; election: string; proof?: Uint8Array }>;

/** Seals as a gateway does, numbering its records from 1 on. */
export type TestSealer = Readonly<{
  senderKey: Uint8Array;
  /** One entry of one or more records. */
  seal(...records: TestRecord[]): LogRecord;
  /** States how many records it took; so many as it sealed when left out. */
  state(records?: number): LogRecord;
}>;

/** Seals records as a gateway of the election does. */
export function testSealer(
  manifest: Manifest,
  gateway = "g-1",
  master: Uint8Array = MASTER,
  version = 1,
): TestSealer {
  const name = { election: manifest.election, id: gateway, version };
  const own = ephemeralKeyPair();
  const aggregatorKey = fromHex(manifest.sealingKey);
  const sealer = entrySealer({
    name,
    signingKey: gatewayKey(master, name),
    sealingKey: recordKey(own.privateKey, aggregatorKey, manifest.election, own.publicKey, aggregatorKey),
    senderKey: own.publicKey,
  });
  let taken = 0;
  return {
    senderKey: own.publicKey,
    seal(...records) {
      const parts = records.map((record) => encodeRecord(contentOf(record, master), manifest.voteBytes));
      const plaintext = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
      let at = 0;
      for (const part of parts) {
        plaintext.set(part, at);
        at += part.length;
      }
      const entry = sealer.seal("vote", taken + 1, plaintext);
      taken += records.length;
      return entry;
    },
    state: (records = taken) =>
      sealer.seal("statement", records, encodeStatement({ records, statedAtMs: NOON_MS })),
  };
}

/** A vote as its device posts it, signed with its proof key. */
export function testSignedVote(
  vote: Vote,
  device = testDevice(vote.station),
  election = "test-2026",
  master: Uint8Array = MASTER,
): SignedVote {
  const text = JSON.stringify(vote);
  const name = `${device}.1`;
  const key = proofKey(master, { election, id: device, version: 1 });
  return {
    vote: text,
    proof: proofOf(key, election, name, text).toHex(),
    proofKey: name,
    scheme: "hmac-sha256",
  };
}

function contentOf(record: TestRecord, master: Uint8Array) {
  const { voteId, voterId, station, mode, selections, castAt, election, device } = record;
  const signed = testSignedVote(
    { voteId, voterId, station, mode, selections, castAt },
    device,
    election,
    master,
  );
  return {
    acceptedAtMs: Date.parse(record.acceptedAt),
    manifestVersion: record.manifestVersion,
    proofKey: signed.proofKey,
    proof: record.proof ?? fromHex(signed.proof),
    vote: utf8(signed.vote),
  };
}

/** The voter key of a voter id, in hex. */
export function testVoterKey(voterId: string, election = "test-2026"): string {
  return voterKeyOf(pseudonymKey(MASTER, election), voterId).toHex();
}

/** A record that is in order, but for what `change` says. */
export function testRecord(
  voterId: string,
  change: Partial<TestRecord> = {},
  election = "test-2026",
): TestRecord {
  const station = change.station ?? "n-1";
  return {
    voteId: crypto.randomUUID(),
    voterId,
    election,
    station,
    mode: "in_person",
    selections: [{ contest: "mayor", candidate: "ann" }],
    castAt: new Date(NOON_MS).toISOString(),
    voterKey: testVoterKey(voterId, election),
    manifestVersion: 1,
    acceptedAt: new Date(NOON_MS).toISOString(),
    device: testDevice(station),
    ...change,
  };
}

/** Seals a record and puts it on the partition where it belongs. */
export function placed(sealer: TestSealer, record: TestRecord, partitions = 3): PlacedRecord {
  return { ...sealer.seal(record), partition: partitionOf(fromHex(record.voterKey), partitions) };
}

/** The keys with which an aggregator answers receipts of the test election's gateways `g-1` and `g-2`. */
export function testReceiptKeys(election = "test-2026", master: Uint8Array = MASTER) {
  return {
    answerKey: answerKeyPair(master, election).privateKey,
    receiptKey(gateway: string): Uint8Array | undefined {
      const name = parseKeyName(`${election}/${gateway}`);
      return name?.id.startsWith("g-") ? receiptKey(gatewayKey(master, name)) : undefined;
    },
  };
}

/** A receipt as devices get them, which the aggregator would not believe. */
export function testReceipt(voteId: string, change: Partial<Receipt> = {}): Receipt {
  return {
    election: "sim",
    voteId,
    voterKey: "0".repeat(64),
    proof: "0".repeat(32),
    gateway: "gateway-1.1",
    minute: "2026-11-03T08:00Z",
    mac: "0".repeat(32),
    ...change,
  };
}
