/**
 * History: what judging uses about one election, as it applies at a position on the log. Manifests, keys, roll and
 * decisions change while votes arrive. Each change stores the positions from which it applies, so that every recount
 * finds the same outcomes.
 *
 * @module
 */
import type { ElectionIndex } from "./election.ts";
import type { KeyName } from "./keys.ts";

/** A record's position: partition, offset of its entry, and index within the entry. */
export type Position = Readonly<{ partition: number; offset: number; index: number }>;

/** A gateway's or a device's key as it applies at a position. */
export type HistoryKey = Readonly<{ key: Uint8Array; isRevoked: boolean }>;

/** A manifest version, and when it took effect, milliseconds since 1970. */
export type EffectiveManifest = Readonly<{ effectiveAtMs: number; index: ElectionIndex }>;

/** What applies at a position, and nothing newer. */
export type HistoryView = Readonly<{
  /** The newest change that applies. */
  revision: number;
  /** Every manifest that applies, oldest first. The first is in force from the beginning of time. */
  manifests: readonly EffectiveManifest[];
  /** A gateway's signing key, 32 bytes; `undefined` when the gateway has no such key. */
  gatewayKey(name: KeyName): HistoryKey | undefined;
  /** A device's proof key and its station; `undefined` when the election has no such device key. */
  deviceKey(device: string, version: number): (HistoryKey & Readonly<{ station: string }>) | undefined;
}>;

/** An election's history. */
export type ElectionHistory = Readonly<{
  election: string;
  partitions: number;
  voteBytes: number;
  /** The key of voter keys, 32 bytes. */
  pseudonymKey: Uint8Array;
  /** What applies at an offset of a partition. */
  at(partition: number, offset: number): HistoryView;
  /** The key that opens what was sealed under a sender key; `undefined` when that is no public key. */
  sealingKey(senderKey: Uint8Array): Uint8Array | undefined;
}>;
