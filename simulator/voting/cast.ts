/**
 * What a simulated device casts: the text of a vote, written by hand because it is on the hot path.
 *
 * @module
 */
import type { VoteText } from "../../device/device.ts";
import type { VotingMode } from "../../shared/mode.ts";
import type { Selection } from "../../shared/vote.ts";

/**
 * Writes a vote's JSON, which its device must sign. Every value is an id, a time or a mode, in which JSON has nothing to escape; a voter id may
 * hold any visible character, so it alone is quoted properly.
 *
 * @param selections As {@link selectionsText} writes them.
 */
export function castVote(
  voteId: string,
  voterId: string,
  station: string,
  mode: VotingMode,
  selections: string,
  castAt: string,
): VoteText {
  const text =
    `{"voteId":"${voteId}","voterId":${JSON.stringify(voterId)},"station":"${station}","mode":"${mode}",` +
    `"selections":[${selections}],"castAt":"${castAt}"}`;
  return { voteId, text };
}

/** Writes one selection's JSON. */
export function selectionText(contest: string, candidate: string): string {
  return `{"contest":"${contest}","candidate":"${candidate}"}`;
}

/** Writes selections as they stand between the brackets. */
export function selectionsText(selections: readonly Selection[]): string {
  return selections.map(({ contest, candidate }) => selectionText(contest, candidate)).join(",");
}
