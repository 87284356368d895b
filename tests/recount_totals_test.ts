import assert from "assert";
import { createElection, publishManifest } from "../aggregator/registry/elections.ts";
import { MASTER, NOON_MS, testDefinition } from "./fixture.ts";
import { testDatabase } from "./test_database.ts";

// What the streaming recount asks of PostgreSQL for its topics, without Spark: tests/stack/spark_stream_test.ts has all of it.

/** A query of deploy/spark/pollwire/ledger.py, whose parameters are the election. */
function queryOf(name: string, election: string): string {
  const file = new URL("../deploy/spark/pollwire/ledger.py", import.meta.url);
  const [, sql] = new RegExp(`^${name} = """([^]*?)"""`, "m").exec(Deno.readTextFileSync(file))!;
  return sql!.replaceAll("%s", `'${election}'`);
}

Deno.test("the streaming recount's totals have the candidates who are on ballots, and no others", async () => {
  const db = await testDatabase();
  await createElection(db, testDefinition(), MASTER, new Date(NOON_MS));
  for (const status of ["filed", "refused"]) {
    await db.query(
      `INSERT INTO registry.candidates (election, contest, candidate, name, status, on_ballot)
       VALUES ('test-2026', 'mayor', $1, $1, $1, false)`,
      [status],
    );
  }
  await db.query(
    "UPDATE registry.candidates SET status = 'withdrawn' WHERE election = 'test-2026' AND candidate = 'cyd'",
  );
  await db.query(
    `INSERT INTO recount.votes (election, contest, candidate, station, mode, votes)
     VALUES ('test-2026', 'mayor', 'cyd', 'n-1', 'early', 2), ('test-2026', 'mayor', 'cyd', 's-1', 'early', 1)`,
  );
  const rows = await db.query<{ contest: string; candidate: string; coalesce: string | number }>(
    queryOf("CANDIDATE_TOTALS", "test-2026"),
  );
  assert.deepEqual(
    rows.map(({ contest, candidate, coalesce }) => [`${contest}/${candidate}`, Number(coalesce)]),
    [
      ["council/dan", 0],
      ["council/eve", 0],
      ["council/fay", 0],
      ["mayor/ann", 0],
      ["mayor/bob", 0],
      ["mayor/cyd", 3],
    ],
  );
});

Deno.test("the streaming recount has no totals of candidates while results are withheld", async () => {
  const db = await testDatabase();
  await createElection(db, testDefinition(), MASTER, new Date(NOON_MS));
  const candidates = async () => (await db.query(queryOf("CANDIDATE_TOTALS", "test-2026"))).length;
  const setWithheld = (withheld: true | undefined) =>
    publishManifest(db, "test-2026", MASTER, new Date(NOON_MS), ({ withheld: _, ...newest }) => ({
      ...newest,
      ...withheld && { withheld },
    }));
  await setWithheld(true);
  assert.equal(await candidates(), 0);
  await setWithheld(undefined);
  assert.equal(await candidates(), 6);
});
