/**
 * Who stands in a made-up election, and for what: parties with colours and themes, candidates with biographies,
 * platforms and portraits. The texts are English in every locale.
 *
 * @module
 */
import type { ElectionDefinition } from "../../shared/election.ts";
import { type Random, seededRandom } from "../random.ts";
import { Slugs } from "../slug.ts";
import { type Locale, seededFaker } from "./locales.ts";
import { freeName } from "./places.ts";
import { drawCandidate } from "./portrait.ts";
import type { Names } from "./words.ts";

type Party = ElectionDefinition["parties"][number];
type Candidate = ElectionDefinition["contests"][number]["candidates"][number];

const PARTY_NAMES =
  ("River Orchard Lantern Harbour Meadow Summit Compass Bridge Anchor Beacon Hearth Heron Quarry " +
    "Saffron Thistle Willow Kestrel Granary Juniper Lighthouse").split(" ");
/** Colours that are told apart on light and dark ground, and by the colour-blind (after Okabe and Ito); then others. */
const COLOURS =
  "#0072b2 #d55e00 #009e73 #b5548f #c79a00 #4aa3df #7a5195 #8c5a3c #5f7f2e #c0392b #2aa198 #8a8d91".split(
    " ",
  );

/** What a party, or an independent, stands for: two of these, the same for all of a party's candidates. */
const THEMES: readonly (readonly [theme: string, pledges: readonly string[]])[] = [
  ["housing", ["build ten thousand homes on land the state owns", "cap the rise of rents at that of wages"]],
  ["health", ["see every patient within two days", "open a clinic in each town above five thousand people"]],
  ["schools", ["put no more than twenty children in a class", "give every pupil a warm meal at noon"]],
  ["taxes", ["cut the tax on small firms by a fifth", "close the ways round the tax on inheritance"]],
  ["transport", ["run a bus to every village each hour", "mend the railway before another road is built"]],
  ["energy", ["put the sun's panels on every public roof", "keep the price of heating level through winter"]],
  ["farming", ["pay farmers for hedges and clean water", "let schools and hospitals buy from nearby fields"]],
  ["safety", ["bring back an officer for each district", "light every path to a station"]],
  ["the coast", ["raise the sea walls by a metre", "end the spilling of waste into rivers"]],
  ["work", ["pay trainees a wage to live on", "bring public offices to towns that lost their works"]],
  ["the old", ["pay for care at home before care in a home", "link pensions to the price of food"]],
  ["openness", ["publish every contract the day it is signed", "let citizens call a vote on any new tax"]],
];
const JOBS =
  ("a nurse|a teacher|a bus driver|an engineer|a baker|a judge|a farmer|a surveyor|a librarian|a joiner|" +
    "a doctor|a journalist|an accountant|a shopkeeper|a sailor|a gardener|a union secretary|a lecturer")
    .split("|");
const POSTS = ("the town council|the school board|the harbour board|the county assembly|the hospital trust|" +
  "the tenants' union|the chamber of trade").split("|");
const PASTIMES =
  ("keeps bees|sings in a choir|runs before breakfast|mends clocks|referees football|grows pears|" +
    "swims in the sea all year|plays the cello, badly|restores a narrowboat").split("|");

/** How old candidates are, in years: from, and how many more at most. */
const YOUNGEST = 28;
const AGE_SPAN = 46;

/** Draws parties. No two have one name, nor one colour. */
export function drawParties(count: number): Party[] {
  const taken = new Set<string>();
  return Array.from({ length: count }, (_, i) => ({
    id: `party-${i + 1}`,
    name: freeName(taken, () => `${PARTY_NAMES[i % PARTY_NAMES.length]} Party`),
    colour: COLOURS[i] ?? wheel(i - COLOURS.length, count - COLOURS.length),
  }));
}

/**
 * Draws the candidates of a contest; when they are more than the parties, those at the end are independent.
 *
 * @param drawn.year That of which ages are reckoned.
 */
export function drawCandidates(
  seed: number,
  contest: string,
  count: number,
  drawn: Readonly<
    { parties: readonly Party[]; locale: Locale; people: Names; year: number }
  >,
): Candidate[] {
  const { parties, locale, people, year } = drawn;
  const ids = new Slugs();
  const names = new Set<string>();
  const faker = seededFaker(locale, seed, "birthplaces", contest);
  return Array.from({ length: count }, (_, i) => {
    const random = seededRandom(seed, "candidate", contest, i);
    const party: Party | undefined = parties[i];
    const gender = random.next() < 0.5 ? "female" : "male";
    let [given, family] = [people.given[gender][0]!, people.family[0]!];
    const name = freeName(names, () => {
      [given, family] = [random.pick(people.given[gender]), random.pick(people.family)];
      return people.fullName(given.text, family.text);
    });
    const age = YOUNGEST + random.below(AGE_SPAN);
    return {
      id: ids.take(given.mail === "unnamed" ? `candidate-${i + 1}` : `${given.mail}-${family.mail}`),
      name,
      ...(party !== undefined && { party: party.id }),
      biography: biography(random, name, gender, { age, year, town: faker.location.city() }),
      platform: platform(seed, i, name, party?.name),
      photo: drawCandidate(random, { gender, age }, party?.colour),
    };
  });
}

function biography(
  random: Random,
  name: string,
  gender: "female" | "male",
  { age, year, town }: Readonly<{ age: number; year: number; town: string }>,
): string {
  const [who, whose] = gender === "female" ? ["She", "her"] : ["He", "his"];
  // Nobody has worked since childhood.
  const years = 3 + random.below(Math.min(15, age - 24));
  return `${name} was born in ${town} in ${year - age} and worked as ${
    random.pick(JOBS)
  } for ${years} years. ` +
    `${who} has sat on ${random.pick(POSTS)}, where ${whose} work was on ${random.pick(THEMES)[0]}. ` +
    `${who} ${random.pick(PASTIMES)}.`;
}

/** The same for a party in every contest; neighbours on the ballot never begin with the same theme. */
function platform(seed: number, index: number, name: string, party: string | undefined): string {
  const first = (seededRandom(seed, "themes").below(THEMES.length) + index) % THEMES.length;
  const second = (first + 1 + seededRandom(seed, "themes", index).below(THEMES.length - 1)) % THEMES.length;
  const [one, two] = [THEMES[first]!, THEMES[second]!];
  const who = party === undefined ? `${name}, who stands for no party,` : `The ${party}`;
  return `${who} puts ${one[0]} and ${two[0]} first. The pledges: to ${
    [...one[1], ...two[1]].join("; to ")
  }.`;
}

/** The `index`th of `n` colours round the wheel. */
function wheel(index: number, n: number): string {
  const hue = (360 * index) / n;
  const channel = (offset: number) => {
    const k = (offset + hue / 30) % 12;
    const value = 0.5 - 0.32 * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return Math.round(255 * value).toString(16).padStart(2, "0");
  };
  return `#${channel(0)}${channel(8)}${channel(4)}`;
}
