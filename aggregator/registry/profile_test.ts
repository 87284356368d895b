import assert from "assert";
import { openBallotBox, testVoter } from "../../tests/ballot_box.ts";
import { MASTER, NOON_MS } from "../../tests/fixture.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { importRoll, rollKeys } from "./roll.ts";
import { readVoter } from "./roll_changes.ts";

const db = await testDatabase();

Deno.test("importRoll() keeps profiles in the registry's voters, sealed, and nowhere else", async () => {
  const box = await openBallotBox(db, "profiles");
  const profile = {
    name: "Zebulon “Zeb” O'Quirke\\",
    picture: '<svg id="zeb"></svg>',
    email: "zeb@example.org",
  };
  await box.enrol([testVoter("v-1", { profile }), testVoter("v-2")]);
  assert.deepEqual(
    await db.query(
      "SELECT voter_id, profile, sealed_profile IS NOT NULL AS sealed FROM registry.voters WHERE election = 'profiles' ORDER BY 1",
    ),
    [{ voter_id: "v-1", profile: null, sealed: true }, { voter_id: "v-2", profile: null, sealed: false }],
  );
  const voter = await readVoter(db.query, "profiles", rollKeys("profiles", MASTER), "v-1");
  assert.deepEqual(voter?.profile, profile);
  const tables = await db.query<{ name: string }>(
    `SELECT schemaname || '.' || tablename AS name FROM pg_tables
     WHERE schemaname IN ('registry', 'counting', 'results', 'audit')`,
  );
  const holding: object[] = [];
  for (const { name } of tables) {
    holding.push(
      ...await db.query(`SELECT DISTINCT '${name}' FROM ${name} AS t WHERE t::text ILIKE '%zeb%'`),
    );
  }
  assert.deepEqual(holding.flatMap(Object.values), []);
});

Deno.test("importRoll() writes long profiles in more statements than short ones", async () => {
  await openBallotBox(db, "long-profiles");
  const progress: number[] = [];
  const voters = Array.from(
    { length: 1_100 },
    (_, i) => testVoter(`v-${i}`, { profile: { picture: "x".repeat(16_000) } }),
  );
  await importRoll(db, "long-profiles", MASTER, voters, () => NOON_MS, {
    onProgress: (voters) => progress.push(voters),
  });
  assert.deepEqual(progress, [500, 500, 100]);
});
