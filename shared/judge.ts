/**
 * Judges one entry of the log by its bytes, its position and append time, and the history that applies there. The roll
 * and earlier records, which make a record a duplicate, are checked later: by {@link countRecord} in tally.ts, and by the
 * counting statement in aggregator/counting/count_records.ts.
 *
 * @module
 */
import { equalBytes } from "./bytes.ts";
import type { EffectiveManifest, ElectionHistory, HistoryKey, HistoryView } from "./history.ts";
import { parseKeyName, voterKeyOf } from "./keys.ts";
import type { StoredRecord } from "./log/vote_log.ts";
import { isExtended, marksOf } from "./marks.ts";
import type { HeldReason, RejectionReason } from "./outcome.ts";
import { partitionOf } from "./partition.ts";
import { isProofOf } from "./proof.ts";
import {
  decodeRecord,
  entryContext,
  entryRecords,
  entrySignature,
  openEntry,
  type RecordContent,
} from "./record.ts";
import { decodeStatement } from "./statement.ts";
import { checkChoices, checkTime, MAX_CLOCK_SKEW_MS, type Selection, type Vote } from "./vote.ts";
import { readVote } from "./vote_text.ts";

/**
 * How long a manifest still allows votes after a newer one took effect, because gateways need time to receive that, and
 * how long before it takes effect, because a gateway's clock may be behind: see docs/adr/0013-manifest-overlap.md.
 */
export const MANIFEST_OVERLAP_MS = 60_000;

/** A vote for counting: what the device signed, with the voter key instead of the voter id. */
export type VoteRecord =
  & Omit<Vote, "voterId">
  & Readonly<{
    /** In hex. */
    voterKey: string;
    /** The vote's time: `acceptedAt`, or the append time if the gateway's clock was ahead. ISO, UTC. */
    acceptedAt: string;
    manifestVersion: number;
    device: string;
  }>;

/** What judging finds out about every record in an entry with a valid gateway signature. */
type Signed = Readonly<{
  /** Gateway and key version, `gateway-1.2`. */
  gatewayKey: string;
  gateway: string;
  /** The record's number under its sender key; missing when the seal did not open, because such a number proves nothing. */
  sequence?: number;
}>;

/** The judgement of a record before the roll is checked. */
export type Judgement =
  | Readonly<{
    fate: "acceptable";
    record: VoteRecord;
    /** What the ballot adds to the count: see marks.ts. */
    marks: readonly Selection[];
    region: string;
    /** The newest change of history that applies at the record's position. */
    revision: number;
    /** How far the gateway's clock was ahead of the log's, when that is more than allowed, in milliseconds. */
    clockAheadMs?: number;
  }>
    & Signed
  | Readonly<
    {
      fate: "held";
      reason: HeldReason;
      record: VoteRecord;
      marks: readonly Selection[];
      region: string;
      revision: number;
      clockAheadMs?: number;
    }
  >
    & Signed
  | Readonly<{ fate: "rejected"; reason: RejectionReason; record?: VoteRecord }> & Partial<Signed>
  | Readonly<{ fate: "statement"; records: number; statedAtMs: number }> & Signed;

/**
 * Judges an entry. Returns one judgement for each record, in order; one if the entry cannot be read. Never throws,
 * whatever the entry holds.
 */
export function judge(stored: StoredRecord, history: ElectionHistory): Judgement[] {
  const view = history.at(stored.partition, stored.offset);
  const records = entryRecords(stored, history.voteBytes);
  const name = records === undefined ? undefined : parseKeyName(stored.keyId);
  if (records === undefined || name === undefined) return [rejected("unreadable")];
  const all = (judgement: Judgement) => Array<Judgement>(records).fill(judgement);
  if (name.election !== history.election) return all(rejected("wrong_election"));
  const signing = view.gatewayKey(name);
  if (signing === undefined) return all(rejected("unknown_gateway"));
  const context = entryContext(history.election, stored);
  if (!equalBytes(entrySignature(signing.key, context, stored.value), stored.signature)) {
    return all(rejected("bad_signature"));
  }
  const signed = { gateway: name.id, gatewayKey: `${name.id}.${name.version}` };
  const sealingKey = history.sealingKey(stored.senderKey);
  const plaintext = sealingKey && openEntry(sealingKey, context, stored.value);
  if (plaintext === undefined) return all({ ...rejected("cannot_open"), ...signed });
  if (stored.kind === "statement") return [judgeStatement(plaintext, stored.sequence, signed)];
  const bytes = plaintext.length / records;
  return Array.from({ length: records }, (_, index) =>
    judgeRecord(
      plaintext.subarray(index * bytes, (index + 1) * bytes),
      { ...signed, sequence: stored.sequence + index },
      stored,
      { history, view, signing },
    ));
}

