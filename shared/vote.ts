/**
 * A vote as a device posts it, and the check whether an election accepts it.
 *
 * @module
 */
import { z } from "zod";
import { type ElectionIndex, ID, idSchema, instantSchema, isInstant } from "./election.ts";
import { isRecordOf } from "./json.ts";
import { VOTING_MODES, type VotingMode } from "./mode.ts";
import type { RejectionReason } from "./outcome.ts";

/** Maximum selections of a vote, over all its contests. */
export const MAX_SELECTIONS = 1_000;

/** Maximum difference between a gateway's `acceptedAt` and the append time of the log, in milliseconds: five minutes. */
export const MAX_CLOCK_SKEW_MS = 300_000;

/** The form of a vote id. */
export const VOTE_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const VOTER_ID = /^[\x21-\x7e]{1,64}$/;

/** A random UUID, version 4, lower case: a vote id must not tell the time. */
export const voteIdSchema = z.string().regex(
  VOTE_ID,
  "must be a random UUID (version 4) in lower case",
);

export const selectionSchema = z.strictObject({ contest: idSchema, candidate: idSchema });

/** The fields that the posted vote and the record on the log have in common. */
export const ballotShape = {
  voteId: voteIdSchema,
  station: idSchema,
  mode: z.enum(VOTING_MODES),
  /** One entry a selected candidate; a contest without an entry is blank. */
  selections: z.array(selectionSchema).max(MAX_SELECTIONS),
  castAt: instantSchema,
};

/** What a device POSTs for one voter. */
export const voteSchema = z.strictObject({
  ...ballotShape,
  voterId: z.string().regex(VOTER_ID, "must be 1 to 64 visible ASCII characters"),
});

export type Selection = z.infer<typeof selectionSchema>;
export type Vote = z.infer<typeof voteSchema>;

/** Whether a value is right by {@link voteSchema}: the same answer without the schema's objects, and without its reasons. */
export function isVote(value: unknown): value is Vote {
  if (!isRecordOf(value, 6)) return false;
  const { voteId, voterId, station, mode, selections, castAt } = value;
  return typeof voteId === "string" && VOTE_ID.test(voteId) &&
    typeof voterId === "string" && VOTER_ID.test(voterId) &&
    isId(station) && VOTING_MODES.includes(mode as VotingMode) &&
    Array.isArray(selections) && selections.length <= MAX_SELECTIONS && selections.every(isSelection) &&
    typeof castAt === "string" && isInstant(castAt);
}

function isSelection(value: unknown): value is Selection {
  return isRecordOf(value, 2) && isId(value.contest) && isId(value.candidate);
}

function isId(value: unknown): value is string {
  return typeof value === "string" && ID.test(value);
}

/** Why an election does not accept a vote; `detail` says what is wrong and what would be right. */
export type BallotFault = Readonly<{ reason: RejectionReason; detail: string }>;

/**
 * Checks a vote against the election as one manifest version defines it. The gateway asks it of a vote, with its
 * own clock; the aggregator asks it again of the record, with the record's time.
 *
 * @param atMs When the vote was accepted, milliseconds since 1970.
 * @returns what is wrong, or `undefined`.
 */
export function checkBallot(
  election: ElectionIndex,
  ballot: Pick<Vote, "station" | "selections" | "castAt">,
  atMs: number,
): BallotFault | undefined {
  return checkTime(election, ballot, atMs) ?? checkChoices(election, ballot);
}

/**
 * Whether officials have paused voting at a station. A pause ends with voting: what was cast before it may be delivered until
 * `acceptsUntil`.
 */
export function isPaused({ paused, closesAtMs }: ElectionIndex, station: string, atMs: number): boolean {
  return (paused === "all" || paused.has(station)) && atMs <= closesAtMs;
}

const NOT_VOTING = {
  draft: "officials have not scheduled the election yet",
  cancelled: "officials have cancelled the election",
};

/** The part of {@link checkBallot} that depends on the time. */
export function checkTime(
  election: ElectionIndex,
  ballot: Pick<Vote, "castAt" | "station">,
  atMs: number,
): BallotFault | undefined {
  if (atMs < election.opensAtMs || atMs > election.acceptsUntilMs) {
    const { opensAt, acceptsUntil } = election.manifest;
    return fault("not_open", `votes are taken from ${opensAt} until ${acceptsUntil}`);
  }
  const { inactive } = election.manifest;
  if (inactive !== undefined) return fault("not_open", NOT_VOTING[inactive]);
  if (isPaused(election, ballot.station, atMs)) return fault("not_open", "officials have paused voting");
  const castAtMs = Date.parse(ballot.castAt);
  if (castAtMs < election.opensAtMs || castAtMs > election.closesAtMs) {
    const { opensAt, closesAt } = election.manifest;
    return fault("cast_out_of_hours", `castAt must lie between ${opensAt} and ${closesAt}`);
  }
  if (castAtMs > atMs + MAX_CLOCK_SKEW_MS) {
    return fault("cast_out_of_hours", `castAt lies ${castAtMs - atMs} ms ahead of the gateway's clock`);
  }
  return undefined;
}

/** The part of {@link checkBallot} that depends on station and choices. */
export function checkChoices(
  election: ElectionIndex,
  ballot: Pick<Vote, "station" | "selections">,
): BallotFault | undefined {
  const station = election.stations.get(ballot.station);
  if (station === undefined) return fault("unknown_station", `the election has no station ${ballot.station}`);
  const { selections } = ballot;
  const last = found.get(selections);
  if (last?.contests === election.contests && last.here === station.contests) return undefined;
  const wrong = checkSelections(election, station.contests, selections);
  if (wrong === undefined && Object.isFrozen(selections)) {
    found.set(selections, { contests: election.contests, here: station.contests });
  }
  return wrong;
}

/** Where a list of selections that equal ballots share was found right last. */
const found = new WeakMap<
  readonly Selection[],
  Readonly<{ contests: ElectionIndex["contests"]; here: ReadonlySet<string> }>
>();

function checkSelections(
  election: ElectionIndex,
  contestsHere: ReadonlySet<string>,
  selections: readonly Selection[],
): BallotFault | undefined {
  const chosen = new Map<string, Set<string>>();
  for (const { contest: id, candidate } of selections) {
    const contest = contestsHere.has(id) ? election.contests.get(id) : undefined;
    if (contest === undefined) return fault("unknown_contest", `the station does not vote on contest ${id}`);
    if (!contest.candidates.has(candidate)) {
      return fault("unknown_candidate", `no candidate ${candidate} stands in contest ${id}`);
    }
    let picked = chosen.get(id);
    if (picked === undefined) chosen.set(id, picked = new Set());
    if (picked.has(candidate)) {
      return fault("repeated_candidate", `candidate ${candidate} of contest ${id} is selected twice`);
    }
    picked.add(candidate);
    if (picked.size > contest.votesAllowed) {
      return fault("overvote", `contest ${id} allows ${contest.votesAllowed} of its candidates`);
    }
  }
  return undefined;
}

function fault(reason: RejectionReason, detail: string): BallotFault {
  return { reason, detail };
}
