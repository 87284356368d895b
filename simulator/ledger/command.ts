/**
 * `ledger FILE`: the ledger's process. `simulate` starts it; by hand, it says what a ledger amounts to.
 *
 * @module
 */
import type { Command } from "commander";
import { command, Failure } from "../../cli/command.ts";
import { keepLedger } from "./ledger.ts";
import { judgeLedgerFile } from "./parts.ts";
import { kindLines } from "./reconcile.ts";
import { differenceLines } from "../run/report.ts";
import { Differences } from "../run/differences.ts";

/** The command `ledger`. */
export function ledgerCommand(): Command {
  return command(
    "ledger",
    "Keeps a ledger: appends what comes on standard input, durably. Started by simulate.",
  )
    .argument("<file>", "the ledger, appended to")
    .option(
      "--judge",
      "read the ledger instead, and say whether every acknowledged vote became what it should",
    )
    .action(async (file: string, { judge }: { judge?: boolean }) => {
      if (judge) return await judgeFile(file);
      await keepLedger(file, Deno.stdin.readable, (mark) => console.log(`#${mark}`));
    });
}

async function judgeFile(file: string): Promise<void> {
  const differences = new Differences();
  const summary = await judgeLedgerFile(file, differences);
  for (const line of [...kindLines(summary), ...differenceLines(differences)]) console.log(line);
  console.log(`${differences.count} differences`);
  if (differences.count > 0) throw new Failure();
}
