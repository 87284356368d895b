import assert from "assert";
import { withElection } from "../../tests/seeded_database.ts";
import { withDatabase } from "../../tests/test_database.ts";
import { readLogEnds, storeLogEnds } from "./log_ends.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const at = (ms: number) => new Date(1_800_000_000_000 + ms);

Deno.test("readLogEnds() returns the ends that were stored last, of this election", async () => {
  await withDatabase(async ({ query }) => {
    assert.equal(await readLogEnds(query, "town", at(0)), undefined);
    await storeLogEnds(query, "town", [1, 2, 3], at(0));
    await storeLogEnds(query, "other", [9], at(0));
    await storeLogEnds(query, "town", [4, 2, 9_007_199_254_740_991], at(1_000));
    assert.deepEqual(await readLogEnds(query, "town", at(2_000)), [4, 2, 9_007_199_254_740_991]);
  });
});

Deno.test("readLogEnds() returns nothing once nobody has stored the ends for 10 s", async () => {
  await withDatabase(async ({ query }) => {
    await storeLogEnds(query, "town", [1], at(0));
    assert.deepEqual(await readLogEnds(query, "town", at(9_999)), [1]);
    assert.equal(await readLogEnds(query, "town", at(10_000)), undefined);
  });
});

Deno.test("readLogEnds() is never behind what was counted since the ends were stored", async () => {
  await withElection(async ({ query }) => {
    await storeLogEnds(query, "test-2026", [5, 5, 5], at(0));
    await query(
      "UPDATE counting.log_positions SET next_offset = 8 WHERE election = 'test-2026' AND partition = 1",
    );
    assert.deepEqual(await readLogEnds(query, "test-2026", at(0)), [5, 8, 5]);
  });
});