type Known = Readonly<{ history: ElectionHistory; view: HistoryView; signing: HistoryKey }>;

function judgeStatement(plaintext: Uint8Array, sequence: number, signed: Signed): Judgement {
  const statement = decodeStatement(plaintext);
  if (statement === undefined || statement.records !== sequence) {
    return { ...rejected("malformed"), ...signed };
  }
  return { fate: "statement", ...statement, ...signed };
}

function judgeRecord(
  plaintext: Uint8Array,
  signed: Signed,
  stored: StoredRecord,
  { history, view, signing }: Known,
): Judgement {
  const reject = (reason: RejectionReason, record?: VoteRecord): Judgement =>
    record === undefined
      ? { fate: "rejected", reason, ...signed }
      : { fate: "rejected", reason, record, ...signed };
  const content = decodeRecord(plaintext);
  if (content === undefined) return reject("malformed");
  const proofKey = parseKeyName(`${history.election}/${content.proofKey}`)!;
  const device = view.deviceKey(proofKey.id, proofKey.version);
  if (
    device === undefined ||
    !isProofOf(content.proof, device.key, history.election, content.proofKey, content.vote)
  ) {
    return reject("bad_proof");
  }
  const vote = readVote(content.vote);
  if (vote === undefined) return reject("invalid_vote");
  const voterKey = voterKeyOf(history.pseudonymKey, vote.voterId);
  const record = recordOf(vote, voterKey.toHex(), content, proofKey.id);
  if (partitionOf(voterKey, history.partitions) !== stored.partition) {
    return reject("wrong_partition", record);
  }
  if (!view.manifests.some(({ index }) => index.manifest.version === content.manifestVersion)) {
    return reject("unknown_manifest", record);
  }
  const timed = judgeTime(
    record,
    content.acceptedAtMs,
    stored.appendedAtMs,
    signed.gateway,
    device.station,
    view,
  );
  if ("reject" in timed) return reject(timed.reject, timed.record);
  const { certified, inactive } = view.manifests.at(-1)!.index.manifest;
  if (certified) return reject("after_certification", timed.record);
  if (inactive === "cancelled") return reject("not_open", timed.record);
  const { region, marks, clockAheadMs } = timed;
  const waits = timed.isHeldMode ? "mode" : timed.held;
  const held = signing.isRevoked ? "gateway_revoked" : device.isRevoked ? "device_revoked" : waits;
  const { gateway, gatewayKey, sequence } = signed;
  const { revision } = view;
  const found = { record: timed.record, marks, region, revision, gateway, gatewayKey, sequence };
  if (held !== undefined) return { fate: "held", reason: held, ...found, ...withClock(clockAheadMs) };
  if (clockAheadMs !== undefined) return { fate: "acceptable", ...found, clockAheadMs };
  return { fate: "acceptable", ...found };
}

function recordOf(
  { voteId, station, mode, selections, castAt }: Vote,
  voterKey: string,
  { acceptedAtMs, manifestVersion }: RecordContent,
  device: string,
): VoteRecord {
  const acceptedAt = isoOf(acceptedAtMs);
  return { voteId, station, mode, selections, castAt, voterKey, acceptedAt, manifestVersion, device };
}

/** The second that was written last, in seconds since 1970, and its text up to the milliseconds. */
const written = { second: NaN, text: "" };

/** `Date.toISOString()`: votes of one second are next to each other. */
function isoOf(ms: number): string {
  const second = Math.floor(ms / 1_000);
  if (second !== written.second) {
    written.text = new Date(second * 1_000).toISOString().slice(0, -4);
    written.second = second;
  }
  return `${written.text}${String(ms - second * 1_000).padStart(3, "0")}Z`;
}

