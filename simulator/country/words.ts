/**
 * Lists of words that voters' profiles are made of. The generator draws them once for a country; each voter then takes
 * from the lists, since a call of the generator costs more than all the rest of a voter.
 *
 * @module
 */
import { cleanName } from "../../shared/names.ts";
import { slug } from "../slug.ts";
import { type Locale, seededFaker } from "./locales.ts";

/** A given or a family name, and its form in an e-mail address. */
export type Name = Readonly<{ text: string; mail: string }>;

/** An address within a town: what stands before and behind the number of the house. */
export type Street = Readonly<{ before: string; after: string }>;

/** What people are called. */
export type Names = Readonly<{
  given: Readonly<{ female: readonly Name[]; male: readonly Name[]; any: readonly Name[] }>;
  family: readonly Name[];
  /** Puts a name together in the order of the locale. */
  fullName(given: string, family: string): string;
}>;

/** Where people live, and where the few come from who are citizens of another country: ISO 3166-1, two letters. */
export type Addresses = Readonly<{
  streets: readonly Street[];
  /** One that is empty where the country has none. */
  postcodes: readonly string[];
  otherCountries: readonly string[];
}>;

/** How many of each are drawn. Names come in every combination. */
const DRAWN = { given: 300, family: 800, streets: 600, postcodes: 600, countries: 12 } as const;
/** Longest part of an e-mail address that a name becomes, in characters. */
const MAIL_CHARS = 24;

/** Locales that put the family name first, and what stands between the two. */
const FAMILY_FIRST: Readonly<Record<string, string>> = {
  hu: " ",
  ja: " ",
  ko: "",
  zh_CN: "",
  zh_TW: "",
};

/** Draws the names of a country. */
export function drawNames(locale: Locale, seed: number): Names {
  const { person } = seededFaker(locale, seed, "names");
  const names = (count: number, one: () => string) => draw(count, () => nameOf(one()));
  const between = FAMILY_FIRST[locale.name];
  return {
    given: {
      female: names(DRAWN.given, () => person.firstName("female")),
      male: names(DRAWN.given, () => person.firstName("male")),
      any: names(DRAWN.given, () => person.firstName()),
    },
    family: names(DRAWN.family, () => person.lastName()),
    fullName: (given, family) => between === undefined ? `${given} ${family}` : `${family}${between}${given}`,
  };
}

/** Draws the addresses of a country. */
export function drawAddresses(locale: Locale, seed: number): Addresses {
  const { location } = seededFaker(locale, seed, "addresses");
  return {
    streets: draw(DRAWN.streets, () => streetOf(location.streetAddress())),
    postcodes: hasPostcodes(locale) ? draw(DRAWN.postcodes, () => location.zipCode()) : [""],
    otherCountries: draw(DRAWN.countries, () => location.countryCode()),
  };
}

/** Whether the country has postcodes: the generator marks those without, such as Hong Kong, by null. */
function hasPostcodes({ faker }: Locale): boolean {
  return faker.rawDefinitions.location?.postcode !== null;
}

function draw<T>(count: number, one: () => T): T[] {
  return Array.from({ length: count }, one);
}

/** The generator's lists have names with joiners that join nothing, which no definition may have. */
function nameOf(drawn: string): Name {
  const text = cleanName(drawn);
  return { text, mail: slug(text, MAIL_CHARS) };
}

/** Takes the number out of an address. Where there is none it comes first. */
function streetOf(address: string): Street {
  const number = /\d+/.exec(address);
  if (number === null) return { before: "", after: ` ${address}` };
  return { before: address.slice(0, number.index), after: address.slice(number.index + number[0].length) };
}
