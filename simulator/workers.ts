/**
 * Works through things to do, several at a time, as they are made.
 *
 * @module
 */

/**
 * Runs `work` on each item, at most `atOnce` at a time, and asks for the next item only when somebody is free for it.
 * When one fails, no further item is begun, and its error is thrown once those under way have ended.
 */
export async function eachOf<T>(
  items: AsyncIterable<T> | Iterable<T>,
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  let failed = false;
  // Asking is one at a time: a second question before the first is answered would be out of order.
  let asking: Promise<unknown> = Promise.resolve();
  const next = () => {
    const answer = asking.then(() => failed ? { done: true as const, value: undefined } : iterator.next());
    asking = answer.catch(() => {});
    return answer;
  };
  const worker = async () => {
    for (;;) {
      const item = await next();
      if (item.done) return;
      await work(item.value);
    }
  };
  const results = await Promise.allSettled(Array.from({ length: atOnce }, () =>
    worker().catch((error) => {
      failed = true;
      throw error;
    })));
  await iterator.return?.();
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** Lets things through at a steady rate, after a burst of at most one tenth of a second's worth. */
export class Pacer {
  readonly #perSecond: number;
  readonly #now: () => number;
  readonly #sleep: (ms: number) => Promise<void>;
  #nextMs: number;

  /** @param perSecond How many a second, above 0; Infinity for no limit. */
  constructor(
    perSecond: number,
    clock: Readonly<{ now: () => number; sleep: (ms: number) => Promise<void> }>,
  ) {
    this.#perSecond = perSecond;
    this.#now = clock.now;
    this.#sleep = clock.sleep;
    this.#nextMs = clock.now();
  }

  /** Resolves when so many more may go. */
  async take(n: number): Promise<void> {
    if (this.#perSecond === Infinity) return;
    const nowMs = this.#now();
    const fromMs = Math.max(this.#nextMs, nowMs - 100);
    this.#nextMs = fromMs + (1_000 * n) / this.#perSecond;
    if (fromMs > nowMs) await this.#sleep(fromMs - nowMs);
  }
}
