/**
 * The error of everything that officials ask for.
 *
 * @module
 */

/** What the office asked for cannot be done; the message says why and what would be right. */
export class OfficeError extends Error {
  override name = "OfficeError";
}
