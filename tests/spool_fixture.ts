/**
 * What tests put into a spool: elections that it numbers and seals for, and records that nobody has sealed yet.
 *
 * @module
 */
import type { SenderElection } from "../gateway/sender_keys.ts";
import type { SpoolRun } from "../gateway/spool.ts";
import type { SpoolRecord } from "../gateway/spool_client.ts";
import { FRAME_BYTES } from "../gateway/chunk.ts";
import { FINGERPRINT_BYTES, makeFingerprint } from "../gateway/fingerprint.ts";
import { fromHex, utf8 } from "../shared/bytes.ts";
import { gatewayKey, SEAL_OVERHEAD_BYTES, sealingKeyPair } from "../shared/keys.ts";
import { partitionOf } from "../shared/partition.ts";
import { encodeRecord } from "../shared/record.ts";
import type { Vote } from "../shared/vote.ts";
import { MASTER, NOON_MS, testManifest, testSignedVote, testVoterKey } from "./fixture.ts";
import { testVote } from "./gateway_fixture.ts";

/** Partitions of every election here. */
export const PARTITIONS = 3;

/** An election as gateway g-1 numbers and seals for it, until 23:00 on its day. */
export function testSender(
  election = "test-2026",
  { version = 1, ...change }: Partial<SenderElection> & { version?: number } = {},
): SenderElection {
  const name = { election, id: "g-1", version };
  return {
    name,
    signingKey: gatewayKey(MASTER, name),
    sealingKey: sealingKeyPair(MASTER, election).publicKey,
    partitions: PARTITIONS,
    acceptsUntilMs: NOON_MS + 11 * 3_600_000,
    ...change,
  };
}

/** So many records of one device, of so many bytes, all different from those of other calls. */
export function testRun(
  { election = "test-2026", device = "n-1-a", records = 1, recordBytes = 10, id = 0, fill = ++fills % 256 } =
    {},
): SpoolRun {
  return {
    election,
    partitions: Uint16Array.from({ length: records }, (_, i) => i % PARTITIONS),
    plaintexts: new Uint8Array(records * recordBytes).fill(fill),
    fingerprints: nextFingerprints(records),
    parts: [{ id, device, records }],
  };
}

let fills = 0;
let votes = 0;

/** Fingerprints of votes that no other call has. */
function nextFingerprints(records: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(records * FINGERPRINT_BYTES);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < records; i++) view.setUint32(i * FINGERPRINT_BYTES, ++votes);
  return bytes;
}

/** Bytes that records take in a spool, in so many entries: at the most, when each has one of its own. */
export function spooledBytes(recordBytes: number, records = 1, entries = records): number {
  return entries * (FRAME_BYTES + SEAL_OVERHEAD_BYTES) + records * recordBytes;
}

/** The numbers of the records in entries of votes, in the entries' order. */
export function recordNumbers(
  entries: readonly Readonly<{ sequence: number; value: Uint8Array }>[],
  recordBytes: number,
): number[] {
  return entries.flatMap(({ sequence, value }) => {
    const records = (value.length - SEAL_OVERHEAD_BYTES) / recordBytes;
    return Array.from({ length: records }, (_, i) => sequence + i);
  });
}

/** Real votes' records, as a gateway hands them to its spool's thread. */
export function testRecords(
  count: number,
  change: Partial<Vote> = {},
  election = "test-2026",
  partitions = PARTITIONS,
): SpoolRecord[] {
  const { voteBytes } = testManifest();
  return Array.from({ length: count }, () => {
    const cast = testVote(change);
    const { vote, proof, proofKey } = testSignedVote(cast, undefined, election);
    const content = { acceptedAtMs: NOON_MS, manifestVersion: 1, proofKey, proof: fromHex(proof) };
    return {
      partition: partitionOf(fromHex(testVoterKey(cast.voterId, election)), partitions),
      plaintext: encodeRecord({ ...content, vote: utf8(vote) }, voteBytes),
      fingerprint: makeFingerprint(
        new Uint8Array(16),
        { voteId: cast.voteId, proof: fromHex(proof), text: utf8(vote) },
        NOON_MS,
      ),
    };
  });
}

/** The same as a run of one device. */
export function recordsRun(records: readonly SpoolRecord[], election = "test-2026"): SpoolRun {
  const size = records[0].plaintext.length;
  const plaintexts = new Uint8Array(records.length * size);
  const fingerprints = new Uint8Array(records.length * FINGERPRINT_BYTES);
  records.forEach(({ plaintext, fingerprint }, i) => {
    plaintexts.set(plaintext, i * size);
    fingerprints.set(fingerprint, i * FINGERPRINT_BYTES);
  });
  const partitions = Uint16Array.from(records, ({ partition }) => partition);
  const parts = [{ id: 0, device: "n-1-a", records: records.length }];
  return { election, partitions, plaintexts, fingerprints, parts };
}
