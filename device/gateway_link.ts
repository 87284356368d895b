/**
 * What a device knows of one of its gateways: whether to ask it now, or to leave it alone for a while.
 *
 * @module
 */

/** How long a gateway that failed is left alone, in milliseconds. */
export const LINK_LIMITS = {
  /** After its first failure; twice as long after each further one. */
  firstBackoffMs: 50,
  longestBackoffMs: 5_000,
  /** Most that a Retry-After is believed. */
  longestRetryAfterMs: 60_000,
} as const;

/** Chance, so that devices do not all do the same at once: at least 0, less than 1. */
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

  /** From when on it may be asked, in milliseconds since 1970. */
  get notBeforeMs(): number {
    return this.#notBeforeMs;
  }

  /** It answered as it should. */
  worked(): void {
    this.#failures = 0;
  }

  /**
   * It did not answer, or asked for patience.
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
    // Never sooner than was asked for; and half as long again at most, so that devices do not all come back at once.
    this.#notBeforeMs = nowMs + backoffMs * (1 + random.next() / 2);
  }
}

/** The first gateway in the order given that may be asked now; else the time from which on one may. */
export function nextGateway(links: readonly GatewayLink[], nowMs: number): GatewayLink | number {
  const ready = links.find(({ notBeforeMs }) => notBeforeMs <= nowMs);
  return ready ?? Math.min(...links.map(({ notBeforeMs }) => notBeforeMs));
}
