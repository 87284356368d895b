/**
 * A compact table of votes' fingerprints, in the order in which they came: rows in segments of bytes, and an index with
 * open addressing. A vote costs 36 bytes for its row and 5 to 11 for the index; a Map of objects costs about 300.
 *
 * @module
 */

import {
  copyFingerprint,
  FINGERPRINT_BYTES,
  hasSameId,
  minuteAt,
  NO_MINUTE,
  setMinute,
} from "./fingerprint.ts";

/** Rows of a segment. A segment is released when all of its rows have left. */
export const SEGMENT_ROWS = 4_096;
/** The index is divided, so that making one part of it anew takes about a millisecond, however many votes there are. */
const SHARDS = 256;
/** Slots of a new shard, and the parts of its slots that may be used and that are taken after it was made anew. */
const MIN_SHARD_SLOTS = 16;
const MAX_LOAD = 0.75;
const MAX_NEW_LOAD = 0.5;
/** A slot holds a row's place plus 2, or one of these. */
const EMPTY = 0;
const DELETED = 1;
const FIRST_PLACE = 2;

type Shard = { slots: Uint32Array; used: number };

/** See the module. Vote ids in it are unique. */
export class VoteTable {
  readonly #seeds = crypto.getRandomValues(new Uint32Array(4));
  readonly #shards = Array.from({ length: SHARDS }, () => newShard(MIN_SHARD_SLOTS));
  /** A row's place is its segment's number times {@link SEGMENT_ROWS}, plus its number in the segment. */
  readonly #segments: (Uint8Array<ArrayBuffer> | undefined)[] = [];
  /** Numbers of the segments in use, oldest first, and of those that were released. */
  readonly #order: number[] = [];
  readonly #released: number[] = [];
  /** The oldest row in the oldest segment, and the next row in the newest. */
  #first = 0;
  #next = SEGMENT_ROWS;
  #size = 0;

  /** Rows, with those of deleted votes. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of rows and index. */
  get bytes(): number {
    const slots = this.#shards.reduce((sum, shard) => sum + shard.slots.byteLength, 0);
    return slots + this.#order.length * SEGMENT_ROWS * FINGERPRINT_BYTES;
  }

  /** The fingerprint that has the vote id of the one at `at`. */
  find(bytes: Uint8Array, at = 0): Uint8Array | undefined {
    const { slots, slot } = this.#search(bytes, at);
    if (slot === undefined) return undefined;
    const { segment, from } = this.#row(slots[slot]! - FIRST_PLACE);
    return segment.subarray(from, from + FINGERPRINT_BYTES);
  }

