/**
 * What happens beyond capacity: single votes come at a steady rate from half to three times of what the stack counts, whatever
 * becomes of those before. What a gateway refuses is sent again afterwards, as a device would, until every vote is counted.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Receipt } from "../shared/receipt.ts";
import type { Vote } from "../shared/vote.ts";
import { fromUtf8, utf8 } from "../shared/bytes.ts";
import { voteRequest } from "./ballots.ts";
import { type Answer, type Connection, HttpLoad } from "./http_load.ts";
import { type Bench, type Benchmark, quantile, type Row } from "./measure.ts";
import type { Answers, Probed, ProbeOptions } from "./overload_probe.ts";
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
const VOTERS = 250_000;
/** Votes by which the capacity is found, after as many that warm the processes up. */
const CAPACITY_VOTES = 20_000;
/**
 * Connections to each gateway while the capacity is found, while votes come at a rate, and while refused ones come again.
 * With few, votes would wait for a connection, and gateways would never have too much to do.
 */
const CONNECTIONS = { capacity: 32, offered: 1_500, again: 64 } as const;
const OPENED_AT_ONCE = 50;
/** All come from one address. */
const GATEWAY_SETTINGS = { ADDRESS_MAX_CONNECTIONS: "10000" };
/** How long it may take until nothing is refused any more, and a device's shortest wait, in milliseconds. */
const TAKEN_WITHIN_MS = 180_000;
const SHORTEST_RETRY_MS = 1_000;
/** Goals, in milliseconds: an accepted vote's answer, and every other answer. */
const TAKEN_GOAL_MS = 2_000;
const ANSWERED_GOAL_MS = 1_000;

/** See the module. */
export const overload: Benchmark = {
  name: "overload",
  work: `single votes at ${
    FACTORS.join(", ")
  } times the capacity: ${GATEWAYS} gateways, ${AGGREGATORS} aggregators, index`,
  on: "servers",
  async run(bench) {
    const { servers: all } = await realServers(bench, "overload", { index: true });
    const servers = { ...all, gateways: { ...all.gateways, ...GATEWAY_SETTINGS } };
    const size = { voters: VOTERS, stations: STATIONS, gateways: GATEWAYS };
    const rig = await buildRig(bench, "overload", size, { servers, aggregators: AGGREGATORS });
    const { capacity, receipt } = await findCapacity(rig);
    bench.log(`overload: ${Math.round(capacity)} votes/s counted at full speed`);
    const rows: Row[] = [];
    let from = 2 * CAPACITY_VOTES;
    const perSecond = capacity * FACTORS.reduce((sum, factor) => sum + factor, 0);
    const seconds = Math.min(STEP_S, (VOTERS - from) / perSecond);
    for (const factor of FACTORS) {
      const count = Math.floor(factor * capacity * seconds);
      rows.push(...await step(rig, { factor, capacity, from, count }, receipt));
      from += count;
    }
    await rig.stack.stop();
    return rows;
  },
};

/** How many votes a second are counted when they come as fast as they are taken; and the receipt of one. */
async function findCapacity(rig: Rig): Promise<{ capacity: number; receipt: Receipt }> {
  const requests = [0, CAPACITY_VOTES].map((from) => singles(rig, { from, count: CAPACITY_VOTES }));
  await send(requests[0]!, CONNECTIONS.capacity, 202);
  await untilCounted(rig, CAPACITY_VOTES);
  const fromMs = performance.now();
  await send(requests[1]!, CONNECTIONS.capacity, 202);
  await untilCounted(rig, 2 * CAPACITY_VOTES);
  const capacity = CAPACITY_VOTES / ((performance.now() - fromMs) / 1_000);
  // The last vote once more: its receipt is the answer again.
  const [gateway, each] = requests[1]!.entries().next().value!;
  const load = await HttpLoad.connect(gateway, 1);
  const { body } = await load.connections[0]!.ask(each.at(-1)!, true);
  load.close();
  return { capacity, receipt: (JSON.parse(fromUtf8(body)) as { receipt: Receipt }).receipt };
}

