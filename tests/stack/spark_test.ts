/**
 * The recount on Spark against a real Kafka and PostgreSQL: it agrees with what the aggregator counted, and names what was
 * changed afterwards.
 *
 * @module
 */
import assert from "assert";
import { fromHex } from "../../shared/bytes.ts";
import { MASTER } from "../fixture.ts";
import { sharedBroker } from "./broker.ts";
import { ClosedElection } from "./closed_election.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { PASSWORD, withUsers } from "./database_users.ts";
import { command, type Said } from "./local_stack.ts";
import { STACK, stackTest } from "./server.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const broker = sharedBroker();
let cluster: Cluster;
if (STACK) {
  Deno.test.beforeAll(async () => {
    cluster = await startCluster();
  });
  Deno.test.afterAll(async () => await cluster.remove());
}

/** Runs `deno task recount --spark` as the auditor. */
async function recountOnSpark(database: string, directory: string, ...args: string[]): Promise<Said> {
  return await command(Deno.execPath(), ["task", "--quiet", "recount", "--spark", ...args], {
    DATABASE_URL: cluster.url(database, "audit", PASSWORD),
    VOTE_LOG: `kafka://${broker.address.brokers[0]}`,
    KEYS_DIRECTORY: `${directory}/keys`,
    POLLWIRE_DATA: directory,
  });
}

async function verified(file: string, directory: string): Promise<Record<string, any>> {
  const { signed, signature, publicKey } = JSON.parse(await Deno.readTextFile(file));
  const key = await crypto.subtle.importKey("raw", fromHex(publicKey), "Ed25519", true, ["verify"]);
  const text = new TextEncoder().encode(`pollwire/2 recount\n${signed}`);
  assert.ok(await crypto.subtle.verify("Ed25519", key, fromHex(signature), text), "the report is signed");
  const { mode } = await Deno.stat(`${directory}/spark-report.key`);
  assert.equal(mode! & 0o077, 0, "only its owner reads the key");
  return JSON.parse(signed);
}

stackTest("recount --spark agrees with the tables, and names what was changed behind the count", async () => {
  const directory = await Deno.makeTempDir({ prefix: "pollwire-spark-" });
  const elections: ClosedElection[] = [];
  try {
    await Deno.mkdir(`${directory}/keys`);
    await withUsers(cluster, async (as, database) => {
      const db = await as("owner");
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
      const [, row, appended, gateway, undecided] = elections as [ClosedElection, ...ClosedElection[]];
      await db.query(
        `UPDATE counting.turnout_groups SET voters = voters + 1 WHERE election = $1 AND (region, age_group, gender, lane) =
         (SELECT region, age_group, gender, lane FROM counting.turnout_groups WHERE election = $1 LIMIT 1)`,
        [row.election],
      );
      await appended.log.append([appended.vote("voter-39")]);
      await db.query(
        "UPDATE registry.gateway_keys SET version = 7 WHERE election = $1 AND gateway = 'g-2'",
        [
          gateway.election,
        ],
      );
      await db.query("DELETE FROM registry.decisions WHERE election = $1 AND action = 'admit'", [
        undecided.election,
      ]);

      const report = `${directory}/honest.json`;
      const honest = await recountOnSpark(database, directory, "--election", "honest", "--report", report);
      assert.equal(honest.code, 0, honest.out + honest.error);
      assert.match(honest.out, /honest: \d+ records, \d+ counted, \d+ lines compared, 0 differences/);
      const signed = await verified(report, directory);
      const [{ counted }] = await db.query<{ counted: number }>(
        "SELECT count(*)::int AS counted FROM counting.participations WHERE election = 'honest'",
      );
      assert.ok(counted > 28);
      assert.equal(signed.counted, counted);
      assert.deepEqual(signed.shown, []);

      const all = await recountOnSpark(database, directory, "--all");
      assert.equal(all.code, 1, all.out + all.error);
      const of = (election: string) => {
        const lines = all.out.slice(0, all.out.indexOf(`signed report: ${directory}/${election}`)).trimEnd()
          .split("\n");
        return lines.slice(lines.findLastIndex((line) => line.startsWith("signed report")) + 1);
      };
      assert.match(
        of("honest").join("\n"),
        /^key honest\/g-1\.1: 1 records are rejected\/bad_signature\nALERT: 3 .*\nhonest: .* 0 differences, [\d.]+ s$/,
      );
      assert.match(of("row").join("\n"), /^groups \S+: tables \d+, recount \d+\n[^]*row: .* 1 differences/);
      const behind = of("appended").join("\n");
      assert.match(behind, /^partition \d next offset: tables \d+, recount \d+$/m);
      assert.match(behind, /^votes mayor\/ann\/n-1\/in_person: tables \d+, recount \d+$/m);
      const wrongKey = of("gateway").join("\n");
      assert.match(wrongKey, /^key gateway\/g-2\.1: 1 records are rejected\/unknown_gateway$/m);
      assert.match(wrongKey, /^outcomes \d\/rejected\/unknown_gateway: tables nothing, recount 1$/m);
      const notAdmitted = of("undecided").join("\n");
      assert.match(notAdmitted, /^held record \d\/\d+\/0: tables nothing, recount clock$/m);
      assert.match(notAdmitted, /^participation of a voter \(1\): tables \S+, recount \S+$/m);
      assert.doesNotMatch(all.out, /[0-9a-f]{64}/, "it names no voter key");
    });
  } finally {
    for (const { log } of elections) await log.close();
    await Deno.remove(directory, { recursive: true });
  }
});
