/**
 * Spreads gateways' polls over time. Without it, gateways that started together would always poll at the same time.
 *
 * @module
 */

/** Maximum deviation from the configured interval, in either direction, as a fraction of it. */
export const JITTER = 0.2;

/**
 * A random interval near the configured one, evenly distributed over ± {@link JITTER}, in milliseconds.
 *
 * @param everyMs The configured interval.
 * @param random Returns a number of at least 0 and less than 1.
 */
export function jittered(everyMs: number, random: () => number): number {
  return Math.round(everyMs * (1 - JITTER + 2 * JITTER * random()));
}
