/**
 * Ten minutes of votes at a steady rate on real servers: how long each took until pages had it, and whether the memory
 * of any process grows.
 *
 * @module
 */
import { latencyRow } from "./latency.ts";
import { type Benchmark, median, type Row } from "./measure.ts";
import { memoryOfEach, processesOf } from "./processes.ts";
import { realServers } from "./real_servers.ts";
import { buildRig, pace, type Rig, untilCounted } from "./rig.ts";

const STATIONS = 1_000;
const GATEWAYS = 2;
const AGGREGATORS = 2;
/** Votes a second, over so many connections to each gateway. */
const PER_SECOND = 1_000;
const CONNECTIONS = 32;
const MINUTES = Number(Deno.env.get("MINUTES") ?? 10);
/** How often memory is looked at, in milliseconds. */
const LOOK_EVERY_MS = 5_000;
/** Minutes that are held against one another: processes have warmed up by the first, and the last are the last. */
const EARLY = { from: 0, until: 4 };
const LATE = { from: MINUTES - 2, until: MINUTES };
/** Early memory in parts of late memory: what is less grows. */
const GOAL = { value: 0.9 };
const MIB = 1_024 * 1_024;

/** See the module. */
export const soak: Benchmark = {
  name: "soak",
  work:
    `${MINUTES} minutes of single votes: ${GATEWAYS} gateways, ${AGGREGATORS} aggregators, index; POST to page, and the memory of each process`,
  on: "servers",
  async run(bench) {
    const { servers } = await realServers(bench, "soak", { index: true });
    const votes = MINUTES * 60 * PER_SECOND;
    const rig = await buildRig(bench, "soak", { voters: votes, stations: STATIONS, gateways: GATEWAYS }, {
      servers,
      aggregators: AGGREGATORS,
    });
    const memory = new Memory(rig);
    const tookMs = await pace(rig, {
      from: 0,
      count: votes,
      perSecond: PER_SECOND,
      connections: CONNECTIONS,
    });
    memory.stop();
    await untilCounted(rig, votes);
    await rig.stack.stop();
    return [latencyRow("soak", PER_SECOND, tookMs), ...memory.rows()];
  },
};

/** Looks at the memory of every process of a rig, and of the servers that are found, until it is stopped. */
class Memory {
  readonly #rig: Rig;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #fromMs = performance.now();
  /** Of each process: minutes since the beginning, and bytes. */
  readonly #looks = new Map<string, { minute: number; bytes: number }[]>();

  constructor(rig: Rig) {
    this.#rig = rig;
    this.#timer = setInterval(() => void this.#look(), LOOK_EVERY_MS);
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
        } in ${LATE.from} to ${LATE.until}, ${mib(most)} at the most`,
      };
    }).toArray();
  }

  async #look(): Promise<void> {
    const minute = (performance.now() - this.#fromMs) / 60_000;
    const { stack, bench } = this.#rig;
    for (const [name, bytes] of await memoryOfEach(await processesOf(stack, bench))) {
      if (!this.#looks.has(name)) this.#looks.set(name, []);
      this.#looks.get(name)!.push({ minute, bytes });
    }
  }
}
