/**
 * Makes up an election: who stands, who may vote, where, and whom each voter picks. Everything follows from a seed,
 * byte for byte, and every voter from the seed and a number, so that no list of voters is ever held.
 *
 * @module
 */
import { definitionSchema, type ElectionDefinition } from "../shared/election.ts";
import { type Selection, VOTING_MODES, type VotingMode } from "../shared/vote.ts";
import { type Random, runningSums, seededRandom, weighted } from "./random.ts";
import type { Voter } from "./roll.ts";
import { Slugs } from "./slug.ts";

/** How big an election to make up. All at least 1; `parties` may be 0. */
export type ElectionSize = Readonly<{
  voters: number;
  contests: number;
  candidates: number;
  parties: number;
  regions: number;
  stations: number;
  devicesPerStation: number;
  gateways: number;
}>;

/** When, and under which name. Times are UTC with milliseconds. */
export type ElectionFrame = Readonly<
  { election: string; opensAt: string; closesAt: string; acceptsUntil: string }
>;

/** An election made up. Voters are numbered from 0. */
export type SimulatedElection = Readonly<{
  definition: ElectionDefinition;
  size: ElectionSize;
  voter(index: number): Voter;
  /** All voters, made one at a time. */
  voters(): Generator<Voter>;
}>;

/** A voter's decision. */
export type Ballot = Readonly<{ mode: VotingMode; selections: readonly Selection[] }>;

/** Votes allowed in each contest: one in the first, as for a president, more in the later ones, as for a council. */
const LATER_CONTEST_VOTES = 2;
/** Shares of the modes, in the order of VOTING_MODES, and of the genders below; and of picks left open. */
const MODE_SUMS = runningSums([84, 8, 7, 1]);
const GENDERS = ["female", "male", "other", "unknown"] as const;
const GENDER_SUMS = runningSums([49, 48, 1, 2]);
const UNDERVOTE_SHARE = 0.03;
/** Ages on the day of opening, in years: from, and how many more at most. */
const YOUNGEST = 18;
const AGE_SPAN = 77;
const PARTITIONS = 12;

const FIRST_NAMES =
  "Ada Bela Chidi Dora Emil Fatou Goran Hana Iris Jonas Kofi Lena Mina Nils Oona Pavel Rosa Sven Tariq Uma"
    .split(" ");
const LAST_NAMES =
  "Adler Brandt Castro Dahl Eze Fischer Gruber Haddad Ivers Jansen Keller Lund Moreau Novak Okoye Petrov Quist Rossi Singh Tamm"
    .split(" ");
const PARTY_NAMES = "River Orchard Lantern Harbour Meadow Summit Compass Bridge Anchor Beacon".split(" ");
const PLACE_NAMES = "Alder Birch Cedar Elm Hazel Juniper Larch Maple Oak Rowan Spruce Willow".split(" ");
const PLACE_KINDS = ["County", "Shire", "District", "Borough"];

/** Makes up an election. */
export function simulateElection(seed: number, size: ElectionSize, frame: ElectionFrame): SimulatedElection {
  const definition = define(seed, size, frame);
  const opensYear = Number(frame.opensAt.slice(0, 4));
  const stationOf = (index: number) => definition.stations[index % definition.stations.length];
  const voter = (index: number): Voter => {
    const random = seededRandom(seed, "voter", index);
    const { id: station, region } = stationOf(index);
    const gender = GENDERS[weighted(random, GENDER_SUMS)];
    return { id: `voter-${index + 1}`, region, station, birthDate: birthDate(random, opensYear), gender };
  };
  function* voters() {
    for (let index = 0; index < size.voters; index++) yield voter(index);
  }
  return { definition, size, voter, voters };
}

/** What a voter decides at a station, at the first attempt (0) or at a later one. */
export type Choices = (index: number, station: string, attempt: number) => Ballot;

/**
 * Makes up what voters decide in any election: each candidate is liked more or less, and more or less by region.
 * The station must be one of the election's.
 */
export function voterChoices(
  seed: number,
  definition: Pick<ElectionDefinition, "contests" | "stations">,
): Choices {
  const stations = new Map(definition.stations.map((station) => [station.id, station]));
  const contests = definition.contests.map((contest) => ({
    contest,
    base: contest.candidates.map((_, i) =>
      (0.3 + seededRandom(seed, "popular", contest.id, i).next()) / (1 + i / 3)
    ),
    ofRegion: new Map<string, number[]>(),
  }));
  const sumsFor = ({ contest, base, ofRegion }: typeof contests[number], region: string): number[] => {
    let sums = ofRegion.get(region);
    if (sums === undefined) {
      const lean = seededRandom(seed, "lean", contest.id, region);
      ofRegion.set(region, sums = runningSums(base.map((weight) => weight * (0.5 + lean.next()))));
    }
    return sums;
  };
  return (index, stationId, attempt) => {
    const station = stations.get(stationId)!;
    const random = seededRandom(seed, "ballot", index, attempt);
    const mode = VOTING_MODES[weighted(random, MODE_SUMS)];
    const selections = contests
      .filter(({ contest }) => station.contests?.includes(contest.id) ?? true)
      .flatMap((each) => pick(each.contest, sumsFor(each, station.region), random));
    return { mode, selections };
  };
}

