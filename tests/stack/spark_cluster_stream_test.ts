/**
 * The streaming recount on a standalone cluster of Spark, with a driver that is killed. Too long for CI:
 *   POLLWIRE_STACK=1 POLLWIRE_RUNS=full deno test -A --no-check tests/stack/spark_cluster_stream_test.ts
 *
 * @module
 */
import assert from "assert";
import { stationOfVoter } from "../ballot_box.ts";
import { eventually } from "../eventually.ts";
import { MASTER } from "../fixture.ts";
import { FULL_RUN } from "../runs.ts";
import { sharedBroker } from "./broker.ts";
import { ClosedElection } from "./closed_election.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { PASSWORD, withUsers } from "./database_users.ts";
import { STACK, stackTest } from "./server.ts";
import { SparkCluster } from "./spark_cluster.ts";
import { awaitTopics, differences, newestBatch, RecountStream, SPARK_MS } from "./spark_stream.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTION = "clustered";
const VOTERS = 200;
/** Voters who vote while the stream follows, and while it is away; those before have a part in `fill`. */
const WHILE_IT_FOLLOWS = [40, 100] as const;
const WHILE_IT_IS_AWAY = [100, 160] as const;
const AFTERWARDS = [160, 200] as const;

const isRun = STACK && FULL_RUN;
const broker = isRun ? sharedBroker() : undefined;
let cluster: Cluster;
if (isRun) {
  Deno.test.beforeAll(async () => {
    cluster = await startCluster();
  });
  Deno.test.afterAll(async () => await cluster.remove());
}

/** Appends votes of some voters, the first vote twice, and waits until the aggregator has counted them. */
async function cast(election: ClosedElection, [from, to]: readonly [number, number]): Promise<void> {
  const votes = Array.from(
    { length: to - from },
    (_, i) => election.vote(`voter-${from + i}`, { station: stationOfVoter(from + i) }),
  );
  await election.log.append([...votes, votes[0]!]);
  await election.counted();
}

async function queryOf(election: ClosedElection): Promise<string> {
  const [row] = await election.db.query<{ query: string }>(
    "SELECT query_id::text AS query FROM recount.streams WHERE election = $1",
    [ELECTION],
  );
  return row!.query;
}

const register = isRun ? stackTest : Deno.test.ignore;
register(
  "recount --spark --stream on a cluster, its driver killed, counts as the aggregator does",
  async () => {
    const { address } = broker!;
    const directory = await Deno.makeTempDir({ prefix: "pollwire-spark-" });
    const spark = await SparkCluster.start();
    let stream: RecountStream | undefined;
    try {
      await Deno.mkdir(`${directory}/keys`);
      await Deno.writeTextFile(`${directory}/keys/${ELECTION}.key`, MASTER.toHex());
      await withUsers(cluster, async (as, database) => {
        const db = await as("owner");
        const start = () =>
          new RecountStream(directory, ELECTION, {
            DATABASE_URL: cluster.url(database, "recount", PASSWORD),
            VOTE_LOG: `kafka://${address.brokers[0]}`,
            KEYS_DIRECTORY: `${directory}/keys`,
            ...spark.environment,
          }, ["--master", spark.master]);
        const election = await ClosedElection.open(db, address, ELECTION, VOTERS);
        const counting = election.startCounting();
        await election.fill();
        await election.counted();
        stream = start();
        assert.deepEqual(await differences(db, stream), []);
        const query = await queryOf(election);
        const before = await newestBatch(db, ELECTION);
        await cast(election, WHILE_IT_FOLLOWS);
        await eventually(
          "votes are counted",
          async () => await newestBatch(db, ELECTION) > before,
          SPARK_MS,
        );
        await stream.kill();
        await cast(election, WHILE_IT_IS_AWAY);
        const killedAt = await newestBatch(db, ELECTION);

        stream = start();
        assert.deepEqual(await differences(db, stream), []);
        assert.ok(await newestBatch(db, ELECTION) > killedAt);
        // Another query would have begun from the start.
        assert.equal(await queryOf(election), query);
        await cast(election, AFTERWARDS);
        assert.deepEqual(await differences(db, stream), []);
        const [counted] = await db.query<{ voters: number; stream: number }>(
          `SELECT (SELECT count(*)::float8 FROM counting.participations WHERE election = $1) AS voters,
         (SELECT count(*)::float8 FROM recount.participations WHERE election = $1) AS stream`,
          [ELECTION],
        );
        assert.equal(counted!.stream, counted!.voters);
        assert.ok(counted!.voters > AFTERWARDS[1] - WHILE_IT_FOLLOWS[0]);
        await awaitTopics(db, address, ELECTION);
        for (const executor of await spark.executors()) {
          assert.match(executor, /Finished task/);
          assert.doesNotMatch(executor, /[0-9a-f]{64}/, "an executor's log has no key");
        }
        assert.equal(await stream.stop(), 0, await stream.log());
        stream = undefined;
        await counting.stop();
        await election.log.close();
      });
    } finally {
      await stream?.kill();
      await spark.remove();
      await Deno.remove(directory, { recursive: true });
    }
  },
);
