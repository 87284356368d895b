/**
 * The one outcome of every record, from a closed list. A new reason for a rejection also changes: judge.ts or vote.ts (for the
 * roll: tally.ts and aggregator/counting/count_records.ts), problem.ts and gateway/openapi.ts if gateways refuse it, the page's
 * texts.js, docs/wire-format.md and the vectors. Tests name most of these; the compiler does not.
 *
 * @module
 */

/** Why a record is rejected, in the order in which the checks are made, and what each one means. */
export const REJECTION_REASONS = {
  unreadable: "the entry's headers or its size are not those of an entry",
  wrong_election: "it was signed for another election",
  unknown_gateway: "no gateway of this election has that key",
  bad_signature: "the gateway's signature does not fit the bytes",
  cannot_open: "the seal does not open with the aggregator's key",
  malformed: "what was sealed is not a record or a statement",
  bad_proof: "the proof is not that of a device of this election: the gateway altered the vote or made it up",
  invalid_vote: "the device signed a text that is not a vote",
  wrong_partition: "the voter's records belong on another partition",
  unknown_manifest: "it names a manifest version that was not published at that position on the log",
  not_open: "its gateway accepted it while the election took no votes",
  cast_out_of_hours: "it was cast before opening or after closing",
  unknown_station: "the manifest has no such station",
  unknown_contest: "the station does not vote on that contest",
  unknown_candidate: "no such candidate stands in the contest",
  repeated_candidate: "the same candidate is selected twice",
  overvote: "more candidates are selected than the contest allows",
  foreign_device: "the device that signed it does not stand at the vote's station",
  foreign_station: "the manifest does not give that station to its gateway",
  after_certification: "it came on the log after officials certified the results",
  unknown_voter: "the voter was not on the roll",
  wrong_station: "the voter is accredited at another station",
  wrong_region: "the voter is accredited in another region",
  by_decision: "officials rejected it after it had been held",
} as const;

/** Why a record is rejected. */
export type RejectionReason = keyof typeof REJECTION_REASONS;

/** Why a record is held until officials decide, in the order in which the checks are made. */
export const HELD_REASONS = {
  gateway_revoked: "its gateway's key had been revoked at that position on the log",
  device_revoked: "its device's key had been revoked at that position on the log",
  mode:
    "the manifest holds votes of its mode, such as provisional ones, until officials have looked into each",
  clock: "its gateway's clock was ahead, and by the log's clock the election took no votes",
  superseded: "only a manifest that was no longer in force allows it",
} as const;

/** Why a record is held. */
export type HeldReason = keyof typeof HELD_REASONS;

/**
 * Why a record is a duplicate: `retransmission`, the same vote id again (benign); `double_vote`, another vote id
 * of a voter who has voted (an alert).
 */
export type DuplicateKind = "retransmission" | "double_vote";

/** What became of one record. A statement is no vote, and is counted apart. */
export type Outcome =
  | Readonly<{ fate: "counted" }>
  | Readonly<{ fate: "duplicate"; reason: DuplicateKind }>
  | Readonly<{ fate: "rejected"; reason: RejectionReason }>
  | Readonly<{ fate: "held"; reason: HeldReason }>
  | Readonly<{ fate: "statement" }>;

/** The fates, in the order in which they are shown. */
export const FATES = ["counted", "duplicate", "rejected", "held", "statement"] as const;
export type Fate = Outcome["fate"];

/** A row of the outcome counters: a fate, and its reason where it has one. */
export function outcomeName(outcome: Outcome): string {
  return "reason" in outcome ? `${outcome.fate}/${outcome.reason}` : outcome.fate;
}
