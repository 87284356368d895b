/**
 * The centre's commands: composes database, logs and keys, and runs one of them.
 *
 * @module
 */
import type { Command } from "commander";
import { command, EXIT, Failure, integerOption, originOption, program, runProgram } from "../cli/command.ts";
import { startLog } from "../cli/log.ts";
import { progress } from "../cli/progress.ts";
import { openSqliteLog } from "../shared/log/sqlite.ts";
import { LogFault } from "../shared/log/vote_log.ts";
import { logEnds } from "../shared/log/vote_log.ts";
import { runCentre } from "./centre.ts";
import { type CentreConfig, centreConfig } from "./config.ts";
import type { Database } from "./database/database.ts";
import { DatabaseInUse, openPglite } from "./database/pglite.ts";
import { migrate } from "./database/migrate.ts";
import { openHistory, type RegisteredHistory } from "./history.ts";
import { checkProvisionOptions, type ProvisionOptions, runOffice } from "./office/command.ts";
import { electionIds, OfficeError } from "./office/elections.ts";
import { Keyring } from "./office/keyring.ts";
import { rebuild } from "./rebuild.ts";
import { recount } from "./recount.ts";

/** Opens the database, brought to the newest tables, for as long as the work takes. */
async function withDatabase<T>(
  config: CentreConfig,
  work: (db: Database, keyring: Keyring) => Promise<T>,
): Promise<T> {
  let db: Database;
  try {
    db = await openPglite(config.databaseDirectory);
  } catch (error) {
    throw error instanceof DatabaseInUse ? new Failure(error.message) : error;
  }
  try {
    await migrate(db);
    return await work(db, new Keyring(config.keysDirectory));
  } catch (error) {
    throw error instanceof OfficeError || error instanceof LogFault ? new Failure(error.message) : error;
  } finally {
    await db.close();
  }
}

function openLog(config: CentreConfig, election: string, partitions: number) {
  return openSqliteLog(config.logDirectory, election, partitions);
}

/** Runs the centre until SIGTERM or SIGINT. */
async function aggregate(config: CentreConfig): Promise<void> {
  const log = await startLog("aggregator", config.logLevel);
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, () => stop.abort());
  await withDatabase(config, async (db, keyring) => {
    await runCentre(config, {
      db,
      openLog: (election, partitions) => Promise.resolve(openLog(config, election, partitions)),
      keyring,
      lane: 0,
      log,
    }, stop.signal);
  });
  console.log("aggregator stopped");
}

async function provision(options: ProvisionOptions): Promise<void> {
  checkProvisionOptions(options);
  const config = centreConfig();
  await withDatabase(config, (db, keyring) => runOffice(db, keyring, config.data, options, Date.now));
}

/** Does a piece of work for one election, or for all. */
async function forElections(
  chosen: string | undefined,
  work: (db: Database, history: RegisteredHistory, keyring: Keyring, config: CentreConfig) => Promise<void>,
): Promise<void> {
  const config = centreConfig();
  await withDatabase(config, async (db, keyring) => {
    const known = await electionIds(db.query);
    if (chosen !== undefined && !known.includes(chosen)) {
      throw new OfficeError(
        `Cannot find election ${chosen}: ${config.databaseDirectory} has ${known.join(", ") || "none"}`,
      );
    }
    if (known.length === 0) {
      throw new OfficeError(`Cannot find an election: ${config.databaseDirectory} has none`);
    }
    for (const election of chosen === undefined ? known : [chosen]) {
      await work(db, (await openHistory(db.query, election, keyring.master(election)))!, keyring, config);
    }
  });
}

async function recountAll({ election }: { election?: string }): Promise<void> {
  let differences = 0;
  await forElections(election, async (db, history, _keyring, config) => {
    const log = openLog(config, history.election, history.partitions);
    const total = (await logEnds(log)).reduce((sum, end) => sum + end, 0);
    const bar = progress({ label: `recount ${history.election}`, total, unit: "records" });
    const found = await recount(db, log, history, (records) => bar.advance(records));
    await log.close();
    bar.done(`${history.election}: recounted`);
    for (const { line, tables, recount } of found.shown) {
      console.log(`${line}: tables ${tables}, recount ${recount}`);
    }
    if (found.altered > 0) {
      console.log(`ALERT: ${found.altered} records repeat a vote id with other contents`);
    }
    console.log(
      `${history.election}: ${found.records} records, ${found.counted} counted, ${found.lines} lines compared, ${found.differences} differences`,
    );
    differences += found.differences;
  });
  if (differences > 0) throw new Failure("");
}

async function rebuildAll({ election }: { election?: string }): Promise<void> {
  await forElections(election, async (db, history, keyring, config) => {
    const log = openLog(config, history.election, history.partitions);
    const total = (await logEnds(log)).reduce((sum, end) => sum + end, 0);
    const bar = progress({ label: `rebuild ${history.election}`, total, unit: "records" });
    const master = keyring.master(history.election);
    const made = await rebuild(db, log, history, master, new Date(), (records) => bar.advance(records));
    await log.close();
    bar.done(`${history.election}: rebuilt from ${made.records} records and ${made.voters} voters`);
  });
}

function commands(): Command[] {
  const electionOption = ["--election <id>", "only this election; all when left out"] as const;
  return [
    command("aggregate", "Counts every election's log, publishes what may be shown, and serves API and page.")
      .addHelpText(
        "after",
        "\nSettings come from the environment: POLLWIRE_DATA, DATABASE_URL, VOTE_LOG, KEYS_DIRECTORY, HOST, PORT.",
      )
      .action(() => aggregate(centreConfig())),
    command(
      "provision",
      "Creates an election from its definition, imports its roll, writes the files of gateways and devices.",
    )
      .option("--definition <file>", "the election's definition, JSON")
      .option("--roll <file>", "its voters, CSV: voter_id,region,station,birth_date,gender")
      .addOption(
        originOption("--centre <url>", "where gateways find the centre").default("http://127.0.0.1:8000"),
      )
      .option("--election <id>", "the election that the following are about")
      .option("--close", "publish a manifest that closes the election now")
      .option("--rotate <device>", "give a device its next key")
      .addOption(
        integerOption("--overlap <seconds>", "how long the key before stays good", {
          min: 0,
          max: 31_536_000,
        }).default(86_400),
      )
      .option("--revoke <key>", "believe a device's key no longer, like station-12-a.1")
      .action(provision),
    command(
      "recount",
      "Counts the whole log again with the pure fold and compares it with the tables; exit code 1 on a difference.",
    )
      .option(...electionOption)
      .action(recountAll),
    command("rebuild", "Makes the counting tables anew from registry and log.")
      .option(...electionOption)
      .action(rebuildAll),
  ];
}

if (import.meta.main) {
  const code = await runProgram(program("aggregator", "The centre of Pollwire.", commands()));
  Deno.exit(code === EXIT.ok ? 0 : code);
}
