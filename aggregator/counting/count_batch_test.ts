import assert from "assert";
import { openBallotBox, testVoters } from "../../tests/ballot_box.ts";
import { testDatabase } from "../../tests/test_database.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const db = await testDatabase();

Deno.test("participations of one transaction are stored in the order of voter keys, whatever the order of votes", async () => {
  const box = await openBallotBox(db, "box", { partitions: 1 });
  const voters = testVoters(40);
  await box.enrol(voters);
  for (const { voter_id, region } of voters) {
    await box.cast(voter_id, { station: region === "north" ? "n-1" : "s-1" });
  }
  await box.count(20);
  const rows = await db.query<{ written_by: string; key: string }>(
    `SELECT xmin::text AS written_by, encode(voter_key, 'hex') AS key FROM counting.participations
     WHERE election = 'box' ORDER BY ctid`,
  );
  assert.equal(rows.length, 40);
  const transactions = Map.groupBy(rows, (row) => row.written_by);
  for (const written of transactions.values()) {
    const keys = written.map(({ key }) => key);
    assert.deepEqual(keys, keys.toSorted());
  }
});
