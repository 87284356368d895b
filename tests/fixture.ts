/**
 * A small election for tests, with its keys, and gateways that seal records for it.
 *
 * @module
 */
import { fromHex } from "../shared/bytes.ts";
import {
  definitionSchema,
  type ElectionDefinition,
  indexElection,
  type Manifest,
  manifestPart,
  manifestSchema,
} from "../shared/election.ts";
import type { ElectionHistory } from "../shared/judge.ts";
import {
  ephemeralKeyPair,
  gatewayKey,
  pseudonymKey,
  recordKey,
  sealingKeyPair,
  voterKeyOf,
} from "../shared/keys.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { partitionOf } from "../shared/partition.ts";
import type { Receipt } from "../shared/receipt.ts";
import { recordBytesFor, type RecordSealer, recordSealer, type VoteRecord } from "../shared/record.ts";

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
  const [ann, bob, cyd] = mayor.candidates;
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

/** Ann's photo in {@link definitionWithFacts}. */
export const ANNS_PHOTO = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>';

/** The manifest that the aggregator makes of a definition. */
export function testManifest(definition: ElectionDefinition = testDefinition(), version = 1): Manifest {
  return manifestSchema.parse({
    ...manifestPart(definition),
    version,
    recordBytes: recordBytesFor(definition),
    sealingKey: sealingKeyPair(MASTER, definition.election).publicKey.toHex(),
    denied: [],
  });
}

/** The history of an election whose manifests are given, oldest first. */
export function testHistory(...manifests: Manifest[]): ElectionHistory & { reload(): Promise<void> } {
  const { election, partitions, recordBytes } = manifests[0];
  const aggregator = sealingKeyPair(MASTER, election);
  const indexes = new Map(manifests.map((manifest) => [manifest.version, indexElection(manifest)]));
  const gateways = new Set(manifests.flatMap((manifest) => manifest.gateways.map(({ id }) => id)));
  return {
    election,
    partitions,
    recordBytes,
    manifest: (version) => indexes.get(version),
    signingKey: (name) => gateways.has(name.id) ? gatewayKey(MASTER, name) : undefined,
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

/** Seals records as a gateway of the election does. */
export function testSealer(manifest: Manifest, gateway = "g-1", master: Uint8Array = MASTER): RecordSealer {
  const name = { election: manifest.election, id: gateway, version: 1 };
  const own = ephemeralKeyPair();
  const aggregatorKey = fromHex(manifest.sealingKey);
  return recordSealer({
    name,
    signingKey: gatewayKey(master, name),
    sealingKey: recordKey(own.privateKey, aggregatorKey, manifest.election, own.publicKey, aggregatorKey),
    senderKey: own.publicKey,
    recordBytes: manifest.recordBytes,
  });
}

/** The voter key of a voter id, in hex. */
export function testVoterKey(voterId: string, election = "test-2026"): string {
  return voterKeyOf(pseudonymKey(MASTER, election), voterId).toHex();
}

/** A record that is in order, but for what `change` says. */
export function testRecord(
  voterId: string,
  change: Partial<VoteRecord> = {},
  election = "test-2026",
): VoteRecord {
  return {
    voteId: crypto.randomUUID(),
    station: "n-1",
    mode: "in_person",
    selections: [{ contest: "mayor", candidate: "ann" }],
    castAt: new Date(NOON_MS).toISOString(),
    voterKey: testVoterKey(voterId, election),
    manifestVersion: 1,
    acceptedAt: new Date(NOON_MS).toISOString(),
    ...change,
  };
}

/** Seals a record and puts it on the partition where it belongs. */
export function placed(sealer: RecordSealer, record: VoteRecord, partitions = 3): PlacedRecord {
  return { ...sealer.seal(record), partition: partitionOf(fromHex(record.voterKey), partitions) };
}

/** A receipt as devices get them, which the aggregator would not believe. */
export function testReceipt(voteId: string, change: Partial<Receipt> = {}): Receipt {
  return {
    election: "sim",
    voteId,
    voterKey: "0".repeat(64),
    gateway: "gateway-1.1",
    minute: "2026-11-03T08:00Z",
    mac: "0".repeat(64),
    ...change,
  };
}
