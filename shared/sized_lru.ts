/**
 * A cache of values of very different sizes: the least recently used go first, by number and by size.
 *
 * @module
 */

/** How much a cache may hold. */
export type SizedLruLimits = Readonly<{ entries: number; bytes: number }>;

/** See the module. For thousands of entries, not more: see shared/recent.ts for why. */
export class SizedLru<Value> {
  readonly #limits: SizedLruLimits;
  readonly #entries = new Map<string, { value: Value; bytes: number }>();
  #bytes = 0;

  constructor(limits: SizedLruLimits) {
    this.#limits = limits;
  }

  /** The value of a key, which is the most recently used one from then on. */
  get(key: string): Value | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** Sets a value. One that is larger than the whole cache is not kept. */
  set(key: string, value: Value, bytes: number): void {
    this.delete(key);
    if (bytes > this.#limits.bytes) return;
    this.#entries.set(key, { value, bytes });
    this.#bytes += bytes;
    while (this.#entries.size > this.#limits.entries || this.#bytes > this.#limits.bytes) {
      this.delete(this.#entries.keys().next().value!);
    }
  }

  delete(key: string): void {
    this.#bytes -= this.#entries.get(key)?.bytes ?? 0;
    this.#entries.delete(key);
  }

  /** What the cache holds now. */
  get held(): SizedLruLimits {
    return { entries: this.#entries.size, bytes: this.#bytes };
  }
}
