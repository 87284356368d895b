/**
 * `deno task office`: rolls in bulk, and voters singly. Everything asks the office's API.
 *
 * @module
 */
import type { Command } from "commander";
import { Failure, integerOption, UsageError } from "../../cli/command.ts";
import { type Progress, progress } from "../../cli/progress.ts";
import {
  checkRoll,
  finish,
  type ImportProgress,
  importsPath,
  type ImportState,
} from "../office/accreditation/import_client.ts";
import type { ImportReport } from "../office/accreditation/roll_imports.ts";
import type { OfficeClient } from "../office/client.ts";
import { FINDING_KINDS, findingsCsv, ROLL_LIMITS, spellFinding } from "../office/roll_file.ts";
import { STRIKE_REASONS } from "../registry/roll_changes.ts";
import { LOOKUP_FIELDS } from "../registry/sealed_profile.ts";
import { type Common, type Make, pathOf, readJsonFile, type With } from "./office_common.ts";

/** Adds the commands. */
export function addAccreditationCommands(office: Command, ofElection: Make, withClient: With): void {
  addRolls(office, ofElection, withClient);
  addVoters(office, ofElection, withClient);
  addDevices(office, ofElection, withClient);
}

function addRolls(office: Command, ofElection: Make, withClient: With): void {
  office.addCommand(
    ofElection("import-roll", "Checks a roll file; with --commit it puts its voters on the roll, too.")
      .requiredOption("--file <csv>", "the roll; begun again after a failure, its import goes on")
      .option("--commit", "put the voters on the roll if no value is wrong")
      .option("--report <csv>", "where the report goes (default: beside the roll)")
      .action((options: Common & { file: string; commit?: true; report?: string }) =>
        withClient(options, (client) => importRoll(client, options))
      ),
  );
  office.addCommand(
    ofElection("revert-roll", "Strikes the voters of an import who have not voted, and lists the others.")
      .requiredOption("--import <number>", "the import")
      .action((options: Common & { import: string }) =>
        withClient(options, (client) => revertRoll(client, options.election!, numberOf(options.import)))
      ),
  );
  office.addCommand(
    ofElection("discard-roll", "Ends an import that has put nobody on the roll.")
      .requiredOption("--import <number>", "the import")
      .action((options: Common & { import: string }) =>
        withClient(options, async (client) => {
          const at = `${importsPath(options.election!)}/${numberOf(options.import)}`;
          show((await client.ask("DELETE", at)).body);
        })
      ),
  );
  office.addCommand(
    ofElection("rolls", "Lists imports of rolls.").action((options: Common) =>
      withClient(
        options,
        async (client) => show((await client.ask("GET", importsPath(options.election!))).body),
      )
    ),
  );
}

function numberOf(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new UsageError("--import must be the number of an import, as `office rolls` lists them");
}

async function importRoll(
  client: OfficeClient,
  { election, file, commit, report: reportPath }: Common & { file: string; commit?: true; report?: string },
): Promise<void> {
  const bars = new Bars();
  let found: ImportState, report: ImportReport;
  try {
    ({ found, report } = await checkRoll(client, election!, file, bars.onProgress));
  } finally {
    bars.end();
  }
  tell(file, reportPath ?? `${file}.report.csv`, report);
  if (report.fault !== undefined) throw new Failure(report.fault);
  if (report.total["bad row"] > 0) {
    throw new Failure(`${report.total["bad row"]} values are wrong: nobody was put on the roll`);
  }
  if (!commit) {
    console.log(`import ${found.import} is checked; run this again with --commit, or discard-roll`);
    return;
  }
  try {
    const { import: number, added, known } = await finish(
      client,
      election!,
      found.import,
      "commit",
      bars.onProgress,
    );
    bars.end();
    console.log(`import ${number}: ${added} voters put on the roll, ${known} rows were of voters on it`);
  } finally {
    bars.end();
  }
}

/** Says what was found, and writes all of it into a file: a roll's values are personal data, so it is for its owner alone. */
function tell(
  file: string,
  path: string,
  { rows, fresh, known, notes, total, findings }: ImportReport,
): void {
  for (const note of notes) console.log(`${file}: ${note}`);
  console.log(`${file}: ${rows} rows, ${fresh} voters to put on the roll, ${known} on it already`);
  if (findings.length === 0) return;
  Deno.writeTextFileSync(path, findingsCsv(findings), { mode: 0o600 });
  for (const kind of FINDING_KINDS) {
    const some = findings.filter((each) => each.kind === kind).slice(0, ROLL_LIMITS.listed);
    if (some.length === 0) continue;
    console.log(`${kind}: ${total[kind]}`);
    for (const each of some) console.log(`  ${spellFinding(each)}`);
  }
  console.log(`the report is in ${path}`);
}

async function revertRoll(client: OfficeClient, election: string, number: number): Promise<void> {
  const bars = new Bars();
  try {
    const { added, kept } = await finish(client, election, number, "revert", bars.onProgress);
    bars.end();
    console.log(`import ${number}: ${added - kept} voters struck, ${kept} have voted and stay`);
    if (kept === 0) return;
    const { body } = await client.ask("GET", `${importsPath(election)}/${number}/voted`);
    for (const voter of body.voters) console.log(voter);
    if (!body.isAll) console.log("and more");
  } finally {
    bars.end();
  }
}

