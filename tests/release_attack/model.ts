/**
 * A publisher in memory that keeps sets of voters where the real one keeps numbers. It is compared with the real one by
 * release_attack_test.ts; what it adds is that the attack can be told whose votes are in what was published.
 *
 * @module
 */
import { ALL_VOTERS } from "../../shared/marks.ts";
import type { VotingMode } from "../../shared/mode.ts";
import type { Batch, Cell, Unit } from "../../aggregator/results/units.ts";
import type { PublishedSet } from "./attack.ts";
import { type Ballot, type Script, stationOf } from "./scripts.ts";
import { netOf, NOBODY, plus, total, type Voters, votersOf } from "./voters.ts";

/** The decisions of units.ts, or of a mutant of it. */
export type Rules = Pick<
  typeof import("../../aggregator/results/units.ts"),
  "cellUnit" | "divide" | "dueAfterFinal" | "dueBeforeFinal" | "homeOf"
>;

/** Rules that are kept outside of units.ts, and that a mutant may break. */
export type Habits = Readonly<{
  /** A withdrawn state stays known. */
  keepsKnown: boolean;
  /** Voters who were lost in a rebuild stay known. */
  countsLost: boolean;
  /** A contest's cells are counted by the voters who had the contest, and not by all voters of the cell. */
  countsByContest: boolean;
  /** A voter is shown in one unit. */
  isDisjoint: boolean;
  /** Before the final release the snapshot is shown, and not what was counted. */
  showsSnapshot: boolean;
}>;

export const GOOD_HABITS: Habits = {
  keepsKnown: true,
  countsLost: true,
  countsByContest: true,
  isDisjoint: true,
  showsSnapshot: true,
};

type Key = string;

/** A cell of one contest. */
type State = {
  station: string;
  mode: VotingMode;
  counted: Set<number>;
  snapshot: Set<number>;
  known: number;
  parts: Map<string, Voters>;
  withdrawn: Map<string, Voters>;
};

/** What a unit shows of a contest: whose votes. */
export type Shown = ReadonlyMap<string, Voters>;

/** See the module. */
export class ModelPublisher {
  readonly #script: Script;
  readonly #rules: Rules;
  readonly #habits: Habits;
  readonly #contests = new Map<string, Map<Key, State>>();
  readonly #units = new Map<string, Unit>();
  readonly #published = new Map<string, PublishedSet[]>();
  readonly #everCounted = new Set<number>();
  /** Voters who were counted once, and are not any more by the newest rebuild. */
  #lost = 0;
  #isFinal = false;

  constructor(script: Script, rules: Rules, habits: Habits = GOOD_HABITS) {
    this.#script = script;
    this.#rules = rules;
    this.#habits = habits;
  }

