import assert from "assert";
import { withElection, writeHeld } from "../../tests/seeded_database.ts";
import type { Query } from "../database/database.ts";
import { addNumber } from "../counting/sequences.ts";
import { BALLOT_BOX_GATE } from "./final_gate.ts";

const KEY = "ab".repeat(32);

async function writeKey(query: Query, stated: number | null, read: number[]): Promise<void> {
  await query(
    `INSERT INTO counting.sender_keys (election, sender_key, gateway, registered_at, registered_by, stated)
     VALUES ('test-2026', decode($1, 'hex'), 'g-1', now(), 'log', $2)
     ON CONFLICT (election, sender_key) DO UPDATE SET stated = excluded.stated`,
    [KEY, stated],
  );
  const numbers = new Uint8Array(128);
  for (const number of read) addNumber(numbers, number);
  await query(
    `INSERT INTO counting.sequences (election, sender_key, partition, block, numbers)
     VALUES ('test-2026', decode($1, 'hex'), 0, 0, $2::text::bit(1024))
     ON CONFLICT (election, sender_key, block, partition) DO UPDATE SET numbers = excluded.numbers`,
    [KEY, `x${numbers.toHex()}`],
  );
}

const reasonOf = async (query: Query) => {
  const answer = await BALLOT_BOX_GATE.finalAllowed(query, "test-2026");
  return answer.allowed ? undefined : answer.reason;
};

Deno.test("the final release waits for statements, for all numbers stated, and for decisions", async () => {
  await withElection(async ({ query }) => {
    assert.equal(await reasonOf(query), undefined, "an election that nobody voted in");
    await writeKey(query, null, [1, 2]);
    assert.equal(await reasonOf(query), "1 sender keys without a statement or a waiver");
    await writeKey(query, 3, [1, 2]);
    assert.equal(await reasonOf(query), "1 numbers that gateways state and that were not read");
    await writeKey(query, 3, [1, 2, 3]);
    assert.equal(await reasonOf(query), undefined);
    await writeHeld(query, 0, 4, "clock");
    assert.equal(await reasonOf(query), "1 held records that officials have not decided about");
    await query("UPDATE counting.held SET is_deferred = true");
    assert.equal(await reasonOf(query), undefined);
    await writeKey(query, null, [1]);
    await query("UPDATE counting.sender_keys SET waived_revision = 2");
    assert.equal(await reasonOf(query), undefined, "a waiver");
  });
});
