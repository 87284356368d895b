/**
 * Compares this gateway's clock with the aggregator's, which is in every answer to a sync. When they differ, one of
 * them is wrong, and the gateway does not guess which.
 *
 * @module
 */

/** Maximum difference of the two clocks, in milliseconds. Beyond it the gateway refuses votes. */
export const MAX_CLOCK_DIFFERENCE_MS = 60_000;

/** See the module. */
export class AggregatorClock {
  #differenceMs: number | undefined;

  /**
   * Stores the time in an answer.
   *
   * @param header The answer's `pollwire-time`, milliseconds since 1970; `null` when the answer had none, which is ignored.
   * @param askedMs This gateway's clock when it asked.
   * @param tookMs How long the answer took. The aggregator is assumed to have written the time half-way.
   */
  note(header: string | null, askedMs: number, tookMs: number): void {
    if (header === null || !/^[0-9]{1,15}$/.test(header)) return;
    this.#differenceMs = Math.round(askedMs + tookMs / 2 - Number(header));
  }

  /** How far this gateway's clock is ahead, as of the last answer; `undefined` before the first. */
  get differenceMs(): number | undefined {
    return this.#differenceMs;
  }

  /** What is wrong, when the clocks differ by more than they may. */
  get fault(): string | undefined {
    if (this.#differenceMs === undefined || Math.abs(this.#differenceMs) <= MAX_CLOCK_DIFFERENCE_MS) {
      return undefined;
    }
    const seconds = Math.round(Math.abs(this.#differenceMs) / 1_000);
    const direction = this.#differenceMs > 0 ? "ahead of" : "behind";
    return `this gateway's clock is ${seconds} s ${direction} the aggregator's, and may differ by ${
      MAX_CLOCK_DIFFERENCE_MS / 1_000
    } s: set whichever of the two is wrong`;
  }
}
