/**
 * Votes at a steady rate on real servers: how long each took until pages had it, and whether the memory of any process
 * grows meanwhile.
 *
 * @module
 */
import { Flink } from "./flink.ts";
import { latencyRow } from "./latency.ts";
import { type Bench, type Benchmark, median, type Row } from "./measure.ts";
import { memoryOfEach, processesOf } from "./processes.ts";
import { type RealServers, realServers } from "./real_servers.ts";
import { buildRig, pace, type Rig, untilCounted } from "./rig.ts";

const STATIONS = 500;
const GATEWAYS = 2;
const AGGREGATORS = 2;
/** Connections to each gateway. */
const CONNECTIONS = 32;
/** Votes a second of each benchmark, and for how many minutes. */
const LATENCY = { perSecond: 1_000, minutes: 1 };
const SOAK = {
  perSecond: Number(Deno.env.get("SOAK_PER_SECOND") || 500),
  minutes: Number(Deno.env.get("SOAK_MINUTES") || 10),
};
/** How often memory is looked at, in milliseconds. */
const POLL_EVERY_MS = 5_000;
/** Minutes that are compared: processes have warmed up by the first, and the last are those at the end. */
const EARLY = { from: 2, until: 4 };
const LATE = { from: SOAK.minutes - 2, until: SOAK.minutes };
/** Early memory in parts of late memory: what is less grows. */
const GOAL = { value: 0.9 };
const MIB = 1_024 * 1_024;
const WHERE = `${GATEWAYS} gateways, ${AGGREGATORS} aggregators, index`;

/** How long a vote takes. */
export const latency: Benchmark = {
  name: "latency",
  work: `single votes from POST to page, ${LATENCY.perSecond.toLocaleString("en")} a second: ${WHERE}`,
  on: "servers",
  async run(bench) {
    const real = await realServers(bench, "latency", { index: true });
    const rig = await build(bench, real, "latency", LATENCY);
    const row = await paced(rig, LATENCY);
    await rig.stack.stop();
    return bench.flink ? [row, await flinkRow(bench, real)] : [row];
  },
};

/** How long votes at the same rate take Flink SQL until its totals have them. */
async function flinkRow(bench: Bench, real: RealServers): Promise<Row> {
  const flink = await Flink.prepare(bench, real, "latency");
  const { perSecond, minutes } = LATENCY;
  const tookMs = await flink.pace(perSecond, minutes * 60 * perSecond);
  return latencyRow("latency of Flink SQL, Kafka to PostgreSQL", perSecond, [tookMs]);
}

/** What ten minutes do to the processes, or `SOAK_MINUTES` at `SOAK_PER_SECOND`. */
export const soak: Benchmark = {
  name: "soak",
  work: `the same for ${SOAK.minutes} minutes, ${SOAK.perSecond} a second, and the memory of each process`,
  on: "servers",
  async run(bench) {
    const real = await realServers(bench, "soak", { index: true });
    const rig = await build(bench, real, "soak", SOAK);
    const memory = new Memory(rig);
    const row = await paced(rig, SOAK);
    memory.stop();
    await rig.stack.stop();
    return [row, ...memory.rows()];
  },
};

async function build(
  bench: Bench,
  { servers }: RealServers,
  name: string,
  { perSecond, minutes }: typeof SOAK,
): Promise<Rig> {
  const size = { voters: minutes * 60 * perSecond, stations: STATIONS, gateways: GATEWAYS };
  return await buildRig(bench, name, size, { servers, aggregators: AGGREGATORS });
}

async function paced(rig: Rig, { perSecond, minutes }: typeof SOAK): Promise<Row> {
  const count = minutes * 60 * perSecond;
  const tookMs = await pace(rig, { from: 0, count, perSecond, connections: CONNECTIONS });
  await untilCounted(rig, count);
  return latencyRow(rig.name, perSecond, tookMs);
}

/** Looks at the memory of every process of a rig, and of the servers that are found, until it is stopped. */
class Memory {
  readonly #rig: Rig;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #fromMs = performance.now();
  /** For each process: minutes since the beginning, and bytes. */
  readonly #looks = new Map<string, { minute: number; bytes: number }[]>();

  constructor(rig: Rig) {
    this.#rig = rig;
    this.#timer = setInterval(() => void this.#poll(), POLL_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  rows(): Row[] {
    return this.#looks.entries().map(([name, looks]): Row => {
      const within = ({ from, until }: typeof EARLY) =>
        median(looks.filter(({ minute }) => minute >= from && minute < until).map(({ bytes }) => bytes));
      const [early, late] = [within(EARLY), within(LATE)];
      const most = Math.max(...looks.map(({ bytes }) => bytes));
      const mib = (bytes: number) => Math.round(bytes / MIB);
      return {
        benchmark: "soak",
        of: `memory of ${name}`,
        value: early / late,
        unit: "early/late",
        goal: GOAL,
        notes: `${mib(early)} MiB in minutes ${EARLY.from} to ${EARLY.until}, ${
          mib(late)
        } in ${LATE.from} to ${LATE.until}, ${mib(most)} at most`,
      };
    }).toArray();
  }

  async #poll(): Promise<void> {
    const minute = (performance.now() - this.#fromMs) / 60_000;
    const { stack, bench } = this.#rig;
    for (const [name, bytes] of await memoryOfEach(await processesOf(stack, bench))) {
      if (!this.#looks.has(name)) this.#looks.set(name, []);
      this.#looks.get(name)!.push({ minute, bytes });
    }
  }
}
