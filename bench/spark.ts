/**
 * The streaming recount on Spark beside the aggregator: the same backlog on Kafka, counted by one after the other into the same PostgreSQL,
 * then votes at a steady rate, counted by both.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Database } from "../aggregator/database/database.ts";
import { memoryOf } from "../deploy/local/processes.ts";
import { systemClock } from "../device/clock.ts";
import type { KafkaLog } from "../shared/log/kafka.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { PollwireProcesses } from "../simulator/processes/pollwire.ts";
import { startBroker } from "../tests/stack/broker.ts";
import { startCluster } from "../tests/stack/cluster.ts";
import { makeElection } from "./backlog.ts";
import { type Bench, type Benchmark, median, quantile, type Row } from "./measure.ts";
import { type NamedProcess, processorMsOfEach } from "./processes.ts";
import { openOwnLog, type RealServers, realServers } from "./real_servers.ts";
import { until } from "./servers.ts";

/** Records of the backlog when the command does not say. */
const RECORDS = 1_000_000;
/** Votes at a steady rate: a second, and for how many seconds. */
const PACED = { perSecond: 1_000, seconds: 20 };
const APPEND_ENTRIES = 5_000;
/** Batches of the backlog on Spark. */
const BATCHES = 10;
const INTERVAL_S = 1;
const MEMORY = "2g";
/** Timeouts in milliseconds: of Spark's environment, which may have to be fetched; of the backlog; of votes at a steady rate. */
const PREPARE_MS = 900_000;
const COUNTED_WITHIN_MS = 1_800_000;
const PACED_WITHIN_MS = 300_000;
/** Intervals in milliseconds. */
const POLL_EVERY_MS = 100;
const MEMORY_EVERY_MS = 1_000;
const POLL_PACED_EVERY_MS = 20;
const SEND_EVERY_MS = 10;
const SHOWN_CHARS = 2_000;
const MIB = 1_024 * 1_024;
const SCRIPT = new URL("../deploy/spark/recount.sh", import.meta.url).pathname;

/** What a backlog took. `perSecond` and `processorUs`, of processor a record, are of what came after the first total. */
type Taken = Readonly<{ perSecond: number; firstTotalMs: number; processorUs: number; bytes: number }>;

/** See the module. */
export const spark: Benchmark = {
  name: "spark",
  work: `a backlog on Kafka counted by an aggregator and by the streaming recount on Spark, then ${
    PACED.perSecond.toLocaleString("en")
  } votes/s by both; floor: the aggregator`,
  on: "servers",
  async run(bench) {
    const records = bench.records ?? RECORDS;
    const paced = PACED.perSecond * PACED.seconds;
    const real = await realServers(bench, "spark", { connections: 2, index: false });
    bench.log(`spark: ${records.toLocaleString("en")} voters and their votes are made`);
    const { history, entries } = await makeElection(real.db, `bench-spark-${bench.run}`, records + paced);
    const { election, partitions } = history;
    const log = await openOwnLog(bench, real, election, partitions);
    bench.atEnd(() => log.close());
    const waiting = await fill(log, entries(), records);

    const aggregator = await startAggregator(bench, real, records);
    const recount = await startSpark(bench, real, election, records);
    const [ofAggregator, ofSpark] = await pace(log, real.db, waiting, records);
    const different = await real.db.query("SELECT line FROM recount.differences LIMIT 5");
    if (different.length > 0) throw new Error(`The counts differ: ${JSON.stringify(different)}`);
    return rows(aggregator, recount, ofAggregator!, ofSpark!);
  },
};

/** Servers for a run that `--stack` names none for, removed when it ends. */
export async function ownServers(
  bench: Pick<Bench, "atEnd" | "directory">,
): Promise<NonNullable<Bench["servers"]>> {
  const broker = await startBroker();
  bench.atEnd(() => broker.remove());
  const cluster = await startCluster();
  bench.atEnd(() => cluster.remove());
  const aggregators = { DATABASE_URL: cluster.url(), VOTE_LOG: `kafka://${broker.address}` };
  return { aggregators, gateways: { VOTE_LOG: aggregators.VOTE_LOG }, directory: bench.directory };
}

/** Appends the backlog, and returns the records that are left for the steady rate. */
async function fill(
  log: KafkaLog,
  entries: ReturnType<Awaited<ReturnType<typeof makeElection>>["entries"]>,
  records: number,
): Promise<PlacedRecord[]> {
  const left: PlacedRecord[] = [];
  let waiting: PlacedRecord[] = [];
  let made = 0;
  for (const { entry } of entries) {
    if (made++ >= records) {
      left.push(entry);
      continue;
    }
    waiting.push(entry);
    if (waiting.length < APPEND_ENTRIES && made < records) continue;
    await log.append(waiting);
    waiting = [];
  }
  return left;
}

/** Counts the backlog with an aggregator, which counts on until the run ends. */
async function startAggregator(bench: Bench, real: RealServers, records: number): Promise<Taken> {
  const stack = new PollwireProcesses({
    dataDir: `${bench.directory}/spark`,
    gateways: [],
    aggregators: 1,
    servers: real.servers,
    clock: systemClock,
  });
  bench.atEnd(() => stack.stop());
  const fromMs = performance.now();
  await stack.start();
  const running = stack.running;
  const taken = await backlog(records, fromMs, running, () => readOf(real.db, "counting.log_positions"));
  const bytes = Math.max(...stack.peaks().map(({ bytes }) => bytes));
  bench.log(`spark: the aggregator counted ${Math.round(taken.perSecond)} votes/s`);
  return { ...taken, bytes };
}

