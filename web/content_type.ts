/**
 * Compares content types.
 *
 * @module
 */

/** The parameter that a type may have: JSON's only encoding (RFC 9110, section 8.3). */
const UTF8 = /^\s*;\s*charset=(?:utf-8|"utf-8")\s*$/i;

/** Whether a Content-Type header is a type, alone or with `charset=utf-8`. The type is compared byte for byte. */
export function isOfType(header: string | null, type: string): boolean {
  if (header === null || !header.startsWith(type)) return false;
  const rest = header.slice(type.length);
  return rest === "" || UTF8.test(rest);
}
