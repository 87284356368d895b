/**
 * Waiting for what comes by itself, in tests of what runs.
 *
 * @module
 */
import assert from "assert";
import { setTimeout as delay } from "node:timers/promises";

/** How long anything may take before the test fails, if the test does not say, in milliseconds. */
const DEADLINE_MS = 120_000;
/** How long to wait before looking again, in milliseconds. */
const POLL_EVERY_MS = 20;

/** Polls until the condition holds, and fails at the deadline. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  withinMs: number = DEADLINE_MS,
): Promise<void> {
  for (const deadlineMs = Date.now() + withinMs; !await condition();) {
    assert.ok(Date.now() < deadlineMs, `not so within ${withinMs} ms: ${what}`);
    await delay(POLL_EVERY_MS);
  }
}

/** What a promise comes to. Fails at the deadline, so that a test that waits in vain ends, and says for what it waited. */
export async function inTime<T>(
  what: string,
  promise: Promise<T>,
  withinMs: number = DEADLINE_MS,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`not within ${withinMs} ms: ${what}`)), withinMs);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
