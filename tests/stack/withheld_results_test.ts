/**
 * Results that a definition withholds, on real servers: until two officials publish them, nothing of them is in topics, index, API or
 * stream; after that all is there. The embedded default is in tests/withheld_results_test.ts.
 *
 * @module
 */
import assert from "assert";
import { migrate } from "../../aggregator/database/migrate.ts";
import { openPostgres } from "../../aggregator/database/postgres.ts";
import { createAccount, requestRole } from "../../aggregator/office/access/accounts.ts";
import { newKeyFile, publicKeyOf } from "../../aggregator/office/access/keys.ts";
import { OfficeClient } from "../../aggregator/office/client.ts";
import { createOfficeKey } from "../../aggregator/office/office_key.ts";
import { VIEW_TOPICS } from "../../aggregator/view_topics.ts";
import { fromUtf8 } from "../../shared/bytes.ts";
import type { KafkaAddress } from "../../shared/log/address.ts";
import { openKafkaLog } from "../../shared/log/kafka.ts";
import { KafkaReader } from "../../shared/log/kafka_reader.ts";
import { withDirectory } from "../directory.ts";
import { eventually } from "../eventually.ts";
import { TEST_SESSIONS, testTarget } from "../test_database.ts";
import { figuresAt, figuresIn, leaks, listen, read } from "../told_results.ts";
import { AggregatorProcess, countedVotes, OpenElection } from "./aggregator_process.ts";
import { type Broker, startBroker } from "./broker.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { elasticsearchForFile } from "./elasticsearch.ts";
import { STACK, stackTest } from "./server.ts";
import { makeVotesTopic, plainEntry } from "./topics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTION = "withheld";
const VOTES = 30;
const HOUR_MS = 3_600_000;
/** The acceptance window, in milliseconds. */
const WINDOW_MS = 3_000;
/** For what loaded servers do in a while, in milliseconds. */
const DEADLINE_MS = 180_000;
/** Rows that are read of a topic or index: more than there are. */
const ROWS = 5_000;

const index = elasticsearchForFile();
let broker: Broker;
let cluster: Cluster;
if (STACK) {
  Deno.test.beforeAll(async () => {
    [broker, cluster] = await Promise.all([startBroker(), startCluster({ fsync: "off" })]);
  });
  Deno.test.afterAll(async () => {
    await broker.remove();
    await cluster.remove();
  });
}

/** Every row of a view's topic. */
async function topicRows(address: KafkaAddress, topic: string): Promise<Record<string, unknown>[]> {
  const reader = new KafkaReader(address, "test", topic);
  try {
    const messages = await reader.read(0, 0, ROWS);
    return messages.flatMap(({ value }) => value === null ? [] : [JSON.parse(fromUtf8(value))]);
  } finally {
    await reader.close();
  }
}

/** Every document of every index. */
async function documents(): Promise<{ index: string; source: Record<string, unknown> }[]> {
  const client = index().client();
  try {
    await client.indices.refresh({ index: "pollwire-*" });
    const { hits } = await client.search<Record<string, unknown>>({ index: "pollwire-*", size: ROWS });
    return hits.hits.map(({ _index, _source }) => ({ index: _index, source: _source! }));
  } finally {
    await client.close();
  }
}

