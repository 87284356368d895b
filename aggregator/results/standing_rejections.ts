/**
 * Which rejections the topic of rejections has already. The topic may be longer than memory, so it is compared with the
 * database page by page, and what is kept of each row that agrees is one bit.
 *
 * @module
 */
import { arrayLiteral, isoTime, type Query } from "../database/database.ts";
import type { ViewPage, ViewRow } from "./views.ts";

/** A rejection as the topic shows it. It has no vote id and no voter key. */
export type Rejection = Readonly<{
  key: string;
  /** Rises in a partition, in the order in which records were found not to count. */
  arrival: number;
  election: string;
  partition: number;
  [field: string]: string | number;
}>;

/** Limits of what is kept while the topic is read. */
export const STANDING_LIMITS = {
  /** Rows of the topic that the database does not have. When there are more they are taken off at once. */
  staleRows: 20_000,
  /** Arrivals of one block of bits, of 8 KiB. */
  blockArrivals: 1 << 16,
  /** Blocks of bits, 32 MiB in all. A rejection that has no place there is written again, which changes nothing. */
  blocks: 4_096,
};

/** The columns of a {@link Rejection}, of `counting.rejections r`. */
export const REJECTION_COLUMNS =
  `r.election || '/' || r.partition || '/' || r.log_offset || '/' || r.record_index AS key, r.election, r.partition,
  r.log_offset::float8 AS "offset", r.record_index::int AS index, r.fate, r.reason,
  ${isoTime("r.appended_at")} AS "appendedAt",
  coalesce(r.gateway, '') AS gateway, coalesce(r.station, '') AS station, r.arrival::float8 AS arrival`;

const BY_KEYS = `
SELECT ${REJECTION_COLUMNS}
FROM unnest($1::text::text[], $2::text::int[], $3::text::bigint[], $4::text::int[]) AS k (election, partition, log_offset, record_index)
JOIN counting.rejections r USING (election, partition, log_offset, record_index)`;

const KEY = /^(.+)\/(\d{1,9})\/(\d{1,18})\/(\d{1,9})$/;

/** A rejection's row of the topic. */
export function rejectionRow({ key, arrival: _, ...value }: Rejection): ViewRow {
  return { key, value };
}

/** Whole numbers, a bit each. */
class Bits {
  readonly #blocks = new Map<number, Uint8Array>();
  readonly #limits: typeof STANDING_LIMITS;

  constructor(limits: typeof STANDING_LIMITS) {
    this.#limits = limits;
  }

  has(number: number): boolean {
    const { block, at, mask } = this.#place(number);
    return ((this.#blocks.get(block)?.[at] ?? 0) & mask) !== 0;
  }

  set(number: number, isThere: boolean): void {
    const { block, at, mask } = this.#place(number);
    let bytes = this.#blocks.get(block);
    if (bytes === undefined) {
      if (!isThere || this.#blocks.size >= this.#limits.blocks) return;
      this.#blocks.set(block, bytes = new Uint8Array(this.#limits.blockArrivals / 8));
    }
    if (isThere) bytes[at]! |= mask;
    else bytes[at]! &= ~mask;
  }

  #place(number: number) {
    const { blockArrivals } = this.#limits;
    const inBlock = number % blockArrivals;
    return { block: Math.floor(number / blockArrivals), at: inBlock >> 3, mask: 1 << (inBlock & 7) };
  }
}

/** What stands on the topic, as far as it has been read. */
export class StandingRejections {
  readonly #limits: typeof STANDING_LIMITS;
  readonly #there: Bits;
  readonly #stale = new Set<string>();

  constructor(limits: typeof STANDING_LIMITS = STANDING_LIMITS) {
    this.#limits = limits;
    this.#there = new Bits(limits);
  }

  /**
   * Takes in a page of the topic. Pages come in the topic's order.
   *
   * @returns rows to take off at once, since there are too many to remember them.
   */
  async takeIn(query: Query, { rows }: ViewPage): Promise<ViewRow[]> {
    const newest = new Map(rows);
    const known = new Map((await readByKeys(query, newest.keys())).map((each) => [each.key, each]));
    for (const [key, value] of newest) {
      const rejection = known.get(key);
      if (rejection !== undefined) {
        this.#there.set(rejection.arrival, value === JSON.stringify(rejectionRow(rejection).value));
      } else if (value === null) this.#stale.delete(key);
      else this.#stale.add(key);
    }
    return this.#stale.size > this.#limits.staleRows ? this.takeStale() : [];
  }

  /** Whether the topic has this rejection as it is in the database. */
  has({ arrival }: Rejection): boolean {
    return this.#there.has(arrival);
  }

  /** Rows that take off what the database does not have; each is given once. */
  takeStale(): ViewRow[] {
    const rows = [...this.#stale].map((key) => ({ key, value: null }));
    this.#stale.clear();
    return rows;
  }
}

async function readByKeys(query: Query, keys: Iterable<string>): Promise<Rejection[]> {
  const positions = [...keys].map((key) => KEY.exec(key)).filter((match) => match !== null);
  const column = (at: number) => arrayLiteral(positions.map((match) => match[at]!));
  return await query(BY_KEYS, [column(1), column(2), column(3), column(4)]);
}