function withClock(clockAheadMs: number | undefined): { clockAheadMs?: number } {
  return clockAheadMs === undefined ? {} : { clockAheadMs };
}

type Timed =
  | Readonly<{
    record: VoteRecord;
    region: string;
    marks: readonly Selection[];
    /** Whether the manifest holds votes of its mode. */
    isHeldMode: boolean;
    held?: "clock" | "superseded";
    clockAheadMs?: number;
  }>
  | Readonly<{ reject: RejectionReason; record: VoteRecord }>;

/**
 * The rules of time. A vote's time is `acceptedAt`. If that is later than the append time by more than the allowed skew,
 * the vote's time is the append time.
 */
function judgeTime(
  record: VoteRecord,
  acceptedAtMs: number,
  appendedAtMs: number,
  gateway: string,
  deviceStation: string,
  view: HistoryView,
): Timed {
  const aheadMs = acceptedAtMs - appendedAtMs;
  const isAhead = aheadMs > MAX_CLOCK_SKEW_MS;
  const atMs = isAhead ? Math.max(0, appendedAtMs) : acceptedAtMs;
  const clock = isAhead ? { clockAheadMs: aheadMs } : {};
  const dated = isAhead ? { ...record, acceptedAt: isoOf(atMs) } : record;
  const inForce = manifestsInForce(view.manifests, atMs);
  const check = (manifest: EffectiveManifest): RejectionReason | undefined =>
    checkTime(manifest.index, record, atMs)?.reason ?? checkPlace(manifest, record, gateway, deviceStation);
  const by = (manifest: EffectiveManifest) => {
    const { index } = manifest;
    const before = view.manifests.slice(0, view.manifests.indexOf(manifest));
    return {
      record: dated,
      region: index.stations.get(record.station)!.region,
      marks: marksOf(index, record, isExtended(before, Date.parse(record.castAt))),
      isHeldMode: index.manifest.heldModes?.includes(record.mode) ?? false,
    };
  };
  const legal = inForce.find((manifest) => check(manifest) === undefined);
  if (legal !== undefined) return { ...by(legal), ...clock };
  const newest = inForce[0]!; // There is at least one.
  const older = view.manifests.slice(0, view.manifests.indexOf(newest)).reverse();
  if (isAhead) {
    const place = (manifest: EffectiveManifest) => checkPlace(manifest, record, gateway, deviceStation);
    const placed = [...inForce, ...older].find((manifest) => place(manifest) === undefined);
    if (placed === undefined) return { reject: place(newest)!, record };
    return { ...by(placed), held: "clock", ...clock };
  }
  const superseded = older.find((manifest) => check(manifest) === undefined);
  if (superseded !== undefined) return { ...by(superseded), held: "superseded" };
  return { reject: check(newest)!, record };
}

/**
 * Manifests in force at a time, or less than a minute before or after it. Order: the one at that time, the earlier ones
 * from the newest to the oldest, then the later ones. At least one, because the first manifest has no beginning.
 */
function manifestsInForce(
  manifests: readonly EffectiveManifest[],
  atMs: number,
): readonly EffectiveManifest[] {
  if (manifests.length === 1) return manifests;
  let current = manifests.length - 1;
  while (current > 0 && manifests[current]!.effectiveAtMs > atMs) current--;
  const endsMs = (i: number) => manifests[i + 1]!.effectiveAtMs;
  let first = current;
  while (first > 0 && endsMs(first - 1) > atMs - MANIFEST_OVERLAP_MS) first--;
  let last = current;
  while (last + 1 < manifests.length && endsMs(last) < atMs + MANIFEST_OVERLAP_MS) last++;
  return [...manifests.slice(first, current + 1).reverse(), ...manifests.slice(current + 1, last + 1)];
}

/** The checks of station, choices, device and gateway, which do not depend on the time. */
function checkPlace(
  { index }: EffectiveManifest,
  record: VoteRecord,
  gateway: string,
  deviceStation: string,
): RejectionReason | undefined {
  const fault = checkChoices(index, record);
  if (fault !== undefined) return fault.reason;
  if (deviceStation !== record.station) return "foreign_device";
  return index.gateways.get(gateway)?.has(record.station) ? undefined : "foreign_station";
}

function rejected(reason: RejectionReason): Judgement & { fate: "rejected" } {
  return { fate: "rejected", reason };
}
