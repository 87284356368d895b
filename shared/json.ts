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
  const isWhole = isOfStrings(value) && JSON.stringify(value).length === text.length;
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

const QUOTE = 0x22, COLON = 0x3a, BACKSLASH = 0x5c;

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
