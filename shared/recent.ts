/**
 * A map that remembers what was set last, within a limit.
 *
 * @module
 */

/**
 * Two generations: when the younger is half the limit, it becomes the older, and the older is forgotten. A Map that
 * lets go of its oldest key one by one has to look for it past all those it has let go of: 28 µs a key at 100,000.
 */
export class RecentMap<Value, Key = string> {
  readonly #half: number;
  #young = new Map<Key, Value>();
  #old = new Map<Key, Value>();

  /** @param max Entries at the most, two or more; of the last ones half as many are there for certain. */
  constructor(max: number) {
    this.#half = Math.max(1, Math.floor(max / 2));
  }

  get(key: Key): Value | undefined {
    const young = this.#young.get(key);
    return young === undefined ? this.#old.get(key) : young;
  }

  /** Sets an entry, and returns its value; it is the youngest from then on. */
  set(key: Key, value: Value): Value {
    if (this.#young.size >= this.#half) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
    return value;
  }

  delete(key: Key): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }
}