/** A progress bar for each step of an import, one after another. */
class Bars {
  #what = "";
  #done = 0;
  #bar: Progress | undefined;

  readonly onProgress: ImportProgress = (what, done, total) => {
    if (what !== this.#what) {
      this.end();
      this.#what = what;
      this.#done = 0;
      this.#bar = progress({ label: what, total, unit: what === "sent" ? "bytes" : "rows" });
    }
    this.#bar?.advance(done - this.#done);
    this.#done = done;
  };

  end(): void {
    this.#bar?.done(`${this.#what}: ${this.#done}`);
    this.#bar = undefined;
    this.#what = "";
  }
}

function addVoters(office: Command, ofElection: Make, withClient: With): void {
  const path = (options: Common, rest: string) => `${pathOf(options)}/${rest}`;
  for (
    const [name, description, rest] of [
      ["accredit", "Puts a voter on the roll: their votes count from now on.", "voters"],
      ["change-voter", "Replaces what is known of a voter.", "voter-changes"],
    ] as const
  ) {
    office.addCommand(
      ofElection(name, description)
        .requiredOption("--voter <file>", "the voter as JSON, with the columns of a roll and a profile")
        .action((options: Common & { voter: string }) =>
          withClient(options, async (client) => {
            show((await client.ask("POST", path(options, rest), await readVoterFile(options.voter))).body);
          })
        ),
    );
  }
  office.addCommand(
    ofElection("strike-voter", "Strikes a voter who has not voted from the roll.")
      .requiredOption("--voter-id <id>", "the voter")
      .requiredOption("--reason <reason>", STRIKE_REASONS.join(", "))
      .action((options: Common & { voterId: string; reason: string }) =>
        withClient(options, async (client) => {
          const body = { voter_id: options.voterId, reason: options.reason };
          show((await client.ask("POST", path(options, "voter-strikes"), body)).body);
        })
      ),
  );
  office.addCommand(
    ofElection("find-voter", "Finds voters on the roll.")
      .requiredOption("--by <field>", `voter_id, ${LOOKUP_FIELDS.join(", ")}`)
      .requiredOption("--value <text>", "the value")
      .action((options: Common & { by: string; value: string }) =>
        withClient(options, async (client) => {
          const body = { by: options.by, value: options.value };
          show((await client.ask("POST", path(options, "voter-searches"), body)).body);
        })
      ),
  );
}

function addDevices(office: Command, ofElection: Make, withClient: With): void {
  const at = (options: Common, rest: string) => `${pathOf(options)}/devices${rest}`;
  const of = ({ device }: { device: string }) => `/${encodeURIComponent(device)}`;
  type Device = Common & { device: string };
  const ofDevice = (name: string, description: string) =>
    ofElection(name, description).requiredOption("--device <id>", "the device");
  const post = (options: Device, rest: string, body?: unknown) =>
    withClient(options, async (client) => show((await client.ask("POST", at(options, rest), body)).body));
  office.addCommand(
    ofElection("devices", "Lists device keys, with their codes and revocations.")
      .action((options: Common) =>
        withClient(options, async (client) => show((await client.ask("GET", at(options, ""))).body))
      ),
  );
  office.addCommand(
    ofDevice("add-device", "Adds a device, and prints its one-time code.")
      .requiredOption("--station <id>", "where it stands")
      .action((options: Device & { station: string }) =>
        post(options, "", { device: options.device, station: options.station })
      ),
  );
  office.addCommand(
    ofDevice("device-code", "Issues another one-time code for a device.")
      .action((options: Device) => post(options, `${of(options)}/codes`)),
  );
  office.addCommand(
    ofDevice("rotate-device", "Gives a device its next key, and prints the code to fetch it with.")
      .addOption(
        integerOption("--overlap <seconds>", "how long the old key stays good", { min: 0, max: 86_400 })
          .default(600),
      )
      .action((options: Device & { overlap: number }) =>
        post(options, `${of(options)}/rotate`, { overlapS: options.overlap })
      ),
  );
  office.addCommand(
    ofDevice("revoke-device", "Revokes a version of a device's key.")
      .addOption(
        integerOption("--key-version <number>", "the version", { min: 1, max: 999_999 })
          .makeOptionMandatory(),
      )
      .requiredOption("--reason <text>", "why")
      .action((options: Device & { keyVersion: number; reason: string }) =>
        post(options, `${of(options)}/revoke`, { version: options.keyVersion, reason: options.reason })
      ),
  );
}

function readVoterFile(path: string): Promise<unknown> {
  const like = 'like {"voter_id":"RI-1","region":"kent","profile":{"name":"Ann Lee"}}';
  return readJsonFile("--voter", path, like);
}

function show(body: unknown): void {
  console.log(JSON.stringify(body, null, 2));
}
