/**
 * Sequence numbers: which records of each sender key were read, and what gateways state that they took. What is missing
 * between the two is a record that was lost or held back.
 *
 * @module
 */
import { arrayLiteral, type Query } from "../database/database.ts";
import type { JudgedRecord } from "./judged.ts";

/** Numbers of one row: number n is bit (n - 1) % this of block (n - 1) / this, counted from the left. */
export const BLOCK_NUMBERS = 1_024;
const BLOCK_BYTES = BLOCK_NUMBERS / 8;
/** Maximum blocks that one partition keeps in memory; others are read again when they are needed. */
const MAX_BLOCKS = 2_000;
/** Maximum sender keys that one partition remembers as registered. */
const MAX_KNOWN_KEYS = 10_000;

/** Numbers of one sender key that were read of one partition. `senderKey` is hex, `numbers` has 128 bytes. */
export type SequenceBlock = Readonly<{ senderKey: string; block: number; numbers: Uint8Array }>;

/** What a batch says of sender keys: by key in hex, its gateway, and the number stated if it was. */
export type SenderKeyNews = ReadonlyMap<string, Readonly<{ gateway: string; stated: number | null }>>;

/** What a batch adds: blocks with the bits of before in them, numbers that came a second time, and news of keys. */
export type SequenceUpdate = Readonly<{ blocks: SequenceBlock[]; repeated: number; news: SenderKeyNews }>;

/** Whether a block has a number. */
export function hasNumber(numbers: Uint8Array, sequence: number): boolean {
  const bit = (sequence - 1) % BLOCK_NUMBERS;
  return (numbers[bit >> 3]! & (0x80 >> (bit & 7))) !== 0;
}

/** Adds a number to a block. */
export function addNumber(numbers: Uint8Array, sequence: number): void {
  const bit = (sequence - 1) % BLOCK_NUMBERS;
  numbers[bit >> 3]! |= 0x80 >> (bit & 7);
}

/** The block of a number. */
export function blockOf(sequence: number): number {
  return Math.floor((sequence - 1) / BLOCK_NUMBERS);
}

/** The numbers that were read of one partition, for the process that owns it. */
export class SequenceTracker {
  /** By sender key and block, the one that was used last at the end. */
  readonly #blocks = new Map<string, Uint8Array>();
  /** Sender keys that this process has registered. */
  readonly #known = new Set<string>();
  readonly #election: string;
  readonly #partition: number;

  constructor(election: string, partition: number) {
    this.#election = election;
    this.#partition = partition;
  }

