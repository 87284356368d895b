/**
 * `deno task office history`: earlier elections, and what elections are compared with. It works on the database that the settings name,
 * as `provision` does.
 *
 * @module
 */
import type { Command } from "commander";
import { command, UsageError } from "../../cli/command.ts";
import { sha256 } from "../../shared/keys.ts";
import { actAs } from "../audit/actor.ts";
import { aggregatorConfig } from "../config.ts";
import type { Database } from "../database/database.ts";
import type { Role } from "../database/roles.ts";
import { readPartyLinks, readUnitLinks } from "../office/history/link_files.ts";
import { readOpenElections } from "../office/history/openelections.ts";
import { compareWith, listPast, pastOfCounted, readLinks, writePast } from "../office/history/store.ts";
import { openOne, withDatabases } from "./open.ts";

/** The command with its own. */
export function historyCommand(): Command {
  const history = command(
    "history",
    "Earlier elections: import them, and have elections compared with them.",
  );
  history.addCommand(
    command(
      "import",
      "Imports results that OpenElections published (CSV). There are no votes in them, and nothing is counted.",
    )
      .argument("<file>", "the file")
      .requiredOption("--past <id>", "an id for the earlier election")
      .requiredOption("--name <name>", "its name")
      .requiredOption("--held <day>", "its day, like 2016-11-08")
      .addOption(
        command("", "").createOption(
          "--votes <what>",
          "total: the column votes has all votes; rest: the columns of modes are added",
        ).choices(["total", "rest"]).default("total"),
      )
      .action(importFile),
  );
  history.addCommand(
    command("take", "Takes an election that was counted here as an earlier one: what was released of it.")
      .requiredOption("--election <id>", "the election, after its final release")
      .option("--past <id>", "an id for it as an earlier election; its own when left out")
      .action(take),
  );
  history.addCommand(
    command("list", "Lists earlier elections with their contests.").action(list),
  );
  history.addCommand(
    command(
      "compare",
      "Has a contest compared with an earlier one, and links units and parties: by name, and by files.",
    )
      .requiredOption("--election <id>", "the election")
      .requiredOption("--contest <id>", "its contest")
      .requiredOption("--past <id>", "the earlier election")
      .option("--past-contest <id>", "its contest; the same id when left out")
      .option("--links <file>", "links of units, CSV: unit,region,station,weight")
      .option("--parties <file>", "links of parties, CSV: past_party,party")
      .action(compare),
  );
  return history.addCommand(
    command(
      "links",
      "Prints the links of an earlier election's units as CSV, to be edited for compare --links.",
    )
      .requiredOption("--election <id>", "the election")
      .requiredOption("--past <id>", "the earlier election")
      .action(links),
  );
}

type Import = Readonly<{ past: string; name: string; held: string; votes: "total" | "rest" }>;

async function importFile(file: string, { past, name, held, votes }: Import): Promise<void> {
  const results = await readOpenElections(file, votes);
  for (const note of results.notes) console.log(note);
  const election = {
    past,
    name,
    heldOn: held,
    kind: "imported",
    source: file.split("/").at(-1)!,
    sha256: sha256(await Deno.readFile(file)).toHex(),
  } as const;
  await withHistory(["pollwire_registrar"], async (db) => {
    const isNew = await writePast(db, election, results, new Date());
    const { contests, units, rows } = results;
    const sum = rows.reduce((total, { votes }) => total + votes, 0);
    console.log(
      isNew
        ? `imported ${past}: ${contests.length} contests, ${units.length} units, ${sum} votes, SHA-256 ${election.sha256}`
        : `${past} is there already, from the same file`,
    );
    for (const { id, name } of contests) console.log(`contest ${id}: ${name}`);
  });
}

async function take({ election, past = election }: { election: string; past?: string }): Promise<void> {
  await withHistory(["pollwire_registrar", "pollwire_reader"], async (db) => {
    const { results, ...facts } = await pastOfCounted(db, election);
    const isNew = await writePast(db, { past, kind: "counted", ...facts }, results, new Date());
    console.log(
      isNew ? `took ${past}: ${facts.source}, SHA-256 ${facts.sha256}` : `${past} is there already`,
    );
  });
}

async function list(): Promise<void> {
  await withHistory(["pollwire_registrar"], async (db) => {
    for (const { past, name, heldOn, kind, source, sha256, contests, units } of await listPast(db.query)) {
      console.log(`${past}: ${name}, ${heldOn}, ${kind} from ${source}, ${units} units, SHA-256 ${sha256}`);
      for (const contest of contests) console.log(`  contest ${contest}`);
    }
  });
}

type Compare = Readonly<
  { election: string; contest: string; past: string; pastContest?: string; links?: string; parties?: string }
>;

async function compare({ pastContest, links, parties, ...options }: Compare): Promise<void> {
  await withHistory(["pollwire_registrar"], async (db) => {
    const linked = await compareWith(
      db,
      { ...options, pastContest: pastContest ?? options.contest },
      {
        ...links !== undefined && { units: (units, places) => readUnitLinks(links, units, places) },
        ...parties !== undefined && { parties: (past, now) => readPartyLinks(parties, past, now) },
      },
      new Date(),
    );
    console.log(
      `${linked.stations} units linked to stations, ${linked.regions} to a region only, ${linked.nothing} to nothing`,
    );
    if (linked.lostParties.length > 0) {
      console.log(`parties without one today, counted as others: ${linked.lostParties.join(", ")}`);
    }
  });
}

async function links({ election, past }: { election: string; past: string }): Promise<void> {
  await withHistory(["pollwire_registrar"], async (db) => {
    const rows = await readLinks(db.query, past, election);
    if (rows.length === 0) {
      throw new UsageError(`there are no links of ${past} to ${election}: run compare first`);
    }
    console.log("unit,region,station,weight,method,name");
    for (const { unit, region, station, weight, method, name } of rows) {
      console.log(
        [unit, region ?? "", station ?? "", weight, method, `"${name.replaceAll('"', '""')}"`].join(","),
      );
    }
  });
}

async function withHistory(roles: readonly Role[], work: (db: Database) => Promise<void>): Promise<void> {
  const config = aggregatorConfig();
  await withDatabases(
    () => openOne(config, "office history"),
    roles,
    ({ counting: db }) => actAs({ actor: "command:office history" }, () => work(db)),
  );
}
