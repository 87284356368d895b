/**
 * `deno task decide`: makes one decision of officials.
 *
 * @module
 */
import type { Command } from "commander";
import { command } from "../../cli/command.ts";
import { decide } from "../counting/decide.ts";
import type { Role } from "../database/roles.ts";
import { type DecideOptions, readDecideOptions } from "../office/decide_command.ts";
import { forElections, openLog } from "./open.ts";

/** The command. */
export function decideCommand(): Command {
  return command(
    "decide",
    "Decides about held records, or waives a gateway's statement: two officials, with a reason.",
  )
    .option("--election <id>", "the election")
    .option(
      "--admit <which...>",
      "count them: positions like 3/1207/0, or reason=, gateway=, sender-key=, from=, until=",
    )
    .option("--reject <which...>", "reject them")
    .option("--defer <which...>", "put the decision off, so that the final release does not wait for it")
    .option(
      "--readmit <position...>",
      "count records after all that a decision rejected, each by its position",
    )
    .option(
      "--waive <key>",
      "expect no statement of this sender key, or of all of a gateway",
      (value) => [value],
    )
    .option("--reason <text>", "why")
    .option("--by <name>", "the official who decides")
    .option("--approved-by <name>", "another official, who approves")
    .action(decideOnce);
}

async function decideOnce(options: DecideOptions): Promise<void> {
  const { election, request } = readDecideOptions(options);
  const roles: Role[] = ["pollwire_registrar", "pollwire_counter"];
  await forElections("decide", roles, { election }, async (db, history, _keyring, config) => {
    const log = await openLog(config, history.election, history.partitions);
    try {
      const { revision, records, outcomes } = await decide(db, log, history, request, new Date());
      const became = outcomes.map(({ fate, reason, records }) =>
        `${records} ${reason === "" ? fate : `${fate}/${reason}`}`
      );
      const what = request.action === "waive" ? "sender keys waived" : `held records: ${request.action}`;
      console.log(
        `${election}: decision ${revision}, ${records} ${what}${
          became.length > 0 ? `; ${became.join(", ")}` : ""
        }`,
      );
    } finally {
      await log.close();
    }
  });
}
