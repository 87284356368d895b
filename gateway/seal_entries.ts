/**
 * Seals the records that one commit of the spool makes durable: those of one partition share entries.
 *
 * @module
 */
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { MAX_ENTRY_RECORDS } from "../shared/record.ts";
import type { SequenceAllocation } from "./sender_keys.ts";

/**
 * Maximum bytes of records that are sealed as one entry; a longer record is an entry by itself. Far below what a
 * broker takes (1 MiB), because an entry is the least that a slow uplink has to carry before a request times out.
 */
export const MAX_ENTRY_PLAIN_BYTES = 8_192;

/** A record that is not sealed yet. */
export type PlainRecord = Readonly<{ partition: number; bytes: Uint8Array }>;

/** Numbers, seals and signs records of one election, partition by partition. */
export function sealEntries(
  election: string,
  records: readonly PlainRecord[],
  allocation: SequenceAllocation,
): PlacedRecord[] {
  const entries: PlacedRecord[] = [];
  for (const [partition, own] of Map.groupBy(records, (record) => record.partition)) {
    for (let from = 0; from < own.length;) {
      const end = entryEnd(own, from);
      const together = own.slice(from, from = end);
      entries.push({ ...allocation.seal(election, joined(together), together.length), partition });
    }
  }
  return entries;
}

/** Where the entry ends that begins with a record: its records have one length, and a bounded one together. */
function entryEnd(records: readonly PlainRecord[], from: number): number {
  const { length } = records[from]!.bytes;
  const fitting = Math.min(MAX_ENTRY_RECORDS, Math.floor(MAX_ENTRY_PLAIN_BYTES / length));
  const limit = Math.min(records.length, from + Math.max(1, fitting));
  let end = from + 1;
  while (end < limit && records[end]!.bytes.length === length) end++;
  return end;
}

function joined(records: readonly PlainRecord[]): Uint8Array {
  const [{ bytes: first }] = records as [PlainRecord];
  if (records.length === 1) return first;
  const all = new Uint8Array(records.length * first.length);
  records.forEach(({ bytes }, i) => all.set(bytes, i * first.length));
  return all;
}