  get contests(): string[] {
    return [...this.#contests.keys()];
  }

  /** Every state that was ever published of a contest. */
  published(contest: string): readonly PublishedSet[] {
    return this.#published.get(contest) ?? [];
  }

  /** Voters with a contest who were counted. */
  counted(contest: string): ReadonlySet<number> {
    return union(this.#cellsOf(contest).map(({ counted }) => counted));
  }

  /** What stands published of a contest, by unit. */
  shown(contest: string): Shown {
    const shown = new Map<string, Voters>();
    for (const { parts } of this.#cellsOf(contest)) {
      for (const [unit, voters] of parts) shown.set(unit, plus(shown.get(unit) ?? NOBODY, voters));
    }
    return shown;
  }

  /** How many of each cell were counted; the cells' keys are `station/mode`. */
  cells(contest: string): Map<Key, number> {
    return new Map([...this.#contests.get(contest) ?? []].map(([key, { counted }]) => [key, counted.size]));
  }

  count(ballots: readonly Ballot[]): void {
    for (const ballot of ballots) {
      this.#everCounted.add(ballot.voter);
      for (const contest of [ALL_VOTERS, ...ballot.contests]) {
        this.#stateOf(contest, ballot).counted.add(ballot.voter);
      }
    }
  }

  /** As publish() does. */
  publish({ final, caughtUp }: Readonly<{ final: boolean; caughtUp: boolean }>): void {
    const phase = this.#isFinal ? "late" : final ? "final" : "interim";
    this.#isFinal ||= final;
    for (const contest of this.contests) {
      const before = this.shown(contest);
      if (phase === "interim") this.#publishInterim(contest);
      else if (phase === "final") this.#publishFinal(contest);
      else this.#publishLate(contest, caughtUp);
      this.#note(contest, before);
    }
    if (phase === "final") { for (const contest of this.contests) this.#forgetSnapshots(contest); }
  }

  /** As a rebuild does that finds other voters than were counted, and as withdrawUnfounded() does then. */
  rebuild(ballots: readonly Ballot[]): void {
    for (const contest of this.contests) {
      for (const state of this.#cellsOf(contest)) state.counted = new Set();
    }
    this.count(ballots);
    this.#lost = this.#everCounted.size - ballots.length;
    for (const contest of this.contests) {
      const before = this.shown(contest);
      this.#withdraw(contest);
      this.#forgetSnapshots(contest);
      this.#note(contest, before);
    }
  }

  #withdraw(contest: string): void {
    const states = this.#cellsOf(contest);
    const isUnfounded = ({ counted }: State, parts: Map<string, Voters>) =>
      parts.size > 0 &&
      !isBorneOut(this.#tally(contest, total(parts.values())), this.#tally(contest, votersOf(counted)));
    const unfounded = states.filter((state) => isUnfounded(state, state.parts));
    const units = new Set(unfounded.flatMap(({ parts }) => [...parts.keys()]));
    for (const state of states) {
      for (const [unit, voters] of [...state.parts].filter(([unit]) => units.has(unit))) {
        state.parts.delete(unit);
        state.withdrawn.set(unit, voters);
      }
      if (!this.#habits.keepsKnown) state.known = sizeOf(state.parts);
    }
    const refused = new Set(
      states.filter((state) => isUnfounded(state, state.withdrawn) || state.parts.size > 0)
        .flatMap(({ withdrawn }) => [...withdrawn.keys()]),
    );
    for (const state of states) {
      for (const [unit, voters] of [...state.withdrawn].filter(([unit]) => !refused.has(unit))) {
        state.withdrawn.delete(unit);
        state.parts.set(unit, voters);
      }
    }
  }

  /** Votes by choice, which is all that tables tell. */
  #tally(contest: string, voters: Voters): Map<string, number> {
    const tally = new Map<string, number>();
    const add = (key: string, n: number) => tally.set(key, (tally.get(key) ?? 0) + n);
    for (const [voter, n] of voters) {
      add("#ballots", n);
      if (contest !== ALL_VOTERS) add(this.#script.choiceOf(voter, contest), n);
    }
    return tally;
  }

  #publishInterim(contest: string): void {
    if (!this.#script.beforeFinal) return;
    const due = this.#rules.dueBeforeFinal(this.#read(contest), this.#script.k);
    for (const cell of due.publish) {
      const state = this.#stateOf(contest, cell);
      const shown = this.#habits.showsSnapshot ? state.snapshot : state.counted;
      this.#show(contest, { unit: this.#rules.cellUnit(cell), cells: [cell] }, () => shown);
    }
    for (const cell of due.snapshot) {
      const state = this.#stateOf(contest, cell);
      state.snapshot = new Set(state.counted);
    }
  }

  #publishFinal(contest: string): void {
    this.#showDivided(contest, this.#rules.divide(this.#read(contest), this.#script.k));
  }

  #publishLate(contest: string, caughtUp: boolean): void {
    const cells = this.#read(contest).filter(({ counted, shown, known }) =>
      counted > shown || counted < known
    );
    const homes = this.#homes(contest);
    if (homes.all.length === 0) return this.#showDivided(contest, this.#rules.divide(cells, this.#script.k));
    const home = (cell: Cell) => homes.byCell.get(keyOf(cell)) ?? this.#rules.homeOf(cell, homes.all);
    for (const batch of this.#rules.dueAfterFinal(cells, home, this.#script.k, caughtUp)) {
      this.#show(contest, batch, ({ counted }) => counted);
    }
  }

  #homes(contest: string) {
    const byCell = new Map<Key, Unit>();
    const all = new Map<string, { unit: Unit; voters: number }>();
    for (const state of this.#cellsOf(contest)) {
      for (const [id, voters] of [...state.withdrawn, ...state.parts]) {
        const unit = this.#units.get(id)!;
        if (unit.members !== null && "late" in unit.members) continue;
        byCell.set(keyOf(state), unit);
        const found = all.get(id) ?? { unit, voters: 0 };
        all.set(id, { unit, voters: found.voters + netOf(voters) });
      }
    }
    return { byCell, all: [...all.values()] };
  }

  #showDivided(contest: string, batches: readonly Batch[]): void {
    for (const batch of batches) {
      if (batch.cells.every(({ counted, shown }) => counted === shown)) continue;
      for (const cell of batch.cells.length > 1 && this.#habits.isDisjoint ? batch.cells : []) {
        this.#stateOf(contest, cell).parts.delete(this.#rules.cellUnit(cell).id);
      }
      this.#show(contest, batch, ({ counted }) => counted);
    }
  }

  #show(contest: string, { unit, cells }: Batch, of: (state: State) => ReadonlySet<number>): void {
    this.#units.set(unit.id, unit);
    for (const cell of cells) {
      const state = this.#stateOf(contest, cell);
      for (const id of [...state.withdrawn.keys()]) {
        for (const each of this.#cellsOf(contest)) each.withdrawn.delete(id);
      }
      const elsewhere = total([...state.parts].filter(([id]) => id !== unit.id).map(([, voters]) => voters));
      const all = votersOf(of(state));
      state.parts.set(unit.id, this.#habits.isDisjoint ? plus(all, elsewhere, -1) : all);
      const lost = this.#habits.countsLost ? Math.min(this.#lost, state.known) : 0;
      state.known = Math.max(state.known, sizeOf(state.parts) + lost);
    }
  }

  #forgetSnapshots(contest: string): void {
    for (const state of this.#cellsOf(contest)) state.snapshot = new Set();
  }

  /** Adds the states that have changed to what was published. */
  #note(contest: string, before: Shown): void {
    const after = this.shown(contest);
    const published = this.#published.get(contest) ?? [];
    for (const unit of new Set([...before.keys(), ...after.keys()])) {
      const voters = after.get(unit) ?? NOBODY;
      if (plus(voters, before.get(unit) ?? NOBODY, -1).size === 0) continue;
      const isPool = unit.endsWith(":late");
      published.push({ name: `${contest} of ${unit} (${published.length})`, unit, isPool, voters });
    }
    this.#published.set(contest, published);
  }

  #read(contest: string): Cell[] {
    return this.#cellsOf(contest).map((state): Cell => {
      const { station, mode, counted, snapshot, known, parts } = state;
      const all = this.#contests.get(ALL_VOTERS)!.get(keyOf(state))!;
      const of = (own: number, ofAll: number) => this.#habits.countsByContest ? own : ofAll;
      return {
        station,
        mode,
        region: stationOf(this.#script, station).region,
        counted: of(counted.size, all.counted.size),
        shown: of(sizeOf(parts), sizeOf(all.parts)),
        known: of(known, all.known),
        snapshot: of(snapshot.size, all.snapshot.size),
      };
    }).filter(({ counted, known }) => counted > 0 || known > 0);
  }

