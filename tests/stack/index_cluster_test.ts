/**
 * Elasticsearch on two nodes with data, and a third that only votes for a master: while votes come in, one of the two is killed, and
 * comes back. By hand, then the other one: `POLLWIRE_STACK=1 CRASH_HITS=2 deno test -A tests/stack/index_cluster_test.ts`.
 */
import { openElasticsearch } from "../../aggregator/results/index/elasticsearch.ts";
import {
  CLUSTER_NODES,
  type ClusterOptions,
  elasticsearch,
  type NodeName,
} from "../../deploy/local/elasticsearch.ts";
import { freePorts } from "../../simulator/processes/ports.ts";
import { eventually } from "../eventually.ts";
import { withDatabase } from "../test_database.ts";
import { follow, inDatabase, inIndex, VotedElection } from "./index_fixture.ts";
import { OwnServer, stackTest } from "./server.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** How long the cluster may take to agree, and the index to catch up, in milliseconds, on a machine that does much else. */
const DEADLINE_MS = 180_000;
const VOTERS = 400;
/** Nodes with data, which are killed in turn. */
const DATA_NODES = ["elasticsearch", "elasticsearch-2"] as const;
const HITS = Math.min(DATA_NODES.length, Number(Deno.env.get("CRASH_HITS") || 1));
const ELECTION = "two-nodes";

stackTest(
  "one of two nodes of Elasticsearch is killed: indexing and searches go on, and its copies come back",
  async () => {
    const servers = await startCluster();
    const url = servers.get("elasticsearch")!.service.environment.ELASTICSEARCH_URL;
    const index = openElasticsearch({ url, shards: 1, replicas: 1, prefix: "cluster-" });
    try {
      await withDatabase(async (db) => {
        const election = await VotedElection.open(db, ELECTION, VOTERS, 1);
        const following = follow(db, index);
        const equal = async () =>
          await eventually("the index equals the database", async () => {
            const found = await inIndex(index, ELECTION).catch(() => undefined);
            return JSON.stringify(found) === JSON.stringify(await inDatabase(db, ELECTION));
          }, DEADLINE_MS);
        try {
          await election.vote(VOTERS / 8);
          await equal();
          await hasCopies(url);
          for (const name of DATA_NODES.slice(0, HITS)) {
            const lostMs = performance.now();
            // What is under way when the node dies goes to the other one.
            await Promise.all([election.vote(VOTERS / 4), servers.get(name)!.kill()]);
            await election.vote(VOTERS / 8);
            await equal();
            console.log(`without ${name}: all indexed and found ${secondsSince(lostMs)} after the kill`);
            await servers.get(name)!.start();
            await hasCopies(url);
            console.log(`${name} has its copies again ${secondsSince(lostMs)} after the kill`);
          }
          await election.vote(VOTERS / 8);
          await equal();
        } finally {
          await following.stop();
        }
      });
    } finally {
      await index.close();
      for (const server of servers.values()) await server.remove();
    }
  },
);

async function startCluster(): Promise<Map<NodeName, OwnServer>> {
  const names = Object.keys(CLUSTER_NODES) as NodeName[];
  const ports = freePorts(2 * names.length);
  const nodes = Object.fromEntries(
    names.map((name, i) => [name, { http: ports[2 * i], transport: ports[2 * i + 1] }]),
  ) as ClusterOptions["nodes"];
  const servers = new Map<NodeName, OwnServer>();
  try {
    for (const name of names) {
      servers.set(
        name,
        await OwnServer.prepare(name, (place) => elasticsearch(place, nodes[name], { name, nodes })),
      );
    }
    // All at once: none serves before they have agreed on a master.
    await Promise.all(servers.values().map((server) => server.start()));
    return servers;
  } catch (error) {
    for (const server of servers.values()) await server.remove();
    throw error;
  }
}

/** Waits until each index has a copy on each node with data: `green`. Any node is asked. */
async function hasCopies(url: string): Promise<void> {
  await eventually("the cluster is green", async () => {
    for (const node of url.split(",")) {
      const answer = await fetch(`${node}/_cluster/health`).then((answer) => answer.json()).catch(() =>
        undefined
      );
      if (answer === undefined || answer.number_of_data_nodes !== 2) return false;
      if (answer.status !== "green") return false;
    }
    return true;
  }, DEADLINE_MS);
}

function secondsSince(fromMs: number): string {
  return `${((performance.now() - fromMs) / 1_000).toFixed(1)} s`;
}
