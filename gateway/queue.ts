/**
 * A first-in, first-out queue that leaves no garbage behind. In place of a `Set` or `Map` that is filled and emptied all the time: V8
 * makes its table anew again and again, each old table refers to the next one and to what was in it, and once one is old enough
 * for the major garbage collection, all that came after wait for that, too.
 *
 * @module
 */

/** Slots that a queue keeps when it is emptied. */
const MIN_SLOTS = 64;

/** See the module. */
export class Queue<Item extends object> {
  /** A ring: `#size` items from `#first` on. Its length is a power of two. */
  #slots: (Item | undefined)[] = new Array(MIN_SLOTS).fill(undefined);
  #first = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The oldest item; `undefined` when there is none. */
  get oldest(): Item | undefined {
    return this.#slots[this.#first];
  }

  push(item: Item): void {
    if (this.#size === this.#slots.length) this.#resize(2 * this.#size);
    this.#slots[this.#first + this.#size++ & this.#slots.length - 1] = item;
  }

  /** Removes the oldest item and returns it; `undefined` when there is none. */
  shift(): Item | undefined {
    const item = this.#slots[this.#first];
    if (item === undefined) return undefined;
    this.#slots[this.#first] = undefined;
    this.#first = this.#first + 1 & this.#slots.length - 1;
    if (--this.#size === 0 && this.#slots.length > MIN_SLOTS) this.#resize(MIN_SLOTS);
    return item;
  }

  /** Oldest first. The queue must not change meanwhile. */
  *[Symbol.iterator](): Generator<Item> {
    for (let i = 0; i < this.#size; i++) yield this.#slots[this.#first + i & this.#slots.length - 1]!;
  }

  #resize(slots: number): void {
    const items: (Item | undefined)[] = [...this];
    this.#slots = items.concat(new Array(slots - items.length).fill(undefined));
    this.#first = 0;
  }
}
