/**
 * Token buckets: how many votes a device or a station may send, and how often an address may ask a gateway or an aggregator.
 *
 * @module
 */
import { RecentMap } from "../shared/recent.ts";

/** Maximum buckets. Beyond it the least recently used are dropped, and start full when they are used again. */
const MAX_BUCKETS = 100_000;

type Bucket = { tokens: number; atMs: number };

/** Limits each of many clients to a rate, with a burst. */
export class RateLimiter {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #buckets: RecentMap<Bucket>;

  /**
   * @param perSecond Tokens that each client gets per second.
   * @param burst Maximum tokens that a client can save. Default: the tokens of one second.
   */
  constructor(perSecond: number, burst: number = perSecond, maxBuckets: number = MAX_BUCKETS) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#buckets = new RecentMap(maxBuckets);
  }

  /** How many tokens a client could take now, a whole number. */
  available(asker: string, nowMs: number): number {
    return Math.floor(this.#fill(asker, nowMs).tokens);
  }

  /**
   * Takes tokens: all of them or none.
   *
   * @returns 0 when there were enough; else the seconds until there are enough, or the burst is full, rounded up.
   */
  take(asker: string, nowMs: number, count = 1): number {
    const bucket = this.#fill(asker, nowMs);
    if (bucket.tokens < count) {
      return Math.max(1, Math.ceil((Math.min(count, this.#burst) - bucket.tokens) / this.#perSecond));
    }
    bucket.tokens -= count;
    return 0;
  }

  #fill(asker: string, nowMs: number): Bucket {
    const bucket = this.#buckets.use(asker) ?? this.#buckets.set(asker, { tokens: this.#burst, atMs: nowMs });
    const refill = Math.max(0, nowMs - bucket.atMs) / 1_000 * this.#perSecond;
    bucket.tokens = Math.min(this.#burst, bucket.tokens + refill);
    bucket.atMs = nowMs;
    return bucket;
  }
}
