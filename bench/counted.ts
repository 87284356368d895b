/**
 * Votes from devices until the reconciliation says that they are counted, on real servers: two gateways, two aggregators, Kafka,
 * PostgreSQL and the index all share the machine with the client.
 *
 * @module
 */
import { HttpLoad } from "./http_load.ts";
import { type Bench, type Benchmark, compare, median, type Row } from "./measure.ts";
import { processesOf, processorMsOfEach, processorUsAVote, serversOf, spellProcessor } from "./processes.ts";
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
/** Each k is an election of its own. With k = 1 a vote alone can be a release. */
const THRESHOLDS = [1, 10] as const;
/** Processor time in parts of the base's. */
const BASE_GOAL_PART = 0.5;
/** How long the base's benchmark may take, in milliseconds. */
const BASE_WITHIN_MS = 400_000;
const BATCH_VOTES = 100;
/**
 * Rounds of single votes that the servers are warmed up with, at the least and at the most. After the least it is enough once
 * this many in a row have cost them at least this part of the cheapest before.
 */
const WARM_ROUNDS = { least: 10, most: 16 };
const WARM_STEADY_ROUNDS = 2;
const WARM_STEADY_PART = 0.9;

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
    const floor = await startServer(bench, "./floor_server.ts");
    await warmUp(bench);
    const found: Counted[] = [];
    for (const k of THRESHOLDS) {
      found.push(...await measure(bench, floor, k));
      // Between the two, so that what else the machine does meets base and present alike.
      if (k === THRESHOLDS[0] && bench.base !== undefined) {
        found.push(...await measureBase(bench, bench.base));
      }
    }
    return [...found.map(({ row }) => row), ...comparedRows(found)];
  },
};

/** A row, and the processor time that a vote took all processes together, in microseconds. */
type Counted = Readonly<{ row: Row; of: Way["of"]; side: string; us: number }>;

/**
 * Votes that nobody measures: Java compiles Kafka and Elasticsearch while they work, and whoever came first would pay for
 * it. Right after their start a vote costs them several times what it costs later, and that falls only after some rounds.
 */
async function warmUp(bench: Bench): Promise<void> {
  const name = "countedwarm";
  const [{ votes, connections, status, requests }] = WAYS;
  const { servers } = await realServers(bench, name, { index: true });
  const size = {
    voters: WARM_ROUNDS.most * votes,
    stations: STATIONS,
    gateways: GATEWAYS,
    releaseThreshold: THRESHOLDS[0],
  };
  const rig = await buildRig(bench, name, size, { servers, aggregators: AGGREGATORS });
  let [cheapestUs, steady] = [Infinity, 0];
  const isWarm = (rounds: number) => rounds >= WARM_ROUNDS.least && steady >= WARM_STEADY_ROUNDS;
  for (let round = 0; round < WARM_ROUNDS.most && !isWarm(round); round++) {
    const before = await processorMsOfEach(await serversOf(bench));
    await send(requests(rig, { from: round * votes, count: votes }), connections, status);
    await untilCounted(rig, (round + 1) * votes);
    const spent = processorUsAVote(before, await processorMsOfEach(await serversOf(bench)), votes);
    const us = spent.values().reduce((sum, each) => sum + each, 0);
    bench.log(`counted: warming up, ${spellProcessor(spent)}`);
    steady = us >= WARM_STEADY_PART * cheapestUs ? steady + 1 : 0;
    cheapestUs = Math.min(cheapestUs, us);
  }
  await rig.stack.stop();
}

async function measure(bench: Bench, floor: string, k: number): Promise<Counted[]> {
  const name = `counted${k}`;
  const { servers } = await realServers(bench, name, { index: true });
  const voters = WAYS.reduce((sum, { votes }) => sum + votes * (ROUNDS + 1), 0);
  const size = { voters, stations: STATIONS, gateways: GATEWAYS, releaseThreshold: k };
  const rig = await buildRig(bench, name, size, { servers, aggregators: AGGREGATORS });
  const found: Counted[] = [];
  let from = 0;
  for (const way of WAYS) {
    const row = await takeRow(bench, rig, floor, { way, from, k });
    found.push({ row, of: way.of, side: `k = ${k}`, us: processorSum(row.notes) });
    from += way.votes * (ROUNDS + 1);
  }
  await rig.stack.stop();
  return found;
}

/** The same benchmark of another checkout, by its own code, on the same servers. */
async function measureBase(bench: Bench, root: string): Promise<Counted[]> {
  bench.log(`counted: ${root}`);
  const json = `${bench.directory}/counted-base.json`;
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--config", `${root}/deno.json`, `${root}/bench/main.ts`].concat(
      ["--stack", bench.servers!.file!, "--json", json, "counted"],
    ),
    cwd: root,
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
    signal: AbortSignal.timeout(BASE_WITHIN_MS),
  }).output();
  if (!success) throw new Error(`${root}: counted failed`);
  const { rows } = JSON.parse(await Deno.readTextFile(json)) as { rows: Row[] };
  return rows.map((row) => {
    const way = WAYS.find(({ of }) => of === row.of);
    if (way === undefined) throw new Error(`${root}: counted has a row of ${row.of}`);
    return {
      row: { ...row, of: `${row.of}, base`, goal: undefined },
      of: way.of,
      side: "base",
      us: processorSum(row.notes),
    };
  });
}

/** What a vote costs of processor, in votes a second of one processor, against the base. */
function comparedRows(found: readonly Counted[]): Row[] {
  return found.filter(({ side }) => side !== "base").flatMap(({ of, side, us }): Row[] => {
    const base = found.find((each) => each.side === "base" && each.of === of);
    if (base === undefined) return [];
    return [{
      benchmark: "counted",
      of: `${of}, ${side}, processor against the base's`,
      value: 1e6 / us,
      floor: 1e6 / base.us,
      ratio: base.us / us,
      unit: "votes/s of a processor",
      goal: { ratio: 1 / BASE_GOAL_PART },
      notes: `${Math.round(us)} of ${Math.round(base.us)} µs: ${(us / base.us).toFixed(2)}`,
    }];
  });
}

/** The sum of a row's times, which its notes end with. */
function processorSum(notes = ""): number {
  const times = notes.slice(notes.lastIndexOf(":") + 1).split(", ");
  return times.reduce((sum, part) => sum + Number(part.trim().split(" ").at(-1)), 0);
}

type Load = Readonly<{ way: Way; from: number; k: number }>;

async function takeRow(bench: Bench, rig: Rig, floor: string, { way, from, k }: Load): Promise<Row> {
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
  return { benchmark: "counted", of: `${of}, k = ${k}`, ...compared, unit: "votes/s", goal, notes };
}
