/**
 * Which line of a file had a value first: a table of hashes in typed arrays, for files of millions of lines. A `Map` of the
 * values themselves takes six times the memory.
 *
 * @module
 */

const FIRST_SLOTS = 1_024;
/** The table grows when more of its slots are taken. */
const MAX_FULL = 0.6;

/** See the module. Two values may have one hash of 53 bits: the caller compares the lines. */
export class LineIndex {
  #hashes = new Float64Array(FIRST_SLOTS);
  #lines = new Uint32Array(FIRST_SLOTS);
  #size = 0;

  /** The line that had this value first; `undefined` when it is this one, which is kept. Lines count from 1. */
  firstLine(value: string, line: number): number | undefined {
    if (this.#size > this.#lines.length * MAX_FULL) this.#grow();
    const slot = this.#slotOf(hashOf(value));
    if (this.#lines[slot] !== 0) return this.#lines[slot];
    this.#hashes[slot] = hashOf(value);
    this.#lines[slot] = line;
    this.#size++;
    return undefined;
  }

  #slotOf(hash: number): number {
    const mask = this.#lines.length - 1;
    let slot = hash % this.#lines.length;
    while (this.#lines[slot] !== 0 && this.#hashes[slot] !== hash) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const [hashes, lines] = [this.#hashes, this.#lines];
    this.#hashes = new Float64Array(2 * hashes.length);
    this.#lines = new Uint32Array(2 * lines.length);
    for (let i = 0; i < lines.length; i++) {
      if (lines[i] === 0) continue;
      const slot = this.#slotOf(hashes[i]!);
      this.#hashes[slot] = hashes[i]!;
      this.#lines[slot] = lines[i]!;
    }
  }
}

/** A hash of 53 bits: two multiplicative hashes of 32 bits side by side (cyrb53). */
function hashOf(text: string): number {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    high = Math.imul(high ^ code, 2_654_435_761);
    low = Math.imul(low ^ code, 1_597_334_677);
  }
  high = Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909);
  low = Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909);
  return 4_294_967_296 * (2_097_151 & low) + (high >>> 0);
}
