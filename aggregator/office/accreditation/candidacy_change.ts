/**
 * Which states of a candidate or party follow which, and what each change does to ballots. Pure.
 *
 * @module
 */
import type { CandidacyState } from "../../../shared/changes.ts";
import type { Phase } from "../lifecycle/transition.ts";

/** What a change does to the manifest: `mark` keeps a candidate on ballots, as one who withdrew. */
export type BallotChange = "add" | "remove" | "mark" | "keep";

/** A change that is allowed, or why it is not. */
export type CandidacyTransition = Readonly<{ ballot: BallotChange }> | Readonly<{ refused: string }>;

/** While an election is a draft: from a state to others, with what happens to a ballot. */
const IN_DRAFT: Record<CandidacyState, Partial<Record<CandidacyState, BallotChange>>> = {
  filed: { qualified: "add", refused: "keep", withdrawn: "keep" },
  qualified: { refused: "remove", withdrawn: "remove" },
  refused: { qualified: "add" },
  withdrawn: {},
};

/** When ballots are fixed: nothing but a withdrawal. */
const FIXED: typeof IN_DRAFT = {
  filed: { withdrawn: "keep" },
  qualified: { withdrawn: "mark" },
  refused: {},
  withdrawn: {},
};

/** Phases in which ballots are fixed and results are not certified. */
const BALLOTS_FIXED: readonly Phase[] = ["scheduled", "open", "paused", "closed", "canvass"];

/** Says what a change of state does, in a phase of the election. */
export function candidacyTransition(
  phase: Phase,
  from: CandidacyState,
  to: CandidacyState,
): CandidacyTransition {
  const isFixed = BALLOTS_FIXED.includes(phase);
  if (!isFixed && phase !== "draft") return { refused: `the election is ${phase}: nothing of it changes` };
  const ballot = (isFixed ? FIXED : IN_DRAFT)[from][to];
  if (ballot !== undefined) return { ballot };
  const later = Object.keys(IN_DRAFT[from]);
  if (isFixed && later.includes(to)) {
    return {
      refused: `the election is ${phase}, so its ballots are fixed: who is ${from} may only withdraw`,
    };
  }
  return {
    refused: later.length === 0
      ? `who is ${from} stays so`
      : `who is ${from} may become ${later.join(", ")}, and not ${to}`,
  };
}
