/**
 * Chance that can be repeated: the same seed gives the same numbers, on every machine. Never for keys or ids.
 *
 * @module
 */

/** A source of numbers that look random. */
export type Random = Readonly<{
  /** At least 0, less than 1. */
  next(): number;
  /** A whole number at least 0 and less than `n`. */
  below(n: number): number;
  pick<T>(list: readonly T[]): T;
}>;

/**
 * The numbers of one seed. Parts are joined, so that every voter, say, can have numbers of its own that do not
 * depend on how many were drawn before: `seededRandom(7, "voter", 12)`.
 */
export function seededRandom(...seed: (number | string)[]): Random {
  let state = hashText(seed.join("/"));
  // splitmix32: 32 bits of state, every value once; ample for a simulation.
  const next = () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
  const below = (n: number) => Math.floor(next() * n);
  return { next, below, pick: (list) => list[below(list.length)]! };
}

/** FNV-1a over UTF-16 code units: a whole number of 32 bits, at least 0. */
export function hashText(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

/**
 * An index, drawn with the weights given.
 *
 * @param cumulative The running sums of the weights: rising, the last above 0.
 */
export function weighted(random: Random, cumulative: readonly number[]): number {
  const at = random.next() * cumulative.at(-1)!;
  let low = 0;
  for (let high = cumulative.length - 1; low < high;) {
    const middle = (low + high) >> 1;
    if (at < cumulative[middle]!) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** A number of the normal distribution with mean 0 and deviation 1: Box and Muller's. */
export function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}

/** Running sums. */
export function runningSums(weights: readonly number[]): number[] {
  let sum = 0;
  return weights.map((weight) => sum += weight);
}
