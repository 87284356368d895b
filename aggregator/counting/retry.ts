/**
 * Retries work that failed only because the database was away.
 *
 * @module
 */
import { isPassing } from "../database/database.ts";

/** Waits between tries, in milliseconds: doubled from the first up to the last. */
const RETRY_FIRST_MS = 100;
const RETRY_LAST_MS = 5_000;

/** How to try again. */
export type RetryOptions = Readonly<{
  signal: AbortSignal;
  /** Waits, and rejects when the signal aborts. */
  wait(ms: number): Promise<unknown>;
  /** Called with an error that is retried. */
  onRetry?(error: unknown): void;
}>;

/** Does work until it succeeds. Rejects with an error that will not pass, and with any once the signal has aborted. */
export async function retryPassing<T>(
  work: () => Promise<T>,
  { signal, wait, onRetry }: RetryOptions,
): Promise<T> {
  for (let waitMs = RETRY_FIRST_MS;; waitMs = Math.min(waitMs * 2, RETRY_LAST_MS)) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted || !isPassing(error)) throw error;
      onRetry?.(error);
      await wait(waitMs);
    }
  }
}

/**
 * Waits for work; once the signal has aborted, at most `ms` milliseconds more. Work that is not waited for ends by
 * itself.
 *
 * @param late Makes the error to reject with when the time is over.
 */
export async function finishWithin<T>(
  work: Promise<T>,
  signal: AbortSignal,
  ms: number,
  late: () => Error,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = Promise.withResolvers<never>();
  const begin = () => timer = setTimeout(() => over.reject(late()), ms);
  if (signal.aborted) begin();
  else signal.addEventListener("abort", begin, { once: true });
  work.catch(() => {});
  try {
    return await Promise.race([work, over.promise]);
  } finally {
    signal.removeEventListener("abort", begin);
    clearTimeout(timer);
  }
}
