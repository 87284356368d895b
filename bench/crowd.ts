/**
 * A prepared log counted into PostgreSQL and published, alone and while a crowd reloads the page. The crowd's answers come
 * from a process of its own, as with `--roles serve`. Counting and PostgreSQL have the first processor, the answering process and the
 * visitors have the others, as they have machines of their own where a crowd comes. On one processor they would only share it.
 * Needs PostgreSQL's programs, and starts a server of its own.
 *
 * @module
 */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { COUNT_BATCH_RECORDS, createCounter } from "../aggregator/counting/count.ts";
import type { Database } from "../aggregator/database/database.ts";
import { publish } from "../aggregator/results/publish.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { MemoryLog } from "../tests/memory_log.ts";
import { type BacklogElection, makeElection } from "./backlog.ts";
import type { Crowd } from "./crowd_visitors.ts";
import { type Benchmark, median, type Row } from "./measure.ts";
import { processorMsOfEach } from "./processes.ts";
import { allProcessors, canPin, pin } from "./processor.ts";
import { startBeside, startServer } from "./servers.ts";
import { ownDatabase } from "./own_database.ts";

/** `CROWD_SLICE_RECORDS=2000 CROWD_VISITORS=100` tries it out in a minute. */
const SLICE_RECORDS = Number(Deno.env.get("CROWD_SLICE_RECORDS") ?? 20_000);
const VISITORS = Number(Deno.env.get("CROWD_VISITORS") ?? 2_500);
const STATIONS = Number(Deno.env.get("CROWD_STATIONS") ?? 3_694);
const CONTESTS = 68;
/** An odd number, so that the median is one that was seen. */
const ROUNDS = 3;
/** How long the crowd comes before counting is measured, in milliseconds: everyone has come once. */
const CROWD_FIRST_MS = 6_000;
const PUBLISH_EVERY_MS = 200;
/** Counting with a crowd, in parts of counting alone. */
const GOAL = { ratio: 1 / 1.15 };

/** See the module. */
export const crowd: Benchmark = {
  name: "crowd",
  work: `records counted and published while ${
    VISITORS.toLocaleString("en")
  } visitors reload every 5 s, ${STATIONS} stations, ${CONTESTS} contests; floor: counted and published without them`,
  on: "embedded",
  async run(bench) {
    const isPinned = await canPin();
    if (!isPinned) bench.log("crowd: without taskset and two processors, counting and the crowd share them");
    const forCount = () => isPinned ? pin("0") : Promise.resolve();
    const forCrowd = () => isPinned ? pin(`1-${navigator.hardwareConcurrency - 1}`) : Promise.resolve();
    await forCount();
    const { db, url } = await ownDatabase(bench);
    const records = SLICE_RECORDS * 2 * (ROUNDS + 1);
    bench.log(`crowd: ${records.toLocaleString("en")} voters and their votes are made`);
    const made = await makeElection(db, `bench-crowd-${bench.run}`, records, {
      stations: STATIONS,
      contests: CONTESTS,
    });
    await db.query("ANALYZE");
    const count = await slices(db, made);
    await forCrowd();
    const origin = await startServer(bench, "./crowd_server.ts", url);
    await forCount();
    const alone: Slice[] = [];
    const beside: Slice[] = [];
    const crowds: Crowd[] = [];
    for (let round = 0; round <= ROUNDS; round++) {
      const floor = await count();
      await forCrowd();
      const visit = startCrowd(origin, made.history.election);
      await forCount();
      await delay(CROWD_FIRST_MS);
      const value = await count();
      const seen = await visit.end();
      bench.log(`crowd: ${spell(floor)} alone, ${spell(value)} beside ${describe(seen)}`);
      if (round === 0) continue;
      alone.push(floor);
      beside.push(value);
      crowds.push(seen);
    }
    if (isPinned) await pin(allProcessors());
    return [rowOf(alone, beside, crowds)];
  },
};

/** How a slice of the log was counted: votes a second, and microseconds of processor a vote in this process and in PostgreSQL. */
type Slice = Readonly<{ rate: number; counting: number; postgresql: number }>;

