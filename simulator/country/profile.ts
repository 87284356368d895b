/**
 * Voters' profiles, made up: what a roll says of them beside what is counted by.
 *
 * Names, streets and postcodes are put together from {@link Names} and {@link Addresses}. So that nobody is written or rung up, e-mail
 * addresses are at example.com (RFC 2606), and telephone numbers are of the ranges that Ofcom and the North American
 * Numbering Plan keep for fiction; other countries' begin with +999, which belongs to none.
 *
 * @module
 */
import { type Random, seededRandom } from "../random.ts";
import type { Profile, Voter } from "../voting/roll.ts";
import { drawVoter } from "./portrait.ts";
import type { Addresses, Name, Names } from "./words.ts";

/** Where a voter lives. */
export type Home = Readonly<{ city: string; state: string; country: string; countryCode: string }>;

/** Share of voters who are citizens of another country than the one they vote in. */
const FOREIGN_SHARE = 0.04;
/** Largest number of a house. */
const HOUSES = 180;
const YEAR_MS = 365.25 * 86_400_000;
/**
 * Everybody is of age on this day, and registered: all of a country follows from its seed, and not from the day on which
 * it is made up or votes.
 */
export const REGISTERED_BY = "2026-01-01";
/** Age from which on one can be registered, in years. */
const REGISTERED_FROM = 18;

/** What all profiles of a country are made of. */
export type ProfileSource = Readonly<{ seed: number; names: Names; addresses: Addresses }>;

/**
 * Makes up a voter's profile. It depends on the seed and the voter, and on nothing that was made before.
 *
 * @param index The voter's number.
 * @param age On the election's day, in years.
 */
export function makeProfile(
  { seed, names, addresses }: ProfileSource,
  index: number,
  voter: Voter,
  age: number,
  home: Home,
): Profile {
  const random = seededRandom(seed, "profile", index);
  const given = random.pick(givenNames(names, voter.gender));
  const family = random.pick(names.family);
  const { before, after } = random.pick(addresses.streets);
  const foreign = random.next() < FOREIGN_SHARE;
  return {
    name: names.fullName(given.text, family.text),
    nationality: foreign ? random.pick(addresses.otherCountries) : home.countryCode,
    registrationNumber: registrationNumber(index),
    street: `${before}${1 + random.below(HOUSES)}${after}`,
    city: home.city,
    state: home.state,
    country: home.country,
    postcode: random.pick(addresses.postcodes),
    email: `${given.mail}.${family.mail}.${index + 1}@example.com`,
    ...telephones(random, home.countryCode),
    picture: drawVoter(random, { gender: voter.gender, age }),
    registeredOn: registrationDay(random, voter.birthDate),
    age,
  };
}

function givenNames({ given }: Names, gender: Voter["gender"]): readonly Name[] {
  return gender === "female" || gender === "male" ? given[gender] : given.any;
}

/** One for each voter, like any office's: a letter and eight digits. */
function registrationNumber(index: number): string {
  return `R${String(index + 1).padStart(8, "0")}`;
}

/** Fictitious numbers: Ofcom's 01632 960xxx and 07700 900xxx, North America's 555-01xx, else +999. */
function telephones(random: Random, countryCode: string): Pick<Profile, "phone" | "cell"> {
  const digits = (count: number) => String(random.below(10 ** count)).padStart(count, "0");
  if (countryCode === "GB") return { phone: `01632 960${digits(3)}`, cell: `07700 900${digits(3)}` };
  if (countryCode === "US" || countryCode === "CA") {
    return { phone: `(${2 + random.below(8)}02) 555-01${digits(2)}`, cell: `(909) 555-01${digits(2)}` };
  }
  return { phone: `+999 1${digits(3)} ${digits(4)}`, cell: `+999 7${digits(3)} ${digits(4)}` };
}

/** A random day between coming of age and {@link REGISTERED_BY}. */
function registrationDay(random: Random, birthDate: string): string {
  const endMs = Date.parse(REGISTERED_BY);
  const fromMs = Math.min(endMs, Date.parse(birthDate) + REGISTERED_FROM * YEAR_MS);
  return new Date(fromMs + random.next() * (endMs - fromMs)).toISOString().slice(0, 10);
}
