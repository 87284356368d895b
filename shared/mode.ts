/**
 * How votes are cast.
 *
 * @module
 */

/**
 * Append only: the order is part of unit ids, and a name that is longer than these raises `voteBytes`, which is frozen in
 * elections that exist.
 */
export const VOTING_MODES = ["in_person", "early", "absentee", "provisional"] as const;
export type VotingMode = (typeof VOTING_MODES)[number];
