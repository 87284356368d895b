/**
 * `deno task rebuild`: makes the counting tables again from registry and log.
 *
 * @module
 */
import type { Command } from "commander";
import { command, UsageError } from "../../cli/command.ts";
import { progress } from "../../cli/progress.ts";
import { logEnds } from "../../shared/log/vote_log.ts";
import { rebuild } from "../counting/rebuild.ts";
import type { Role } from "../database/roles.ts";
import { withdrawUnfounded } from "../results/withdraw.ts";
import { type ChosenElections, forElections, openLog } from "./open.ts";

/** The command. */
export function rebuildCommand(): Command {
  return command("rebuild", "Rebuilds the counting tables from registry and log.")
    .option("--election <id>", "this election; it may be left out where there is no other")
    .option("--all", "every election")
    .option(
      "--accept-loss <partition:offsets...>",
      "accept that these records are lost; the refusal says which to name",
    )
    .action(rebuildHere);
}

/** `0:2657` as partition and number of missing offsets. */
function readLoss(text: string): [partition: number, missing: number] {
  const [, partition, missing] = /^(\d{1,5}):(\d{1,15})$/.exec(text) ?? [];
  if (partition !== undefined) return [Number(partition), Number(missing)];
  throw new UsageError(
    `Cannot read --accept-loss ${text}: it must be <partition>:<missing offsets>, as the refusal of rebuild names it`,
  );
}

async function rebuildHere(
  { election, all, acceptLoss = [] }: ChosenElections & { acceptLoss?: string[] },
): Promise<void> {
  const acceptedLoss = new Map(acceptLoss.map(readLoss));
  if (acceptedLoss.size > 0 && election === undefined) {
    throw new UsageError("Cannot accept a loss: --election must name the election whose log it is");
  }
  const roles: Role[] = ["pollwire_registrar", "pollwire_counter"];
  await forElections("rebuild", roles, { election, all }, async (db, history, keyring, config) => {
    const log = await openLog(config, history.election, history.partitions);
    const total = (await logEnds(log)).reduce((sum, end) => sum + end, 0);
    const bar = progress({ label: `rebuild ${history.election}`, total, unit: "entries" });
    const master = keyring.master(history.election);
    const made = await rebuild(db, log, history, master, new Date(), withdrawUnfounded, {
      acceptedLoss,
      onProgress: (entries) => bar.advance(entries),
    });
    await log.close();
    bar.done(`${history.election}: rebuilt from ${made.records} records and ${made.voters} voters`);
  });
}
