/**
 * Compares what gateways state with what was read: for each sender key the numbers that are missing.
 *
 * @module
 */
import type { Gateways } from "./schemas.ts";
import { type Database, isoTime, type Query } from "../database/database.ts";
import { bitsToBytes, BLOCK_NUMBERS, hasNumber } from "./sequences.ts";

/** Ranges of missing numbers that are listed of one sender key. `missingNumbers` is of all. */
const MAX_RANGES = 100;

type Row = Gateways["rows"][number];
type KeyRow = Row["senderKeys"][number];

/** Reads the report, of one moment. */
export async function readGateways(db: Database, election: string): Promise<Gateways> {
  return await db.transaction((query) => readGatewaysIn(query, election), "snapshot");
}

/** Reads the report with the caller's query. */
export async function readGatewaysIn(query: Query, election: string): Promise<Gateways> {
  const blocks = Map.groupBy(await readBlocks(query, election), ({ sender_key }) => sender_key);
  const keys = await readKeys(query, election);
  const closed = new Set(await closedGateways(query, election));
  const rows = Map.groupBy(keys, ({ gateway }) => gateway);
  return {
    election,
    rows: [...rows].map(([gateway, of]): Row => ({
      gateway,
      isClosed: closed.has(gateway),
      senderKeys: of.map((key) => reportOf(key, blocks.get(key.sender_key) ?? [])),
    })),
  };
}

/** What keeps the final release back: sender keys without statement or waiver, and stated numbers that were not read. */
export type OpenSenderKeys = Readonly<{ open: number; missingNumbers: number }>;

/** Counts what keeps the final release back. */
export function openSenderKeys({ rows }: Gateways): OpenSenderKeys {
  const keys = rows.flatMap(({ senderKeys }) => senderKeys).filter(({ isWaived }) => !isWaived);
  return {
    open: keys.filter(({ isOpen }) => isOpen).length,
    missingNumbers: keys.reduce((sum, key) => sum + (key.stated === null ? 0 : key.missingNumbers), 0),
  };
}

/** Missing ranges that one line names. */
const MAX_LINE_RANGES = 10;

/** One line a sender key, for the report of a recount. */
export function senderKeyLines({ rows }: Gateways): string[] {
  return rows.flatMap(({ gateway, senderKeys }) =>
    senderKeys.map((key) => {
      const ranges = key.missing.slice(0, MAX_LINE_RANGES)
        .map(({ from, to }) => from === to ? `${from}` : `${from}–${to}`);
      const more = key.missing.length > MAX_LINE_RANGES ? ", …" : "";
      const parts = [
        key.stated === null ? "no statement" : `stated ${key.stated}`,
        `read ${key.read}`,
        key.missingNumbers > 0 && `${key.missingNumbers} missing (${ranges.join(", ")}${more})`,
        key.aboveStated > 0 && `${key.aboveStated} above the number stated`,
        key.isOpen && "open",
        key.isWaived && "waived",
      ].filter((part) => part !== false);
      return `gateway ${gateway}, sender key ${key.senderKey.slice(0, 16)}: ${parts.join(", ")}`;
    })
  );
}

type SenderKey = {
  sender_key: string;
  gateway: string;
  registered_at: string;
  registered_by: "sync" | "log";
  stated: number | null;
  is_listed: boolean;
  is_waived: boolean;
};
type Block = { sender_key: string; block: number; numbers: string };

function reportOf(key: SenderKey, blocks: readonly Block[]): KeyRow {
  const read = blocks.flatMap(({ block, numbers }) => numbersOf(block, bitsToBytes(numbers)));
  const end = key.stated ?? read.at(-1) ?? 0;
  const ranges = missingRanges(read, end);
  return {
    senderKey: key.sender_key,
    registeredAt: key.registered_at,
    registeredBy: key.registered_by,
    stated: key.stated,
    read: read.length,
    missing: ranges.slice(0, MAX_RANGES),
    missingNumbers: ranges.reduce((sum, { from, to }) => sum + to - from + 1, 0),
    aboveStated: key.stated === null ? 0 : read.filter((number) => number > end).length,
    isOpen: key.stated === null && !key.is_waived,
    isListed: key.is_listed,
    isWaived: key.is_waived,
  };
}

/** The numbers that a block holds, rising. */
function numbersOf(block: number, bytes: Uint8Array): number[] {
  const numbers: number[] = [];
  for (let number = block * BLOCK_NUMBERS + 1; number <= (block + 1) * BLOCK_NUMBERS; number++) {
    if (hasNumber(bytes, number)) numbers.push(number);
  }
  return numbers;
}

/** What is missing from 1 to `end`. A gateway may claim any number, so nothing here counts up to it. */
function missingRanges(read: readonly number[], end: number): { from: number; to: number }[] {
  const ranges: { from: number; to: number }[] = [];
  let next = 1;
  for (const number of read) {
    if (number > end) break;
    if (number > next) ranges.push({ from: next, to: number - 1 });
    next = number + 1;
  }
  if (next <= end) ranges.push({ from: next, to: end });
  return ranges;
}

/** Numbers of all partitions together. */
async function readBlocks(query: Query, election: string): Promise<Block[]> {
  return await query(
    `SELECT encode(sender_key, 'hex') AS sender_key, block::float8 AS block, bit_or(numbers)::text AS numbers
     FROM counting.sequences WHERE election = $1 GROUP BY 1, 2 ORDER BY 1, 2`,
    [election],
  );
}

async function readKeys(query: Query, election: string): Promise<SenderKey[]> {
  return await query(
    `SELECT encode(sender_key, 'hex') AS sender_key, gateway, registered_by, stated::float8 AS stated, is_listed,
       waived_revision IS NOT NULL AS is_waived,
       ${isoTime("registered_at")} AS registered_at
     FROM counting.sender_keys k WHERE election = $1 ORDER BY gateway, k.registered_at, sender_key`,
    [election],
  );
}

async function closedGateways(query: Query, election: string): Promise<string[]> {
  const rows = await query<{ gateway: string }>(
    "SELECT gateway FROM counting.closed_gateways WHERE election = $1",
    [election],
  );
  return rows.map(({ gateway }) => gateway);
}
