/**
 * Makes identifiers (`idSchema` of shared/election.ts) out of names that people wrote.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** Letters that have no base letter, and how they are written with Latin ones (BGN/PCGN, simplified). */
const LETTERS: ReadonlyMap<string, string> = new Map(
  ("ß ss æ ae œ oe ø o đ d ð d ł l þ th ı i ħ h ŋ ng " +
    "а a б b в v г g ґ g д d е e є ie ё e ж zh з z и i і i ї i й i к k л l м m н n о o п p р r с s т t у u ў u " +
    "ф f х kh ц ts ч ch ш sh щ shch ъ  ы y ь  э e ю iu я ia ђ dj ј j љ lj њ nj ћ c џ dz " +
    "α a β v γ g δ d ε e ζ z η i θ th ι i κ k λ l μ m ν n ξ x ο o π p ρ r σ s ς s τ t υ y φ f χ ch ψ ps ω o")
    .match(/\S \S*/g)!.map((pair) => pair.split(" ") as [string, string]),
);

/** Characters of a digest that stand for what was cut off, or cannot be spelled. */
const DIGEST_LENGTH = 8;

/**
 * Spells a name with a-z, 0-9 and `-` only: `"Ste. Geneviève #1S"` → `"ste-genevieve-1s"`, `"Рада"` → `"rada"`. No
 * letter is dropped: a name with letters that cannot be spelled ends with part of its digest, and so does one that
 * is too long and cut, so that two names stay two. One without letters and digits becomes `unnamed`.
 *
 * @param longest Most characters, 16 to 64.
 */
export function slug(name: string, longest = 64): string {
  const folded = name.normalize("NFC").toLowerCase().normalize("NFC");
  const spelled = [...folded].map((letter) => LETTERS.get(letter) ?? letter).join("")
    .normalize("NFKD").replace(/[\u0300-\u036f'’.]/g, "").replace(
      /./gu,
      (letter) => LETTERS.get(letter) ?? letter,
    );
  const plain = spelled.replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
  const isSpelled = !/(?![a-z0-9])[\p{L}\p{M}\p{N}]/u.test(spelled);
  if (plain === "" && isSpelled) return "unnamed";
  if (plain.length <= longest && isSpelled) return plain;
  const digest = createHash("sha256").update(isSpelled ? plain : folded).digest("hex").slice(
    0,
    DIGEST_LENGTH,
  );
  const kept = plain.slice(0, longest - DIGEST_LENGTH - 1).replace(/-$/, "");
  return kept === "" ? `name-${digest}` : `${kept}-${digest}`;
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
