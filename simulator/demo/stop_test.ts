import assert from "assert";
import { stoppable } from "./stop.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Signals that a test sends. */
function signals() {
  const listeners = new Map<Deno.Signal, () => void>();
  let nowMs = 0;
  const send = (signal: Deno.Signal, afterMs: number) => {
    nowMs += afterMs;
    listeners.get(signal)!();
  };
  const listen = (signal: Deno.Signal, listener: () => void) => {
    listeners.set(signal, listener);
    return () => listeners.delete(signal);
  };
  return { send, listeners, world: { now: () => nowMs, listen } };
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  Deno.test(`stoppable() stops in order at the first ${signal}, and at once at the second`, async () => {
    const { send, listeners, world } = signals();
    const atOnce: Deno.Signal[] = [];
    const result = await stoppable(
      (stop) => {
        assert.equal(stop.signal.aborted, false);
        send(signal, 5);
        assert.equal(stop.signal.aborted, true);
        send(signal, 999);
        assert.deepEqual(atOnce, [], "it is the same, on another way");
        send("SIGTERM", 1);
        return Promise.resolve("done");
      },
      (which) => atOnce.push(which),
      world,
    );
    assert.deepEqual([result, atOnce, listeners.size], ["done", ["SIGTERM"], 0]);
  });
}

Deno.test("stoppable() listens no more when the work has failed", async () => {
  const { listeners, world } = signals();
  await assert.rejects(stoppable(() => Promise.reject(new Error("odd")), () => {}, world), /odd/);
  assert.equal(listeners.size, 0);
});
