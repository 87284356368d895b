/**
 * `deno task recount`: counts logs again and compares them with the tables.
 *
 * @module
 */
import type { Command } from "commander";
import { command, Failure, UsageError } from "../../cli/command.ts";
import { progress } from "../../cli/progress.ts";
import { deletedFront, logEnds } from "../../shared/log/vote_log.ts";
import { recount } from "../counting/recount.ts";
import { readGateways, senderKeyLines } from "../counting/sender_keys.ts";
import { type ChosenElections, forElections, openLog } from "./open.ts";
import { recountOnSpark, type SparkOptions } from "./spark.ts";

/** The command. */
export function recountCommand(): Command {
  return command(
    "recount",
    "Counts the whole log of an election again with the pure fold and compares it with the tables; exit code 1 on a difference.",
  )
    .option("--election <id>", "this election; it may be left out where there is no other")
    .option("--all", "every election")
    .option("--spark", "count on Spark, with a program that shares no code with this one: docs/spark.md")
    .option("--master <url>", "with --spark: Spark's master; local[2] when left out")
    .option("--memory <size>", "with --spark: memory of the driver; 2g when left out")
    .option(
      "--ends <where>",
      "with --spark: where to stop: log, tables, or offsets like 120,98,103; log when left out",
    )
    .option("--report <file>", "with --spark: the signed report; <election>.recount.json when left out")
    .option("--stream", "with --spark: follow the log, and keep the tables of the schema recount")
    .option("--checkpoints <directory>", "with --stream: where it notes how far it is")
    .option("--interval <seconds>", "with --stream: between batches; 5 when left out")
    .option("--batch <entries>", "with --stream: of one batch at most; 50000 when left out")
    .action(run);
}

async function run({ spark = false, ...options }: { spark?: boolean } & SparkOptions): Promise<void> {
  if (spark) return await recountOnSpark(options);
  const { election, all, ...ofSpark } = options;
  const [name] = Object.keys(ofSpark);
  if (name !== undefined) throw new UsageError(`Cannot use --${name} without --spark`);
  await recountHere({ election, all });
}

async function recountHere(chosen: ChosenElections): Promise<void> {
  let differences = 0;
  await forElections("recount", ["pollwire_auditor"], chosen, async (db, history, _keyring, config) => {
    const log = await openLog(config, history.election, history.partitions);
    const total = (await logEnds(log)).reduce((sum, end) => sum + end, 0);
    const bar = progress({ label: `recount ${history.election}`, total, unit: "entries" });
    const found = await recount(db, log, history, (entries) => bar.advance(entries));
    await log.close();
    bar.done(`${history.election}: recounted`);
    for (const { partition, start, isAccepted } of found.deleted) {
      const what = isAccepted ? "a loss that was accepted when the tables were rebuilt" : deletedFront(start);
      console.log(`partition ${partition} begins at ${start}: ${what}`);
    }
    for (const { line, tables, recount } of found.shown) {
      console.log(`${line}: tables ${tables}, recount ${recount}`);
    }
    if (found.reused > 0) {
      console.log(`ALERT: ${found.reused} counted votes have a sequence number that an earlier record had`);
    }
    if (found.altered > 0) {
      console.log(`ALERT: ${found.altered} records repeat a vote id with other contents`);
    }
    for (const line of senderKeyLines(await readGateways(db, history.election))) console.log(line);
    console.log(
      `${history.election}: ${found.records} records, ${found.counted} counted, ${found.lines} lines compared, ${found.differences} differences`,
    );
    differences += found.differences;
  });
  if (differences > 0) throw new Failure("");
}
