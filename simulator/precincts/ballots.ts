/**
 * How many ballots each precinct's voters cast, and which contests stand on which of them.
 *
 * @module
 */
import { VOTING_MODES } from "../../shared/mode.ts";
import { ballotsNeeded, type Pile } from "./deal.ts";
import type { BallotsCast, PrecinctTable, TableRow } from "./table.ts";

/** A mode's ballots in a station, and the votes on them. */
export type ModeBallots = Readonly<{ count: number; piles: readonly Pile[] }>;

/** Knows the ballots of a table's stations, as far as some of its contests are on them. */
export class StationBallots {
  readonly #table: PrecinctTable;
  readonly #cast: ReadonlyMap<number, readonly BallotsCast[]>;
  readonly #isWhole: boolean;

  /** @param chosen Places of the contests in the table's list. */
  constructor(table: PrecinctTable, chosen: readonly number[]) {
    this.#table = table;
    this.#cast = Map.groupBy(table.ballots, ({ station }) => station);
    // The ballots of a primary are of one party each: those of other parties are not these contests'.
    const parties = new Set(chosen.map((contest) => table.contests[contest]!.ballot));
    this.#isWhole = table.contests.every(({ ballot }) => ballot === undefined || parties.has(ballot));
  }

  /**
   * A station's ballots by mode: as many as the file says were cast, and never fewer than hold all votes. In a primary
   * those of each party follow one another; contests of no party stand on all.
   *
   * @param groups The station's rows, by contest.
   */
  of(
    station: number,
    groups: readonly (readonly [contest: number, rows: readonly TableRow[]])[],
  ): ModeBallots[] {
    const byMode = VOTING_MODES.map((_, mode) => this.#needed(groups, mode));
    const cast = this.#castIn(station, groups.map(([contest]) => contest));
    const needed = byMode.reduce((sum, { count }) => sum + count, 0);
    const extra = blankBallots(cast, byMode.map(({ count }) => count), Math.max(0, total(cast) - needed));
    return byMode.map(({ count, piles }, mode) => ({ count: count + extra[mode]!, piles }));
  }

  #needed(
    groups: readonly (readonly [contest: number, rows: readonly TableRow[]])[],
    mode: number,
  ): ModeBallots {
    const piles = groups.map(([contest, rows]): Pile => ({
      votesAllowed: this.#table.contests[contest]!.votesAllowed,
      counts: rows.map(({ votes }) => votes[mode]!),
    }));
    const partyOf = (index: number) => this.#table.contests[groups[index]![0]]!.ballot;
    const byParty = Map.groupBy(piles.keys(), partyOf);
    const open = (byParty.get(undefined) ?? []).map((index) => piles[index]!);
    let first = 0;
    for (const [party, indices] of byParty) {
      if (party === undefined) continue;
      const ballots = ballotsNeeded(indices.map((index) => piles[index]!));
      for (const index of indices) piles[index] = { ...piles[index]!, on: { first, ballots } };
      first += ballots;
    }
    return { count: Math.max(first, ballotsNeeded(open)), piles };
  }

  /** The ballots cast in a station, by mode: all of them, or those with the contests that there are. */
  #castIn(station: number, contests: readonly number[]): readonly number[] {
    const here = this.#cast.get(station) ?? [];
    const whole = here.find(({ contest }) => contest === undefined);
    if (whole !== undefined && this.#isWhole) return whole.votes;
    const most = new Map<string | undefined, readonly number[]>();
    for (const { contest, votes } of here) {
      if (contest === undefined || !contests.includes(contest)) continue;
      const { ballot } = this.#table.contests[contest]!;
      if (total(votes) > total(most.get(ballot) ?? [])) most.set(ballot, votes);
    }
    const open = most.get(undefined) ?? [];
    most.delete(undefined);
    const ofParties = VOTING_MODES.map((_, mode) =>
      [...most.values()].reduce((sum, votes) => sum + votes[mode]!, 0)
    );
    return total(ofParties) >= total(open) ? ofParties : open;
  }
}

/** Distributes blank ballots over the modes: first to those with more ballots than their votes need, the rest to the first mode. */
function blankBallots(cast: readonly number[], needed: readonly number[], extra: number): number[] {
  let left = extra;
  const blank = VOTING_MODES.map((_, mode) => {
    const here = Math.min(left, Math.max(0, (cast[mode] ?? 0) - needed[mode]!));
    left -= here;
    return here;
  });
  blank[0]! += left;
  return blank;
}

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
