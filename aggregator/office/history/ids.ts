/**
 * Identifiers made from names.
 *
 * @module
 */

/** Maximum characters of an identifier that is made here, with the number behind it. */
const ID_CHARS = 64;
const NUMBER_CHARS = 8;

/** Identifiers of one kind of thing, each given once. */
export class Ids {
  readonly #taken = new Set<string>();

  /** An identifier of a-z, 0-9 and -; the second of the same name gets -2, and so on. */
  take(name: string): string {
    const base = name.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/[^a-z0-9]+/g, "-")
      .replace(/^-|-$/g, "").slice(0, ID_CHARS - NUMBER_CHARS) || "x";
    let id = base;
    for (let number = 2; this.#taken.has(id); number++) id = `${base}-${number}`;
    this.#taken.add(id);
    return id;
  }
}
