/**
 * Measures, and says how near each part comes to what the machine can do.
 *
 * @module
 */
import { dirname, resolve } from "node:path";
import { Argument } from "commander";
import { command, integerOption, runProgram, UsageError } from "../cli/command.ts";
import { readServers } from "../simulator/processes/servers.ts";
import { machine } from "./machine.ts";
import { type Bench, type Benchmark, isMet, type Row, table } from "./measure.ts";
import { backlog } from "./backlog_kafka.ts";
import { count } from "./count.ts";
import { counted } from "./counted.ts";
import { country } from "./country.ts";
import { crowd } from "./crowd.ts";
import { crypto } from "./crypto.ts";
import { kafka } from "./kafka.ts";
import { databaseBytes } from "./database_bytes.ts";
import { fsync } from "./fsync.ts";
import { held } from "./held.ts";
import { history } from "./history.ts";
import { kafkaProducer } from "./kafka_producer.ts";
import { overload, overloadEmbedded } from "./overload.ts";
import { page } from "./page.ts";
import { path } from "./path.ts";
import { recount } from "./recount.ts";
import { rolls } from "./rolls.ts";
import { latency, soak } from "./soak.ts";
import { ownServers, spark } from "./spark.ts";
import { spool } from "./spool.ts";
import { streams } from "./streams.ts";
import { sync } from "./sync.ts";
import { batch, single } from "./taking.ts";
import { wall } from "./wall.ts";

const EMBEDDED = [
  single,
  batch,
  spool,
  held,
  fsync,
  crypto,
  count,
  recount,
  path,
  country,
  crowd,
  streams,
  page,
  wall,
  databaseBytes,
  history,
  sync,
];
const ON_SERVERS = [counted, latency, overload, kafka, kafkaProducer, backlog, rolls, soak];
/** Measured when asked for: Spark needs a JDK 17, Maven and Python besides, and overload takes minutes. */
const BENCHMARKS: readonly Benchmark[] = [...EMBEDDED, ...ON_SERVERS, overloadEmbedded, spark];

/** Those that were named; all that can be run when none was. */
function chosenOf(names: readonly string[], stack: string | undefined): readonly Benchmark[] {
  if (names.length === 0) return stack === undefined ? EMBEDDED : ON_SERVERS;
  const chosen = BENCHMARKS.filter(({ name }) => names.includes(name));
  const lacking = chosen.find(({ on }) => on === "servers" && stack === undefined);
  if (lacking === undefined) return chosen;
  throw new UsageError(
    `Cannot measure ${lacking.name}: it needs real servers, which --stack must name: start them with \`stack up\``,
  );
}

type Options = Readonly<{
  json?: string;
  stack?: string;
  base?: string;
  flink?: boolean;
  spark?: boolean;
  records?: number;
}>;

/** Runs benchmarks one after another, and prints what they came to. */
async function measure(
  names: readonly string[],
  { json, stack, base, flink = false, spark: isSpark = false, records }: Options,
): Promise<void> {
  const chosen = isSpark ? [spark] : chosenOf(names, stack);
  const directory = await Deno.makeTempDir({ prefix: "pollwire-bench-" });
  const cleanings: (() => Promise<unknown>)[] = [];
  const atEnd = (clean: () => Promise<unknown>) => void cleanings.unshift(clean);
  const own = stack === undefined && isSpark ? await ownServers({ atEnd, directory }) : undefined;
  const bench: Bench = {
    directory,
    run: globalThis.crypto.getRandomValues(new Uint8Array(3)).toHex(),
    servers: stack === undefined
      ? own
      : { ...readServers(stack), file: resolve(stack), directory: dirname(resolve(stack)) },
    log: console.error,
    base: base === undefined ? undefined : resolve(base),
    flink,
    records,
    atEnd,
  };
  const before = machine(directory);
  const rows: Row[] = [];
  console.error(before.text);
  try {
    for (const benchmark of chosen) {
      console.error(`${benchmark.name}: ${benchmark.work}`);
      const found = await benchmark.run(bench);
      rows.push(...found);
      console.error(`${table(found)}\n`);
    }
  } finally {
    for (const clean of cleanings) await clean().catch((error) => console.error(`not cleaned up: ${error}`));
    await Deno.remove(directory, { recursive: true });
  }
  const [loadAtEnd = 0] = Deno.loadavg();
  console.log(`${before.text}\nload average at the end: ${loadAtEnd.toFixed(1)}\n\n${table(rows)}`);
  if (json === undefined) return;
  const report = { machine: before, loadAtEnd, rows: rows.map((row) => ({ ...row, met: isMet(row) })) };
  await Deno.writeTextFile(json, `${JSON.stringify(report, null, 2)}\n`);
}

const names = BENCHMARKS.map(({ name }) => name);

if (import.meta.main) {
  const bench = command("bench", "Measures each part against its floor, in the same run.")
    .addArgument(
      new Argument(
        "[name...]",
        "which of those below; when left out all on servers with --stack, and all others without",
      ).choices(names),
    )
    .option("--json <file>", "write the figures there, too")
    .option(
      "--stack <file>",
      "real servers: the file `env` that `stack up` wrote. Databases and topics are made and dropped",
    )
    .option(
      "--base <directory>",
      "a checkout of another commit, which `sync` and `counted` measure in the same run",
    )
    .option(
      "--flink",
      "measure Apache Flink SQL, too, which counts plain JSON votes on the same servers, with `backlog` and `latency`",
    )
    .option(
      "--spark",
      "measure the streaming recount on Spark beside the aggregator, and nothing else; on servers of its own without --stack",
    )
    .addOption(
      integerOption("--records <number>", "of the backlog, with --spark (default: 1000000)", {
        min: 1_000,
        max: 10_000_000,
      }),
    )
    .addHelpText(
      "after",
      `\n${BENCHMARKS.map(({ name, work }) => `  ${name.padEnd(10)} ${work}`).join("\n")}`,
    )
    .action(measure);
  Deno.exit(await runProgram(bench));
}
