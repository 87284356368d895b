/**
 * The recount on Spark against a real Kafka and PostgreSQL, on one machine's Spark and on a cluster: it agrees with what the
 * aggregator counted, and names what was changed afterwards.
 *
 * @module
 */
import assert from "assert";
import type { Database } from "../../aggregator/database/database.ts";
import { MASTER } from "../fixture.ts";
import { sharedBroker } from "./broker.ts";
import { ClosedElection } from "./closed_election.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { PASSWORD, withUsers } from "./database_users.ts";
import { command, type Said } from "./local_stack.ts";
import { STACK, stackTest } from "./server.ts";
import { SparkCluster } from "./spark_cluster.ts";
import { verifiedReport } from "./spark_report.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const CHANGED_ROW = /^groups \S+: tables \d+, recount \d+\n[^]*row: .* 1 differences/m;

const broker = sharedBroker();
let cluster: Cluster;
if (STACK) {
  Deno.test.beforeAll(async () => {
    cluster = await startCluster();
  });
  Deno.test.afterAll(async () => await cluster.remove());
}

/** Runs `deno task recount --spark` as the auditor. */
async function recountOnSpark(
  database: string,
  directory: string,
  args: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Promise<Said> {
  return await command(Deno.execPath(), ["task", "--quiet", "recount", "--spark", ...args], {
    DATABASE_URL: cluster.url(database, "audit", PASSWORD),
    VOTE_LOG: `kafka://${broker.address.brokers[0]}`,
    KEYS_DIRECTORY: `${directory}/keys`,
    POLLWIRE_DATA: directory,
    ...environment,
  });
}

async function verified(file: string, directory: string): Promise<Record<string, any>> {
  const { mode } = await Deno.stat(`${directory}/spark-report.key`);
  assert.equal(mode! & 0o077, 0, "only its owner reads the key");
  return await verifiedReport(await Deno.readTextFile(file));
}

/** Makes elections that have been counted with everything on their logs that an election has to stand. */
async function countElections(db: Database, directory: string, elections: ClosedElection[]): Promise<void> {
  await Deno.mkdir(`${directory}/keys`);
  for (const name of ["honest", "row", "appended", "gateway", "undecided"]) {
    const election = await ClosedElection.open(db, broker.address, name);
    elections.push(election);
    await Deno.writeTextFile(`${directory}/keys/${name}.key`, MASTER.toHex());
    await election.fill();
    await election.count();
    await election.decide();
    // After a decision: a copy of what was admitted, and one more vote.
    await election.log.append([
      election.vote("voter-26"),
      election.vote("voter-36"),
      election.vote("voter-37"),
    ]);
    await election.count();
  }
}

/** Changes what all elections but the first have, behind the count. */
async function falsify(db: Database, elections: readonly ClosedElection[]): Promise<void> {
  const [, row, appended, gateway, undecided] = elections as [ClosedElection, ...ClosedElection[]];
  await db.query(
    `UPDATE counting.turnout_groups SET voters = voters + 1 WHERE election = $1 AND (region, age_group, gender, lane) =
     (SELECT region, age_group, gender, lane FROM counting.turnout_groups WHERE election = $1 LIMIT 1)`,
    [row.election],
  );
  await appended.log.append([appended.vote("voter-39")]);
  await db.query("UPDATE registry.gateway_keys SET version = 7 WHERE election = $1 AND gateway = 'g-2'", [
    gateway.election,
  ]);
  await db.query("DELETE FROM registry.decisions WHERE election = $1 AND action = 'admit'", [
    undecided.election,
  ]);
}

/** What the recount of all elections says about one of them. */
function linesOf({ out }: Said, directory: string, election: string): string {
  const lines = out.slice(0, out.indexOf(`signed report: ${directory}/${election}`)).trimEnd().split("\n");
  return lines.slice(lines.findLastIndex((line) => line.startsWith("signed report")) + 1).join("\n");
}

/** The recount of all elections finds nothing in the first, and names what was changed in the others. */
function checkNames(said: Said, directory: string): void {
  assert.equal(said.code, 1, said.out + said.error);
  const of = (election: string) => linesOf(said, directory, election);
  assert.match(
    of("honest"),
    /^key honest\/g-1\.1: 1 records are rejected\/bad_signature\nALERT: 3 .*\nhonest: .* 0 differences, [\d.]+ s$/,
  );
  assert.match(of("row"), CHANGED_ROW);
  const behind = of("appended");
  assert.match(behind, /^partition \d next offset: tables \d+, recount \d+$/m);
  assert.match(behind, /^votes mayor\/ann\/n-1\/in_person: tables \d+, recount \d+$/m);
  const wrongKey = of("gateway");
  assert.match(wrongKey, /^key gateway\/g-2\.1: 1 records are rejected\/unknown_gateway$/m);
  assert.match(wrongKey, /^outcomes \d\/rejected\/unknown_gateway: tables nothing, recount 1$/m);
  const notAdmitted = of("undecided");
  assert.match(notAdmitted, /^held record \d\/\d+\/0: tables nothing, recount clock$/m);
  assert.match(notAdmitted, /^participation of a voter \(1\): tables \S+, recount \S+$/m);
  assert.doesNotMatch(said.out, /[0-9a-f]{64}/, "it names no voter key");
}

/** On a cluster, by `--master` alone: nothing in the first election, and the changed row in the second. */
async function checkOnCluster(db: Database, database: string, directory: string, all: Said): Promise<void> {
  const spark = await SparkCluster.start();
  try {
    const recount = async (election: string, ...args: string[]) =>
      await recountOnSpark(
        database,
        directory,
        ["--master", spark.master, "--memory", "1g", "--election", election, ...args],
        spark.environment,
      );
    const report = `${directory}/honest.json`;
    const honest = await recount("honest", "--report", report);
    assert.equal(honest.code, 0, honest.out + honest.error);
    const said = `${linesOf(all, directory, "honest")}\nsigned report: ${report}\n`;
    assert.equal(withoutTimes(honest.out), withoutTimes(said));
    const signed = await verified(report, directory);
    const [row] = await db.query<{ counted: number }>(
      "SELECT count(*)::int AS counted FROM counting.participations WHERE election = 'honest'",
    );
    assert.ok(row!.counted > 28);
    assert.equal(signed.counted, row!.counted);
    assert.deepEqual(signed.shown, []);

    const changed = await recount("row");
    assert.equal(changed.code, 1, changed.out + changed.error);
    assert.match(changed.out, CHANGED_ROW);
    for (const executor of await spark.executors()) {
      assert.match(executor, /Finished task/);
      assert.doesNotMatch(executor, /[0-9a-f]{64}/, "an executor's log has no key");
    }
  } finally {
    await spark.remove();
  }
}

function withoutTimes(said: string): string {
  return said.replaceAll(/, [\d.]+ s$/gm, "");
}

stackTest("recount --spark agrees with the tables, and names what was changed behind the count", async () => {
  const directory = await Deno.makeTempDir({ prefix: "pollwire-spark-" });
  const elections: ClosedElection[] = [];
  try {
    await withUsers(cluster, async (as, database) => {
      const db = await as("owner");
      await countElections(db, directory, elections);
      await falsify(db, elections);
      const all = await recountOnSpark(database, directory, ["--all"]);
      checkNames(all, directory);
      await checkOnCluster(db, database, directory, all);
    });
  } finally {
    for (const { log } of elections) await log.close();
    await Deno.remove(directory, { recursive: true });
  }
});
