import assert from "assert";
import type { Database, Query } from "../../aggregator/database/database.ts";
import { openPostgres } from "../../aggregator/database/postgres.ts";
import { migrate } from "../../aggregator/database/migrate.ts";
import { changeHistory } from "../../aggregator/registry/changes.ts";
import { importRoll } from "../../aggregator/registry/roll.ts";
import { openBallotBox, testVoter } from "../ballot_box.ts";
import { MASTER, NOON_MS } from "../fixture.ts";
import { TEST_SESSIONS, testTarget } from "../test_database.ts";
import { type Cluster, isWithoutServer, startCluster } from "./cluster.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const LOCK_NOT_AVAILABLE = "55P03";

let cluster: Cluster;
const ignore = isWithoutServer();
Deno.test.beforeAll(async () => {
  if (!ignore) cluster = await startCluster({ fsync: "off" });
});
Deno.test.afterAll(async () => await cluster?.remove());

/** Two elections on a server, the office that keeps them, and another connection, whose locks are short of patience. */
async function withTwoElections(work: (office: Database, other: Database) => Promise<void>): Promise<void> {
  const target = testTarget(cluster.url(await cluster.createDatabase()));
  const office = await openPostgres(target, { ...TEST_SESSIONS, lockTimeoutMs: 500 });
  const other = await openPostgres(target, { ...TEST_SESSIONS, lockTimeoutMs: 500 });
  try {
    await migrate(office);
    for (const election of ["one", "two"]) await openBallotBox(office, election);
    await work(office, other);
  } finally {
    await office.close();
    await other.close();
  }
}

const enrol = (office: Database, election: string) =>
  importRoll(office, election, MASTER, [testVoter("late")], () => NOON_MS);

/** What a counting transaction and whoever takes a partition do first. */
const take = (query: Query, election: string) =>
  query("UPDATE counting.log_positions SET epoch = epoch + 1 WHERE election = $1 AND partition = 0", [
    election,
  ]);

Deno.test({
  name: "importRoll() does not wait for the counting of another election, and waits for its own",
  ignore,
  fn: () =>
    withTwoElections(async (office, other) => {
      await other.transaction(async (query) => {
        await take(query, "two");
        assert.deepEqual(await enrol(office, "one"), { added: 1, known: 0 });
        await assert.rejects(enrol(office, "two"), { code: LOCK_NOT_AVAILABLE });
      });
      assert.deepEqual(await enrol(office, "two"), { added: 1, known: 0 });
    }),
});

Deno.test({
  name: "while a roll is written nobody counts that election, and every other one is counted",
  ignore,
  fn: () =>
    withTwoElections(async (office, other) => {
      await office.transaction(async (query) => {
        await changeHistory(query, "one", "roll", new Date(NOON_MS));
        await take(other.query, "two");
        await assert.rejects(take(other.query, "one"), { code: LOCK_NOT_AVAILABLE });
      });
      await take(other.query, "one");
    }),
});