type Step = Readonly<{ factor: number; capacity: number; from: number; count: number }>;

/** What became of votes at first: `refused` are to come again. */
type Offered = Readonly<{
  seconds: number;
  /** From when each taken vote was due until its answer, in milliseconds; and the same of those refused. */
  takenMs: readonly number[];
  refusedMs: readonly number[];
  refused: readonly Vote[];
}>;

async function step(rig: Rig, { factor, capacity, from, count }: Step, receipt: Receipt): Promise<Row[]> {
  const { bench } = rig;
  const votes = Array.from({ length: count }, (_, i) => rig.vote(from + i));
  const before = await readReconciliation(rig.stack.aggregator, rig.election);
  const prepared = votes.map((vote) => voteRequest(vote, rig.signers.get(vote.station)!));
  const probe = startProbe(rig, receipt);
  const perSecond = factor * capacity;
  const offered = await offer(rig, votes, prepared, perSecond);
  const atEnd = await readReconciliation(rig.stack.aggregator, rig.election);
  const fromMs = performance.now();
  await sendAgain(rig, offered.refused);
  await untilCounted(rig, from + count);
  const afterS = (performance.now() - fromMs) / 1_000;
  const probed = await probe.end();
  const { duplicate, rejected, held } = await readReconciliation(rig.stack.aggregator, rig.election);
  const { takenMs, refusedMs, refused, seconds } = offered;
  const share = (part: number) => `${(100 * part / count).toFixed(1)} %`;
  const notes = [
    `${share(takenMs.length)} taken (p50 ${ms(takenMs, 0.5)}, p99 ${ms(takenMs, 0.99)})`,
    refused.length === 0
      ? "none refused"
      : `${share(refused.length)} refused with 503 and Retry-After (p99 ${ms(refusedMs, 0.99)})`,
    `${Math.round((atEnd.counted - before.counted) / seconds)} votes/s counted meanwhile`,
    `lag up to ${probed.lag} entries, spool up to ${probed.spooled} records`,
    `all ${count} counted ${afterS.toFixed(1)} s later`,
    `${duplicate - before.duplicate} duplicates, ${rejected + held} rejected or held`,
  ];
  bench.log(`overload: ${factor}: ${notes.join("; ")}`);
  const of = `${factor} times the capacity, ${Math.round(perSecond)} votes/s`;
  const slowest = Math.max(...Object.values(probed.kinds).map(({ p99Ms }) => p99Ms));
  return [
    row(`${of}: accepted`, quantile(takenMs, 0.99), TAKEN_GOAL_MS, notes.join("; ")),
    row(`${of}: other answers`, slowest, ANSWERED_GOAL_MS, describe(probed)),
  ];
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

/**
 * Sends votes when they are due, whatever became of those before.
 *
 * @throws when one is answered with anything but 202, or 503 with Retry-After.
 */
async function offer(
  rig: Rig,
  votes: readonly Vote[],
  prepared: readonly Uint8Array[],
  perSecond: number,
): Promise<Offered> {
  const pools = new Map<string, Pool>();
  for (const gateway of rig.stack.gateways) pools.set(gateway, await Pool.open(gateway));
  const takenMs: number[] = [];
  const refusedMs: number[] = [];
  const refused: Vote[] = [];
  const fromMs = performance.now();
  const sendOne = async (vote: Vote, request: Uint8Array, dueMs: number) => {
    const answer = await pools.get(rig.gatewayOf(vote.station))!.ask(request);
    const tookMs = performance.now() - dueMs;
    if (isTaken(answer)) takenMs.push(tookMs);
    else {
      refusedMs.push(tookMs);
      refused.push(vote);
    }
  };
  const sending: Promise<void>[] = [];
  const failures: unknown[] = [];
  for (const [i, vote] of votes.entries()) {
    const dueMs = fromMs + 1_000 * i / perSecond;
    const aheadMs = dueMs - performance.now();
    if (aheadMs > 1) await delay(aheadMs);
    sending.push(sendOne(vote, prepared[i]!, dueMs).catch((error) => void failures.push(error)));
  }
  await Promise.all(sending);
  if (failures.length > 0) throw failures[0];
  const seconds = (performance.now() - fromMs) / 1_000;
  for (const pool of pools.values()) pool.close();
  return { seconds, takenMs, refusedMs, refused };
}

/** A question that makes a connection one that has been used: a new one must send a request within seconds. */
const GREETING = utf8("GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");

/** Connections to one gateway, opened before votes come: gateways' are kept open, and thousands at once would wait for each other. */
class Pool {
  readonly #loads: readonly HttpLoad[];
  readonly #idle: Connection[];
  readonly #waiting: ((connection: Connection) => void)[] = [];

  private constructor(loads: readonly HttpLoad[]) {
    this.#loads = loads;
    this.#idle = loads.flatMap(({ connections }) => connections);
  }

  static async open(gateway: string): Promise<Pool> {
    const loads: HttpLoad[] = [];
    for (let opened = 0; opened < CONNECTIONS.offered; opened += OPENED_AT_ONCE) {
      const load = await HttpLoad.connect(gateway, OPENED_AT_ONCE);
      await Promise.all(load.connections.map((connection) => connection.ask(GREETING)));
      loads.push(load);
    }
    return new Pool(loads);
  }

  /** Sends a request over a connection of its own, and reads its answer. */
  async ask(request: Uint8Array): Promise<Answer> {
    const connection = this.#idle.pop() ??
      await new Promise<Connection>((resolve) => this.#waiting.push(resolve));
    const answer = await connection.ask(request, true);
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(connection);
    else next(connection);
    return answer;
  }

  close(): void {
    for (const load of this.#loads) load.close();
  }
}

/** Sends refused votes again until all are taken: each connection waits as long as the gateway asks it to. */
async function sendAgain(rig: Rig, refused: readonly Vote[]): Promise<void> {
  if (refused.length === 0) return;
  const lines = await connectAll(rig, CONNECTIONS.again);
  const deadlineMs = performance.now() + TAKEN_WITHIN_MS;
  const send = async (connection: Connection, vote: Vote) => {
    while (performance.now() < deadlineMs) {
      const request = voteRequest(vote, rig.signers.get(vote.station)!);
      const answer = await connection.ask(request, true);
      if (isTaken(answer)) return;
      await delay(Math.max(SHORTEST_RETRY_MS, 1_000 * answer.retryAfterS!));
    }
    throw new Error(`Votes are still refused after ${TAKEN_WITHIN_MS / 1_000} s`);
  };
  await Promise.all(
    lines.entries().flatMap(([gateway, { connections }]) => {
      const own = refused.filter(({ station }) => rig.gatewayOf(station) === gateway).values();
      return connections.map(async (connection) => {
        for (const vote of own) await send(connection, vote);
      });
    }),
  );
  for (const load of lines.values()) load.close();
}

async function connectAll({ stack }: Rig, connections: number): Promise<Map<string, HttpLoad>> {
  const lines = new Map<string, HttpLoad>();
  for (const gateway of stack.gateways) lines.set(gateway, await HttpLoad.connect(gateway, connections));
  return lines;
}

/** Whether a vote was taken. @throws unless it was, or was refused for now */
function isTaken({ status, retryAfterS, body }: Answer): boolean {
  if (status === 202) return true;
  if (status === 503 && retryAfterS !== undefined) return false;
  const said = fromUtf8(body);
  throw new Error(`A vote was answered with ${status}, Retry-After ${retryAfterS ?? "missing"}: ${said}`);
}

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
