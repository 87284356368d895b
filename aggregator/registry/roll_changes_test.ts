import assert from "assert";
import { openBallotBox, testVoter } from "../../tests/ballot_box.ts";
import { MASTER } from "../../tests/fixture.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { rollKeys } from "./roll.ts";
import { findVoters, readVoter, sealOldProfiles } from "./roll_changes.ts";

const db = await testDatabase();

Deno.test("sealOldProfiles() seals the profiles of a roll from before, and finds their voters by them", async () => {
  const box = await openBallotBox(db, "old");
  await box.enrol([testVoter("v-1"), testVoter("v-2")]);
  const profile = { name: "Ann Ash", email: "ann@example.org" };
  await db.query(
    "UPDATE registry.voters SET profile = $1::jsonb WHERE election = 'old' AND voter_id = 'v-1'",
    [
      JSON.stringify(profile),
    ],
  );
  const keys = rollKeys("old", MASTER);
  assert.equal(await sealOldProfiles(db, "old", keys), 1);
  assert.equal(await sealOldProfiles(db, "old", keys), 0);
  assert.equal((await db.query("SELECT FROM registry.voters WHERE profile IS NOT NULL")).length, 0);
  assert.deepEqual((await readVoter(db.query, "old", keys, "v-1"))?.profile, profile);
  const found = await findVoters(db.query, "old", keys, "email", "ANN@example.org");
  assert.deepEqual(found.map(({ voter_id }) => voter_id), ["v-1"]);
  assert.equal((await readVoter(db.query, "old", keys, "v-2"))?.profile, undefined);
});
