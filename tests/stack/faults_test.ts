/**
 * What an aggregator does when a server is away, or a log has lost records: processes of their own, over real servers.
 *
 * @module
 */
import assert from "assert";
import { setTimeout as delay } from "node:timers/promises";
import type { Database } from "../../aggregator/database/database.ts";
import { migrate } from "../../aggregator/database/migrate.ts";
import { openPostgres } from "../../aggregator/database/postgres.ts";
import { Keyring } from "../../aggregator/registry/keyring.ts";
import type { KafkaAddress } from "../../shared/log/address.ts";
import { type KafkaLog, openKafkaLog } from "../../shared/log/kafka.ts";
import { freePorts } from "../../simulator/processes/ports.ts";
import { withDirectory } from "../directory.ts";
import { eventually } from "../eventually.ts";
import { testDefinition } from "../fixture.ts";
import { TEST_SESSIONS, testTarget } from "../test_database.ts";
import { aggregatorCommand, AggregatorProcess, countedVotes, OpenElection } from "./aggregator_process.ts";
import { type Broker, startBroker } from "./broker.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { type Link, startLink } from "./link.ts";
import { STACK, stackTest } from "./server.ts";
import { deleteRecords, makeVotesTopic, setTopic, withAdmin } from "./topics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Sends SIGTERM to an aggregator, and checks that it ends cleanly. */
async function endsOnSigterm(aggregator: AggregatorProcess): Promise<void> {
  const toldMs = performance.now();
  aggregator.signal("SIGTERM");
  let status: Deno.CommandStatus | undefined;
  void aggregator.ended().then((ended) => status = ended);
  await eventually("it has ended", () => status !== undefined);
  console.log(`it ends ${Math.round(performance.now() - toldMs)} ms after SIGTERM`);
  assert.equal(status!.code, 0);
}

let broker: Broker;
let cluster: Cluster;
let address: KafkaAddress;

if (STACK) {
  Deno.test.beforeAll(async () => {
    [broker, cluster] = await Promise.all([startBroker(), startCluster({ fsync: "off" })]);
    address = { kind: "kafka", brokers: [broker.address] };
  });
  Deno.test.afterAll(async () => {
    await broker.remove();
    await cluster.remove();
  });
}

type Scene = Readonly<{
  data: string;
  db: Database;
  /** Of processes; of one database. */
  environment: Readonly<Record<string, string>>;
  /** The same, by way of a link. */
  linked: Readonly<Record<string, string>>;
  link: Link;
  start(environment: Readonly<Record<string, string>>): AggregatorProcess;
  /** Creates an election with its topic, and opens its log. */
  open(election: string): Promise<{ town: OpenElection; log: KafkaLog }>;
}>;

/** Runs with an empty database; ends every process that was started. */
async function scene(run: (scene: Scene) => Promise<void>): Promise<void> {
  await withDirectory(async (data) => {
    const name = await cluster.createDatabase();
    const db = await openPostgres(testTarget(cluster.url(name)), TEST_SESSIONS);
    const link = await startLink(cluster.port);
    const common = { VOTE_LOG: `kafka://${broker.address}`, KEYS_DIRECTORY: `${data}/keys` };
    const environment = { ...common, DATABASE_URL: cluster.url(name) };
    const linked = { ...common, DATABASE_URL: cluster.url(name, undefined, undefined, link.port) };
    const processes: AggregatorProcess[] = [];
    const logs: KafkaLog[] = [];
    try {
      await migrate(db);
      await run({
        data,
        db,
        environment,
        linked,
        link,
        start(own) {
          const process = AggregatorProcess.start(data, own);
          processes.push(process);
          return process;
        },
        async open(election) {
          const town = await OpenElection.create(db, data, election);
          await makeVotesTopic(address, election, town.partitions);
          const log = await openKafkaLog(address, election, town.partitions);
          logs.push(log);
          return { town, log };
        },
      });
    } catch (error) {
      for (const each of processes) console.log(each.lines().slice(-20).join("\n"));
      throw error;
    } finally {
      for (const each of processes) await each.kill();
      for (const log of logs) await log.close();
      await link.close();
      await db.close();
    }
  });
}

