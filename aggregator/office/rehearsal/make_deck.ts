/**
 * Makes a test deck of an election, as tests of logic and accuracy want it: every candidate of a contest gets another total, every
 * station and device is used, and so is every mode that is not held; stations differ from their neighbours. There are blanks,
 * undervotes, a full ballot, a second vote of one voter, a vote for no candidate, and one for too many. Pure.
 *
 * @module
 */
import type { Manifest } from "../../../shared/election.ts";
import { MARK } from "../../../shared/marks.ts";
import { VOTING_MODES, type VotingMode } from "../../../shared/mode.ts";
import type { Deck, DeckLine, DeckTotal } from "./deck.ts";

/** After so many stations their decks repeat: an exchange of neighbours shows. */
const STATION_STEPS = 10;
/** A candidate's id that nobody has. */
const NOBODY = "nobody-at-all";

type Contest = Readonly<{ id: string; votesAllowed: number; candidates: readonly string[] }>;

/** A machine at a station. */
export type DeckDevice = Readonly<{ device: string; station: string }>;

/** Makes the deck. */
export function makeDeck(manifest: Manifest, devices: readonly DeckDevice[]): Deck {
  const contests = manifest.contests.map(({ id, votesAllowed, candidates }): Contest => ({
    id,
    votesAllowed,
    candidates: candidates.map((candidate) => candidate.id),
  }));
  const shift = new Map(contests.map(({ id }, i) => [id, i]));
  const modes = VOTING_MODES.filter((mode) => !manifest.heldModes?.includes(mode));
  const byStation = Map.groupBy(devices, ({ station }) => station);
  const ballots: DeckLine[] = [];
  manifest.stations.forEach(({ id: station, contests: own }, s) => {
    const here = contestsHere(contests, own);
    for (const { device } of byStation.get(station) ?? []) {
      ballots.push(...linesOf({ device, station }, modes, here, shift, 1 + s % STATION_STEPS));
    }
  });
  ballots.push(...wrongLines(ballots, contests, manifest));
  return {
    deck: "pollwire-deck-1",
    election: manifest.election,
    candidates: manifest.contests.flatMap(({ id: contest, candidates }) =>
      candidates.map(({ id: candidate, name }) => ({ contest, candidate, name }))
    ),
    ballots,
    totals: totalsOf(ballots, manifest),
    outcomes: { counted: sumOf(ballots, "counted"), double_vote: sumOf(ballots, "double_vote") },
  };
}

/** Those that a station votes in, where its manifest names some; else all. */
function contestsHere<Each extends Readonly<{ id: string }>>(
  contests: readonly Each[],
  own: readonly string[] | undefined,
): readonly Each[] {
  return own === undefined ? contests : contests.filter(({ id }) => own.includes(id));
}

/** A device's lines: the candidate at each place gets one vote more than the one before, the last some more by station. */
function linesOf(
  at: DeckDevice,
  modes: readonly VotingMode[],
  contests: readonly Contest[],
  shift: ReadonlyMap<string, number>,
  more: number,
): DeckLine[] {
  // Contests with as many candidates begin at different ones: an exchange of two contests shows.
  const ordered = contests.map(({ id, votesAllowed, candidates }) => {
    const from = shift.get(id)! % candidates.length;
    return { id, votesAllowed, candidates: [...candidates.slice(from), ...candidates.slice(0, from)] };
  });
  const longest = Math.max(0, ...ordered.map(({ candidates }) => candidates.length));
  const line = (i: number, count: number, choices: DeckLine["choices"]): DeckLine => ({
    ...at,
    mode: modes[i % modes.length]!,
    count,
    choices,
    expect: "counted",
  });
  const choose = (pick: (contest: Contest) => readonly string[]): DeckLine["choices"] =>
    Object.fromEntries(
      ordered.map((contest): [string, string[]] => [contest.id, [...pick(contest)]])
        .filter(([, chosen]) => chosen.length > 0),
    );
  const single = Array.from(
    { length: longest },
    (_, i) => line(i, i + 1, choose(({ candidates }) => candidates.slice(i, i + 1))),
  );
  return [
    ...single,
    // As many as are allowed, from the end: those who have most get more, and all stay different.
    line(longest, 1, choose(({ votesAllowed, candidates }) => candidates.slice(-votesAllowed))),
    line(longest + 1, more, choose(({ candidates }) => candidates.slice(-1))),
    line(longest + 2, 1, {}),
  ];
}

/** Votes that must not count, by the device of the first line. */
function wrongLines(
  [first]: readonly DeckLine[],
  contests: readonly Contest[],
  { stations }: Manifest,
): DeckLine[] {
  if (first === undefined) return [];
  const own = stations.find(({ id }) => id === first.station)?.contests;
  const here = contestsHere(contests, own);
  const [contest] = here;
  if (contest === undefined) return [];
  const { device, station, mode } = first;
  const at = { device, station, mode, count: 1 } as const;
  const overvoted = here.find(({ votesAllowed, candidates }) => candidates.length > votesAllowed);
  return [
    { ...at, choices: { [contest.id]: contest.candidates.slice(-1) }, expect: "double_vote", again: 1 },
    { ...at, choices: { [contest.id]: [NOBODY] }, expect: "refused" },
    ...overvoted === undefined ? [] : [{
      ...at,
      choices: { [overvoted.id]: overvoted.candidates.slice(0, overvoted.votesAllowed + 1) },
      expect: "refused" as const,
    }],
  ];
}

function sumOf(ballots: readonly DeckLine[], expect: DeckLine["expect"]): number {
  return ballots.reduce((sum, line) => line.expect === expect ? sum + line.count : sum, 0);
}

/** Adds the counted lines up. */
function totalsOf(ballots: readonly DeckLine[], { contests, stations }: Manifest): DeckTotal[] {
  const contestsOf = new Map(stations.map(({ id, contests: own }) => [
    id,
    contestsHere(contests, own),
  ]));
  const totals = new Map<string, { -readonly [Key in keyof DeckTotal]: DeckTotal[Key] }>();
  for (const { station, mode, count, choices, expect } of ballots) {
    if (expect !== "counted") continue;
    const add = (contest: string, candidate: DeckTotal["candidate"], votes: number) => {
      if (votes === 0) return;
      const key = [station, mode, contest, candidate].join(" ");
      const known = totals.get(key);
      if (known === undefined) totals.set(key, { station, mode, contest, candidate, votes });
      else known.votes += votes;
    };
    for (const { id, votesAllowed } of contestsOf.get(station) ?? []) {
      const chosen = choices[id] ?? [];
      for (const candidate of chosen) add(id, candidate, count);
      add(id, MARK.undervotes, (votesAllowed - chosen.length) * count);
      if (chosen.length === 0) add(id, MARK.blank, count);
    }
  }
  return [...totals.values()];
}
