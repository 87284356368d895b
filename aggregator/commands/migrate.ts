/**
 * `deno task migrate`: with a server, the one command that the database's owner has to run.
 *
 * @module
 */
import type { Command } from "commander";
import { command } from "../../cli/command.ts";
import { aggregatorConfig } from "../config.ts";
import { databaseName } from "../database/database_url.ts";
import { openOne, withDatabases } from "./open.ts";

/** The command. */
export function migrateCommand(): Command {
  return command("migrate", "Brings the database to the newest tables.").action(migrateAll);
}

async function migrateAll(): Promise<void> {
  const config = aggregatorConfig();
  await withDatabases(() => openOne(config, "migrate"), [], () => Promise.resolve());
  console.log(`${databaseName(config.database)} has the newest tables`);
}