/** Counts the backlog with Spark, which counts on until the run ends. */
async function startSpark(
  bench: Bench,
  real: RealServers,
  election: string,
  records: number,
): Promise<Taken> {
  const prepared = await new Deno.Command(SCRIPT, {
    args: ["--prepare"],
    signal: AbortSignal.timeout(PREPARE_MS),
  }).output();
  if (!prepared.success) throw new Error(new TextDecoder().decode(prepared.stderr));
  const file = `${bench.directory}/spark/log`;
  const args = ["--stream", "--election", election, "--memory", MEMORY, "--interval", `${INTERVAL_S}`];
  const fromMs = performance.now();
  const child = new Deno.Command("sh", {
    args: ["-c", 'exec "$@" >"$0" 2>&1', file, SCRIPT, ...args, "--batch", `${Math.ceil(records / BATCHES)}`],
    env: { ...real.servers.aggregators, POLLWIRE_DATA: `${bench.directory}/spark` },
    stdin: "null",
  }).spawn();
  let isEnded = false;
  const ended = child.status.then(() => isEnded = true);
  bench.atEnd(async () => {
    if (!isEnded) child.kill("SIGTERM");
    await ended;
  });
  let [bytes, memoryAtMs] = [0, 0];
  const taken = await backlog(records, fromMs, [{ name: "spark", pid: child.pid }], async () => {
    if (isEnded) throw new Error(`Spark has ended: ${(await Deno.readTextFile(file)).slice(-SHOWN_CHARS)}`);
    if (performance.now() >= memoryAtMs) {
      memoryAtMs = performance.now() + MEMORY_EVERY_MS;
      bytes = Math.max(bytes, (await memoryOf(child.pid)).bytes);
    }
    return await readOf(real.db, "recount.positions");
  });
  bench.log(`spark: Spark counted ${Math.round(taken.perSecond)} votes/s`);
  return { ...taken, bytes };
}

async function readOf(db: Database, positions: string): Promise<number> {
  const [row] = await db.query<{ read: number }>(
    `SELECT coalesce(sum(records_read), 0)::float8 AS read FROM ${positions}`,
  );
  return row!.read;
}

/** Waits until the backlog is counted. */
async function backlog(
  records: number,
  fromMs: number,
  processes: readonly NamedProcess[],
  read: () => Promise<number>,
): Promise<Omit<Taken, "bytes">> {
  const processorMs = async () =>
    (await processorMsOfEach(processes)).values().reduce((sum, ms) => sum + ms, 0);
  let first: { ms: number; read: number; processorMs: number } | undefined;
  let now = 0;
  await until(
    async () => {
      now = await read();
      if (now > 0) first ??= { ms: performance.now(), read: now, processorMs: await processorMs() };
      return now >= records;
    },
    "The backlog is not counted",
    COUNTED_WITHIN_MS,
    POLL_EVERY_MS,
  );
  const seconds = (performance.now() - first!.ms) / 1_000;
  const counted = now - first!.read;
  return {
    perSecond: counted / seconds,
    firstTotalMs: first!.ms - fromMs,
    processorUs: 1_000 * (await processorMs() - first!.processorMs) / counted,
  };
}

/** Appends votes at the steady rate. Returns what each took from when it was due until each of the two had counted it. */
async function pace(
  log: KafkaLog,
  db: Database,
  votes: readonly PlacedRecord[],
  before: number,
): Promise<number[][]> {
  const fromMs = performance.now();
  const due = (n: number) => fromMs + n * 1_000 / PACED.perSecond;
  const sending = (async () => {
    for (let n = 0; n < votes.length;) {
      const upTo = Math.min(
        votes.length,
        Math.floor((performance.now() - fromMs) * PACED.perSecond / 1_000),
      );
      if (upTo > n) await log.append(votes.slice(n, upTo));
      n = upTo;
      await delay(SEND_EVERY_MS);
    }
  })();
  const counts = ["counting.log_positions", "recount.positions"].map((table) => ({
    table,
    tookMs: [] as number[],
  }));
  await until(
    async () => {
      for (const { table, tookMs } of counts) {
        const counted = await readOf(db, table) - before;
        const nowMs = performance.now();
        while (tookMs.length < counted) tookMs.push(nowMs - due(tookMs.length));
      }
      return counts.every(({ tookMs }) => tookMs.length >= votes.length);
    },
    "The votes at a steady rate are not counted",
    PACED_WITHIN_MS,
    POLL_PACED_EVERY_MS,
  );
  await sending;
  return counts.map(({ tookMs }) => tookMs);
}

/** Ratios are Spark's figure in parts of the aggregator's: above 1 is better for Spark in rows of votes, worse in all others. */
function rows(
  aggregator: Taken,
  recount: Taken,
  ofAggregator: readonly number[],
  ofSpark: readonly number[],
): Row[] {
  const row = (of: string, unit: string, value: number, floor: number, notes?: string): Row => ({
    benchmark: "spark",
    of,
    value,
    floor,
    ratio: value / floor,
    unit,
    ...notes !== undefined && { notes },
  });
  const p99 = `p99 ${Math.round(quantile(ofSpark, 0.99))} ms, and ${
    Math.round(quantile(ofAggregator, 0.99))
  } ms`;
  return [
    row("backlog on local[2]", "votes/s", recount.perSecond, aggregator.perSecond),
    row("processor a record", "µs", recount.processorUs, aggregator.processorUs),
    row("first total", "s", recount.firstTotalMs / 1_000, aggregator.firstTotalMs / 1_000),
    row("memory at the most", "MiB", recount.bytes / MIB, aggregator.bytes / MIB),
    row(`latency at ${PACED.perSecond} votes/s, median`, "ms", median(ofSpark), median(ofAggregator), p99),
  ];
}
