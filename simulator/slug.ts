/**
 * Makes identifiers (`idSchema` of shared/election.ts) out of names that people wrote.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** Letters that do not come apart into a base letter and an accent. */
const LETTERS: Readonly<Record<string, string>> = {
  "ß": "ss",
  "æ": "ae",
  "œ": "oe",
  "ø": "o",
  "đ": "d",
  "ł": "l",
  "þ": "th",
};

/** Characters of a digest that stand for what was cut off. */
const DIGEST_LENGTH = 8;

/**
 * Spells a name with a-z, 0-9 and `-` only: `"Ste. Geneviève #1S"` → `"ste-genevieve-1s"`. A name that is too long
 * is cut, and ends with part of its digest, so that two long names stay two. One of no letters becomes `unnamed`.
 *
 * @param longest Most characters, 16 to 64.
 */
export function slug(name: string, longest = 64): string {
  const plain = name.toLowerCase().normalize("NFKD").replace(/[ßæœøđłþ]/g, (letter) => LETTERS[letter])
    .replace(/[\u0300-\u036f'’.]/g, "").replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
  if (plain === "") return "unnamed";
  if (plain.length <= longest) return plain;
  const digest = createHash("sha256").update(plain).digest("hex").slice(0, DIGEST_LENGTH);
  return `${plain.slice(0, longest - DIGEST_LENGTH - 1).replace(/-$/, "")}-${digest}`;
}

/** Gives each of several names an identifier of its own: `ward-1`, `ward-1-2`, `ward-1-3`. */
export class Slugs {
  readonly #taken = new Set<string>();
  readonly #longest: number;

  /** @param longest Most characters of each, 16 to 64. */
  constructor(longest = 64) {
    this.#longest = longest;
  }

  /** An identifier like the name that was not given out before. */
  take(name: string): string {
    const first = slug(name, this.#longest);
    let id = first;
    for (let n = 2; this.#taken.has(id); n++) {
      id = `${slug(first, this.#longest - 1 - String(n).length)}-${n}`;
    }
    this.#taken.add(id);
    return id;
  }
}
