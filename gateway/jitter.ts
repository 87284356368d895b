/**
 * Spreads gateways' polls: without it, all that started together would ask the aggregator together for ever.
 *
 * @module
 */

/** How far an interval may be from the one that was set, as a part of it, either way. */
export const JITTER = 0.2;

/**
 * An interval near the one that was set, evenly distributed over ± {@link JITTER}, in milliseconds.
 *
 * @param everyMs The interval that was set.
 * @param random A number from 0 up to 1.
 */
export function jittered(everyMs: number, random: () => number): number {
  return Math.round(everyMs * (1 - JITTER + 2 * JITTER * random()));
}