async function isReady(process: AggregatorProcess): Promise<void> {
  await eventually("the aggregator is ready", async () => (await process.ready()).status === 200);
}

async function notices(process: AggregatorProcess, what: RegExp, election = ""): Promise<number> {
  const begunMs = performance.now();
  await eventually(`it says ${what}`, async () => {
    const { status, detail } = await process.ready(election);
    return status === 503 && what.test(detail);
  });
  return Math.round((performance.now() - begunMs) / 100) / 10;
}

/** The members of an election's group. */
async function members(election: string): Promise<string[]> {
  return await withAdmin(address, async (admin) => {
    const { groups: [group] } = await admin.describeGroups([`count.${election}`]);
    return group.members.map(({ memberId }) => memberId);
  });
}

stackTest(
  "records that were deleted before they were read stop the count, and a rebuild that drops votes is refused",
  async () => {
    await scene(async ({ data, db, environment, start, open }) => {
      const { town, log } = await open("front");
      const aggregator = start(environment);
      await isReady(aggregator);
      await log.append(town.votes(100));
      await eventually("100 are counted", async () => await countedVotes(db, "front") === 100);
      aggregator.signal("SIGSTOP");
      // The broker answers the fetch that is under way within 100 ms: what comes later, nobody has read.
      await delay(1_000);
      await log.append(town.votes(64));
      for (let partition = 0; partition < 3; partition++) {
        await deleteRecords(address, "front", partition, await log.end(partition));
      }
      await log.append(town.votes(30));
      aggregator.signal("SIGCONT");
      const message =
        /records were deleted from the front of the log \(it starts at \d+\): check the topic's retention/;
      console.log(`a deleted front is noticed after ${await notices(aggregator, message)} s`);
      assert.equal(await aggregator.metric("pollwire_aggregator_counting", "front"), 0);
      await eventually("the metric says what is missing", async () => {
        return await aggregator.metric("pollwire_aggregator_log_deleted_offsets", "front") === 164;
      });
      assert.equal(await countedVotes(db, "front"), 100);
      aggregator.signal("SIGTERM");
      await aggregator.ended();

      const recounted = await aggregatorCommand(data, environment, "recount");
      assert.equal(recounted.code, 1);
      for (let partition = 0; partition < 3; partition++) {
        assert.match(
          recounted.out,
          new RegExp(
            `^partition ${partition} begins at ${await log.start(partition)}: ${message.source}`,
            "m",
          ),
        );
      }
      assert.match(recounted.out, / 3 differences$/m);

      const refused = await aggregatorCommand(data, environment, "rebuild");
      assert.notEqual(refused.code, 0);
      assert.match(refused.error, message);
      assert.equal(await countedVotes(db, "front"), 100);

      const [, losses] = /--accept-loss ((?:\d+:\d+ ?)+)/.exec(refused.error)!;
      const accepted = ["rebuild", "--election", "front", "--accept-loss", ...losses.trim().split(" ")];
      const { code, error } = await aggregatorCommand(data, environment, ...accepted);
      assert.equal(code, 0, error);
      assert.equal(await countedVotes(db, "front"), 30);
      const again = await aggregatorCommand(data, environment, "recount");
      assert.equal(again.code, 0, again.out);
      assert.match(again.out, /begins at \d+: a loss that was accepted/);
      const next = start(environment);
      await isReady(next);
      await log.append(town.votes(5));
      await eventually("counting goes on", async () => await countedVotes(db, "front") === 35);
    });
  },
);

stackTest(
  "records that are deleted after they were counted are reported, and counting continues",
  async () => {
    await scene(async ({ db, environment, start, open }) => {
      const { town, log } = await open("behind");
      const aggregator = start(environment);
      await isReady(aggregator);
      await log.append(town.votes(50));
      await eventually("50 are counted", async () => await countedVotes(db, "behind") === 50);
      await deleteRecords(address, "behind", 0, await log.end(0));
      await notices(aggregator, /records that were counted were deleted from the front of the log/);
      await log.append(town.votes(20));
      await eventually("20 more are counted", async () => await countedVotes(db, "behind") === 70);
      assert.equal(await aggregator.metric("pollwire_aggregator_counting", "behind"), 1);
    });
  },
);

