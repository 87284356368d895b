import assert from "assert";
import type { Socket } from "node:net";
import { HandshakeFaults, MAX_TOLD, WINDOW_MS } from "./handshakes.ts";

Deno.test.sanitizer({ ops: true, resources: true });

function world() {
  const clock = { nowMs: 0 };
  const heard: string[] = [];
  const faults = new HandshakeFaults({
    onHandshakeFault: (address, why) => heard.push(`${address}: ${why}`),
    onMoreHandshakeFaults: (count) => heard.push(`${count} more`),
  }, () => clock.nowMs);
  const fail = (times: number, message = "no") => {
    for (let i = 0; i < times; i++) faults.add(new Error(message), { remoteAddress: "10.0.0.1" } as Socket);
  };
  return { clock, faults, heard, fail };
}

const ONE = "10.0.0.1: no";

Deno.test("HandshakeFaults reports the first failures in a window, and after it the number of the others", () => {
  const { clock, faults, heard, fail } = world();
  fail(MAX_TOLD + 1_000);
  assert.deepEqual(heard.splice(0), Array(MAX_TOLD).fill(ONE));
  clock.nowMs += WINDOW_MS - 1;
  faults.poll();
  assert.deepEqual(heard, []);
  clock.nowMs += 1;
  faults.poll();
  assert.deepEqual(heard.splice(0), ["1000 more"]);
  fail(1);
  assert.deepEqual(heard.splice(0), [ONE]);
  clock.nowMs += WINDOW_MS;
  faults.poll();
  assert.deepEqual(heard, [], "nothing was left out");
});

Deno.test("HandshakeFaults begins a window with the next failure too, and reports the rest when it ends", () => {
  const { clock, faults, heard, fail } = world();
  fail(MAX_TOLD + 2);
  clock.nowMs += WINDOW_MS;
  fail(MAX_TOLD + 3);
  faults.end();
  assert.deepEqual(heard, [
    ...Array(MAX_TOLD).fill(ONE),
    "2 more",
    ...Array(MAX_TOLD).fill(ONE),
    "3 more",
  ]);
});

Deno.test("HandshakeFaults bounds the text of one report, and knows the address of a closed connection", () => {
  const { faults, heard, fail } = world();
  fail(1, "x".repeat(10_000));
  assert.ok(heard.splice(0)[0]!.length < 300);
  const closed = { _parent: { remoteAddress: "10.0.0.2" } } as unknown as Socket;
  faults.add(new Error("no"), closed);
  faults.add(new Error("no"), {} as Socket);
  assert.deepEqual(heard, ["10.0.0.2: no", "an unknown address: no"]);
});
