/**
 * What voters decide: a model of leanings by region, age and gender, so that the figures of an election mean something.
 *
 * Each candidate has a utility for a voter, and is picked with a probability in proportion to its exponential (a
 * multinomial logit, or softmax). The utility is the sum of
 *
 * - the candidate's own appeal,
 * - the party's strength in the whole country,
 * - the party's lean in the region of the station,
 * - the party's slope by age: what it gains from the youngest to the oldest, or loses,
 * - the party's lean by gender: what it gains from women it loses from men. Others, and those unknown, lean neither way.
 *
 * Each of these is drawn once from the seed, from a normal distribution; its spread stands in {@link SPREADS}. A
 * candidate without a party has leanings of its own.
 *
 * @module
 */
import type { ElectionDefinition } from "../../shared/election.ts";
import { VOTING_MODES, type VotingMode } from "../../shared/mode.ts";
import type { Selection } from "../../shared/vote.ts";
import { normal, type Random, runningSums, seededRandom, weighted } from "../random.ts";
import type { Voter } from "../voting/roll.ts";

/** A voter's decision. */
export type Ballot = Readonly<{ mode: VotingMode; selections: readonly Selection[] }>;

/** What a voter's decision depends on. */
export type Chooser = Pick<Voter, "id" | "birthDate" | "gender">;

/** What a voter decides at a station, at the first attempt (0) or at a later one. */
export type Choices = (voter: Chooser, station: string, attempt: number) => Ballot;

/** Standard deviations of what a utility is made of. A difference of 0.7 is about twice the votes. */
const SPREADS = { appeal: 0.25, strength: 0.45, region: 0.45, age: 0.5, gender: 0.2 } as const;

/** Ages at which the slope by age says minus one and one, in years. */
const YOUNG = 18;
const OLD = 80;

/** How many of 100 voters use each mode; and the share of picks left open. */
const MODE_WEIGHTS: Record<VotingMode, number> = { in_person: 84, early: 8, absentee: 7, provisional: 1 };
const MODE_SUMS = runningSums(VOTING_MODES.map((mode) => MODE_WEIGHTS[mode]));
const UNDERVOTE_SHARE = 0.03;

type Contest = ElectionDefinition["contests"][number];

/** One candidate's leanings. */
type Leaning = Readonly<{ appeal: number; camp: string; age: number; gender: number }>;

/**
 * Makes up what voters decide in any election, by the model above. A decision depends on the seed, the voter, the
 * station and the attempt, and on nothing that was asked before. The station must be one of the election's.
 */
export function voterChoices(
  seed: number,
  definition: Pick<ElectionDefinition, "contests" | "stations" | "opensAt">,
): Choices {
  const stations = new Map(definition.stations.map((station) => [station.id, station]));
  const contests = definition.contests.map((contest) => ({
    contest,
    leanings: contest.candidates.map((candidate) => leaningOf(seed, contest.id, candidate)),
    regions: new Map<string, readonly number[]>(),
  }));
  const inRegion = ({ leanings, regions }: typeof contests[number], region: string): readonly number[] => {
    let leans = regions.get(region);
    if (leans === undefined) {
      leans = leanings.map(({ appeal, camp }) => appeal + draw(seed, "region", camp, region));
      regions.set(region, leans);
    }
    return leans;
  };
  const opensYear = Number(definition.opensAt.slice(0, 4));
  return (voter, stationId, attempt) => {
    const station = stations.get(stationId)!;
    const random = seededRandom(seed, "ballot", voter.id, attempt);
    const mode = VOTING_MODES[weighted(random, MODE_SUMS)]!;
    const age = agePosition(voter.birthDate, opensYear);
    const gender = voter.gender === "female" ? 1 : voter.gender === "male" ? -1 : 0;
    const selections = contests
      .filter(({ contest }) => station.contests?.includes(contest.id) ?? true)
      .flatMap((each) => {
        const leans = inRegion(each, station.region);
        const weights = each.leanings.map((by, i) => Math.exp(leans[i]! + age * by.age + gender * by.gender));
        return pick(each.contest, runningSums(weights), random);
      });
    return { mode, selections };
  };
}

function leaningOf(seed: number, contest: string, { id, party }: Contest["candidates"][number]): Leaning {
  const camp = party === undefined ? `candidate ${contest}/${id}` : `party ${party}`;
  return {
    camp,
    appeal: draw(seed, "appeal", contest, id) + draw(seed, "strength", camp),
    age: draw(seed, "age", camp),
    gender: draw(seed, "gender", camp),
  };
}

/** A number of the normal distribution that belongs to what is named. */
function draw(seed: number, what: keyof typeof SPREADS, ...names: string[]): number {
  return SPREADS[what] * normal(seededRandom(seed, what, ...names));
}

/** From -1, young, to 1, old; 0 when the birth date is not known. To the year: leanings do not change on birthdays. */
function agePosition(birthDate: string, opensYear: number): number {
  if (birthDate === "") return 0;
  const age = opensYear - Number(birthDate.slice(0, 4));
  return Math.max(-1, Math.min(1, (2 * (age - YOUNG)) / (OLD - YOUNG) - 1));
}

function pick(contest: Contest, sums: readonly number[], random: Random): Selection[] {
  const picked = new Set<string>();
  for (let n = 0; n < contest.votesAllowed; n++) {
    if (random.next() >= UNDERVOTE_SHARE) picked.add(contest.candidates[weighted(random, sums)]!.id);
  }
  return [...picked].map((candidate) => ({ contest: contest.id, candidate }));
}
