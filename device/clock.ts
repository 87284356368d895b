/**
 * Time, as an argument.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";

/** What time it is, in milliseconds since 1970, and how to let some pass. */
export type Clock = Readonly<{
  now(): number;
  /** Resolves after so many milliseconds, or at once when the signal is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}>;

/** The machine's clock. */
export const systemClock: Clock = {
  now: Date.now,
  sleep: (ms, signal) => delay(ms, undefined, { signal }).catch(() => {}),
};
