/**
 * `deno task office`: poll-book sign-ins, and statements of devices. Everything asks the office's API.
 *
 * @module
 */
import type { Command } from "commander";
import { UsageError } from "../../cli/command.ts";
import { readCsv } from "../../cli/csv.ts";
import { MAX_SIGN_INS } from "../office/stations/sign_ins.ts";
import { type Common, type Make, pathOf, readJsonFile, type With } from "./office_common.ts";

const COLUMNS = ["station", "hour", "voters"];

/** Adds the commands. */
export function addStationCommands(office: Command, ofElection: Make, withClient: With): void {
  const path = (options: Common, name: string) => `${pathOf(options)}/${name}`;
  const show = (body: unknown) => console.log(JSON.stringify(body, null, 2));
  office.addCommand(
    ofElection("import-sign-ins", "Enters poll-book sign-ins from a CSV file: station, hour, voters.")
      .requiredOption("--file <csv>", "a line a station and hour; hour like 2026-11-03T09:00:00-05:00")
      .action((options: Common & { file: string }) =>
        withClient(options, async (client) => {
          const rows = await readSignInFile(options.file);
          for (let from = 0; from < rows.length; from += MAX_SIGN_INS) {
            await client.ask("POST", path(options, "sign-ins"), {
              rows: rows.slice(from, from + MAX_SIGN_INS),
            });
          }
          console.log(`${rows.length} lines entered`);
        })
      ),
  );
  office.addCommand(
    ofElection("sign-ins", "Lists poll-book sign-ins beside voters counted.").action((options: Common) =>
      withClient(options, async (client) => show((await client.ask("GET", path(options, "sign-ins"))).body))
    ),
  );
  office.addCommand(
    ofElection("device-statements", "Lists what devices stated, with what was counted of them.")
      .action((options: Common) =>
        withClient(
          options,
          async (client) => show((await client.ask("GET", path(options, "device-statements"))).body),
        )
      ),
  );
  office.addCommand(
    ofElection("take-statement", "Takes a device's signed statement that came as a file.")
      .requiredOption("--file <json>", "what the device wrote: statement, proof, proofKey")
      .action((options: Common & { file: string }) =>
        withClient(options, async (client) => {
          const signed = await readJsonFile("--file", options.file, "as a device writes it");
          show((await client.ask("POST", "/v1/office/device-statements", signed)).body);
        })
      ),
  );
  office.addCommand(
    ofElection("note-device", "Explains why a device's statement differs from what was counted.")
      .requiredOption("--device <id>", "the device")
      .requiredOption("--note <text>", "why")
      .action((options: Common & { device: string; note: string }) =>
        withClient(options, async (client) => {
          const body = { device: options.device, note: options.note };
          show((await client.ask("POST", path(options, "device-notes"), body)).body);
        })
      ),
  );
}

/** Reads a file of sign-ins. @throws {UsageError} that names line and column. */
export async function readSignInFile(
  file: string,
): Promise<{ station: string; hour: string; voters: number }[]> {
  const rows: { station: string; hour: string; voters: number }[] = [];
  let columns: number[] | undefined;
  for await (const { line, cells } of readCsv(file)) {
    const fault = (what: string) => new UsageError(`${file}, line ${line}: ${what}`);
    if (columns === undefined) {
      const titles = cells.map((cell) => cell.trim().toLowerCase());
      const missing = COLUMNS.filter((column) => !titles.includes(column));
      if (missing.length > 0) {
        throw fault(`the first line must name ${COLUMNS.join(", ")}; ${missing.join(", ")} is missing`);
      }
      columns = COLUMNS.map((column) => titles.indexOf(column));
      continue;
    }
    const [station, hour, voters] = columns.map((at) => (cells[at] ?? "").trim()) as [string, string, string];
    if (station === "") throw fault("station is empty");
    if (
      !/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(hour) ||
      Number.isNaN(Date.parse(hour))
    ) {
      throw fault(`hour is ${JSON.stringify(hour)}, and must be like 2026-11-03T09:00:00-05:00`);
    }
    if (!/^\d{1,7}$/.test(voters)) {
      throw fault(`voters is ${JSON.stringify(voters)}, and must be a whole number`);
    }
    rows.push({ station, hour: new Date(hour).toISOString(), voters: Number(voters) });
  }
  if (rows.length === 0) throw new UsageError(`${file} has no line of sign-ins`);
  return rows;
}
