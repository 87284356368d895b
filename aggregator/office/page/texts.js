/** The texts of the page, in the language that the reader chose. A language is one file. */
import { texts as de } from "./text_de.js";
import { texts as en } from "./text_en.js";

/** The languages that there are; the first one is for readers of others. */
export const LANGUAGES = { en, de };

/** Texts of the language in use. */
export let texts = en;

/** Chooses the language: the one that is wanted, else the first of the reader's that there is. Returns its code. */
export function useLanguage(wanted, preferred = []) {
  const codes = [wanted, ...preferred].map((code) => code?.split("-")[0].toLowerCase());
  const code = codes.find((each) => each !== undefined && Object.hasOwn(LANGUAGES, each)) ?? "en";
  texts = LANGUAGES[code];
  return code;
}
