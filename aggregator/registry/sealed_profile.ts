/**
 * Voters' profiles at rest: sealed with a key that is derived from the election's master key, so that they are lost when that is
 * destroyed. Voters are found by keyed hashes of some fields.
 *
 * @module
 */
import { lengthPrefixed, utf8 } from "../../shared/bytes.ts";
import { deriveKey, hmac, seal, unseal } from "../../shared/keys.ts";
import type { Profile } from "./profile.ts";

/** The fields by which voters are found. */
export const LOOKUP_FIELDS = ["name", "registration_number", "email", "phone", "cell"] as const;
export type LookupField = (typeof LOOKUP_FIELDS)[number];

/** Seals, opens and finds the profiles of one election. */
export class ProfileSealer {
  readonly #election: string;
  readonly #key: Uint8Array;
  readonly #lookupKey: Uint8Array;

  /** @param master The election's master key, 32 bytes. */
  constructor(election: string, master: Uint8Array) {
    this.#election = election;
    this.#key = deriveKey(master, "profile", election);
    this.#lookupKey = deriveKey(master, "profile-lookup", election);
  }

  /** A profile as it is stored: bytes in hex. It opens for this voter only. */
  seal(voterId: string, profile: Profile): string {
    return seal(this.#key, utf8(JSON.stringify(profile)), this.#context(voterId)).toHex();
  }

  /** @throws when it was sealed with another key, or for another voter. */
  open(voterId: string, sealed: string): Profile {
    const text = unseal(this.#key, Uint8Array.fromHex(sealed), this.#context(voterId));
    if (text === undefined) throw new Error("Cannot open a profile: it was sealed with another key");
    return JSON.parse(new TextDecoder().decode(text));
  }

  /** The hashes of a profile's fields by which its voter is found. */
  lookups(profile: Profile): string[] {
    return LOOKUP_FIELDS.flatMap((field) => {
      const value = profile[field];
      return value === undefined || value.trim() === "" ? [] : [this.lookup(field, value)];
    });
  }

  /** The hash of a value, a signed 64-bit number in decimal. Case, spaces and punctuation of the value do not matter. */
  lookup(field: LookupField, value: string): string {
    const mac = hmac(this.#lookupKey, lengthPrefixed(field, normalised(value)));
    return new DataView(mac.buffer, mac.byteOffset, 8).getBigInt64(0).toString();
  }

  #context(voterId: string): Uint8Array {
    return lengthPrefixed(this.#election, voterId);
  }
}

/** Whether two values are found by the same hash. */
export function isSameValue(one: string, other: string): boolean {
  return normalised(one) === normalised(other);
}

/** A value without what its spellings differ in: case, spaces and punctuation. */
export function normalised(value: string): string {
  return value.normalize("NFKC").toLowerCase().replace(/[\s\p{P}]+/gu, "");
}
