/**
 * `deno task provision`: creates elections, and changes their rolls and keys.
 *
 * @module
 */
import type { Command } from "commander";
import { command, integerOption, originEachOption } from "../../cli/command.ts";
import { actAs } from "../audit/actor.ts";
import { aggregatorConfig } from "../config.ts";
import { checkProvisionOptions, type ProvisionOptions, runOffice } from "../office/command.ts";
import { Keyring } from "../registry/keyring.ts";
import { openOne, withDatabases } from "./open.ts";

/** The command. */
export function provisionCommand(): Command {
  return command(
    "provision",
    "Creates an election from its definition, imports its roll, writes the files of gateways and devices.",
  )
    .option("--definition <file>", "the election's definition, JSON or YAML")
    .option(
      "--draft",
      "gateways take no votes until officials schedule it (office propose --action schedule)",
    )
    .option("--roll <file>", "its voters, CSV: voter_id,region,station,birth_date,gender")
    .addOption(
      originEachOption(
        "--aggregator <url>",
        "where gateways find the aggregator; once for each of its addresses, in the order to try them",
      ).default(["http://127.0.0.1:8000"]),
    )
    .option("--election <id>", "the election that the following are about")
    .option("--close", "publish a manifest that closes the election now")
    .option("--rotate <device>", "give a device its next key")
    .addOption(
      integerOption("--overlap <seconds>", "how long the previous key stays valid", {
        min: 0,
        max: 31_536_000,
      }).default(86_400),
    )
    .option("--revoke <key>", "revoke a device's key, like station-12-a.1")
    .option("--rotate-gateway <id>", "give a gateway its next key, and write its file")
    .option("--revoke-gateway <key>", "revoke a gateway's key, like gateway-1.1")
    .option("--write-keys", "write the key files of the roles receipts and sync again")
    .action(provision);
}

async function provision(options: ProvisionOptions): Promise<void> {
  checkProvisionOptions(options);
  const config = aggregatorConfig();
  const keyring = new Keyring(config.keysDirectory);
  await withDatabases(
    () => openOne(config, "provision"),
    ["pollwire_registrar"],
    ({ counting: db }) =>
      actAs({ actor: "command:provision" }, () => runOffice(db, keyring, config.data, options, Date.now)),
  );
}
