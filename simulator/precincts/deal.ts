/**
 * Deals counted votes back out onto ballots: the inverse of a tally.
 *
 * @module
 */

/**
 * A contest's votes to deal: how many each candidate has, and how many one ballot may hold. `on` says on which of the
 * ballots it stands, if not on all: those from `first` on, so many as `ballots`, which must be enough.
 */
export type Pile = Readonly<{
  votesAllowed: number;
  counts: readonly number[];
  on?: Readonly<{ first: number; ballots: number }>;
}>;

/**
 * The fewest ballots that can hold all votes: for each contest, votes / votesAllowed rounded up, and no fewer than
 * its strongest candidate has, since nobody votes for one twice.
 */
export function ballotsNeeded(piles: readonly Pile[]): number {
  let most = 0;
  for (const { votesAllowed, counts } of piles) {
    let sum = 0;
    for (const count of counts) {
      sum += count;
      if (count > most) most = count;
    }
    most = Math.max(most, Math.ceil(sum / votesAllowed));
  }
  return most;
}

/**
 * Deals the ballots, one at a time: `pick(contest, candidate)` is called for each of a ballot's selections, then the
 * ballot is yielded. Summed up, the ballots give exactly the piles.
 *
 * A contest's votes, laid out candidate after candidate, go to its ballots round and round (as McNaughton wraps jobs
 * round machines). With n ballots, those of one candidate, at most n, go to n different ballots, and each ballot
 * gets at most votes / n of a contest, rounded up: no more than it may hold.
 *
 * @param pick Indices into `piles` and into its counts.
 * @param ballots How many ballots: {@link ballotsNeeded}, or more, of which the rest are blank.
 */
export function* dealBallots(
  piles: readonly Pile[],
  pick: (contest: number, candidate: number) => void,
  ballots: number = ballotsNeeded(piles),
): Generator<void> {
  // For each contest and round, a pointer that only ever moves forward along the candidates.
  const pointers = piles.map(({ votesAllowed, counts, on = { first: 0, ballots } }) => {
    const total = counts.reduce((sum, count) => sum + count, 0);
    const rounds = on.ballots === 0 ? 0 : Math.min(votesAllowed, Math.ceil(total / on.ballots));
    return { total, counts, on, at: Array.from({ length: rounds }, () => ({ candidate: 0, before: 0 })) };
  });
  for (let ballot = 0; ballot < ballots; ballot++) {
    for (let contest = 0; contest < pointers.length; contest++) {
      const { total, counts, on, at } = pointers[contest]!;
      const own = ballot - on.first;
      if (own < 0 || own >= on.ballots) continue;
      for (let round = 0; round < at.length; round++) {
        const vote = round * on.ballots + own;
        if (vote >= total) break;
        const pointer = at[round]!;
        while (pointer.before + counts[pointer.candidate]! <= vote) {
          pointer.before += counts[pointer.candidate++]!;
        }
        pick(contest, pointer.candidate);
      }
    }
    yield;
  }
}