stackTest("a topic that deletes records is not counted until its retention is set right", async () => {
  await scene(async ({ db, environment, start, open }) => {
    const { town, log } = await open("retained");
    await setTopic(address, "retained", { "retention.ms": "604800000" });
    const aggregator = start(environment);
    await eventually("it listens", async () => (await aggregator.ready()).status !== 0);
    await notices(aggregator, /retention\.ms of votes\.retained is 604800000, and must be -1/);
    await log.append(town.votes(5));
    await setTopic(address, "retained", {
      "cleanup.policy": "delete",
      "retention.ms": "-1",
      "retention.bytes": "-1",
      "message.timestamp.type": "LogAppendTime",
    });
    await eventually("counting begins by itself", async () => await countedVotes(db, "retained") === 5);
    await isReady(aggregator);
  });
});

stackTest("one election that is stopped leaves the others ready", async () => {
  await scene(async ({ db, data, environment, start, open }) => {
    await open("here");
    // Its topic was not made.
    await OpenElection.create(db, data, "topicless");
    const aggregator = start(environment);
    await isReady(aggregator);
    await notices(aggregator, /no such topic/, "topicless");
    const { status, elections } = await aggregator.ready();
    assert.equal(status, 200);
    assert.deepEqual(elections.map(({ election, ready }) => [election, ready]), [
      ["here", true],
      ["topicless", false],
    ]);
  });
});

stackTest("brokers that are away at the start, or killed, are noticed", async () => {
  const away = await startBroker();
  try {
    await scene(async ({ environment, db, data, start }) => {
      const own: KafkaAddress = { kind: "kafka", brokers: [away.address] };
      await OpenElection.create(db, data, "brokers");
      await makeVotesTopic(own, "brokers", 3);
      await away.kill();
      const aggregator = start({ ...environment, VOTE_LOG: `kafka://${away.address}` });
      await eventually("it listens", async () => (await aggregator.ready()).status !== 0);
      for (const untilMs = Date.now() + 6_000; Date.now() < untilMs;) {
        assert.notEqual((await aggregator.ready()).status, 200, "it is never ready while brokers are away");
        await delay(100);
      }
      await away.restart();
      await isReady(aggregator);
      await away.kill();
      console.log(`killed brokers are noticed after ${await notices(aggregator, /brokers/)} s`);
      await away.restart();
      await isReady(aggregator);
    });
  } finally {
    await away.remove();
  }
});

stackTest(
  "a member whose database is silent gives up its partitions, and ends at SIGTERM",
  async () => {
    await scene(async ({ db, environment, linked, link, start, open }) => {
      const { town, log } = await open("silent");
      const aggregator = start(linked);
      await isReady(aggregator);
      await eventually("it is a member", async () => (await members("silent")).length === 1);
      // One that does reach the database.
      const other = start(environment);
      await isReady(other);
      await eventually("so is the other", async () => (await members("silent")).length === 2);
      await log.append(town.votes(60));
      await eventually("60 are counted", async () => await countedVotes(db, "silent") === 60);

      link.isSilent = true;
      await log.append(town.votes(60));
      const begunMs = performance.now();
      const seconds = () => Math.round((performance.now() - begunMs) / 100) / 10;
      await eventually(
        "it has left the group",
        async () => (await members("silent")).length === 1,
      );
      console.log(`a member whose database is silent leaves after ${seconds()} s`);
      await notices(aggregator, /the database is away: it has not answered within 6000 ms/);
      await eventually("the other counts them all", async () => await countedVotes(db, "silent") === 120);
      console.log(`all is counted by the other after ${seconds()} s`);
      assert.equal((await other.ready()).status, 200);

      link.isSilent = false;
      await isReady(aggregator);
      await eventually("it is a member again", async () => (await members("silent")).length === 2);
      link.isSilent = true;
      await log.append(town.votes(60));
      await endsOnSigterm(aggregator);
      await eventually("nothing is lost", async () => await countedVotes(db, "silent") === 180);
    });
  },
);