  #cellsOf(contest: string): State[] {
    return [...this.#contests.get(contest)?.values() ?? []];
  }

  #stateOf(contest: string, place: Readonly<{ station: string; mode: VotingMode }>): State {
    let states = this.#contests.get(contest);
    if (states === undefined) this.#contests.set(contest, states = new Map());
    let state = states.get(keyOf(place));
    if (state === undefined) {
      const { station, mode } = place;
      state = {
        station,
        mode,
        counted: new Set(),
        snapshot: new Set(),
        known: 0,
        parts: new Map(),
        withdrawn: new Map(),
      };
      states.set(keyOf(place), state);
    }
    return state;
  }
}

function keyOf({ station, mode }: Readonly<{ station: string; mode: string }>): Key {
  return `${station}/${mode}`;
}

function union(sets: readonly ReadonlySet<number>[]): Set<number> {
  return new Set(sets.flatMap((set) => [...set]));
}

function sizeOf(parts: ReadonlyMap<string, Voters>): number {
  return netOf(total(parts.values()));
}

/** Whether counts confirm what is shown: no number is larger, and with as many ballots all are equal. */
function isBorneOut(shown: ReadonlyMap<string, number>, counted: ReadonlyMap<string, number>): boolean {
  if ([...shown].some(([choice, votes]) => votes > (counted.get(choice) ?? 0))) return false;
  if (shown.get("#ballots") !== counted.get("#ballots")) return true;
  return [...counted].every(([choice, votes]) => shown.get(choice) === votes);
}
