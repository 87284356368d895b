/**
 * The recount on Spark against a real Kafka and PostgreSQL: it agrees with what the aggregator counted, and names what was
 * changed afterwards.
 *
 * @module
 */
import assert from "assert";
import { setTimeout as delay } from "node:timers/promises";
import { createCounter } from "../../aggregator/counting/count.ts";
import { decide } from "../../aggregator/counting/decide.ts";
import { openHistory, type RegisteredHistory } from "../../aggregator/counting/history.ts";
import { countGroup } from "../../aggregator/counting/positions.ts";
import type { Database } from "../../aggregator/database/database.ts";
import { createElection } from "../../aggregator/registry/elections.ts";
import { importRoll } from "../../aggregator/registry/roll.ts";
import { fromHex } from "../../shared/bytes.ts";
import type { KafkaAddress } from "../../shared/log/address.ts";
import { type KafkaLog, openKafkaLog } from "../../shared/log/kafka.ts";
import { logEnds, LogUnavailable, type PlacedRecord, type VoteLog } from "../../shared/log/vote_log.ts";
import { partitionOf } from "../../shared/partition.ts";
import { testVoter, testVoters } from "../ballot_box.ts";
import { eventually } from "../eventually.ts";
import { MASTER, placed, testDefinition, type TestRecord, testRecord, testSealer } from "../fixture.ts";
import { sharedBroker } from "./broker.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { PASSWORD, withUsers } from "./database_users.ts";
import { command, type Said } from "./local_stack.ts";
import { STACK, stackTest } from "./server.ts";
import { makeVotesTopic } from "./topics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const PARTITIONS = 3;
const MINUTE_MS = 60_000;
/** Pause before consuming is tried again, in milliseconds. */
const AGAIN_MS = 200;

const broker = sharedBroker();
let cluster: Cluster;
if (STACK) {
  Deno.test.beforeAll(async () => {
    cluster = await startCluster();
  });
  Deno.test.afterAll(async () => await cluster.remove());
}

/** An election that has closed, on a Kafka and a PostgreSQL. */
class ClosedElection {
  readonly #nowMs = Date.now();
  readonly #sealers;

  constructor(
    readonly db: Database,
    readonly log: KafkaLog,
    readonly history: RegisteredHistory,
  ) {
    const { manifest } = history.newest;
    this.#sealers = { "g-1": testSealer(manifest, "g-1"), "g-2": testSealer(manifest, "g-2") };
  }

  static async open(db: Database, address: KafkaAddress, election: string): Promise<ClosedElection> {
    const nowMs = Date.now();
    const at = (minutes: number) => new Date(nowMs + minutes * MINUTE_MS).toISOString();
    await createElection(
      db,
      testDefinition({
        election,
        partitions: PARTITIONS,
        opensAt: at(-180),
        closesAt: at(-60),
        acceptsUntil: at(-30),
      }),
      MASTER,
      new Date(nowMs - 240 * MINUTE_MS),
    );
    const voters = [...testVoters(40), testVoter("bound", { station: "n-2" })];
    await importRoll(db, election, MASTER, voters, () => nowMs - 200 * MINUTE_MS);
    await makeVotesTopic(address, election, PARTITIONS);
    const log = await openKafkaLog(address, election, PARTITIONS);
    return new ClosedElection(db, log, (await openHistory(db.query, election, MASTER))!);
  }

  get election(): string {
    return this.history.election;
  }

  /** A time so many minutes from now. */
  at(minutes: number): string {
    return new Date(this.#nowMs + minutes * MINUTE_MS).toISOString();
  }

  #record(voter: string, change: Partial<TestRecord> = {}): TestRecord {
    return testRecord(voter, { castAt: this.at(-90), acceptedAt: this.at(-89), ...change }, this.election);
  }