  /** Adds a fingerprint as the youngest. Its vote id must not be in the table. */
  add(bytes: Uint8Array, at = 0): void {
    if (this.#next === SEGMENT_ROWS) this.#addSegment();
    const place = this.#order.at(-1)! * SEGMENT_ROWS + this.#next++;
    const { segment, from } = this.#row(place);
    copyFingerprint(bytes, at, segment, from);
    this.#size++;
    const hash = this.#hash(bytes, at);
    const shard = this.#shards[hash & SHARDS - 1]!;
    if (shard.used + 1 > shard.slots.length * MAX_LOAD) this.#remake(shard);
    insert(shard, hash, place + FIRST_PLACE);
  }

  /** Deletes a vote, if it is there. Its row stays until it is the oldest. */
  delete(bytes: Uint8Array, at = 0): void {
    const { slots, slot } = this.#search(bytes, at);
    if (slot === undefined) return;
    const { segment, from } = this.#row(slots[slot]! - FIRST_PLACE);
    slots[slot] = DELETED;
    setMinute(segment, from, NO_MINUTE);
  }

  /** Removes the oldest rows, down to so many. */
  trim(max: number): void {
    while (this.#size > max) {
      const number = this.#order[0]!;
      const place = number * SEGMENT_ROWS + this.#first++;
      const { segment, from } = this.#row(place);
      if (minuteAt(segment, from) !== NO_MINUTE) this.#unlist(segment, from, place);
      this.#size--;
      if (this.#first < SEGMENT_ROWS) continue;
      this.#first = 0;
      this.#order.shift();
      this.#segments[number] = undefined;
      this.#released.push(number);
    }
  }

  #addSegment(): void {
    const number = this.#released.pop() ?? this.#segments.length;
    this.#segments[number] = new Uint8Array(SEGMENT_ROWS * FINGERPRINT_BYTES);
    this.#order.push(number);
    this.#next = 0;
  }

  #row(place: number): { segment: Uint8Array<ArrayBuffer>; from: number } {
    const row = place % SEGMENT_ROWS;
    return { segment: this.#segments[(place - row) / SEGMENT_ROWS]!, from: row * FINGERPRINT_BYTES };
  }

  /** The slot whose row has the vote id of the fingerprint at `at`. Compares whole ids, so a hash decides nothing. */
  #search(bytes: Uint8Array, at: number): { slots: Uint32Array; slot: number | undefined } {
    const hash = this.#hash(bytes, at);
    const { slots } = this.#shards[hash & SHARDS - 1]!;
    for (let slot = home(hash, slots);; slot = slot + 1 & slots.length - 1) {
      const value = slots[slot]!;
      if (value === EMPTY) return { slots, slot: undefined };
      if (value === DELETED) continue;
      const { segment, from } = this.#row(value - FIRST_PLACE);
      if (hasSameId(segment, from, bytes, at)) return { slots, slot };
    }
  }

  /** Takes the row at a place out of the index. */
  #unlist(segment: Uint8Array, from: number, place: number): void {
    const hash = this.#hash(segment, from);
    const { slots } = this.#shards[hash & SHARDS - 1]!;
    let slot = home(hash, slots);
    while (slots[slot] !== place + FIRST_PLACE) slot = slot + 1 & slots.length - 1;
    slots[slot] = DELETED;
  }

  /** Makes a shard anew without its deleted slots, as large as its rows need. */
  #remake(shard: Shard): void {
    const listed = shard.slots.filter((value) => value >= FIRST_PLACE);
    let size = MIN_SHARD_SLOTS;
    while (listed.length + 1 > size * MAX_NEW_LOAD) size *= 2;
    Object.assign(shard, newShard(size));
    for (const value of listed) {
      const { segment, from } = this.#row(value - FIRST_PLACE);
      insert(shard, this.#hash(segment, from), value);
    }
  }

  /** A hash of a vote id under this table's seeds, so that no device can choose ids that meet. */
  #hash(bytes: Uint8Array, at: number): number {
    let hash = 0;
    for (let word = 0; word < 4; word++) {
      const from = at + 4 * word;
      const value = bytes[from]! | bytes[from + 1]! << 8 | bytes[from + 2]! << 16 | bytes[from + 3]! << 24;
      hash = Math.imul(hash ^ value ^ this.#seeds[word]!, 0x9e37_79b1);
      hash ^= hash >>> 15;
    }
    // MurmurHash3's finalizer.
    hash = Math.imul(hash ^ hash >>> 16, 0x85eb_ca6b);
    hash = Math.imul(hash ^ hash >>> 13, 0xc2b2_ae35);
    return (hash ^ hash >>> 16) >>> 0;
  }
}

function newShard(slots: number): Shard {
  return { slots: new Uint32Array(slots), used: 0 };
}

/** Where the search for a hash begins. The lowest bits chose the shard. */
function home(hash: number, slots: Uint32Array): number {
  return hash >>> 8 & slots.length - 1;
}

function insert(shard: Shard, hash: number, value: number): void {
  const { slots } = shard;
  let slot = home(hash, slots);
  while (slots[slot] !== EMPTY) slot = slot + 1 & slots.length - 1;
  slots[slot] = value;
  shard.used++;
}
