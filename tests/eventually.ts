/**
 * Waiting for what comes by itself, in tests of what runs.
 *
 * @module
 */
import assert from "assert";
import { setTimeout as delay } from "node:timers/promises";

/** How long anything may take before the test fails, in milliseconds. */
const DEADLINE_MS = 30_000;
/** How long to wait before looking again, in milliseconds. */
const LOOK_EVERY_MS = 20;

/** Looks again and again until the condition holds, and fails at the deadline. */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadlineMs = Date.now() + DEADLINE_MS; !await condition();) {
    assert.ok(Date.now() < deadlineMs, `not so within ${DEADLINE_MS} ms: ${what}`);
    await delay(LOOK_EVERY_MS);
  }
}
