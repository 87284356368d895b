/**
 * Imports a roll file through the office's API: sends what is not there yet, has it checked, and has it committed. Begun again
 * after any failure, also while another process works on it, it goes on where the import stands.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { basename } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { OfficeError } from "../../registry/office_error.ts";
import type { OfficeClient } from "../client.ts";
import { IMPORT_LIMITS, type ImportReport, type ImportStatus, type RollImport } from "./roll_imports.ts";

/** How often it is asked how far the work has come, in milliseconds. */
const ASK_EVERY_MS = 500;

/** An import as the API answers it. */
export type ImportState = RollImport & Readonly<{ isRunning: boolean; fault?: string }>;

/** An import has one of these while it is worked on. */
const IN_WORK: readonly ImportStatus[] = ["checking", "committing", "reverting"];

/** Told how far something has come: bytes that are sent, or rows that are read or written. */
export type ImportProgress = (what: "sent" | "checked" | "written", done: number, total: number) => void;

/** The paths of an election's imports. */
export function importsPath(election: string): string {
  return `/v1/elections/${encodeURIComponent(election)}/roll-imports`;
}

/**
 * Sends a file, unless it is there, and has it checked, unless it was.
 *
 * @returns the import and what its check found.
 */
export async function checkRoll(
  client: OfficeClient,
  election: string,
  path: string,
  onProgress: ImportProgress,
): Promise<{ found: ImportState; report: ImportReport }> {
  const begun = await begin(client, election, path);
  const at = `${importsPath(election)}/${begun.import}`;
  if (begun.status === "uploading") await send(client, at, path, begun, onProgress);
  let found = begun;
  if (["uploading", "checking"].includes(begun.status)) {
    found = await work(client, at, "check", (state) => onProgress("checked", state.done, state.rows ?? 0));
  }
  const { body: report } = await client.ask("GET", `${at}/report`);
  return { found, report };
}

/** Has an import committed or reverted, or goes on with it. */
export async function finish(
  client: OfficeClient,
  election: string,
  number: number,
  what: "commit" | "revert",
  onProgress: ImportProgress,
): Promise<ImportState> {
  return await work(
    client,
    `${importsPath(election)}/${number}`,
    what,
    (state) => onProgress("written", state.done, state.rows ?? 0),
  );
}

async function begin(client: OfficeClient, election: string, path: string): Promise<ImportState> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const piece of piecesOf(path, 0)) {
    hash.update(piece);
    bytes += piece.length;
  }
  if (bytes === 0) throw new OfficeError(`Cannot import ${path}: it is empty`);
  const file = { name: basename(path), bytes, sha256: hash.digest("hex") };
  return (await client.ask("POST", importsPath(election), file)).body;
}

async function send(
  client: OfficeClient,
  at: string,
  path: string,
  { uploaded, bytes }: ImportState,
  onProgress: ImportProgress,
): Promise<void> {
  let from = uploaded;
  onProgress("sent", from, bytes);
  for await (const part of piecesOf(path, from)) {
    await client.sendBytes(`${at}/parts?from=${from}`, part);
    from += part.length;
    onProgress("sent", from, bytes);
  }
}

/** A file's bytes from an offset on, in pieces of one part's size. */
async function* piecesOf(path: string, from: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  using file = await Deno.open(path).catch((error) => {
    throw new OfficeError(
      error instanceof Deno.errors.NotFound
        ? `Cannot import ${path}: there is no such file`
        : `Cannot import ${path}: ${(error as Error).message}`,
    );
  });
  await file.seek(from, Deno.SeekMode.Start);
  for (;;) {
    const piece = new Uint8Array(IMPORT_LIMITS.partBytes);
    let length = 0;
    while (length < piece.length) {
      const read = await file.read(piece.subarray(length));
      if (read === null) break;
      length += read;
    }
    if (length > 0) yield piece.subarray(0, length);
    if (length < piece.length) return;
  }
}

/** Begins a piece of work, and waits until it has ended. */
async function work(
  client: OfficeClient,
  at: string,
  what: string,
  onState: (state: ImportState) => void,
): Promise<ImportState> {
  for (;;) {
    let state: ImportState = (await client.ask("POST", `${at}/${what}`)).body;
    while (state.isRunning) {
      await delay(ASK_EVERY_MS);
      state = (await client.ask("GET", at)).body;
      onState(state);
    }
    if (state.fault !== undefined) throw new OfficeError(`Cannot ${what} the import: ${state.fault}`);
    // Otherwise the process that worked on it has died.
    if (!IN_WORK.includes(state.status)) return state;
  }
}
