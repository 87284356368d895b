/**
 * What one ballot adds to the count: its selections, and for every contest marks that show how much of the ballot was
 * used. Only this module decides what an undervote and a blank are.
 *
 * @module
 */
import type { ElectionIndex } from "./election.ts";
import type { EffectiveManifest } from "./history.ts";
import type { Selection } from "./vote.ts";

/**
 * Names used in place of a candidate's id. No id has a `#`, so they never collide with one.
 *
 * - `ballots`: ballots that had the contest.
 * - `undervotes`: choices that voters were allowed and did not make, those of blank ballots included. So
 *   votes + undervotes = ballots × votesAllowed.
 * - `blank`: ballots on which nothing was chosen in the contest.
 * - `extended`: ballots that were cast after voting would have closed, had officials not extended the hours.
 */
export const MARK = {
  ballots: "#ballots",
  undervotes: "#undervotes",
  blank: "#blank",
  extended: "#extended",
} as const;

/** Used in place of a contest's id: all voters, whatever contests their ballots had. Its only mark is `ballots`. */
export const ALL_VOTERS = "#voters";

/**
 * The selections of a ballot, followed by its marks; an undervote of two choices is there twice.
 *
 * @param election The manifest version that the ballot was judged by. A contest that is not on the station's ballot
 *   there has no marks.
 * @param isExtended See {@link isExtended}.
 * @returns the same frozen list for equal ballots that share theirs: see vote_text.ts.
 */
export function marksOf(
  election: ElectionIndex,
  { station, selections }: Readonly<{ station: string; selections: readonly Selection[] }>,
  isExtended = false,
): readonly Selection[] {
  const { contests } = election;
  const here = election.stations.get(station)?.contests ?? NONE;
  if (!Object.isFrozen(selections)) return makeMarks(election, here, selections, isExtended);
  const last = made.get(selections);
  if (last?.contests === contests && last.here === here && last.isExtended === isExtended) return last.marks;
  const marks = Object.freeze(makeMarks(election, here, selections, isExtended));
  made.set(selections, { contests, here, isExtended, marks });
  return marks;
}

const NONE: ReadonlySet<string> = new Set();

/** The marks that were made last of a list of selections that equal ballots share. */
const made = new WeakMap<
  readonly Selection[],
  Readonly<{
    contests: ElectionIndex["contests"];
    here: ReadonlySet<string>;
    isExtended: boolean;
    marks: readonly Selection[];
  }>
>();

function makeMarks(
  election: ElectionIndex,
  here: ReadonlySet<string>,
  selections: readonly Selection[],
  isExtended: boolean,
): Selection[] {
  const marks = [...selections];
  for (const contest of here) {
    const allowed = election.contests.get(contest)!.votesAllowed;
    let chosen = 0;
    for (const selection of selections) if (selection.contest === contest) chosen++;
    marks.push({ contest, candidate: MARK.ballots });
    for (let left = chosen; left < allowed; left++) marks.push({ contest, candidate: MARK.undervotes });
    if (chosen === 0) marks.push({ contest, candidate: MARK.blank });
    if (isExtended) marks.push({ contest, candidate: MARK.extended });
  }
  return marks;
}

/**
 * Whether a ballot was cast in extended hours: after voting would have closed by a manifest version before the one that it is
 * judged by. Hours of drafts do not count: nobody could vote by them.
 *
 * @param before The versions before it.
 */
export function isExtended(before: readonly EffectiveManifest[], castAtMs: number): boolean {
  return before.some(({ index }) => index.closesAtMs < castAtMs && index.manifest.inactive === undefined);
}

/** Whether some version closes voting later than one before it: its ballots may be marked `extended`. */
export function hasExtension(manifests: readonly EffectiveManifest[]): boolean {
  let earliestMs = Infinity;
  for (const { index } of manifests) {
    if (index.closesAtMs > earliestMs) return true;
    if (index.manifest.inactive === undefined) earliestMs = Math.min(earliestMs, index.closesAtMs);
  }
  return false;
}
