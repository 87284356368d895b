import assert from "assert";
import fc from "fast-check";
import { fingerprintKey, isSameVote, makeFingerprint } from "./fingerprint.ts";
import { SEGMENT_ROWS, VoteTable } from "./vote_table.ts";

const KEY = fingerprintKey(new Uint8Array(32));

function fingerprint(voteId: string = crypto.randomUUID(), text = "vote", nowMs = 0): Uint8Array {
  return makeFingerprint(
    KEY,
    { voteId, proof: new Uint8Array(32), text: new TextEncoder().encode(text) },
    nowMs,
  );
}

/** The n-th vote of a test: ids that have nearly all their bits in common. */
function nth(n: number): Uint8Array {
  return fingerprint(`00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`);
}

Deno.test("makeFingerprint() has the whole vote id, and differs with text, proof and key", () => {
  const voteId = "0123abcd-4567-4def-89ab-cdef01234567";
  const bytes = fingerprint(voteId, "vote", 29_363_520 * 60_000 + 59_999);
  assert.equal(bytes.subarray(0, 16).toHex(), voteId.replaceAll("-", ""));
  assert.equal(bytes.subarray(32).toHex(), (29_363_520).toString(16).padStart(8, "0"));
  assert.ok(isSameVote(bytes, fingerprint(voteId, "vote", 0)), "whenever it was accepted");
  assert.ok(!isSameVote(bytes, fingerprint(voteId, "vote ")));
  const other = { voteId, proof: new Uint8Array(32).fill(1), text: new TextEncoder().encode("vote") };
  assert.ok(!isSameVote(bytes, makeFingerprint(KEY, other, 0)));
  const otherKey = fingerprintKey(new Uint8Array(32).fill(1));
  assert.ok(!isSameVote(bytes, makeFingerprint(otherKey, { ...other, proof: new Uint8Array(32) }, 0)));
});

Deno.test("VoteTable finds the votes that a Map with the same history has, and no others", () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ add: fc.integer({ min: 1, max: 300 }) }) },
    { weight: 2, arbitrary: fc.record({ trim: fc.double({ min: 0, max: 1, noNaN: true }) }) },
    { weight: 1, arbitrary: fc.record({ delete: fc.nat() }) },
  );
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => {
      const table = new VoteTable();
      /** Rows in order; `undefined` once their vote was deleted. */
      let rows: (number | undefined)[] = [];
      let next = 0;
      for (const each of steps) {
        if ("add" in each) {
          for (let i = 0; i < each.add; i++) {
            table.add(nth(next));
            rows.push(next++);
          }
        } else if ("trim" in each) {
          const left = Math.floor(rows.length * each.trim);
          table.trim(left);
          rows = rows.slice(rows.length - left);
        } else if (rows.length > 0) {
          const at = each.delete % rows.length;
          const n = rows[at];
          if (n !== undefined) table.delete(nth(n));
          rows[at] = undefined;
        }
      }
      assert.equal(table.size, rows.length);
      const listed = new Set(rows);
      for (let n = 0; n < next; n++) {
        assert.equal(table.find(nth(n)) !== undefined, listed.has(n), `vote ${n}`);
      }
    }),
    { numRuns: 25 },
  );
});

Deno.test("VoteTable finds each of many votes, and takes at most 48 bytes for one", () => {
  const table = new VoteTable();
  const votes = 40_000;
  for (let n = 0; n < votes; n++) table.add(nth(n));
  for (let n = 0; n < votes; n++) assert.deepEqual(table.find(nth(n)), nth(n));
  assert.equal(table.find(nth(votes)), undefined);
  assert.ok(table.bytes / votes <= 48, `${table.bytes / votes} bytes a vote`);
});

Deno.test("VoteTable releases and reuses the room of votes that have left", () => {
  const table = new VoteTable();
  const kept = 2 * SEGMENT_ROWS;
  let most = 0;
  for (let n = 0; n < 6 * kept; n++) {
    table.add(nth(n));
    table.trim(kept);
    if (n > 2 * kept) most = Math.max(most, table.bytes);
  }
  assert.equal(table.size, kept);
  assert.ok(most / kept <= 80, `${most / kept} bytes a vote`);
  assert.equal(table.find(nth(5 * kept - 1)), undefined);
  assert.ok(table.find(nth(5 * kept)) !== undefined);
  table.trim(0);
  assert.equal(table.find(nth(6 * kept - 1)), undefined);
  table.add(nth(0));
  assert.ok(table.find(nth(0)) !== undefined);
});

Deno.test("VoteTable adds a deleted vote again, and the old row takes nothing with it when it leaves", () => {
  const table = new VoteTable();
  table.add(nth(1));
  table.delete(nth(1));
  table.delete(nth(2));
  table.add(nth(1));
  assert.equal(table.size, 2);
  table.trim(1);
  assert.ok(table.find(nth(1)) !== undefined);
});
