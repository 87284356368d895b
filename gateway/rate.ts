/**
 * Token buckets: how often a device, or an address, may ask.
 *
 * @module
 */
import { RecentMap } from "./recent.ts";

/** Buckets kept at once; past that those that were used longest ago are forgotten, and full when they come again. */
const MAX_BUCKETS = 100_000;

type Bucket = { tokens: number; atMs: number };

/** Limits each of many askers to a rate, with a burst of one second's worth. */
export class RateLimiter {
  readonly #perSecond: number;
  readonly #buckets: RecentMap<Bucket>;

  /** @param perSecond How often each may ask, on average. */
  constructor(perSecond: number, maxBuckets: number = MAX_BUCKETS) {
    this.#perSecond = perSecond;
    this.#buckets = new RecentMap(maxBuckets);
  }

  /**
   * Takes one token.
   *
   * @returns 0 when there was one; else the seconds until there will be, rounded up.
   */
  take(asker: string, nowMs: number): number {
    const bucket = this.#buckets.get(asker) ?? { tokens: this.#perSecond, atMs: nowMs };
    const refill = Math.max(0, nowMs - bucket.atMs) / 1_000 * this.#perSecond;
    bucket.tokens = Math.min(this.#perSecond, bucket.tokens + refill);
    bucket.atMs = nowMs;
    this.#buckets.set(asker, bucket);
    if (bucket.tokens < 1) return Math.ceil((1 - bucket.tokens) / this.#perSecond);
    bucket.tokens -= 1;
    return 0;
  }
}
