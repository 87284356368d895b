/**
 * Votes from devices until the reconciliation says that they are counted, on real servers: two gateways, two aggregators, Kafka,
 * PostgreSQL and the index all share the machine with the client.
 *
 * @module
 */
import { HttpLoad } from "./http_load.ts";
import { type Bench, type Benchmark, compare, median, type Row } from "./measure.ts";
import { processesOf, processorMsOfEach } from "./processes.ts";
import { realServers } from "./real_servers.ts";
import {
  batches,
  buildRig,
  type Requests,
  type Rig,
  send,
  singles,
  untilCounted,
  type Voters,
} from "./rig.ts";
import { startServer } from "./servers.ts";

const STATIONS = 200;
const GATEWAYS = 2;
const AGGREGATORS = 2;
const ROUNDS = 3;
const BATCH_VOTES = 100;

/** How votes come: how many a round, over how many connections to each gateway, and how fast they should be counted. */
const WAYS = [
  {
    of: "single votes",
    votes: 20_000,
    connections: 32,
    status: 202,
    goal: { value: 5_000 },
    requests: singles,
  },
  {
    of: `${BATCH_VOTES} a batch`,
    votes: 60_000,
    connections: 8,
    status: 207,
    goal: { value: 15_000 },
    requests: (rig: Rig, voters: Voters) => batches(rig, voters, BATCH_VOTES),
  },
] as const;
type Way = typeof WAYS[number];

/** See the module. */
export const counted: Benchmark = {
  name: "counted",
  work:
    `votes from devices to counted: ${GATEWAYS} gateways, ${AGGREGATORS} aggregators, index; floor: bare hono taking the same requests`,
  on: "servers",
  async run(bench) {
    const { servers } = await realServers(bench, "counted", { index: true });
    const voters = WAYS.reduce((sum, { votes }) => sum + votes * (ROUNDS + 1), 0);
    const size = { voters, stations: STATIONS, gateways: GATEWAYS };
    const rig = await buildRig(bench, "counted", size, { servers, aggregators: AGGREGATORS });
    const floor = await startServer(bench, "./floor_server.ts");
    const rows: Row[] = [];
    let from = 0;
    for (const way of WAYS) {
      rows.push(await row(bench, rig, floor, way, from));
      from += way.votes * (ROUNDS + 1);
    }
    await rig.stack.stop();
    return rows;
  },
};

async function row(bench: Bench, rig: Rig, floor: string, way: Way, from: number): Promise<Row> {
  const { of, votes, connections, status, goal } = way;
  // Floor and stack of one round get the same requests.
  const prepared = new Map<number, Requests>();
  const requestsOf = (round: number) => {
    if (!prepared.has(round)) {
      prepared.clear();
      prepared.set(round, way.requests(rig, { from: from + round * votes, count: votes }));
    }
    return prepared.get(round)!;
  };
  const spent = new Map<string, number[]>();
  const compared = await compare(ROUNDS, async (round) => {
    const requests = requestsOf(round).values().toArray().flat();
    const load = await HttpLoad.connect(floor, GATEWAYS * connections);
    const { seconds } = await load.send(requests, status);
    load.close();
    return votes / seconds;
  }, async (round) => {
    const requests = requestsOf(round);
    const before = await processorMsOfEach(await processesOf(rig.stack, bench));
    const fromMs = performance.now();
    await send(requests, connections, status);
    const takenMs = performance.now();
    await untilCounted(rig, from + (round + 1) * votes);
    const rate = votes / ((performance.now() - fromMs) / 1_000);
    const takenRate = votes / ((takenMs - fromMs) / 1_000);
    const after = await processorMsOfEach(await processesOf(rig.stack, bench));
    for (const [name, ms] of after) {
      spent.set(name, [...spent.get(name) ?? [], (ms - before.get(name)!) * 1_000 / votes]);
    }
    bench.log(
      `counted: ${of}, round ${round} of ${ROUNDS}: ${Math.round(takenRate)} votes/s taken, ${
        Math.round(rate)
      } counted`,
    );
    return rate;
  });
  const parts = [...spent].map(([name, us]) => `${name} ${Math.round(median(us))}`);
  const notes = `µs of processor a vote: ${parts.join(", ")}`;
  return { benchmark: "counted", of, ...compared, unit: "votes/s", goal, notes };
}
