/**
 * Reads JSON from other programs (RFC 8259), so strictly that no two readers can understand it differently.
 *
 * @module
 */
import { fromUtf8 } from "./bytes.ts";

/** Why a text is refused; `reason` is the problem type, see problem.ts. */
export type JsonFault = Readonly<{ reason: "not-utf8" | "not-json" | "duplicate-key"; detail: string }>;

/**
 * Reads JSON in UTF-8 without a byte order mark (RFC 8259, section 8.1), in which no object has a key twice:
 * `JSON.parse` takes the last of two, others the first (section 4).
 *
 * @param source The bytes, or their text when they were decoded already.
 * @param isOfStrings Says of a value that it has objects, arrays and strings only. Reading such a value is faster, when it
 *   was written without white space.
 */
export function readJson(
  source: Uint8Array | string,
  isOfStrings: (value: unknown) => boolean = () => false,
): Readonly<{ value: unknown }> | JsonFault {
  let text: string;
  try {
    text = typeof source === "string" ? source : fromUtf8(source);
  } catch {
    return notUtf8("it has bytes that are not UTF-8");
  }
  if (text.startsWith("\ufeff")) return notUtf8("it begins with a byte order mark: leave it out");
  if (text.includes("\0")) return notUtf8("it has zero bytes, as UTF-16 and UTF-32 do");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { reason: "not-json", detail: `the text must be JSON: ${(error as Error).message}` };
  }
  // Writing strings never takes more characters than there were. So equal lengths prove that no key was dropped. A number may
  // become longer, and hide one that was.
  const isWhole = isOfStrings(value) && writtenLength(value) === text.length;
  if (!isWhole && countColons(text) !== countKeys(value)) {
    return { reason: "duplicate-key", detail: "an object has a key twice: every key must be there once" };
  }
  return { value };
}

/** `JSON.parse` that returns `undefined` for invalid JSON. It is not as strict as {@link readJson}. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function notUtf8(found: string): JsonFault {
  return { reason: "not-utf8", detail: `the text must be UTF-8, and ${found}` };
}

/** Whether a value that `JSON.parse` made is an object of so many keys. */
export function isRecordOf(value: unknown, keys: number): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  let found = 0;
  for (const _ in value) found++;
  return found === keys;
}

const QUOTE = 0x22, COLON = 0x3a, BACKSLASH = 0x5c, SPACE = 0x20;
const FIRST_SURROGATE = 0xd800, LAST_SURROGATE = 0xdfff, LAST_UNIT = 0xffff;
/** Control characters that are written as a backslash and a letter: \b \t \n \f \r. Others, and lone surrogates, are written as `\uXXXX`. */
const SHORT_ESCAPES = [0x08, 0x09, 0x0a, 0x0c, 0x0d];
const LONG_ESCAPE_EXTRA = 5;

/** Number of keys in a JSON text: every colon outside of strings belongs to a key. */
function countColons(text: string): number {
  let colons = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === QUOTE) inString = !inString;
    else if (unit === COLON && !inString) colons++;
    else if (unit === BACKSLASH) at++;
  }
  return colons;
}

/** Length of what `JSON.stringify` writes of a value that has objects, arrays and strings only: without writing it, so without garbage. */
export function writtenLength(value: unknown): number {
  if (typeof value === "string") return writtenStringLength(value);
  let length = 1;
  if (Array.isArray(value)) {
    for (const item of value) length += writtenLength(item) + 1;
  } else {
    // JSON.parse makes objects that inherit no enumerable key.
    for (const key in value as object) {
      length += writtenStringLength(key) + writtenLength((value as Record<string, unknown>)[key]) + 2;
    }
  }
  // One comma less than items, and the closing bracket.
  return Math.max(2, length);
}

/** Quotes and escapes included (ECMA-262, QuoteJSONString). */
function writtenStringLength(text: string): number {
  let length = text.length + 2;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === QUOTE || unit === BACKSLASH) length += 1;
    else if (unit < SPACE) length += SHORT_ESCAPES.includes(unit) ? 1 : LONG_ESCAPE_EXTRA;
    else if (unit >= FIRST_SURROGATE && unit <= LAST_SURROGATE) {
      if (isPair(text, at)) at++;
      else length += LONG_ESCAPE_EXTRA;
    }
  }
  return length;
}

function isPair(text: string, at: number): boolean {
  return text.codePointAt(at)! > LAST_UNIT;
}

/** Number of keys in a value. Not recursive: a value may be nested more deeply than the stack allows. */
function countKeys(value: unknown): number {
  let keys = 0;
  const left = [value];
  while (left.length > 0) {
    const next = left.pop();
    if (typeof next !== "object" || next === null) continue;
    if (!Array.isArray(next)) keys += Object.keys(next).length;
    for (const inner of Object.values(next)) if (typeof inner === "object") left.push(inner);
  }
  return keys;
}
