/**
 * Measures, and says how near each part comes to what the machine can do.
 *
 * @module
 */
import { Argument } from "commander";
import { command, runProgram } from "../cli/command.ts";
import { machine } from "./machine.ts";
import { type Bench, type Benchmark, isMet, type Row, table } from "./measure.ts";
import { count } from "./count.ts";
import { country } from "./country.ts";
import { crypto } from "./crypto.ts";
import { kafka } from "./kafka.ts";
import { fsync } from "./fsync.ts";
import { path } from "./path.ts";
import { spool } from "./spool.ts";
import { batch, single } from "./taking.ts";

const BENCHMARKS: readonly Benchmark[] = [single, batch, spool, fsync, crypto, count, path, country, kafka];

/** Runs benchmarks one after another, and prints what they came to. */
async function measure(
  names: readonly string[],
  { json, database }: { json?: string; database?: string },
): Promise<void> {
  const chosen = BENCHMARKS.filter(({ name, needsServers }) =>
    names.length === 0 ? needsServers === undefined : names.includes(name)
  );
  const directory = await Deno.makeTempDir({ prefix: "pollwire-bench-" });
  const cleanings: (() => Promise<unknown>)[] = [];
  const bench: Bench = {
    directory,
    database,
    say: console.error,
    atEnd: (clean) => void cleanings.unshift(clean),
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
    for (const clean of cleanings) await clean();
    await Deno.remove(directory, { recursive: true });
  }
  const [loadAtEnd] = Deno.loadavg();
  console.log(`${before.text}\nload average at the end: ${loadAtEnd.toFixed(1)}\n\n${table(rows)}`);
  if (json === undefined) return;
  const report = { machine: before, loadAtEnd, rows: rows.map((row) => ({ ...row, met: isMet(row) })) };
  await Deno.writeTextFile(json, `${JSON.stringify(report, null, 2)}\n`);
}

const names = BENCHMARKS.map(({ name }) => name);

if (import.meta.main) {
  const bench = command("bench", "Measures each part against its floor, in the same run.")
    .addArgument(
      new Argument("[name...]", "which of those below; all that need no server when left out").choices(names),
    )
    .option("--json <file>", "write the figures there, too")
    .option("--database <url>", "postgres://…: count there (a superuser's; a database is made and dropped)")
    .addHelpText(
      "after",
      `\n${BENCHMARKS.map(({ name, work }) => `  ${name.padEnd(10)} ${work}`).join("\n")}`,
    )
    .action(measure);
  Deno.exit(await runProgram(bench));
}
