/**
 * Judges one record by its own bytes, its place on the log and the kept manifests: everything but the roll and
 * what came before it, which {@link countRecord} in tally.ts, and the counting statement, know.
 *
 * @module
 */
import { equalBytes, fromHex } from "./bytes.ts";
import type { ElectionIndex } from "./election.ts";
import { type KeyName, parseKeyName } from "./keys.ts";
import type { StoredRecord } from "./log/vote_log.ts";
import { marksOf } from "./marks.ts";
import type { RejectionReason } from "./outcome.ts";
import { partitionOf } from "./partition.ts";
import {
  isRecordShaped,
  openRecord,
  parseRecord,
  recordContext,
  recordSignature,
  type VoteRecord,
} from "./record.ts";
import { checkBallot, MAX_CLOCK_SKEW_MS, type Selection } from "./vote.ts";

/** What judging needs to know of one election; all of it kept history. */
export type ElectionHistory = Readonly<{
  election: string;
  partitions: number;
  recordBytes: number;
  /** The manifest of a version, or `undefined` when none was published under it. */
  manifest(version: number): ElectionIndex | undefined;
  /** A gateway's signing key, 32 bytes, or `undefined` when no manifest ever named that gateway. */
  signingKey(gateway: KeyName): Uint8Array | undefined;
  /** The key that opens what one gateway process sealed, or `undefined` when its public key is not one. */
  sealingKey(senderKey: Uint8Array): Uint8Array | undefined;
}>;

/**
 * What can be said of a record before the roll is asked. `gateway` is known once its signature was checked. `marks` is
 * what the ballot adds to the count: see marks.ts.
 */
export type Judgement =
  | Readonly<
    { fate: "acceptable"; record: VoteRecord; marks: readonly Selection[]; region: string; gateway: string }
  >
  | Readonly<{ fate: "rejected"; reason: RejectionReason; gateway?: string; record?: VoteRecord }>;

/** Judges a record. Never throws on what the record holds. */
export function judge(stored: StoredRecord, history: ElectionHistory): Judgement {
  if (!isRecordShaped(stored, history.recordBytes)) return rejected("unreadable");
  const name = parseKeyName(stored.keyId);
  if (name === undefined) return rejected("unreadable");
  if (name.election !== history.election) return rejected("wrong_election");
  const signingKey = history.signingKey(name);
  if (signingKey === undefined) return rejected("unknown_gateway");
  const context = recordContext(history.election, stored);
  if (!equalBytes(recordSignature(signingKey, context, stored.value), stored.signature)) {
    return rejected("bad_signature");
  }
  const gateway = name.id;
  const sealingKey = history.sealingKey(stored.senderKey);
  const text = sealingKey === undefined ? undefined : openRecord(sealingKey, context, stored.value);
  if (text === undefined) return { fate: "rejected", reason: "cannot_open", gateway };
  const record = parseRecord(text);
  if (record === undefined) return { fate: "rejected", reason: "malformed", gateway };
  return judgeOpened(record, gateway, stored, history);
}

function judgeOpened(
  record: VoteRecord,
  gateway: string,
  stored: StoredRecord,
  history: ElectionHistory,
): Judgement {
  const no = (reason: RejectionReason): Judgement => ({ fate: "rejected", reason, gateway, record });
  if (partitionOf(fromHex(record.voterKey), history.partitions) !== stored.partition) {
    return no("wrong_partition");
  }
  const election = history.manifest(record.manifestVersion);
  if (election === undefined) return no("unknown_manifest");
  const acceptedAtMs = Date.parse(record.acceptedAt);
  if (acceptedAtMs > stored.appendedAtMs + MAX_CLOCK_SKEW_MS) return no("accepted_in_future");
  const fault = checkBallot(election, record, acceptedAtMs);
  if (fault !== undefined) return no(fault.reason);
  if (!election.gateways.get(gateway)?.has(record.station)) return no("foreign_station");
  return {
    fate: "acceptable",
    record,
    marks: marksOf(election, record),
    region: election.stations.get(record.station)!.region,
    gateway,
  };
}

function rejected(reason: RejectionReason): Judgement {
  return { fate: "rejected", reason };
}