stackTest(
  "nothing of withheld results leaves Kafka, the index or the API until two officials publish them",
  async () => {
    await withDirectory(async (data) => {
      const address: KafkaAddress = { kind: "kafka", brokers: [broker.address] };
      const name = await cluster.createDatabase();
      const db = await openPostgres(testTarget(cluster.url(name)), TEST_SESSIONS);
      const ending = new AbortController();
      let aggregator: AggregatorProcess | undefined;
      let listening: Promise<void> | undefined;
      try {
        await migrate(db);
        createOfficeKey(`${data}/keys`);
        const now = Date.now();
        const iso = (ms: number) => new Date(ms).toISOString();
        const town = await OpenElection.create(db, data, ELECTION, {
          definition: {
            publish: "manual",
            resultsBeforeClosing: false,
            releaseThreshold: 1,
            closesAt: iso(now + HOUR_MS),
            acceptsUntil: iso(now + HOUR_MS + WINDOW_MS),
          },
        });
        await makeVotesTopic(address, ELECTION, town.partitions);
        aggregator = AggregatorProcess.start(data, {
          VOTE_LOG: `kafka://${broker.address}`,
          KEYS_DIRECTORY: `${data}/keys`,
          DATABASE_URL: cluster.url(name),
          ELASTICSEARCH_URL: index().url,
          ELASTICSEARCH_REPLICAS: "0",
        });
        const { origin } = aggregator;
        await eventually("it answers", async () => (await aggregator!.ready()).status !== 0, DEADLINE_MS);
        const clients = [];
        for (const account of ["ann", "ben"]) {
          const file = await newKeyFile(account);
          await createAccount(db, account, account, await publicKeyOf(file.key), new Date());
          await requestRole(db, account, "official", ELECTION, undefined, new Date());
          clients.push(new OfficeClient((path, init) => fetch(new URL(path, origin), init), file));
        }
        const [ann, ben] = clients as [OfficeClient, OfficeClient];
        const path = `/v1/elections/${ELECTION}`;
        const life = async () => await ann.ask("GET", `${path}/lifecycle`);
        const body = (action: string, parameters: unknown) => ({ action, parameters, reason: "The law" });
        const both = async (action: string, parameters: unknown = {}) => {
          const { etag } = await life();
          const { body: made } = await ann.ask("POST", `${path}/proposals`, body(action, parameters), etag!);
          return await ben.ask("POST", `${path}/proposals/${made.proposal}/approve`, undefined, etag!);
        };
        const events: string[] = [];
        listening = listen(origin, ELECTION, events, ending.signal);
        const log = await openKafkaLog(address, ELECTION, town.partitions);
        try {
          await log.append([...town.votes(VOTES), plainEntry(0)]);
        } finally {
          await log.close();
        }
        await eventually(
          "all are counted",
          async () => await countedVotes(db, ELECTION) === VOTES,
          DEADLINE_MS,
        );
        // What was rejected is shown at once: so both writers have been here.
        const hasRejection = async () =>
          (await topicRows(address, VIEW_TOPICS.rejections)).length === 1 &&
          (await documents()).some(({ index }) => index.includes("rejected-votes"));
        await eventually("the rejection is in topic and index", hasRejection, DEADLINE_MS);
        const nothingIsTold = async (when: string) => {
          const { found, answered } = await leaks(origin, ELECTION);
          assert.deepEqual(found, [], when);
          assert.ok(answered > 20, `${answered} answers`);
          assert.deepEqual(await topicRows(address, VIEW_TOPICS.tallies), [], when);
          const all = await documents();
          assert.deepEqual(figuresIn(all), [], when);
          const ofVotes = all.filter(({ index }) => /-(tallies|ballots|releases|released-votes)/.test(index));
          assert.deepEqual(ofVotes, [], when);
          assert.doesNotMatch(JSON.stringify(all), /"votes\b|\\"votes\b/, when);
          assert.ok(!events.includes("release"), when);
        };
        await nothingIsTold("while the polls are open");

        await both("close_early");
        await eventually("the canvass may begin", async () => {
          if ((await life()).body.allowed.includes("begin_canvass")) return true;
          await both("waive_sender_keys", { gateway: "g-1" }).catch(() => {});
          return false;
        }, DEADLINE_MS);
        await ann.ask("POST", `${path}/actions`, body("begin_canvass", {}), (await life()).etag!);
        await both("adjust", { lines: [{ station: "n-1", contest: "mayor", candidate: "cyd", votes: 4 }] });
        const isAudited = async () =>
          (await documents()).some(({ source }) => source.event === "results_adjusted");
        await eventually("the trail is in the index", isAudited, DEADLINE_MS);
        await nothingIsTold("in the canvass, with votes on paper");

        await both("publish");
        await eventually("the results are final", async () => {
          const { final, rows } = await (await read(`${origin}${path}/results?by=candidate&contest=mayor`))
            .json();
          return final &&
            rows.reduce((sum: number, { votes }: { votes: number }) => sum + votes, 0) === VOTES;
        }, DEADLINE_MS);
        const told = async () => {
          const newest = new Map(
            (await topicRows(address, VIEW_TOPICS.tallies)).map((
              row,
            ) => [`${row.contest}/${row.candidate}`, row]),
          );
          return [...newest.values()].filter(({ contest, candidate }) =>
            contest === "mayor" && !String(candidate).startsWith("#")
          ).reduce((sum, { votes }) => sum + Number(votes), 0);
        };
        await eventually("the topic has all", async () => await told() === VOTES, DEADLINE_MS);
        await eventually("the index has them", async () => {
          const all = await documents();
          return ["tallies", "ballots", "releases", "released-votes"].every((each) =>
            all.some(({ index }) => index.includes(`pollwire-${each}`))
          );
        }, DEADLINE_MS);
        await eventually("the stream has told of it", () => events.includes("release"), DEADLINE_MS);
        for (const end of ["results", "changes", "adjustments", "exports/openelections.csv"]) {
          const tells = async () => (await figuresAt(origin, `${path}/${end}`) ?? []).length > 0;
          await eventually(`${end} tells of votes`, tells, DEADLINE_MS);
        }
      } catch (error) {
        console.log(aggregator?.lines().slice(-20).join("\n"));
        throw error;
      } finally {
        ending.abort();
        await listening?.catch(() => {});
        await aggregator?.kill();
        await db.close();
      }
    });
  },
);
