/**
 * The one fate of every record, from a closed list. Add to the lists here and the compiler names every place
 * that has to follow.
 *
 * @module
 */

/** Why a record is rejected, in the order in which the checks are made, and what each one means. */
export const REJECTION_REASONS = {
  unreadable: "the record's headers or its size are not those of a record",
  wrong_election: "it was signed for another election",
  unknown_gateway: "no gateway of this election has that key",
  bad_signature: "the gateway's signature does not fit the bytes",
  cannot_open: "the seal does not open with the aggregator's key",
  malformed: "what was sealed is not a vote",
  wrong_partition: "the voter's records belong on another partition",
  unknown_manifest: "it names a manifest version that was never published",
  accepted_in_future: "its gateway's clock was ahead of the log's by more than the limit",
  not_open: "its gateway accepted it while the election took no votes",
  cast_out_of_hours: "it was cast before opening or after closing",
  unknown_station: "the manifest has no such station",
  unknown_contest: "the station does not vote on that contest",
  unknown_candidate: "no such candidate stands in the contest",
  repeated_candidate: "the same candidate is selected twice",
  overvote: "more candidates are selected than the contest allows",
  foreign_station: "the manifest does not give that station to its gateway",
  unknown_voter: "the voter was not on the roll when the gateway accepted the vote",
  wrong_station: "the voter is accredited at another station",
} as const;

/** Why a record is rejected. */
export type RejectionReason = keyof typeof REJECTION_REASONS;

/**
 * Why a record is a duplicate: `retransmission`, the same vote id again (benign); `double_vote`, another vote id
 * of a voter who has voted (an alert).
 */
export type DuplicateKind = "retransmission" | "double_vote";

/** What became of one record. */
export type Outcome =
  | Readonly<{ fate: "counted" }>
  | Readonly<{ fate: "duplicate"; reason: DuplicateKind }>
  | Readonly<{ fate: "rejected"; reason: RejectionReason }>;

/** The fates. */
export type Fate = Outcome["fate"];

/** A row of the outcome counters: a fate, and its reason (`""` for counted). */
export function outcomeName(outcome: Outcome): string {
  return outcome.fate === "counted" ? "counted" : `${outcome.fate}/${outcome.reason}`;
}
