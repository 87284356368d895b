/**
 * Makes up a country and its election: who stands, who may vote, and where. Everything follows from a seed,
 * byte for byte, and every voter from the seed and a number, so that no list of voters is ever held.
 *
 * @module
 */
import { definitionSchema, type ElectionDefinition } from "../../shared/election.ts";
import { type Random, runningSums, seededRandom, weighted } from "../random.ts";
import type { Profile, Voter } from "../voting/roll.ts";
import { slug, Slugs } from "../slug.ts";
import { drawCandidates, drawParties } from "./candidates.ts";
import { gatewaysFor } from "./gateways.ts";
import { BRITISH, type Locale, seededFaker } from "./locales.ts";
import { countryName, drawRegions, pointAround } from "./places.ts";
import { type Home, makeProfile, REGISTERED_BY } from "./profile.ts";
import { stationSizeSums } from "./sizes.ts";
import { drawAddresses, drawNames, type Names } from "./words.ts";

/** How big a country to make up. All at least 1; `parties` may be 0. */
export type CountrySize = Readonly<{
  voters: number;
  contests: number;
  candidates: number;
  parties: number;
  regions: number;
  stations: number;
  devicesPerStation: number;
  gateways: number;
}>;

/** A country when nothing else is asked for: two gateways, each the other's fallback. */
export const DEFAULT_SIZE: CountrySize = {
  voters: 1_000,
  contests: 1,
  candidates: 3,
  parties: 3,
  regions: 5,
  stations: 20,
  devicesPerStation: 2,
  gateways: 2,
};

/** When, and under which name. Times are UTC with milliseconds. */
export type ElectionFrame = Readonly<
  { election: string; opensAt: string; closesAt: string; acceptsUntil: string }
>;

/** A country made up, and its election. Voters are numbered from 0. */
export type Country = Readonly<{
  definition: ElectionDefinition;
  size: CountrySize;
  /** What is counted by. */
  voter(index: number): Voter;
  /** The same with the profile. */
  fullVoter(index: number): Voter & { profile: Profile };
  /** All voters on the roll, by number, made one at a time. */
  voters(): Generator<Voter>;
  fullVoters(): Generator<Voter & { profile: Profile }>;
}>;

/** Votes allowed in each contest: one in the first, as for a president, more in the later ones, as for a council. */
const LATER_CONTEST_VOTES = 2;
/** Shares of the genders. */
const GENDERS = ["female", "male", "other", "unknown"] as const;
const GENDER_SUMS = runningSums([49, 48, 1, 2]);
/** Ages in years on the day by which everybody is registered: from, up to and not with, share. About Britain's. */
const AGES: readonly (readonly [from: number, until: number, share: number])[] = [
  [18, 25, 11],
  [25, 35, 17],
  [35, 45, 17],
  [45, 55, 17],
  [55, 65, 16],
  [65, 75, 12],
  [75, 95, 10],
];
const AGE_SUMS = runningSums(AGES.map(([, , share]) => share));
const DAY_MS = 86_400_000;
const PARTITIONS = 12;
const STATION_KINDS =
  ("Village Hall|Library|Primary School|Community Centre|Church Hall|Sports Hall|Town Hall|" +
    "Fire Station|Museum|College").split("|");

/**
 * Makes up a country. Names and addresses come from the locale's generator; how, is said in words.ts and places.ts.
 *
 * Voters live in the towns of their stations, which are of different sizes (sizes.ts). A voter follows from the seed,
 * the locale, the numbers of regions and stations, and the voter's own number; from the frame only the age does.
 */
