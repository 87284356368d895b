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

/**
 * Hands things on at the pace of a pacer, until `signal` is aborted.
 *
 * @param weigh How much of the pace one thing takes; 0 for none.
 */
export async function* paced<T>(
  items: AsyncIterable<T>,
  pacer: Pacer,
  weigh: (item: T) => number,
  signal?: AbortSignal,
): AsyncGenerator<T> {
  for await (const item of items) {
    const weight = weigh(item);
    if (weight > 0) await pacer.take(weight);
    if (signal?.aborted) return;
    yield item;
  }
}

/** Lets things through at a rate, after a burst of at most one tenth of a second's worth. */
export class Pacer {
  readonly #perSecond: (nowMs: number) => number;
  readonly #now: () => number;
  readonly #sleep: (ms: number) => Promise<void>;
  #nextMs: number;

  /** @param perSecond How many a second, above 0, or how many at a time of the clock; Infinity for no limit. */
  constructor(
    perSecond: number | ((nowMs: number) => number),
    clock: Readonly<{ now: () => number; sleep: (ms: number) => Promise<void> }>,
  ) {
    this.#perSecond = typeof perSecond === "number" ? () => perSecond : perSecond;
    this.#now = clock.now;
    this.#sleep = clock.sleep;
    this.#nextMs = clock.now();
  }

  /** Resolves when so many more may go. */
  async take(n: number): Promise<void> {
    const nowMs = this.#now();
    const perSecond = this.#perSecond(nowMs);
    if (perSecond === Infinity) return;
    const fromMs = Math.max(this.#nextMs, nowMs - 100);
    this.#nextMs = fromMs + (1_000 * n) / perSecond;
    if (fromMs > nowMs) await this.#sleep(fromMs - nowMs);
  }
}