function spell({ rate, counting, postgresql }: Slice): string {
  return `${Math.round(rate)} votes/s (counting ${Math.round(counting)}, PostgreSQL ${
    Math.round(postgresql)
  } µs a vote)`;
}

function rowOf(alone: readonly Slice[], beside: readonly Slice[], crowds: readonly Crowd[]): Row {
  const ratio = median(beside.map(({ rate }, i) => rate / alone[i]!.rate));
  const work = median(
    beside.map((slice, i) =>
      (slice.counting + slice.postgresql) / (alone[i]!.counting + alone[i]!.postgresql)
    ),
  );
  return {
    benchmark: "crowd",
    of: `${VISITORS.toLocaleString("en")} visitors`,
    value: median(beside.map(({ rate }) => rate)),
    floor: median(alone.map(({ rate }) => rate)),
    ratio,
    unit: "votes/s",
    goal: GOAL,
    notes: `counting takes ${(1 / ratio).toFixed(2)} times as long, and ${
      work.toFixed(2)
    } times the processor in counting and PostgreSQL; page's data ${crowds.map(describe).join(" and ")}`,
  };
}

function describe({ reloads, answers, unchanged, refused, p50Ms, p99Ms, megabytes }: Crowd): string {
  return `${reloads} reloads (${answers} answers, ${unchanged} of them 304, ${refused} refused, ${megabytes} MB), p50 ${
    Math.round(p50Ms)
  } ms, p99 ${Math.round(p99Ms)} ms`;
}

/** Counts and publishes the next slice of the log each time it is called. */
async function slices(db: Database, { history, entries }: BacklogElection): Promise<() => Promise<Slice>> {
  const [postmaster] = await db.query<{ pid: number }>(
    "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int AS pid",
  );
  const processorMs = async () => {
    const { user, system } = process.cpuUsage();
    const servers = await processorMsOfEach([{ name: "postgresql", pid: postmaster!.pid }]);
    return { counting: (user + system) / 1_000, postgresql: servers.get("postgresql")! };
  };
  const log = new MemoryLog(history.partitions);
  const { signal } = new AbortController();
  const counter = createCounter({
    db,
    log,
    history,
    signal,
    wait: () => Promise.reject(new Error("Counting failed")),
    onCounted: () => {},
  });
  const next: number[] = [];
  for (let partition = 0; partition < history.partitions; partition++) {
    next.push(await counter.take(partition));
  }
  const coming = entries();
  return async () => {
    // Not take(): it would end the generator behind the first slice.
    const slice: PlacedRecord[] = [];
    while (slice.length < SLICE_RECORDS) slice.push(coming.next().value!.entry);
    await log.append(slice);
    const counted = new AbortController();
    const publishing = publishUntil(db, history, counted.signal);
    const before = await processorMs();
    const fromMs = performance.now();
    // All partitions together, as an aggregator's log delivers them.
    await Promise.all(
      next.keys().map(async (partition) => {
        for (
          let batch;
          (batch = await log.read(partition, next[partition]!, COUNT_BATCH_RECORDS)).length > 0;
        ) {
          await counter.batch(partition, batch);
          next[partition] = batch.at(-1)!.offset + 1;
        }
      }),
    );
    const rate = slice.length / ((performance.now() - fromMs) / 1_000);
    const after = await processorMs();
    counted.abort();
    await publishing;
    const aVote = (of: keyof typeof after) => 1_000 * (after[of] - before[of]) / slice.length;
    return { rate, counting: aVote("counting"), postgresql: aVote("postgresql") };
  };
}

async function publishUntil(
  db: Database,
  { election, newest }: BacklogElection["history"],
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await publish(db, {
      election,
      threshold: 1,
      beforeFinal: true,
      final: false,
      caughtUp: false,
      regionOf: (station) => newest.stations.get(station)?.region,
      all: false,
    }, new Date());
    await delay(PUBLISH_EVERY_MS, undefined, { signal }).catch(() => {});
  }
}

/** Starts the visitors, in a process of their own; `end` sends them home, and says how they fared. */
function startCrowd(origin: string, election: string): { end(): Promise<Crowd> } {
  return startBeside("./crowd_visitors.ts", origin, election, String(VISITORS));
}
