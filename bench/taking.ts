/**
 * How fast a production gateway takes votes in, durably: a process of its own with spool and log on the disk, and the
 * aggregator away. Each vote is authenticated, checked, sealed, countersigned, synced and answered with a receipt, while
 * the spool is forwarded to the log.
 *
 * @module
 */
import { fromUtf8 } from "../shared/bytes.ts";
import type { Vote } from "../shared/vote.ts";
import {
  batchRequest,
  benchElection,
  type Signer,
  stationBatches,
  voteMaker,
  voteRequest,
} from "./ballots.ts";
import { HttpLoad, type Load } from "./http_load.ts";
import { type Bench, type Benchmark, compare, median, quantile, type Row } from "./measure.ts";
import { processorMsOfEach } from "./processes.ts";
import { provision, startServerProcess, untilIdle } from "./servers.ts";

const STATIONS = 200;
const ROUNDS = 5;
/** Single votes: requests a round, and connections, each with one under way. */
const SINGLE_VOTES = 12_000;
const SINGLE_CONNECTIONS = 64;
const SINGLE_GOAL = { ratio: 0.6 };
/** Batches: votes a round, votes of each, and connections. */
const BATCHED_VOTES = 30_000;
const BATCH_VOTES = 100;
const BATCH_CONNECTIONS = 16;
const BATCH_GOAL = { value: 30_000 };

type Server = Readonly<{ origin: string; pid: number }>;

/** A gateway and the floor's server, side by side, and votes for them. */
type Rig = Readonly<{
  gateway: Server;
  floor: Server;
  signers: ReadonlyMap<string, Signer>;
  /** The next votes: no voter comes twice. */
  votes(count: number): Generator<Vote>;
  batches(votes: number): Generator<Vote[]>;
}>;

const rigs = new WeakMap<Bench, Promise<Rig>>();

/** Both benchmarks of this file share their processes. */
function rigOf(bench: Bench): Promise<Rig> {
  let rig = rigs.get(bench);
  if (rig === undefined) rigs.set(bench, rig = build(bench));
  return rig;
}

async function build(bench: Bench): Promise<Rig> {
  const simulated = benchElection({ voters: 1, stations: STATIONS });
  const { stack, signers } = await provision(bench, "taking", simulated);
  await stack.kill("aggregator"); // The gateway has what it needs, and the processors are for it alone.
  const vote = voteMaker(simulated);
  let next = 0;
  return {
    gateway: {
      origin: stack.gateways[0]!,
      pid: stack.running.find(({ name }) => name.startsWith("gateway"))!.pid,
    },
    floor: await startServerProcess(bench, "./floor_server.ts"),
    signers,
    *votes(count) {
      for (const from = next; next < from + count;) yield vote(next++);
    },
    batches(count) {
      const from = next;
      next += count;
      return stationBatches(vote, { from, count }, BATCH_VOTES);
    },
  };
}

/** Single votes. */
export const single: Benchmark = {
  name: "single",
  work: "single votes, durable and acknowledged; floor: bare hono, one HMAC, the same schema, no disk",
  on: "embedded",
  async run(bench) {
    const rig = await rigOf(bench);
    return await take(bench, rig, {
      benchmark: "single",
      of: `${SINGLE_CONNECTIONS} connections`,
      goal: SINGLE_GOAL,
      connections: SINGLE_CONNECTIONS,
      votesARound: SINGLE_VOTES,
      status: 202,
      requests: () => [...rig.votes(SINGLE_VOTES)].map((vote) => voteRequest(vote, signerOf(rig, vote))),
    });
  },
};

/** Batches. */
export const batch: Benchmark = {
  name: "batch",
  work:
    `votes in batches of ${BATCH_VOTES}, durable and acknowledged; floor: as of single, the schema for each line`,
  on: "embedded",
  async run(bench) {
    const rig = await rigOf(bench);
    return await take(bench, rig, {
      benchmark: "batch",
      of: `${BATCH_VOTES} a batch, ${BATCH_CONNECTIONS} connections`,
      goal: BATCH_GOAL,
      connections: BATCH_CONNECTIONS,
      votesARound: BATCHED_VOTES,
      status: 207,
      requests: () =>
        [...rig.batches(BATCHED_VOTES)].map((votes) => batchRequest(votes, signerOf(rig, votes[0]!))),
    });
  },
};

function signerOf({ signers }: Rig, vote: Vote): Signer {
  return signers.get(vote.station)!;
}

type Taking = Readonly<{
  benchmark: string;
  of: string;
  goal: Row["goal"];
  connections: number;
  votesARound: number;
  status: number;
  requests(): Uint8Array[];
}>;

async function take(bench: Bench, rig: Rig, taking: Taking): Promise<Row[]> {
  const { benchmark, of, goal, connections, votesARound, status } = taking;
  const loads = { gateway: await HttpLoad.connect(rig.gateway.origin, connections) };
  const floorLoad = await HttpLoad.connect(rig.floor.origin, connections);
  const latencies: number[][] = [[], []];
  const processor = { gateway: [] as number[], floor: [] as number[] };
  let prepared: { round: number; requests: Uint8Array[] } | undefined;
  const requestsOf = (round: number) => {
    // Floor and gateway of one round get the same requests.
    if (prepared?.round !== round) prepared = { round, requests: taking.requests() };
    return prepared.requests;
  };
  const compared = await compare(ROUNDS, async (round) => {
    const before = await processorMs(rig.floor);
    const { seconds } = await floorLoad.send(requestsOf(round), status);
    processor.floor.push(1_000 * (await processorMs(rig.floor) - before) / votesARound);
    return votesARound / seconds;
  }, async (round) => {
    const before = await processorMs(rig.gateway);
    const load = await loads.gateway.send(requestsOf(round), status, status === 207);
    checkReceipts(load, votesARound);
    [0.5, 0.99].forEach((q, i) => latencies[i]!.push(quantile(load.latenciesMs, q)));
    await untilIdle(rig.gateway.origin);
    processor.gateway.push(1_000 * (await processorMs(rig.gateway) - before) / votesARound);
    bench.log(`${benchmark}: round ${round} of ${ROUNDS}: ${Math.round(votesARound / load.seconds)} votes/s`);
    return votesARound / load.seconds;
  });
  loads.gateway.close();
  floorLoad.close();
  const [p50, p99] = latencies.map((round) => median(round).toFixed(1));
  const [gatewayUs, floorUs] = [processor.gateway, processor.floor].map(median);
  const notes = `p50 ${p50} ms, p99 ${p99} ms; µs of processor a vote: gateway, forwarding included, ${
    Math.round(gatewayUs!)
  }, floor ${Math.round(floorUs!)}`;
  return [{ benchmark, of, ...compared, unit: "votes/s", goal, notes }];
}

async function processorMs({ pid }: Server): Promise<number> {
  return (await processorMsOfEach([{ name: "server", pid }])).get("server")!;
}

/** A batch's answer is 207 whatever became of its lines: each of them must have been taken. */
function checkReceipts({ bodies }: Load, votes: number): void {
  if (bodies.length === 0) return;
  const taken = bodies.reduce((sum, body) => {
    const { results } = JSON.parse(fromUtf8(body)) as { results: { status: number }[] };
    return sum + results.filter(({ status }) => status === 202).length;
  }, 0);
  if (taken !== votes) throw new Error(`Only ${taken} of ${votes} votes were taken`);
}
