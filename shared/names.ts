/**
 * Which names may be shown. A name is text in any script. It has a visible character, and nothing that changes the text
 * beside it: no control characters, no invisible format characters, no change of direction (Unicode UTR 36, UAX 9).
 *
 * @module
 */

/** Characters that set or change the direction of the text around them (UAX 9, section 2). */
const DIRECTION = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
/** Control and format characters, separators of lines and paragraphs, and halves of surrogate pairs. */
const FORBIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;
/** Characters that are letters or symbols by category, but invisible. */
const BLANK = /[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0]/u;
const VISIBLE = /[\p{L}\p{N}\p{P}\p{S}]/u;
/** Persian, Indic and other scripts join or separate letters with U+200C and U+200D. Elsewhere they are invisible. */
const JOINER = /[\u200c\u200d]/u;
const JOINED = /[\p{M}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Mongolian}\p{Script=Nko}]/u;

/**
 * What is wrong with a name and where, or `undefined`. Positions are characters, counted from 1.
 *
 * @returns text to stand behind "must be a name: …" or behind the name of a field.
 */
export function nameFault(name: string): string | undefined {
  const characters = [...name];
  const at = characters.findIndex((_, index) => isForbidden(characters, index));
  if (at !== -1) return `${describe(characters[at]!)} at character ${at + 1}; leave it out`;
  if (characters.some((character) => VISIBLE.test(character) && !BLANK.test(character))) return undefined;
  return name === "" ? "must not be empty" : `${unicodeOf(characters[0]!)} at character 1 and nothing to see`;
}

/** A name without the characters that {@link nameFault} forbids, and with single spaces between words. */
export function cleanName(name: string): string {
  const characters = [...name.replace(/\s+/gu, " ")];
  const allowed = characters.filter((_, index) => !isForbidden(characters, index)).join("");
  // What was forbidden may have stood between two spaces.
  return allowed.replace(/ {2,}/g, " ").trim();
}

/**
 * A key that is equal for all spellings of a name: Unicode's composed form (NFC), without case, punctuation and extra
 * spaces. Letters and their accents are kept, so `José` and `Jose` are two names.
 */
export function nameKey(name: string): string {
  const text = name.normalize("NFC").toLowerCase().normalize("NFC");
  const key = text.replace(/[’'.]/gu, "").replace(/[^\p{L}\p{M}\p{N}\p{S}]+/gu, " ").trim();
  return key === "" ? text.trim() : key;
}

function isForbidden(characters: readonly string[], index: number): boolean {
  const character = characters[index]!;
  if (!FORBIDDEN.test(character)) return false;
  return !(JOINER.test(character) && index > 0 && JOINED.test(characters[index - 1]!) &&
    index + 1 < characters.length && /[\p{L}\p{M}]/u.test(characters[index + 1]!));
}

function describe(character: string): string {
  const code = unicodeOf(character);
  if (DIRECTION.test(character)) return `${code} changes the direction of text`;
  if (/\p{Cf}/u.test(character)) return `${code} is invisible`;
  return /\p{Cs}/u.test(character) ? `${code} is half a character` : `${code} is a control character`;
}

/** `U+202E` */
function unicodeOf(character: string): string {
  return `U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`;
}
