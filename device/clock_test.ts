import assert from "assert";
import { systemClock } from "./clock.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("systemClock.sleep() ends at once when it is told to stop, and leaves no timer behind", async () => {
  const stop = new AbortController();
  const asleep = systemClock.sleep(3_600_000, stop.signal);
  stop.abort();
  await asleep;
  await systemClock.sleep(3_600_000, stop.signal);
});

Deno.test("systemClock.sleep() lets time pass", async () => {
  const before = systemClock.now();
  await systemClock.sleep(2);
  assert.ok(systemClock.now() >= before + 1);
});
