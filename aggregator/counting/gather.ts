/**
 * When a counting transaction may begin. The rows that one transaction changes show together, to whoever reads the tables
 * again and again: a transaction of a single vote would show that vote.
 *
 * @module
 */

/** Records that a transaction need not exceed, whatever k is. */
export const GATHER_MAX_RECORDS = 10;
/** How long the oldest record of a transaction may wait for others, in milliseconds. */
export const GATHER_MAX_WAIT_MS = 2_000;

/** Records that a transaction waits for: `min(k, 10)`. With k = 1 results are no secret, and it waits for none. */
export function gatheredRecords(k: number): number {
  return Math.min(k, GATHER_MAX_RECORDS);
}

/**
 * Whether the records that were gathered are to be counted now.
 *
 * @param records Gathered so far, of all partitions that the transaction counts.
 * @param waitedMs How long the oldest of them has waited.
 * @param k The election's release threshold.
 */
export function isDue(records: number, waitedMs: number, k: number): boolean {
  return records > 0 && (records >= gatheredRecords(k) || waitedMs >= GATHER_MAX_WAIT_MS);
}