  vote(voter: string, change: Partial<TestRecord> = {}, gateway: "g-1" | "g-2" = "g-1"): PlacedRecord {
    return placed(this.#sealers[gateway], this.#record(voter, change), PARTITIONS);
  }

  /** One entry of those voters who have the most common partition among them. */
  entryOf(voters: readonly string[]): PlacedRecord {
    const records = voters.map((voter) => this.#record(voter));
    const together = Map.groupBy(records, ({ voterKey }) => partitionOf(fromHex(voterKey), PARTITIONS));
    const [partition, most] = [...together].reduce((one, other) =>
      other[1].length > one[1].length ? other : one
    );
    assert.ok(most.length > 1, "an entry of several records");
    return { ...this.#sealers["g-1"].seal(...most), partition };
  }

  /** Puts everything on the log that an election has to stand, in a fixed order. */
  async fill(): Promise<void> {
    const stations = ["n-1", "n-2", "s-1"];
    const modes = ["in_person", "early", "absentee", "provisional"] as const;
    const votes = Array.from({ length: 24 }, (_, i) =>
      this.vote(`voter-${i}`, {
        station: stations[i % 3],
        mode: modes[i % 4],
        selections: i % 5 === 0 ? [] : [{ contest: "mayor", candidate: ["ann", "bob", "cyd"][i % 3] }],
        acceptedAt: this.at(-89 + i % 4),
      }));
    const again = this.vote("voter-24");
    const astray = this.vote("voter-25");
    await this.log.append([
      ...votes,
      again,
      again,
      // Two votes of one voter: the second is a double, also through the other gateway.
      this.vote("voter-1"),
      this.vote("voter-4", {}, "g-2"),
      this.entryOf(["voter-27", "voter-28", "voter-30", "voter-31", "voter-33", "voter-34"]),
      this.vote("stranger"),
      this.vote("bound"),
      { ...this.vote("voter-36"), signature: new Uint8Array(32) },
      this.vote("voter-36", { proof: new Uint8Array(32) }),
      { ...this.vote("voter-36"), version: "?", value: new Uint8Array(3) },
      { ...astray, partition: (astray.partition + 1) % PARTITIONS },
      // Late: taken after the acceptance window. And from a clock so far ahead that the log's time stands in for it.
      this.vote("voter-36", { acceptedAt: this.at(-10) }),
      ...["voter-36", "voter-37", "voter-39"].map((voter) =>
        this.vote(voter, { voteId: this.#heldId(voter), acceptedAt: this.at(60) })
      ),
      { ...this.#sealers["g-1"].state(), partition: 0 },
    ]);
  }

  /** The vote id of a voter whose record is held. */
  #heldId(voter: string): string {
    return `00000000-0000-4000-8000-${voter.replace("voter-", "").padStart(12, "0")}`;
  }

  async count(): Promise<void> {
    const abort = new AbortController();
    const { db, log, history } = this;
    const counter = createCounter({ db, log, history, signal: abort.signal, wait: () => Promise.resolve() });
    const consuming = consumeUntilAborted(log, counter, {
      group: countGroup(this.election),
      batchRecords: 10,
      signal: abort.signal,
    });
    const end = (await logEnds(log)).reduce((sum, each) => sum + each, 0);
    await eventually("the whole log is counted", async () => {
      const [row] = await db.query<{ next: number }>(
        "SELECT sum(next_offset)::float8 AS next FROM counting.log_positions WHERE election = $1",
        [this.election],
      );
      return row?.next === end;
    }, 60_000);
    abort.abort();
    await consuming;
  }

  /** Officials admit the held record of voter-36, reject that of voter-37, and say nothing of the third. */
  async decide(): Promise<void> {
    const authority = { reason: "the clock was seen to", decidedBy: "Ann", approvedBy: "Bob" };
    for (const [action, voter] of [["admit", "voter-36"], ["reject", "voter-37"]] as const) {
      const [held] = await this.db.query<{ position: string }>(
        `SELECT partition || '/' || log_offset || '/' || record_index AS position FROM counting.held
         WHERE election = $1 AND reason = 'clock' AND vote_id = $2::text::uuid`,
        [this.election, this.#heldId(voter)],
      );
      assert.ok(held, `the record of ${voter} is held`);
      const selector = { positions: [held.position] };
      await decide(this.db, this.log, this.history, { action, selector, ...authority }, new Date());
    }
    await this.history.reload(this.db.query);
  }
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

      const all = await recountOnSpark(database, directory);
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

/** Consumes again when the log is unavailable, as the aggregator does: a new broker may not know yet who coordinates a group. */
async function consumeUntilAborted(
  log: VoteLog,
  ...[consumer, options]: Parameters<VoteLog["consume"]>
): Promise<void> {
  while (!options.signal.aborted) {
    try {
      return await log.consume(consumer, options);
    } catch (error) {
      if (!(error instanceof LogUnavailable)) throw error;
      await delay(AGAIN_MS);
    }
  }
}
