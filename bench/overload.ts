/**
 * What happens beyond capacity: votes come at a steady rate from half to three times of what the stack counts, from devices, which
 * wait when a gateway asks them to, and from stubborn senders, which do not. Every vote is sent until it is taken, and counted.
 *
 * @module
 */
import process from "node:process";
import type { Receipt } from "../shared/receipt.ts";
import { fromUtf8 } from "../shared/bytes.ts";
import { voteRequest } from "./ballots.ts";
import { HttpLoad } from "./http_load.ts";
import { type Bench, type Benchmark, quantile, type Row } from "./measure.ts";
import type { Answers, Probed, ProbeOptions } from "./overload_probe.ts";
import { openDevices, openStubborn, type Posted, type Senders } from "./overload_senders.ts";
import { processorMsOfEach } from "./processes.ts";
import { realServers } from "./real_servers.ts";
import { buildRig, readReconciliation, type Rig, send, singles, untilCounted } from "./rig.ts";
import { startBeside } from "./servers.ts";

const STATIONS = 200;
const GATEWAYS = 2;
const AGGREGATORS = 2;
/** Parts of the capacity that are offered, one after the other, and for how many seconds each at most. */
const FACTORS = [0.5, 0.7, 1, 1.5, 3] as const;
const STEP_S = 12;
/** Voters of the election. Where they are too few, steps are shorter. */
const VOTERS = 300_000;
/** Votes by which the capacity is found, after as many that warm the processes up; and connections to each gateway meanwhile. */
const CAPACITY_VOTES = 20_000;
const CAPACITY_CONNECTIONS = 32;
/** All come from one address. */
const GATEWAY_SETTINGS = { ADDRESS_MAX_CONNECTIONS: "10000" };
/** Goals, in milliseconds: an accepted vote's answer, and every other answer. */
const TAKEN_GOAL_MS = 2_000;
const ANSWERED_GOAL_MS = 1_000;

const SENDERS: Readonly<Record<string, (gateways: readonly string[]) => Promise<Senders>>> = {
  devices: openDevices,
  stubborn: openStubborn,
};

/** See the module. */
export const overload: Benchmark = {
  name: "overload",
  work: `single votes at ${
    FACTORS.join(", ")
  } times the capacity: ${GATEWAYS} gateways, ${AGGREGATORS} aggregators, index`,
  on: "servers",
  async run(bench) {
    const { servers } = await realServers(bench, "overload", { index: true });
    const size = { voters: VOTERS, stations: STATIONS, gateways: GATEWAYS };
    const rig = await buildRig(bench, "overload", size, {
      servers,
      aggregators: AGGREGATORS,
      gatewaySettings: GATEWAY_SETTINGS,
    });
    return await driveOverload(rig, VOTERS);
  },
};

/** The same on embedded stores, with the one aggregator that they can have. */
export const overloadEmbedded: Benchmark = {
  name: "overload-embedded",
  work: `single votes at ${FACTORS.join(", ")} times the capacity, all embedded: ${GATEWAYS} gateways`,
  on: "embedded",
  async run(bench) {
    const size = { voters: VOTERS, stations: STATIONS, gateways: GATEWAYS };
    const rig = await buildRig(bench, "overload", size, { gatewaySettings: GATEWAY_SETTINGS });
    return await driveOverload(rig, VOTERS);
  },
};

/** Finds the capacity, and drives each kind of senders through all factors. @param voters Of the election. */
async function driveOverload(rig: Rig, voters: number): Promise<Row[]> {
  const { capacity, receipt } = await findCapacity(rig);
  rig.bench.log(`overload: ${Math.round(capacity)} votes/s counted at full speed`);
  const rows: Row[] = [];
  let from = 2 * CAPACITY_VOTES;
  const kinds = Object.entries(SENDERS);
  const perSecond = capacity * kinds.length * FACTORS.reduce((sum, factor) => sum + factor, 0);
  const seconds = Math.min(STEP_S, (voters - from) / perSecond);
  for (const [kind, open] of kinds) {
    for (const factor of FACTORS) {
      const count = Math.floor(factor * capacity * seconds);
      rows.push(...await step(rig, { kind, open, factor, capacity, from, count }, receipt));
      from += count;
    }
  }
  await rig.stack.stop();
  return rows;
}

/** How many votes a second are counted when they come as fast as they are taken; and the receipt of one. */
async function findCapacity(rig: Rig): Promise<{ capacity: number; receipt: Receipt }> {
  const requests = [0, CAPACITY_VOTES].map((from) => singles(rig, { from, count: CAPACITY_VOTES }));
  await send(requests[0]!, CAPACITY_CONNECTIONS, 202);
  await untilCounted(rig, CAPACITY_VOTES);
  const fromMs = performance.now();
  await send(requests[1]!, CAPACITY_CONNECTIONS, 202);
  await untilCounted(rig, 2 * CAPACITY_VOTES);
  const capacity = CAPACITY_VOTES / ((performance.now() - fromMs) / 1_000);
  // The last vote once more: its receipt is the answer again.
  const [gateway, each] = requests[1]!.entries().next().value!;
  const load = await HttpLoad.connect(gateway, 1);
  const { body } = await load.connections[0]!.ask(each.at(-1)!, true);
  load.close();
  return { capacity, receipt: (JSON.parse(fromUtf8(body)) as { receipt: Receipt }).receipt };
}

