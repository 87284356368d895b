/**
 * A voter's profile: what the election office knows of a voter, and the count does not use.
 *
 * @module
 */
import { z } from "zod";

/** Longest picture of a voter, in characters. */
const MAX_PICTURE_CHARS = 16_384;

const profileText = (maxChars: number) =>
  z.string().max(maxChars).refine((text) => !text.includes("\0"), "must not hold a NUL").optional();

/**
 * A profile; each field may be left out. It stays in the registry: no count, no log, no message and no answer of the API
 * has any of it.
 */
export const profileSchema = z.strictObject({
  name: profileText(200),
  nationality: profileText(100),
  registration_number: profileText(64),
  street: profileText(200),
  city: profileText(200),
  state: profileText(200),
  country: profileText(200),
  postcode: profileText(32),
  email: profileText(254),
  phone: profileText(64),
  cell: profileText(64),
  /** An SVG image's text. */
  picture: profileText(MAX_PICTURE_CHARS),
  registered_on: z.iso.date().optional(),
});
export type Profile = z.infer<typeof profileSchema>;