function pick(
  contest: ElectionDefinition["contests"][number],
  sums: readonly number[],
  random: Random,
): Selection[] {
  const picked = new Set<string>();
  for (let n = 0; n < contest.votesAllowed; n++) {
    if (random.next() >= UNDERVOTE_SHARE) picked.add(contest.candidates[weighted(random, sums)].id);
  }
  return [...picked].map((candidate) => ({ contest: contest.id, candidate }));
}

function birthDate(random: Random, opensYear: number): string {
  const pad = (n: number) => String(n).padStart(2, "0");
  return `${opensYear - YOUNGEST - 1 - random.below(AGE_SPAN)}-${pad(1 + random.below(12))}-${
    pad(1 + random.below(28))
  }`;
}

function define(seed: number, size: ElectionSize, frame: ElectionFrame): ElectionDefinition {
  const random = seededRandom(seed, "definition");
  const regionIds = new Slugs();
  const regions = Array.from({ length: size.regions }, (_, i) => {
    const name = `${PLACE_NAMES[i % PLACE_NAMES.length]} ${random.pick(PLACE_KINDS)}`;
    const id = regionIds.take(name);
    const nth = Math.floor(i / PLACE_NAMES.length);
    return { id, name: nth === 0 ? name : `${name} ${nth + 1}` };
  });
  const stations = Array.from({ length: size.stations }, (_, i) => {
    const region = regions[i % regions.length];
    const nth = Math.floor(i / regions.length) + 1;
    return { id: `station-${i + 1}`, name: `${region.name}, station ${nth}`, region: region.id };
  });
  const parties = Array.from({ length: size.parties }, (_, i) => {
    const nth = Math.floor(i / PARTY_NAMES.length);
    const name = `${PARTY_NAMES[i % PARTY_NAMES.length]} Party${nth === 0 ? "" : ` ${nth + 1}`}`;
    return { id: `party-${i + 1}`, name, colour: colour(i, size.parties) };
  });
  return definitionSchema.parse({
    ...frame,
    name: `Simulated election, seed ${seed}`,
    partitions: PARTITIONS,
    releaseThreshold: 1,
    resultsBeforeClosing: true,
    parties,
    contests: Array.from({ length: size.contests }, (_, i) => contest(i, size, parties, random)),
    regions,
    stations,
    devices: stations.flatMap(({ id }) =>
      Array.from({ length: size.devicesPerStation }, (_, n) => ({ id: `${id}-${letters(n)}`, station: id }))
    ),
    gateways: gatewaysFor(stations.map(({ id }) => id), size.gateways),
  });
}

function contest(index: number, size: ElectionSize, parties: readonly { id: string }[], random: Random) {
  const ids = new Slugs();
  const candidates = Array.from({ length: size.candidates }, (_, i) => {
    const name = `${random.pick(FIRST_NAMES)} ${random.pick(LAST_NAMES)}`;
    // The last candidate is independent when there are more candidates than parties.
    return { id: ids.take(name), name, ...(i < parties.length && { party: parties[i].id }) };
  });
  const votesAllowed = index === 0 ? 1 : Math.min(LATER_CONTEST_VOTES, size.candidates);
  return index === 0
    ? { id: "president", name: "President", votesAllowed, candidates }
    : { id: `council-${index}`, name: `Council ${index}`, votesAllowed, candidates };
}

/**
 * Gives stations to gateways in turn. Each gateway is the first of every so many stations, and the fallback of
 * those whose first is the one before it. One gateway alone has no fallback.
 */
export function gatewaysFor(stations: readonly string[], gateways: number): ElectionDefinition["gateways"] {
  return Array.from({ length: gateways }, (_, g) => ({
    id: `gateway-${g + 1}`,
    stations: stations.filter((_, i) => i % gateways === g),
    fallbackFor: gateways === 1 ? [] : stations.filter((_, i) => (i + 1) % gateways === g),
  }));
}

/** Device names within a station: a … z, then aa … */
function letters(n: number): string {
  const last = String.fromCharCode(97 + n % 26);
  return n < 26 ? last : letters(Math.floor(n / 26) - 1) + last;
}

/** A colour for each of `n` parties, round the wheel. */
function colour(index: number, n: number): string {
  const hue = (360 * index) / Math.max(1, n);
  const channel = (offset: number) => {
    const k = (offset + hue / 30) % 12;
    const value = 0.5 - 0.32 * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return Math.round(255 * value).toString(16).padStart(2, "0");
  };
  return `#${channel(0)}${channel(8)}${channel(4)}`;
}