export function simulateCountry(
  seed: number,
  size: CountrySize,
  frame: ElectionFrame,
  locale: Locale = BRITISH,
): Country {
  const names = drawNames(locale, seed);
  const { definition, homes } = define(seed, size, frame, locale, names);
  const { stations } = definition;
  const sizeSums = stationSizeSums(seed, stations.map((_, i) => i % size.regions));
  const draw = (index: number): { voter: Voter; home: Home } => {
    const random = seededRandom(seed, "voter", index);
    const at = weighted(random, sizeSums);
    const { id: station, region } = stations[at]!;
    const gender = GENDERS[weighted(random, GENDER_SUMS)]!;
    const voter = { id: `voter-${index + 1}`, region, station, birthDate: birthDate(random), gender };
    return { voter, home: homes[at]! };
  };
  const voter = (index: number) => draw(index).voter;
  const day = frame.opensAt.slice(0, 10);
  let addresses: ReturnType<typeof drawAddresses> | undefined;
  const fullVoter = (index: number) => {
    addresses ??= drawAddresses(locale, seed);
    const { voter: plain, home } = draw(index);
    const source = { seed, names, addresses };
    return { ...plain, profile: makeProfile(source, index, plain, ageOn(plain.birthDate, day), home) };
  };
  function* all<T>(one: (index: number) => T) {
    for (let index = 0; index < size.voters; index++) yield one(index);
  }
  return { definition, size, voter, fullVoter, voters: () => all(voter), fullVoters: () => all(fullVoter) };
}

function birthDate(random: Random): string {
  const [from, until] = AGES[weighted(random, AGE_SUMS)]!;
  const years = from + random.below(until - from);
  const birthdayMs = Date.UTC(Number(REGISTERED_BY.slice(0, 4)) - years, 0, 1);
  return new Date(birthdayMs - random.below(365) * DAY_MS).toISOString().slice(0, 10);
}

/** Age in whole years on a day; both days as YYYY-MM-DD. */
function ageOn(birthDate: string, day: string): number {
  const years = Number(day.slice(0, 4)) - Number(birthDate.slice(0, 4));
  return day.slice(5) >= birthDate.slice(5) ? years : years - 1;
}

/** The definition, and where the voters of each station live. */
function define(
  seed: number,
  size: CountrySize,
  frame: ElectionFrame,
  locale: Locale,
  people: Names,
): { definition: ElectionDefinition; homes: Home[] } {
  const regionIds = new Slugs();
  const regions = drawRegions(locale, seed, size.regions).map(({ state, ...region }, i) => ({
    region: {
      id: regionIds.take(slug(region.name) === "unnamed" ? `region-${i + 1}` : region.name),
      ...region,
    },
    state,
  }));
  const random = seededRandom(seed, "stations");
  const faker = seededFaker(locale, seed, "towns");
  const country = { country: countryName(locale.country), countryCode: locale.country };
  const homes: Home[] = [];
  const stations = Array.from({ length: size.stations }, (_, i) => {
    const { region, state } = regions[i % regions.length]!;
    const city = faker.location.city();
    homes.push({ city, state, ...country });
    const name = `${city}, ${random.pick(STATION_KINDS)}`;
    return { id: `station-${i + 1}`, name, region: region.id, ...pointAround(region, random) };
  });
  const parties = drawParties(size.parties);
  const year = Number(REGISTERED_BY.slice(0, 4));
  const definition = definitionSchema.parse({
    ...frame,
    name: `Simulated election, seed ${seed}`,
    partitions: PARTITIONS,
    releaseThreshold: 1,
    resultsBeforeClosing: true,
    parties,
    contests: Array.from({ length: size.contests }, (_, i) => {
      const head = i === 0 ? { id: "president", name: "President", votesAllowed: 1 } : {
        id: `council-${i}`,
        name: `Council ${i}`,
        votesAllowed: Math.min(LATER_CONTEST_VOTES, size.candidates),
      };
      const drawn = { parties, locale, people, year };
      return { ...head, candidates: drawCandidates(seed, head.id, size.candidates, drawn) };
    }),
    regions: regions.map(({ region }) => region),
    stations,
    devices: stations.flatMap(({ id }) =>
      Array.from({ length: size.devicesPerStation }, (_, n) => ({ id: `${id}-${letters(n)}`, station: id }))
    ),
    gateways: gatewaysFor(stations.map(({ id }) => id), size.gateways),
  });
  return { definition, homes };
}

/** Device names within a station: a … z, then aa … */
function letters(n: number): string {
  const last = String.fromCharCode(97 + n % 26);
  return n < 26 ? last : letters(Math.floor(n / 26) - 1) + last;
}