type Step = Readonly<{
  kind: string;
  open(gateways: readonly string[]): Promise<Senders>;
  factor: number;
  capacity: number;
  from: number;
  count: number;
}>;

async function step(
  rig: Rig,
  { kind, open, factor, capacity, from, count }: Step,
  receipt: Receipt,
): Promise<Row[]> {
  const { bench, stack } = rig;
  const posted = Array.from({ length: count }, (_, i): Posted => {
    const vote = rig.vote(from + i);
    return {
      request: voteRequest(vote, rig.signers.get(vote.station)!),
      gateways: rig.gatewaysOf(vote.station),
    };
  });
  const before = await readReconciliation(stack.aggregator, rig.election);
  const senders = await open(stack.gateways);
  const probe = startProbe(rig, receipt);
  const perSecond = factor * capacity;
  const usedProcessors = await watchProcessors(rig);
  const { offered, taken } = senders.send(posted, perSecond);
  // Those who wait for it do so below.
  taken.catch(() => {});
  await offered;
  const parts = await usedProcessors();
  const [takenAtEnd, refusedAtEnd] = [senders.tally.takenMs.length, senders.tally.refusedMs.length];
  const atEnd = await readReconciliation(stack.aggregator, rig.election);
  const fromMs = performance.now();
  await taken;
  senders.close();
  await untilCounted(rig, from + count);
  const afterS = (performance.now() - fromMs) / 1_000;
  const probed = await probe.end();
  const { duplicate, rejected, held } = await readReconciliation(stack.aggregator, rig.election);
  const { takenMs, refusedMs, deliveredMs } = senders.tally;
  const seconds = count / perSecond;
  const rate = (requests: number) => Math.round(requests / seconds);
  const countedRate = (atEnd.counted - before.counted) / seconds;
  const notes = [
    `taken p50 ${ms(takenMs, 0.5)}, p99 ${ms(takenMs, 0.99)} from sending`,
    `meanwhile ${rate(takenAtEnd)}/s taken, ${rate(refusedAtEnd)}/s refused`,
    `${Math.round(countedRate)}/s counted (${
      (countedRate / Math.min(capacity, perSecond)).toFixed(2)
    } of what could be)`,
    refusedMs.length === 0
      ? "none refused"
      : `${refusedMs.length} refusals with 503 and Retry-After, p99 ${ms(refusedMs, 0.99)}`,
    `delivered p50 ${ms(deliveredMs, 0.5)}, p99 ${ms(deliveredMs, 0.99)} from when it was due`,
    `lag up to ${probed.lag} entries, spool up to ${probed.spooled} records`,
    `all ${count} counted ${afterS.toFixed(1)} s later`,
    `${duplicate - before.duplicate} duplicates, ${rejected + held} rejected or held`,
    `processors: ${parts}`,
  ];
  bench.log(`overload: ${kind}, ${factor}: ${notes.join("; ")}`);
  const of = `${kind}, ${factor} times the capacity, ${Math.round(perSecond)} votes/s`;
  const slowest = Math.max(...Object.values(probed.kinds).map(({ p99Ms }) => p99Ms));
  return [
    row(`${of}: accepted`, quantile(takenMs, 0.99), TAKEN_GOAL_MS, notes.join("; ")),
    row(`${of}: other answers`, slowest, ANSWERED_GOAL_MS, describe(probed)),
  ];
}

/** Which part of a processor each process takes: the senders share the processors with the rest. */
async function watchProcessors({ stack }: Rig): Promise<() => Promise<string>> {
  const own = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000;
  };
  const [fromMs, ownBefore, before] = [performance.now(), own(), await processorMsOfEach(stack.running)];
  return async () => {
    const tookMs = performance.now() - fromMs;
    const after = await processorMsOfEach(stack.running);
    const parts = [...after].map(([name, ms]): [string, number] => [name, ms - before.get(name)!]);
    parts.push(["senders", own() - ownBefore]);
    return parts.map(([name, ms]) => `${name} ${(ms / tookMs).toFixed(2)}`).join(", ");
  };
}

function row(of: string, p99Ms: number, goalMs: number, notes: string): Row {
  return {
    benchmark: "overload",
    of,
    value: 1_000 / p99Ms,
    unit: "/s (1/p99)",
    goal: { value: 1_000 / goalMs },
    notes: `${notes}; goal: p99 under ${goalMs} ms`,
  };
}

function describe({ kinds }: Probed): string {
  const spell = ([name, { asked, failed, p50Ms, p99Ms }]: [string, Answers]) =>
    `${name} p50 ${Math.round(p50Ms)} ms, p99 ${Math.round(p99Ms)} ms (${failed} of ${asked} failed)`;
  return Object.entries(kinds).map(spell).join("; ");
}

const ms = (values: readonly number[], q: number) => `${Math.round(quantile(values, q))} ms`;

/** Starts the probe, in a process of its own; `end` says how it was answered. */
function startProbe({ bench, stack, election }: Rig, receipt: Receipt): { end(): Promise<Probed> } {
  const options: ProbeOptions = {
    election,
    aggregators: stack.aggregators,
    gateways: stack.gateways,
    gatewayFile: firstGatewayFile(bench),
    receipt,
  };
  return startBeside("./overload_probe.ts", JSON.stringify(options));
}

function firstGatewayFile({ directory }: Bench): string {
  const gateways = `${directory}/overload/gateways`;
  const [first] = Deno.readDirSync(gateways);
  return `${gateways}/${first!.name}`;
}
