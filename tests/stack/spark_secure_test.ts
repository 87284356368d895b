/**
 * Both recounts on Spark on the secure local stack: TLS to Kafka and PostgreSQL, users with passwords, and the permissions that
 * `deno task topics` gives.
 *
 * @module
 */
import assert from "assert";
import type { Database } from "../../aggregator/database/database.ts";
import { migrate } from "../../aggregator/database/migrate.ts";
import { openPostgres } from "../../aggregator/database/postgres.ts";
import { RECOUNT_TOPICS } from "../../aggregator/view_topics.ts";
import type { KafkaAddress } from "../../shared/log/address.ts";
import { KafkaReader } from "../../shared/log/kafka_reader.ts";
import { inTime } from "../eventually.ts";
import { MASTER } from "../fixture.ts";
import { TEST_SESSIONS, testTarget } from "../test_database.ts";
import { ClosedElection } from "./closed_election.ts";
import { command, type Said } from "./local_stack.ts";
import { OwnStack } from "./own_stack.ts";
import { stackTest } from "./server.ts";
import { awaitTopics, differences, RecountStream, SPARK_MS } from "./spark_stream.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTION = "guarded";
/** Users of Kafka besides the administrator, as docs/stack.md gives them permissions. */
const PERMISSIONS = ["--gateways", "gateway-1", "gateway-2", "--aggregators", "aggregator"]
  .concat(["--recounts", "recount", "--officials", "official"]);

/** The secure stack, as each of its users reaches it. */
class SecureStack {
  constructor(readonly stack: OwnStack, readonly directory: string) {}

  #password(name: string): string {
    return Deno.readTextFileSync(this.#passwordFile(name));
  }

  #passwordFile(name: string): string {
    return `${this.stack.data}/passwords/${name}`;
  }

  /** Settings of a program that is this user of Kafka, and that one of PostgreSQL. */
  environment(kafka: string, database: string): Record<string, string> {
    const { VOTE_LOG, DATABASE_URL, DATABASE_CA_FILE } = this.stack.environment as Record<string, string>;
    return {
      VOTE_LOG: VOTE_LOG!.replace("user=admin", `user=${kafka}`),
      KAFKA_PASSWORD_FILE: this.#passwordFile(`kafka-${kafka}`),
      DATABASE_URL: DATABASE_URL!.replace("postgres@", `${database}@`),
      DATABASE_PASSWORD_FILE: this.#passwordFile(
        database === "postgres" ? database : `database-${database}`,
      ),
      DATABASE_CA_FILE: DATABASE_CA_FILE!,
      KEYS_DIRECTORY: `${this.directory}/keys`,
      POLLWIRE_DATA: this.directory,
    };
  }

  kafka(user: string): KafkaAddress {
    const { VOTE_LOG } = this.stack.environment as Record<string, string>;
    const { host, searchParams } = new URL(VOTE_LOG!);
    return {
      kind: "kafka",
      brokers: [host],
      tls: { ca: searchParams.get("ca")! },
      sasl: { mechanism: "scram-sha-512", user, password: this.#password(`kafka-${user}`) },
    };
  }

  async openDatabase(): Promise<Database> {
    const { DATABASE_URL, DATABASE_CA_FILE } = this.stack.environment as Record<string, string>;
    const target = testTarget(DATABASE_URL!, await Deno.readTextFile(DATABASE_CA_FILE!));
    return await openPostgres({ ...target, password: this.#password("postgres") }, TEST_SESSIONS);
  }

  /** `deno task …` as these users. */
  async run(users: readonly [kafka: string, database: string], ...args: string[]): Promise<Said> {
    return await command(Deno.execPath(), ["task", "--quiet", ...args], this.environment(...users));
  }

  /** A stream as this user of Kafka, with checkpoints and a log of its own. */
  async follow(user: string): Promise<RecountStream> {
    const directory = `${this.directory}/${user}`;
    await Deno.mkdir(directory);
    return new RecountStream(directory, ELECTION, this.environment(user, "recount"));
  }
}

/** Both topics are only for officials' programs. */
async function checkReaders(secure: SecureStack): Promise<void> {
  for (const topic of RECOUNT_TOPICS) {
    for (const user of ["recount", "gateway-1", "aggregator"]) {
      const reader = new KafkaReader(secure.kafka(user), "test", topic);
      await assert.rejects(
        reader.read(0, 0, 1),
        /permit|authori[sz]|no such topic/i,
        `${user} reads ${topic}`,
      );
      await reader.close();
    }
  }
}

stackTest(
  "both recounts on Spark agree with the tables of the secure stack, as users with the least rights",
  async () => {
    const directory = await Deno.makeTempDir({ prefix: "pollwire-spark-" });
    const secure = new SecureStack(await OwnStack.start(1, ["--secure"]), directory);
    let db: Database | undefined;
    let stream: RecountStream | undefined;
    try {
      db = await secure.openDatabase();
      await migrate(db);
      await Deno.mkdir(`${directory}/keys`);
      await Deno.writeTextFile(`${directory}/keys/${ELECTION}.key`, MASTER.toHex());
      const election = await ClosedElection.open(db, secure.kafka("admin"), ELECTION);
      const provisioned = await secure.run(["admin", "postgres"], "topics", ...PERMISSIONS);
      assert.equal(provisioned.code, 0, provisioned.out + provisioned.error);
      await election.fill();
      await election.count();
      await election.decide();

      // It may read votes, and not write totals.
      stream = await secure.follow("aggregator");
      assert.equal(await inTime("the refused stream ends", stream.ended, SPARK_MS), 1);
      assert.match(
        await stream.log(),
        /error: Cannot go on with election guarded: Kafka: Not authorized to access topics: \[spark-/,
      );
      // It may not read votes.
      const refused = await secure.run(["gateway-1", "audit"], "recount", "--spark");
      assert.equal(refused.code, 1, refused.out + refused.error);
      assert.match(
        refused.error,
        /^error: Cannot recount: Kafka: Not authorized to access topics: \[votes.guarded\]/m,
      );

      stream = await secure.follow("recount");
      assert.deepEqual(await differences(db, stream), []);
      await awaitTopics(db, secure.kafka("official"), ELECTION);
      await checkReaders(secure);
      assert.equal(await stream.stop(), 0, await stream.log());
      stream = undefined;

      const batch = await secure.run(["recount", "audit"], "recount", "--spark");
      assert.equal(batch.code, 0, batch.out + batch.error);
      assert.match(batch.out, /^guarded: \d+ records, \d+ counted, \d+ lines compared, 0 differences/m);
      await election.log.close();
    } finally {
      await stream?.kill();
      await db?.close();
      await secure.stack.remove();
      await Deno.remove(directory, { recursive: true });
    }
  },
);
