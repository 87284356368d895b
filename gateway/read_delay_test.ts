import assert from "assert";
import { eventually } from "../tests/eventually.ts";
import { ReadDelay } from "./read_delay.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Keeps this thread from reading anything. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

Deno.test("ReadDelay measures how long a byte waited, and forgets it after the next one", async () => {
  let blocks = 1;
  // The clock is first asked when a byte is sent.
  using delay = await ReadDelay.open(() => {
    if (blocks-- > 0) queueMicrotask(() => block(300));
    return performance.now();
  });
  await eventually("a byte waited while nothing was read", () => delay.ms >= 290);
  await eventually("a later byte did not", () => delay.ms < 290);
});

Deno.test("ReadDelay measures nothing once it is closed", async () => {
  const delay = await ReadDelay.open();
  delay[Symbol.dispose]();
  block(300);
  assert.equal(delay.ms, 0);
});
