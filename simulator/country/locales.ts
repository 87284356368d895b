/**
 * The locales in which countries can be made up: those of the generator, each with the country that it stands for and
 * with where that country lies.
 *
 * @module
 */
import { faker as british } from "@faker-js/faker/locale/en_GB";
import type { Faker } from "@faker-js/faker";
import { UsageError } from "../../cli/command.ts";
import { seededRandom } from "../random.ts";

/** A locale, ready to draw words from. Its generator is one for the whole process: seed it before each use. */
export type Locale = Readonly<{
  name: string;
  faker: Faker;
  /** ISO 3166-1, two letters. */
  country: string;
}>;

type Loader = () => Promise<{ faker: Faker }>;

/** British English: the default, and the only locale that is loaded before it is asked for. */
export const BRITISH: Locale = { name: "en_GB", faker: british, country: "GB" };

/** Each locale's country, where the name tells none the one with the most speakers, and how it is loaded. */
const LOCALES: Readonly<Record<string, readonly [country: string, load: Loader]>> = {
  af_ZA: ["ZA", () => import("@faker-js/faker/locale/af_ZA")],
  ar: ["EG", () => import("@faker-js/faker/locale/ar")],
  az: ["AZ", () => import("@faker-js/faker/locale/az")],
  bn_BD: ["BD", () => import("@faker-js/faker/locale/bn_BD")],
  cs_CZ: ["CZ", () => import("@faker-js/faker/locale/cs_CZ")],
  cy: ["GB", () => import("@faker-js/faker/locale/cy")],
  da: ["DK", () => import("@faker-js/faker/locale/da")],
  de: ["DE", () => import("@faker-js/faker/locale/de")],
  de_AT: ["AT", () => import("@faker-js/faker/locale/de_AT")],
  de_CH: ["CH", () => import("@faker-js/faker/locale/de_CH")],
  dv: ["MV", () => import("@faker-js/faker/locale/dv")],
  el: ["GR", () => import("@faker-js/faker/locale/el")],
  en: ["US", () => import("@faker-js/faker/locale/en")],
  en_AU: ["AU", () => import("@faker-js/faker/locale/en_AU")],
  en_AU_ocker: ["AU", () => import("@faker-js/faker/locale/en_AU_ocker")],
  en_BORK: ["US", () => import("@faker-js/faker/locale/en_BORK")],
  en_CA: ["CA", () => import("@faker-js/faker/locale/en_CA")],
  en_GB: ["GB", () => import("@faker-js/faker/locale/en_GB")],
  en_GH: ["GH", () => import("@faker-js/faker/locale/en_GH")],
  en_HK: ["HK", () => import("@faker-js/faker/locale/en_HK")],
  en_IE: ["IE", () => import("@faker-js/faker/locale/en_IE")],
  en_IN: ["IN", () => import("@faker-js/faker/locale/en_IN")],
  en_NG: ["NG", () => import("@faker-js/faker/locale/en_NG")],
  en_NP: ["NP", () => import("@faker-js/faker/locale/en_NP")],
  en_US: ["US", () => import("@faker-js/faker/locale/en_US")],
  en_ZA: ["ZA", () => import("@faker-js/faker/locale/en_ZA")],
  eo: ["NL", () => import("@faker-js/faker/locale/eo")],
  es: ["ES", () => import("@faker-js/faker/locale/es")],
  es_MX: ["MX", () => import("@faker-js/faker/locale/es_MX")],
  fa: ["IR", () => import("@faker-js/faker/locale/fa")],
  fi: ["FI", () => import("@faker-js/faker/locale/fi")],
  fr: ["FR", () => import("@faker-js/faker/locale/fr")],
  fr_BE: ["BE", () => import("@faker-js/faker/locale/fr_BE")],
  fr_CA: ["CA", () => import("@faker-js/faker/locale/fr_CA")],
  fr_CH: ["CH", () => import("@faker-js/faker/locale/fr_CH")],
  fr_LU: ["LU", () => import("@faker-js/faker/locale/fr_LU")],
  fr_SN: ["SN", () => import("@faker-js/faker/locale/fr_SN")],
  he: ["IL", () => import("@faker-js/faker/locale/he")],
  hr: ["HR", () => import("@faker-js/faker/locale/hr")],
  hu: ["HU", () => import("@faker-js/faker/locale/hu")],
  hy: ["AM", () => import("@faker-js/faker/locale/hy")],
  id_ID: ["ID", () => import("@faker-js/faker/locale/id_ID")],
  it: ["IT", () => import("@faker-js/faker/locale/it")],
  ja: ["JP", () => import("@faker-js/faker/locale/ja")],
  ka_GE: ["GE", () => import("@faker-js/faker/locale/ka_GE")],
  ko: ["KR", () => import("@faker-js/faker/locale/ko")],
  ku_ckb: ["IQ", () => import("@faker-js/faker/locale/ku_ckb")],
  ku_kmr_latin: ["TR", () => import("@faker-js/faker/locale/ku_kmr_latin")],
  lv: ["LV", () => import("@faker-js/faker/locale/lv")],
  mk: ["MK", () => import("@faker-js/faker/locale/mk")],
  mn_MN_cyrl: ["MN", () => import("@faker-js/faker/locale/mn_MN_cyrl")],
  nb_NO: ["NO", () => import("@faker-js/faker/locale/nb_NO")],
  ne: ["NP", () => import("@faker-js/faker/locale/ne")],
  nl: ["NL", () => import("@faker-js/faker/locale/nl")],
  nl_BE: ["BE", () => import("@faker-js/faker/locale/nl_BE")],
  pl: ["PL", () => import("@faker-js/faker/locale/pl")],
  pt_BR: ["BR", () => import("@faker-js/faker/locale/pt_BR")],
  pt_PT: ["PT", () => import("@faker-js/faker/locale/pt_PT")],
  ro: ["RO", () => import("@faker-js/faker/locale/ro")],
  ro_MD: ["MD", () => import("@faker-js/faker/locale/ro_MD")],
  ru: ["RU", () => import("@faker-js/faker/locale/ru")],
  sk: ["SK", () => import("@faker-js/faker/locale/sk")],
  sl_SI: ["SI", () => import("@faker-js/faker/locale/sl_SI")],
  sr_RS_latin: ["RS", () => import("@faker-js/faker/locale/sr_RS_latin")],
  sv: ["SE", () => import("@faker-js/faker/locale/sv")],
  ta_IN: ["IN", () => import("@faker-js/faker/locale/ta_IN")],
  th: ["TH", () => import("@faker-js/faker/locale/th")],
  tr: ["TR", () => import("@faker-js/faker/locale/tr")],
  uk: ["UA", () => import("@faker-js/faker/locale/uk")],
  ur: ["PK", () => import("@faker-js/faker/locale/ur")],
  uz_UZ_latin: ["UZ", () => import("@faker-js/faker/locale/uz_UZ_latin")],
  vi: ["VN", () => import("@faker-js/faker/locale/vi")],
  yo_NG: ["NG", () => import("@faker-js/faker/locale/yo_NG")],
  zh_CN: ["CN", () => import("@faker-js/faker/locale/zh_CN")],
  zh_TW: ["TW", () => import("@faker-js/faker/locale/zh_TW")],
  zu_ZA: ["ZA", () => import("@faker-js/faker/locale/zu_ZA")],
};

/** The names of all locales, in the order of the alphabet. */
export const LOCALE_NAMES: readonly string[] = Object.keys(LOCALES);

/**
 * Loads a locale.
 *
 * @throws {UsageError} when there is none of that name; the message lists those that there are.
 */
export async function loadLocale(name: string): Promise<Locale> {
  const locale = Object.hasOwn(LOCALES, name) ? LOCALES[name] : undefined;
  if (locale === undefined) {
    throw new UsageError(`Cannot use the locale ${name}: it must be one of ${LOCALE_NAMES.join(", ")}`);
  }
  const [country, load] = locale;
  return { name, faker: (await load()).faker, country };
}

/** The locale's generator, at the start of what it makes of this seed. */
export function seededFaker({ faker }: Locale, ...seed: (number | string)[]): Faker {
  faker.seed(seededRandom(...seed).below(2 ** 32));
  return faker;
}