  /** What records add to the numbers read so far. Nothing is kept before {@link SequenceTracker.keep}. */
  async update(query: Query, records: readonly JudgedRecord[]): Promise<SequenceUpdate> {
    const runs = runsOf(records);
    await this.#load(query, runs);
    const blocks = new Map<string, SequenceBlock>();
    let repeated = 0;
    for (const { senderKey, block, sequences } of runs) {
      const key = `${senderKey}/${block}`;
      let added = blocks.get(key);
      if (added === undefined) {
        const before = this.#blocks.get(key);
        blocks.set(
          key,
          added = { senderKey, block, numbers: before?.slice() ?? new Uint8Array(BLOCK_BYTES) },
        );
      }
      for (const sequence of sequences) {
        if (hasNumber(added.numbers, sequence)) repeated++;
        addNumber(added.numbers, sequence);
      }
    }
    return { blocks: [...blocks.values()], repeated, news: newsOf(records, this.#known) };
  }

  /** Keeps what was committed. */
  keep({ blocks, news }: SequenceUpdate): void {
    if (this.#known.size > MAX_KNOWN_KEYS) this.#known.clear();
    for (const key of news.keys()) this.#known.add(key);
    for (const { senderKey, block, numbers } of blocks) {
      const key = `${senderKey}/${block}`;
      this.#blocks.delete(key);
      this.#blocks.set(key, numbers);
    }
    for (const key of this.#blocks.keys()) {
      if (this.#blocks.size <= MAX_BLOCKS) break;
      this.#blocks.delete(key);
    }
  }

  async #load(query: Query, runs: readonly Run[]): Promise<void> {
    const missing = new Map<string, { senderKey: string; block: number }>();
    for (const { senderKey, block } of runs) {
      const key = `${senderKey}/${block}`;
      if (!this.#blocks.has(key)) missing.set(key, { senderKey, block });
    }
    if (missing.size === 0) return;
    const asked = [...missing.values()];
    const rows = await query<{ sender_key: string; block: number; numbers: string }>(
      `SELECT encode(s.sender_key, 'hex') AS sender_key, s.block::float8 AS block, s.numbers::text AS numbers
       FROM unnest($3::text[], $4::bigint[]) AS a (sender_key, block)
       JOIN counting.sequences s ON s.election = $1 AND s.partition = $2
         AND s.sender_key = decode(a.sender_key, 'hex') AND s.block = a.block`,
      [
        this.#election,
        this.#partition,
        arrayLiteral(asked.map(({ senderKey }) => senderKey)),
        arrayLiteral(asked.map(({ block }) => block)),
      ],
    );
    for (const { sender_key, block, numbers } of rows) {
      this.#blocks.set(`${sender_key}/${block}`, bitsToBytes(numbers));
    }
  }
}

/** Hex of sender keys: those of one entry are one array, and next to each other. */
export class Senders {
  #key?: Uint8Array;
  #hex = "";

  hexOf(key: Uint8Array): string {
    if (key !== this.#key) this.#hex = (this.#key = key).toHex();
    return this.#hex;
  }
}

/** Numbers of one sender key and block that come one after another in the records. */
type Run = Readonly<{ senderKey: string; block: number; sequences: number[] }>;

function runsOf(records: readonly JudgedRecord[]): Run[] {
  const runs: Run[] = [];
  const senders = new Senders();
  let last: Run | undefined;
  for (const { judgement, senderKey } of records) {
    if (!("sequence" in judgement) || judgement.sequence === undefined) continue;
    const block = blockOf(judgement.sequence);
    const key = senders.hexOf(senderKey);
    if (key !== last?.senderKey || block !== last.block) {
      runs.push(last = { senderKey: key, block, sequences: [] });
    }
    last.sequences.push(judgement.sequence);
  }
  return runs;
}

/** Registers sender keys, and keeps the highest number that was stated of each, inside the caller's transaction. */
export async function writeSenderKeys(query: Query, election: string, news: SenderKeyNews): Promise<void> {
  await query(
    `INSERT INTO counting.sender_keys AS k (election, sender_key, gateway, registered_at, registered_by, stated)
     SELECT $1, decode(sender_key, 'hex'), gateway, clock_timestamp(), 'log', stated
     FROM unnest($2::text[], $3::text[], $4::bigint[]) AS n (sender_key, gateway, stated)
     ON CONFLICT (election, sender_key) DO UPDATE SET stated = greatest(k.stated, excluded.stated)
     WHERE excluded.stated IS NOT NULL`,
    [
      election,
      arrayLiteral([...news.keys()]),
      arrayLiteral([...news.values()].map(({ gateway }) => gateway)),
      arrayLiteral([...news.values()].map(({ stated }) => stated)),
    ],
  );
}

/**
 * Sender keys under which a device's vote came, with their gateways, and what gateways state. A key of nothing but
 * bad proofs is not registered: who stole a gateway's file could make any number of them.
 *
 * @param known Keys that are registered already: only a statement is news of them.
 */
export function newsOf(records: readonly JudgedRecord[], known: ReadonlySet<string>): SenderKeyNews {
  const news = new Map<string, { gateway: string; stated: number | null }>();
  const senders = new Senders();
  for (const { judgement, senderKey } of records) {
    const stated = judgement.fate === "statement" ? judgement.records : null;
    const isVote = judgement.fate !== "statement" && judgement.record !== undefined;
    if (judgement.gateway === undefined || (stated === null && !isVote)) continue;
    const key = senders.hexOf(senderKey);
    if (stated === null && known.has(key)) continue;
    const before = news.get(key)?.stated ?? null;
    news.set(key, {
      gateway: judgement.gateway,
      stated: larger(stated, before),
    });
  }
  return news;
}

/** Brings the news of several batches together, by key: two transactions that write the same keys take them in one order. */
export function mergeNews(news: readonly SenderKeyNews[]): SenderKeyNews {
  const merged = new Map<string, { gateway: string; stated: number | null }>();
  for (const [key, { gateway, stated }] of news.flatMap((each) => [...each])) {
    const before = merged.get(key)?.stated ?? null;
    merged.set(key, { gateway, stated: larger(stated, before) });
  }
  return new Map([...merged].toSorted(([one], [other]) => one < other ? -1 : 1));
}

/** The larger number of those that are given. */
function larger(one: number | null, other: number | null): number | null {
  return one === null || other === null ? one ?? other : Math.max(one, other);
}

/** Reads a bit string as PostgreSQL writes it, `0101…`. */
export function bitsToBytes(bits: string): Uint8Array {
  const bytes = new Uint8Array(bits.length / 8);
  for (let bit = 0; bit < bits.length; bit++) if (bits[bit] === "1") bytes[bit >> 3]! |= 0x80 >> (bit & 7);
  return bytes;
}
