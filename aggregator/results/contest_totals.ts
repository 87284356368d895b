/**
 * What is shown of a contest beside its candidates: ballots, undervotes, blanks. Releases keep them as marks.
 *
 * @module
 */
import { MARK } from "../../shared/marks.ts";

/** A mark as a release keeps it. */
export type MarkLine = Readonly<{ contest: string; candidate: string; votes: number; added?: number }>;

/** Totals of one contest. `undervotes` are choices, the others ballots. `extended` is left out while there are none. */
export type ContestTotals = Readonly<
  { contest: string; ballots: number; undervotes: number; blanks: number; extended?: number }
>;

/** The same with what a release added. */
export type AddedTotals =
  & ContestTotals
  & Readonly<{ addedBallots: number; addedUndervotes: number; addedBlanks: number }>;

const none = () => ({ votes: 0, added: 0 });

/** Adds marks up, by contest, in the order in which the contests come. */
export function totalsOf(lines: Iterable<MarkLine>): AddedTotals[] {
  const found = new Map<string, Record<string, { votes: number; added: number }>>();
  for (const { contest, candidate, votes, added = 0 } of lines) {
    let marks = found.get(contest);
    if (marks === undefined) found.set(contest, marks = {});
    const mark = marks[candidate] ??= none();
    mark.votes += votes;
    mark.added += added;
  }
  return [...found].map(([contest, marks]) => {
    const of = (mark: string) => marks[mark] ?? none();
    const [ballots, undervotes, blank] = [of(MARK.ballots), of(MARK.undervotes), of(MARK.blank)];
    const extended = of(MARK.extended).votes;
    return {
      contest,
      ballots: ballots.votes,
      undervotes: undervotes.votes,
      blanks: blank.votes,
      ...extended > 0 && { extended },
      addedBallots: ballots.added,
      addedUndervotes: undervotes.added,
      addedBlanks: blank.added,
    };
  });
}

/** The totals alone. */
export function withoutAdded(
  { contest, ballots, undervotes, blanks, extended }: ContestTotals,
): ContestTotals {
  return { contest, ballots, undervotes, blanks, ...extended !== undefined && { extended } };
}
