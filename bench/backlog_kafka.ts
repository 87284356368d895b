/**
 * A backlog on Kafka, counted into PostgreSQL by aggregators as they run in production, against `\\copy` of the
 * participations that come of it.
 *
 * @module
 */
import { countGroup } from "../aggregator/counting/positions.ts";
import { systemClock } from "../device/clock.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { PollwireProcesses } from "../simulator/processes/pollwire.ts";
import { removeTopic, withAdmin } from "../tests/stack/topics.ts";
import { type BacklogElection, empty, makeElection } from "./backlog.ts";
import { type Bench, type Benchmark, perSecond, type Row } from "./measure.ts";
import { copyLine, copyParticipations } from "./psql.ts";
import { Flink } from "./flink.ts";
import { processesOf, processorMsOfEach, processorUsAVote, spellProcessor } from "./processes.ts";
import { openOwnLog, type RealServers, realServers } from "./real_servers.ts";
import { readReconciliation } from "./rig.ts";
import { until } from "./servers.ts";

const RECORDS = Number(Deno.env.get("BACKLOG_RECORDS") || 1_000_000);
/** Records of an entry: alone, and as many as a gateway under load seals together. */
const ENTRY_RECORDS = [1, 8] as const;
const APPEND_ENTRIES = 5_000;
const GOAL = { ratio: 0.3 };
const FLINK_GOAL = { ratio: 1 };
/** Aggregators that share the partitions. */
const AGGREGATORS = [1, 2] as const;
/** How long the backlog may take, and how often the reconciliation is looked at, in milliseconds. */
const COUNTED_WITHIN_MS = 600_000;
const POLL_EVERY_MS = 250;

type Scene = Readonly<
  { bench: Bench; real: RealServers; election: string; copyFile: string; recordsEach: number }
>;

/** See the module. */
export const backlog: Benchmark = {
  name: "backlog",
  work: `${
    RECORDS.toLocaleString("en")
  } records on Kafka counted into PostgreSQL, 5 % duplicates, 12 partitions; floor: \\copy of the participations`,
  on: "servers",
  async run(bench) {
    const real = await realServers(bench, "backlog", { connections: 2, index: false });
    bench.log(`backlog: ${RECORDS.toLocaleString("en")} voters and their votes are made`);
    const made = await makeElection(real.db, `bench-backlog-${bench.run}`, RECORDS);
    const rows: Row[] = [];
    let scene: Scene | undefined;
    for (const recordsEach of ENTRY_RECORDS) {
      if (scene !== undefined) await removeTopic(real.kafka, scene.election);
      scene = await fillLog(bench, real, made, recordsEach);
      for (const aggregators of AGGREGATORS) rows.push(await row(scene, aggregators));
    }
    if (bench.flink) rows.push(await flinkRow(scene!, Math.max(...rows.map(({ value }) => value))));
    return rows;
  },
};

/** The fastest of ours against Flink SQL. */
async function flinkRow({ bench, real }: Scene, value: number): Promise<Row> {
  const flink = await Flink.prepare(bench, real, "backlog");
  const { perSecond, processorUs, firstTotalMs, bytes } = await flink.backlog(RECORDS);
  return {
    benchmark: "backlog",
    of: "the faster of these against Flink SQL, which counts plain JSON",
    value,
    floor: perSecond,
    ratio: value / perSecond,
    unit: "votes/s",
    goal: FLINK_GOAL,
    notes: `Flink: ${spellProcessor(processorUs)}; first total after ${
      (firstTotalMs / 1_000).toFixed(1)
    } s; ${Math.round(bytes / 1_024 / 1_024)} MiB`,
  };
}

/** Appends the records, and writes the participations as COPY reads them. */
async function fillLog(
  bench: Bench,
  real: RealServers,
  { history, entries }: BacklogElection,
  recordsEach: number,
): Promise<Scene> {
  const { election, partitions } = history;
  const log = await openOwnLog(bench, real, election, partitions);
  const copyFile = `${bench.directory}/backlog/participations`;
  using file = await Deno.open(copyFile, { create: true, write: true, truncate: true });
  const writer = file.writable.getWriter();
  let waiting: PlacedRecord[] = [];
  let lines: string[] = [];
  const flush = async () => {
    await log.append(waiting);
    await writer.write(new TextEncoder().encode(lines.join("")));
    waiting = [];
    lines = [];
  };
  for (const { entry, participations } of entries(recordsEach)) {
    waiting.push(entry);
    for (const each of participations) if (!each.isDuplicate) lines.push(copyLine(election, each));
    if (waiting.length === APPEND_ENTRIES) await flush();
  }
  await flush();
  await log.close();
  return { bench, real, election, copyFile, recordsEach };
}

async function row(scene: Scene, aggregators: number): Promise<Row> {
  const { bench, real: { db, target } } = scene;
  await empty(db);
  await db.query("CHECKPOINT");
  const floor = await perSecond(RECORDS, () => copyParticipations(target, scene.copyFile));
  await empty(db);
  await db.query("CHECKPOINT");
  const { value, notes } = await count(scene, aggregators);
  const of = `${aggregators} aggregator${
    aggregators === 1 ? "" : "s"
  }, ${scene.recordsEach} records an entry`;
  bench.log(`backlog: ${of}: ${Math.round(value)} votes/s, and ${Math.round(floor)} copied`);
  return {
    benchmark: "backlog",
    of,
    value,
    floor,
    ratio: value / floor,
    unit: "votes/s",
    goal: GOAL,
    notes,
  };
}

/** Counts the whole backlog, from the first reconciliation that says something was read. */
async function count(
  { bench, real, election }: Scene,
  aggregators: number,
): Promise<{ value: number; notes: string }> {
  const stack = new PollwireProcesses({
    dataDir: `${bench.directory}/backlog`,
    gateways: [],
    aggregators,
    servers: real.servers,
    clock: systemClock,
  });
  try {
    await stack.start();
    const before = await processorMsOfEach(await processesOf(stack, bench));
    let first: { ms: number; read: number } | undefined;
    let read = 0;
    await until(
      async () => {
        read = (await readReconciliation(stack.aggregator, election)).read;
        if (read > 0) first ??= { ms: performance.now(), read };
        return read >= RECORDS;
      },
      "The backlog is not counted",
      COUNTED_WITHIN_MS,
      POLL_EVERY_MS,
    );
    const seconds = (performance.now() - first!.ms) / 1_000;
    const after = await processorMsOfEach(await processesOf(stack, bench));
    const spent = spellProcessor(processorUsAVote(before, after, read));
    const memory = stack.peaks().map(({ bytes }) => `${Math.round(bytes / 1_024 / 1_024)} MiB`);
    return {
      value: (read - first!.read) / seconds,
      notes: `${seconds.toFixed(1)} s; ${spent}; memory at the most ${memory.join(" and ")}`,
    };
  } finally {
    await stack.stop();
    // The log remembers how far counting had come, and of an emptied database it would be said that it is too old.
    await withAdmin(real.kafka, (admin) => admin.deleteGroups([countGroup(election)]));
  }
}
