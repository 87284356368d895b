/**
 * `deno task reindex`: makes every index of Elasticsearch again from the database, and compares.
 *
 * @module
 */
import type { Command } from "commander";
import { command, Failure, UsageError } from "../../cli/command.ts";
import { aggregatorConfig } from "../config.ts";
import { reindex } from "../results/index/reindex.ts";
import { PROCESS_ROLES } from "../roles/roles.ts";
import { openIndex, openOne, withDatabases } from "./open.ts";

/** The command. */
export function reindexCommand(): Command {
  return command(
    "reindex",
    "Rebuilds every index of Elasticsearch from the database, and compares; exit code 1 on a difference.",
  ).action(reindexAll);
}

async function reindexAll(): Promise<void> {
  const config = aggregatorConfig();
  const index = openIndex(config);
  if (index === undefined) {
    throw new UsageError("Cannot reindex: ELASTICSEARCH_URL is not set, and must say where Elasticsearch is");
  }
  try {
    await withDatabases(
      () => openOne(config, "reindex"),
      [PROCESS_ROLES.index.database],
      async ({ reading }) => {
        if (await reindex(reading, index) > 0) throw new Failure("");
      },
    );
  } finally {
    await index.close();
  }
}
