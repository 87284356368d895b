/**
 * Every kind of vote that the simulator casts, and what must become of each: the one place that says so. Plan,
 * ledger and verdict follow it.
 *
 * @module
 */
import type { DuplicateKind, HeldReason, RejectionReason } from "../../shared/outcome.ts";
import type { ProblemType } from "../../shared/problem.ts";

/** What the aggregator may say of a vote, as `fate` or `fate/reason`. */
export type OutcomeName =
  | "counted"
  | `duplicate/${DuplicateKind}`
  | `rejected/${RejectionReason}`
  | `held/${HeldReason}`;

/**
 * What must become of a vote: a gateway refuses it for just this; or the aggregator says one of these of it; or a gateway
 * takes it, the aggregator counts its record as this, and answers `pending` for ever: the outcome belongs to no vote id.
 */
export type Fate =
  | Readonly<{ refusedAs: ProblemType }>
  | Readonly<{ outcomes: readonly OutcomeName[] }>
  | Readonly<{ unanswered: OutcomeName }>;

/**
 * How a kind comes about. `own`: each voter's vote. `vote`: another vote in good form, judged by the aggregator.
 * `ballot`: a vote whose text is wrong, sent as any other, alone or as a line of a batch among good ones. `request`:
 * a request of its own that is wrong around the text. `again`: sent once a gateway has taken the voter's own vote.
 */
export type Way = "own" | "vote" | "ballot" | "request" | "again";

type Kind = Readonly<{ what: string; way: Way; fate: Fate }>;

// A second vote may overtake the first: then that one counts, and the other is the double.
const COUNTED_OR_DOUBLE: Fate = { outcomes: ["counted", "duplicate/double_vote"] };
const ballot = (
  what: string,
  refusedAs: ProblemType,
) => ({ what, way: "ballot", fate: { refusedAs } } as const);
const request = (
  what: string,
  refusedAs: ProblemType,
) => ({ what, way: "request", fate: { refusedAs } } as const);

/** Kind → what it is, how it comes about, what must become of it. */
const KINDS = {
  "first": { what: "a voter's own vote", way: "own", fate: COUNTED_OR_DOUBLE },

  "double": { what: "the same voter's, under another id", way: "vote", fate: COUNTED_OR_DOUBLE },
  "unknown-voter": {
    what: "of nobody on the roll",
    way: "vote",
    fate: { outcomes: ["rejected/unknown_voter"] },
  },
  "other-station": {
    what: "at a station not the voter's",
    way: "vote",
    fate: { outcomes: ["rejected/wrong_station"] },
  },
  "wrong-proof": {
    what: "with a proof under another key",
    way: "vote",
    fate: { unanswered: "rejected/bad_proof" },
  },

  "retransmission": {
    what: "the voter's own, to the other gateway too",
    way: "again",
    fate: COUNTED_OR_DOUBLE,
  },
  "reused-id": {
    what: "the own vote's id with another body",
    way: "again",
    fate: { refusedAs: "vote-id-reused" },
  },

  "not-json": ballot("text that is not JSON", "not-json"),
  "wrong-field": ballot("a field missing, added or of another form", "invalid-vote"),
  "too-long": ballot("longer than a vote of the election may be", "vote-too-long"),
  "too-large": ballot("longer than any vote may be", "body-too-large"),
  "out-of-hours": ballot("cast before the election opened", "cast-out-of-hours"),
  "other-device": ballot("by a device of another station", "wrong-station"),
  "unknown-contest": ballot("for a contest that does not exist", "unknown-contest"),
  "unknown-candidate": ballot("for a candidate that does not exist", "unknown-candidate"),
  "repeated-candidate": ballot("the same candidate twice", "repeated-candidate"),
  "overvote": ballot("more candidates than the contest allows", "overvote"),

  "foreign-proof": request("with the proof key of another device", "foreign-proof"),
  "unsigned": request("without a signature", "signature-missing"),
  "malformed-signature": request("signature parameters in another order", "signature-malformed"),
  "forged": request("signed with another key", "signature-invalid"),
  "stale": request("signed ten minutes ago", "signature-stale"),
  "early": request("signed ten minutes ahead", "signature-early"),
  "altered": request("other bytes than were signed", "digest-mismatch"),
  "unknown-device": request("by a device that does not exist", "unknown-key"),
  "revoked-device": request("by a device whose key was revoked", "revoked-key"),
  "other-id": request("Idempotency-Key is not the vote's id", "vote-id-mismatch"),
  "empty": request("without a body", "body-empty"),
  "encoded": request("with a Content-Encoding", "encoded-body"),
  "query": request("with a query string", "query-not-allowed"),
  "wrong-type": request("of another content type", "unsupported-media-type"),
  "wrong-method": request("PUT in place of POST", "method-not-allowed"),
  "wrong-path": request("to an address that does not exist", "not-found"),
  "too-many-lines": request("a batch of more lines than it may have", "too-many-lines"),
} as const satisfies Record<string, Kind>;

/** A kind of vote. */
export type VoteKind = keyof typeof KINDS;

type KindOf<W extends Way> = { [K in VoteKind]: (typeof KINDS)[K]["way"] extends W ? K : never }[VoteKind];
/** Kinds whose text is wrong. */
export type BallotKind = KindOf<"ballot">;
/** Kinds whose request is wrong. */
export type RequestKind = KindOf<"request">;
/** What comes beside voters' own votes. */
export type BadKind = Exclude<VoteKind, KindOf<"own">>;

/** All kinds, in the order in which they are listed. */
export const VOTE_KINDS = Object.keys(KINDS) as [VoteKind, ...VoteKind[]];

/** All kinds but voters' own votes. */
export const BAD_KINDS = VOTE_KINDS.filter((kind): kind is BadKind => KINDS[kind].way !== "own");

/** What is known of a kind. */
export function describeKind(kind: VoteKind): Kind {
  return KINDS[kind];
}

/** Whether a vote of this kind may be the one of its voter that counts. */
export function mayCount(kind: VoteKind): boolean {
  const { fate } = describeKind(kind);
  return "outcomes" in fate && fate.outcomes.includes("counted");
}

/** What records of this kind are counted as, when no receipt is ever answered with it. */
export function unansweredOf(kind: VoteKind): OutcomeName | undefined {
  const { fate } = describeKind(kind);
  return "unanswered" in fate ? fate.unanswered : undefined;
}

/** What must become of a kind, one of these: the aggregator's outcome, or `refused/` and the problem's reason. */
export function expectedOf(kind: VoteKind): readonly (OutcomeName | `refused/${ProblemType}`)[] {
  const { fate } = describeKind(kind);
  if ("refusedAs" in fate) return [`refused/${fate.refusedAs}`];
  return "unanswered" in fate ? [fate.unanswered] : fate.outcomes;
}
