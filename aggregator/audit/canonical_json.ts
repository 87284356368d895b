/**
 * Canonical JSON (RFC 8785): members sorted by their names, no white space. Used for everything that is hashed or signed.
 *
 * @module
 */

/** Anything that JSON can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

/** Writes a value in its canonical form. @throws when a number is not finite, or a text is not well-formed UTF-16. */
export function canonicalJson(value: Json): string {
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new RangeError(`Cannot write ${value} as JSON: it must be finite`);
  }
  if (typeof value === "string" && !value.isWellFormed()) {
    throw new RangeError("Cannot write the text as JSON: it has half of a surrogate pair");
  }
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (isList(value)) return `[${value.map(canonicalJson).join(",")}]`;
  // UTF-16 code units: the order of RFC 8785, section 3.2.3.
  const names = Object.keys(value).filter((name) => value[name] !== undefined).sort();
  return `{${names.map((name) => `${canonicalJson(name)}:${canonicalJson(value[name]!)}`).join(",")}}`;
}

function isList(value: readonly Json[] | { readonly [name: string]: Json }): value is readonly Json[] {
  return Array.isArray(value);
}
