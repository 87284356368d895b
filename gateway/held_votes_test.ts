import assert from "assert";
import { FINGERPRINT_BYTES } from "./fingerprint.ts";
import { HeldVotes } from "./held_votes.ts";

/** Fingerprints of votes `from` to `to`, all with one MAC. */
function votes(from: number, to = from, mac = 0): Uint8Array {
  const bytes = new Uint8Array((to - from + 1) * FINGERPRINT_BYTES);
  const view = new DataView(bytes.buffer);
  for (let n = from; n <= to; n++) {
    view.setUint32((n - from) * FINGERPRINT_BYTES, n);
    view.setUint32((n - from) * FINGERPRINT_BYTES + 16, mac);
  }
  return bytes;
}

Deno.test("HeldVotes keeps all votes that the spool holds, and the last ones that the log has", () => {
  const held = new HeldVotes(10);
  held.add("a", votes(1, 1_000));
  held.forwarded("a", 1_000);
  assert.equal(held.size, 1_000, "however many the spool holds");
  held.forwarded("a", 900);
  assert.equal(held.size, 910);
  assert.equal(held.find("a", votes(90)), undefined);
  for (const n of [91, 100, 101, 1_000]) assert.deepEqual(held.find("a", votes(n)), votes(n));
  held.forwarded("a", 0);
  assert.equal(held.size, 10);
});

Deno.test("HeldVotes keeps elections apart: one whose log is away loses nothing to another", () => {
  const held = new HeldVotes(10);
  held.add("away", votes(1, 100));
  held.add("b", votes(1, 100));
  held.forwarded("b", 0);
  assert.equal(held.size, 105, "elections share the room for votes that the log has");
  assert.deepEqual(held.find("away", votes(1)), votes(1));
  assert.equal(held.find("b", votes(1)), undefined);
  assert.equal(held.find("c", votes(1)), undefined);
});

Deno.test("HeldVotes.find() tells a vote from another under its id; add() leaves what is there", () => {
  const held = new HeldVotes();
  held.add("a", votes(1));
  assert.equal(held.find("a", votes(1, 1, 7)), "reused");
  held.add("a", votes(1, 2, 7));
  assert.equal(held.size, 2);
  assert.deepEqual(held.find("a", votes(1)), votes(1));
  held.forget("a", votes(1, 3));
  held.forget("c", votes(1));
  assert.equal(held.find("a", votes(1)), undefined);
});
