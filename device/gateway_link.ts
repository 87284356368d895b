/**
 * A device's state of one gateway: whether to ask it now or later.
 *
 * @module
 */

/** How long a failed gateway is not asked, in milliseconds. */
export const LINK_LIMITS = {
  /** After the first failure. Doubles with each further one. */
  firstBackoffMs: 50,
  longestBackoffMs: 5_000,
  /** Maximum Retry-After that is respected. */
  longestRetryAfterMs: 60_000,
} as const;

/** A random number, at least 0 and less than 1, so that devices do not all act at the same time. */
export type Jitter = Readonly<{ next(): number }>;

/** A gateway's address, and when to ask it next. Several devices may share one. */
export class GatewayLink {
  readonly origin: string;
  #failures = 0;
  #notBeforeMs = 0;

  /** @param origin Like `http://127.0.0.1:8081`. */
  constructor(origin: string) {
    this.origin = origin;
  }

  /** The time from which it may be asked, in milliseconds since 1970. */
  get notBeforeMs(): number {
    return this.#notBeforeMs;
  }

  /** Reports a valid answer. */
  worked(): void {
    this.#failures = 0;
  }

  /**
   * Reports no answer, or an answer that asks to wait.
   *
   * @param retryAfter The header's value, if there was one.
   */
  failed(nowMs: number, random: Jitter, retryAfter: string | null): void {
    this.#failures++;
    const asked = /^\d{1,6}$/.test(retryAfter?.trim() ?? "") ? Number(retryAfter) * 1_000 : 0;
    const doubled = LINK_LIMITS.firstBackoffMs * 2 ** Math.min(this.#failures - 1, 16);
    const backoffMs = Math.max(
      Math.min(doubled, LINK_LIMITS.longestBackoffMs),
      Math.min(asked, LINK_LIMITS.longestRetryAfterMs),
    );
    // Never sooner than Retry-After, and at most 1.5 times as long, so that devices do not all return at once.
    this.#notBeforeMs = nowMs + backoffMs * (1 + random.next() / 2);
  }
}

/** The first gateway in the list that may be asked now; else the time from which one may. */
export function nextGateway(links: readonly GatewayLink[], nowMs: number): GatewayLink | number {
  const ready = links.find(({ notBeforeMs }) => notBeforeMs <= nowMs);
  return ready ?? Math.min(...links.map(({ notBeforeMs }) => notBeforeMs));
}