stackTest("a database that is away is noticed while no election runs", async () => {
  await scene(async ({ linked, link, start }) => {
    const aggregator = start(linked);
    await isReady(aggregator);
    link.isSilent = true;
    console.log(`noticed after ${await notices(aggregator, /the database is away/)} s`);
    link.isSilent = false;
    await isReady(aggregator);
  });
});

stackTest("a database that is gone for a while costs one rebalance and few lines of the log", async () => {
  const own = await startCluster({ fsync: "off" });
  try {
    await scene(async ({ data, environment, start }) => {
      const name = await own.createDatabase();
      const db = await openPostgres(testTarget(own.url(name)), TEST_SESSIONS);
      await migrate(db);
      const town = await OpenElection.create(db, data, "gone");
      await makeVotesTopic(address, "gone", town.partitions);
      const log = await openKafkaLog(address, "gone", town.partitions);
      try {
        const aggregator = start({ ...environment, DATABASE_URL: own.url(name) });
        await isReady(aggregator);
        await log.append(town.votes(50));
        await eventually("50 are counted", async () => await countedVotes(db, "gone") === 50);
        const linesBefore = aggregator.lines().length;
        // A member that leaves a group and joins it again is another member.
        const joined = new Set(await members("gone"));
        assert.equal(joined.size, 1);
        await own.stop("fast");
        const awayMs = 30_000;
        for (const untilMs = Date.now() + awayMs; Date.now() < untilMs;) {
          await log.append(town.votes(1));
          for (const member of await members("gone")) joined.add(member);
          await delay(200);
        }
        const written = aggregator.lines().length - linesBefore;
        console.log(`${written} lines in ${awayMs / 1_000} s, ${joined.size - 1} times joined again`);
        await own.start();
        await eventually("all is counted", async () => {
          return await countedVotes(db, "gone").catch(() => 0) >= 70;
        });
        await isReady(aggregator);
        assert.ok(written <= 60, `${written} lines`);
        assert.ok(joined.size <= 2, `${joined.size - 1} times joined again`);
      } finally {
        await log.close();
        await db.close();
      }
    });
  } finally {
    await own.remove();
  }
});

stackTest(
  "SIGTERM in the first second ends an aggregator of several elections whose brokers are away",
  async () => {
    await scene(async ({ db, data, environment, start }) => {
      for (let n = 0; n < 4; n++) await OpenElection.create(db, data, `first-${n}`, { voters: 1 });
      const [nobody] = freePorts(1);
      const aggregator = start({ ...environment, VOTE_LOG: `kafka://127.0.0.1:${nobody}` });
      await eventually("it listens", async () => (await aggregator.ready()).status !== 0);
      await endsOnSigterm(aggregator);
    });
  },
);

Deno.test({
  name: "a full disk under embedded stores is noticed",
  ignore: !STACK || Deno.uid() !== 0,
  async fn() {
    await withDirectory(async (data) => {
      await command("mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", data);
      try {
        const definition = `${data}/election.json`;
        const roll = `${data}/roll.csv`;
        const hour = 3_600_000;
        const iso = (ms: number) => new Date(Date.now() + ms).toISOString();
        const when = { opensAt: iso(-hour), closesAt: iso(hour), acceptsUntil: iso(2 * hour) };
        await Deno.writeTextFile(definition, JSON.stringify(testDefinition({ election: "disk", ...when })));
        await Deno.writeTextFile(roll, "voter_id,region,station,birth_date,gender\nvoter-0,north,,,female\n");
        const made = await aggregatorCommand(
          data,
          {},
          "provision",
          "--definition",
          definition,
          "--roll",
          roll,
        );
        assert.equal(made.code, 0, made.error);
        assert.ok(new Keyring(`${data}/keys`).has("disk"));
        const aggregator = AggregatorProcess.start(data, {});
        try {
          await isReady(aggregator);
          await command("sh", "-c", `dd if=/dev/zero of=${data}/filler bs=1M 2>/dev/null; true`);
          console.log(
            `a full disk is noticed after ${await notices(
              aggregator,
              /the disk of .* has \d+ bytes left/,
            )} s`,
          );
          await Deno.remove(`${data}/filler`);
          await isReady(aggregator);
        } finally {
          await aggregator.kill();
        }
      } finally {
        await command("umount", data);
      }
    });
  },
});

async function command(program: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}
