/**
 * How long the gateway asks devices to wait when it refuses votes for now: at random, so that they do not all come back at once, and
 * longer the longer it has had to refuse.
 *
 * @module
 */

/** Bounds of the wait that is asked for. */
export const RETRY_AFTER = {
  /** At first: this, or less than twice as long. */
  firstS: 2,
  /** How often that doubles, and after which time of refusing, each time. */
  doublings: 2,
  doublesAfterMs: 10_000,
  /** After so long without a refusal it is the first one again. */
  forgottenAfterMs: 10_000,
} as const;

/** See the module. */
export class RetryAfter {
  readonly #now: () => number;
  readonly #random: () => number;
  #sinceMs = -Infinity;
  #lastMs = -Infinity;

  /** @param now A monotonic clock, in milliseconds. @param random A number from 0 to less than 1. */
  constructor(now: () => number = () => performance.now(), random: () => number = Math.random) {
    this.#now = now;
    this.#random = random;
  }

  /** The value of Retry-After for a refusal now, in whole seconds. */
  nextS(): number {
    const { firstS, doublings, doublesAfterMs, forgottenAfterMs } = RETRY_AFTER;
    const nowMs = this.#now();
    if (nowMs - this.#lastMs >= forgottenAfterMs) this.#sinceMs = nowMs;
    this.#lastMs = nowMs;
    const doubled = Math.min(doublings, Math.floor((nowMs - this.#sinceMs) / doublesAfterMs));
    const leastS = firstS * 2 ** doubled;
    return leastS + Math.floor(leastS * this.#random());
  }
}
