/**
 * Makes up a country and its election: who stands, who may vote, and where. Everything follows from a seed,
 * byte for byte, and every voter from the seed and a number, so that no list of voters is ever held.
 *
 * @module
 */
import { definitionSchema, type ElectionDefinition } from "../../shared/election.ts";
import { type Random, runningSums, seededRandom, weighted } from "../random.ts";
import type { Voter } from "../roll.ts";
import { Slugs } from "../slug.ts";
import { gatewaysFor } from "./gateways.ts";

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
  voter(index: number): Voter;
  /** All voters, made one at a time. */
  voters(): Generator<Voter>;
}>;

/** Votes allowed in each contest: one in the first, as for a president, more in the later ones, as for a council. */
const LATER_CONTEST_VOTES = 2;
/** Shares of the genders. */
const GENDERS = ["female", "male", "other", "unknown"] as const;
const GENDER_SUMS = runningSums([49, 48, 1, 2]);
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

/** Makes up a country. */
export function simulateCountry(seed: number, size: CountrySize, frame: ElectionFrame): Country {
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

function birthDate(random: Random, opensYear: number): string {
  const pad = (n: number) => String(n).padStart(2, "0");
  return `${opensYear - YOUNGEST - 1 - random.below(AGE_SPAN)}-${pad(1 + random.below(12))}-${
    pad(1 + random.below(28))
  }`;
}

function define(seed: number, size: CountrySize, frame: ElectionFrame): ElectionDefinition {
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

function contest(index: number, size: CountrySize, parties: readonly { id: string }[], random: Random) {
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
