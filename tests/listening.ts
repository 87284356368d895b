/**
 * The address of an aggregator that runs in the test's own process.
 *
 * @module
 */
import assert from "assert";

/** Starts it, and reads the address that it says it listens at. */
export async function listening(
  start: () => Promise<void>,
): Promise<{ origin: string; running: Promise<void> }> {
  const { log } = console;
  const { promise, resolve } = Promise.withResolvers<string>();
  console.log = (line: string) => resolve(line.replace(/^aggregator listens on /, ""));
  const running = start();
  try {
    return {
      origin: await Promise.race([promise, running.then(() => assert.fail("it has ended"))]),
      running,
    };
  } finally {
    console.log = log;
  }
}
