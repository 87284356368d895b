/**
 * `deno task office export` and `recount`: files that leave the house, written into a directory.
 *
 * @module
 */
import type { Command } from "commander";
import { command, Failure, UsageError } from "../../cli/command.ts";
import { utf8 } from "../../shared/bytes.ts";
import { sha256 } from "../../shared/keys.ts";
import { type NoteVerifier, openNote, parseVerifier } from "../audit/note.ts";
import type { OfficeClient, SendToOffice } from "../office/client.ts";
import { COMPARISON_FILE, PUBLIC_FILES } from "../office/exports/files.ts";
import { OfficeError } from "../registry/office_error.ts";

/** How often files are asked for again when a release came between them. */
const MAX_ATTEMPTS = 5;

/** Who asks, and where the office is. */
type Asking = Readonly<{ as?: string; url?: string; election: string; key?: string }>;

/** What these commands are given by `office`. */
export type OfficeAccess = Readonly<{
  /** Asks the office; signed in where there is a key file. */
  withOffice(
    asking: Readonly<{ as?: string; url?: string }>,
    work: (send: SendToOffice, client: OfficeClient | undefined) => Promise<void>,
  ): Promise<void>;
  /** The office's verifier key of this machine, where there is one. */
  ownVerifier(): NoteVerifier | undefined;
}>;

/** The commands. */
export function exportCommands(access: OfficeAccess): Command[] {
  const common = (name: string, description: string) =>
    command(name, description)
      .requiredOption("--election <id>", "the election")
      .option(
        "--url <address>",
        "a running aggregator with the role office; without it the database is opened here",
      )
      .option(
        "--key <key>",
        "the office's verifier key, to check signatures; that of this machine when left out",
      );
  return [
    common(
      "export",
      "Writes results as files: openelections.csv, err-v2.json, turnout.csv, comparison.csv where a contest is compared with an earlier election, and a signed SHA256SUMS.",
    )
      .requiredOption("--out <directory>", "where the files go")
      .option(
        "--certified <version>",
        "the number of a certified version; what is published now when left out",
      )
      .option("--as <file>", "the key file with which you sign in: event-log.json is written too")
      .action((options: Asking & { out: string; certified?: string }) => exportFiles(access, options)),
    common("recount", "Counts the log again and writes a signed report; exit code 1 on a difference.")
      .requiredOption("--as <file>", "the key file with which you sign in")
      .requiredOption("--out <file>", "where the report goes; the note goes to the same name with .note")
      .action((options: Asking & { out: string }) => recount(access, options)),
  ];
}

async function exportFiles(
  access: OfficeAccess,
  { out, certified: version, election, key, ...asking }: Asking & { out: string; certified?: string },
): Promise<void> {
  if (version !== undefined && !/^[1-9]\d{0,8}$/.test(version)) {
    throw new UsageError("--certified must be the number of a certified version");
  }
  const verifier = verifierOf(access, key);
  const path = `/v1/elections/${encodeURIComponent(election)}/exports`;
  const query = version === undefined ? "" : `?version=${version}`;
  await access.withOffice(asking, async (send, client) => {
    const files = await readFiles(async (name) => await get(send, `${path}/${name}${query}`), verifier);
    if (client !== undefined) {
      const { text } = await client.ask("GET", `${path}/event-log.json${query}`);
      checkSum(files.get("SHA256SUMS")!, "event-log.json", text, version !== undefined);
      files.set("event-log.json", text);
    }
    await Deno.mkdir(out, { recursive: true });
    for (const [name, text] of files) {
      await Deno.writeTextFile(`${out}/${name}`, text);
      console.log(`wrote ${out}/${name}`);
    }
  });
  console.log(
    verifier === undefined
      ? "the signature of SHA256SUMS was not checked: give --key"
      : `SHA256SUMS is signed by ${verifier.name}`,
  );
}

/** Reads files that fit the list of their sums: a release may come between them. */
async function readFiles(
  read: (name: string) => Promise<string>,
  verifier: NoteVerifier | undefined,
): Promise<Map<string, string>> {
  for (let attempt = 1;; attempt++) {
    const files = new Map<string, string>();
    for (const name of [...PUBLIC_FILES, "SHA256SUMS"]) files.set(name, await read(name));
    const sums = files.get("SHA256SUMS")!;
    if (verifier !== undefined && openNote(sums, verifier) === undefined) {
      throw new OfficeError(
        `Cannot use the export: SHA256SUMS has no signature of ${verifier.name} that fits it`,
      );
    }
    try {
      if (lineOf(sums, COMPARISON_FILE) !== undefined) {
        files.set(COMPARISON_FILE, await read(COMPARISON_FILE));
      }
      for (const [name, text] of files) if (name !== "SHA256SUMS") checkSum(sums, name, text, true);
      return files;
    } catch (error) {
      if (attempt === MAX_ATTEMPTS) throw error;
    }
  }
}

/** The line of a file in the list. */
function lineOf(sums: string, name: string): string | undefined {
  return sums.split("\n").find((line) => line.endsWith(`  ${name}`));
}

/** @throws {OfficeError} when a file is not the one that the list has. */
function checkSum(sums: string, name: string, text: string, mustBeListed: boolean): void {
  const listed = lineOf(sums, name);
  if (listed === undefined && !mustBeListed) return;
  if (listed !== `${sha256(utf8(text)).toHex()}  ${name}`) {
    throw new OfficeError(`Cannot use the export: ${name} is not the file that SHA256SUMS has; ask again`);
  }
}

async function get(send: SendToOffice, path: string): Promise<string> {
  const response = await send(path, { method: "GET" });
  const text = await response.text();
  if (response.ok) return text;
  const { detail, title } = JSON.parse(text) as { detail?: string; title?: string };
  throw new OfficeError(`Cannot export: ${detail ?? title ?? `the office answered ${response.status}`}`);
}

async function recount(
  access: OfficeAccess,
  { out, election, key, ...asking }: Asking & { out: string },
): Promise<void> {
  const verifier = verifierOf(access, key);
  let differences = 0;
  await access.withOffice(asking, async (_, client) => {
    const { body } = await client!.ask("POST", `/v1/elections/${encodeURIComponent(election)}/recount`);
    if (verifier !== undefined && openNote(body.note, verifier) === undefined) {
      throw new OfficeError(
        `Cannot use the report: its note has no signature of ${verifier.name} that fits it`,
      );
    }
    await Deno.writeTextFile(out, body.report);
    await Deno.writeTextFile(`${out}.note`, body.note);
    ({ differences } = body);
    console.log(`wrote ${out} and ${out}.note: ${differences} differences`);
  });
  if (differences > 0) throw new Failure("");
}

function verifierOf({ ownVerifier }: OfficeAccess, key: string | undefined): NoteVerifier | undefined {
  if (key === undefined) return ownVerifier();
  const verifier = parseVerifier(key);
  if (verifier === undefined) {
    throw new UsageError("--key must be a verifier key, like pollwire-office+1a2b3c4d+…");
  }
  return verifier;
}
