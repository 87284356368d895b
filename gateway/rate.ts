/**
 * Token buckets: how often a device, or an address, may ask.
 *
 * @module
 */

/** Buckets kept at once; past that the one that was used longest ago is forgotten, full. */
const MAX_BUCKETS = 100_000;

type Bucket = { tokens: number; atMs: number };

/** Limits each of many askers to a rate, with a burst of one second's worth. */
export class RateLimiter {
  readonly #perSecond: number;
  readonly #buckets = new Map<string, Bucket>();

  /** @param perSecond How often each may ask, on average. */
  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /**
   * Takes one token.
   *
   * @returns 0 when there was one; else the seconds until there will be, rounded up.
   */
  take(asker: string, nowMs: number): number {
    let bucket = this.#buckets.get(asker);
    if (bucket === undefined) {
      if (this.#buckets.size >= MAX_BUCKETS) this.#buckets.delete(this.#buckets.keys().next().value!);
      this.#buckets.set(asker, bucket = { tokens: this.#perSecond, atMs: nowMs });
    } else {
      const refill = Math.max(0, nowMs - bucket.atMs) / 1_000 * this.#perSecond;
      bucket.tokens = Math.min(this.#perSecond, bucket.tokens + refill);
      bucket.atMs = nowMs;
    }
    if (bucket.tokens < 1) return Math.ceil((1 - bucket.tokens) / this.#perSecond);
    bucket.tokens -= 1;
    return 0;
  }
}
