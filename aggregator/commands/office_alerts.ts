/**
 * `deno task office alerts`: what is wrong in an election, who has seen it, and by which rules.
 *
 * @module
 */
import type { Command } from "commander";
import { stringify } from "yaml";
import { command } from "../../cli/command.ts";
import { aggregatorConfig } from "../config.ts";
import { rulesOf } from "./aggregate.ts";

/** How the command asks the office, as office.ts does it. */
export type AlertAsking = Readonly<{
  /** A command that signs in. */
  ofElection(name: string, description: string): Command;
  /** Asks, and prints what is answered. `path` is below the election's. */
  print(options: AlertOptions, method: string, path: string, body?: unknown): Promise<void>;
}>;

/** What every command has. */
export type AlertOptions = Readonly<{ as: string; url?: string; election?: string }>;

/** The command with its own. */
export function alertsCommand({ ofElection, print }: AlertAsking): Command {
  const alerts = command("alerts", "Alerts: what is wrong in an election, and who has seen it.");
  alerts.addCommand(
    ofElection("list", "Lists the active alerts, and those resolved in the last 7 days.")
      .action((options: AlertOptions) => print(options, "GET", "/alerts")),
  );
  alerts.addCommand(
    ofElection("acknowledge", "Notes that you have seen an active alert.")
      .requiredOption("--alert <number>", "its number")
      .requiredOption("--reason <text>", "what is done about it")
      .action(({ alert, reason, ...options }: AlertOptions & { alert: string; reason: string }) =>
        print(options, "POST", `/alerts/${encodeURIComponent(alert)}/acknowledge`, { reason })
      ),
  );
  return alerts.addCommand(
    command("rules", "Checks a file of rules, and prints the rules as they apply with it.")
      .option("--file <file>", "the file; that of POLLWIRE_ALERT_RULES, or the built-in rules, when left out")
      .action(({ file }: { file?: string }) => {
        const rules = rulesOf(file === undefined ? aggregatorConfig() : { alertRules: file });
        console.log(stringify({ rules }).trimEnd());
      }),
  );
}
