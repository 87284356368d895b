/**
 * Imports of roll files: begun, uploaded in parts, and what is known of each. roll_import_jobs.ts checks, commits and reverts them.
 *
 * The file is kept in the database until the import ends, sealed with a key of the election, so that any process of the office
 * can go on with it.
 *
 * @module
 */
import { lengthPrefixed, utf8 } from "../../../shared/bytes.ts";
import type { CsvSource } from "../../../cli/csv.ts";
import { deriveKey, seal, unseal } from "../../../shared/keys.ts";
import { appendAudit } from "../../audit/events.ts";
import { type Database, isoTime, type Query } from "../../database/database.ts";
import { conflict, isRefusal, type Refusal } from "../access/accounts.ts";
import { readState } from "../lifecycle/state.ts";
import type { Phase } from "../lifecycle/transition.ts";
import type { RollReport } from "../roll_file.ts";

/** Bounds of an import. */
export const IMPORT_LIMITS = {
  /** Bytes of a file: some ten million voters. */
  fileBytes: 2_000_000_000,
  /** Bytes of a part: one request. */
  partBytes: 1_048_576,
  /** Imports that a list has: the newest. */
  listed: 100,
} as const;

export const IMPORT_STATUSES = [
  "uploading",
  "checking",
  "refused",
  "checked",
  "committing",
  "committed",
  "reverting",
  "reverted",
  "discarded",
] as const;
export type ImportStatus = (typeof IMPORT_STATUSES)[number];

/** While an import has one of these, no other may begin. */
export const UNDER_WAY: readonly ImportStatus[] = [
  "uploading",
  "checking",
  "checked",
  "committing",
  "reverting",
];

/** An import. Counts are of rows; `kept` are voters whom a revert left on the roll, because they have voted. */
export type RollImport = Readonly<{
  import: number;
  name: string;
  bytes: number;
  sha256: string;
  status: ImportStatus;
  begunAt: string;
  begunBy: string;
  changedAt: string;
  uploaded: number;
  rows: number | null;
  done: number;
  added: number;
  known: number;
  kept: number;
}>;

/** What the check of a file found. `fault`: it cannot be read as a roll at all. */
export type ImportReport = RollReport & Readonly<{ fresh: number; known: number; fault?: string }>;

const COLUMNS = `number AS import, name, bytes::float8 AS bytes, encode(sha256, 'hex') AS sha256, status,
  ${isoTime("begun_at")} AS "begunAt", begun_by AS "begunBy", ${isoTime("changed_at")} AS "changedAt",
  uploaded::float8 AS uploaded, rows::float8 AS rows, done::float8 AS done,
  (SELECT coalesce(sum(b.added), 0) FROM office.roll_import_batches b WHERE b.election = i.election AND b.number = i.number)::float8 AS added,
  (SELECT coalesce(sum(b.known), 0) FROM office.roll_import_batches b WHERE b.election = i.election AND b.number = i.number)::float8 AS known,
  (SELECT coalesce(sum(b.kept), 0) FROM office.roll_import_batches b WHERE b.election = i.election AND b.number = i.number)::float8 AS kept`;

/** The newest imports of an election, newest first. */
export async function readImports(query: Query, election: string): Promise<RollImport[]> {
  return await query<RollImport>(
    `SELECT ${COLUMNS} FROM office.roll_imports i WHERE election = $1 ORDER BY number DESC LIMIT ${IMPORT_LIMITS.listed}`,
    [election],
  );
}

/** One import. */
export async function readImport(
  query: Query,
  election: string,
  number: number,
): Promise<RollImport | Refusal> {
  const [row] = await query<RollImport>(
    `SELECT ${COLUMNS} FROM office.roll_imports i WHERE election = $1 AND number = $2`,
    [election, number],
  );
  return row ?? { refused: "not-found", detail: `there is no import ${number}` };
}

/** What the check of an import found; a refusal before it has ended. */
export async function readReport(
  query: Query,
  election: string,
  number: number,
  key: ImportKey,
): Promise<ImportReport | Refusal> {
  const found = await readImport(query, election, number);
  if (isRefusal(found)) return found;
  const [row] = await query<{ sealed: string | null }>(
    "SELECT encode(sealed_report, 'hex') AS sealed FROM office.roll_imports WHERE election = $1 AND number = $2",
    [election, number],
  );
  if (row!.sealed === null) return conflict(`import ${number} is ${found.status}: check it first`);
  return JSON.parse(new TextDecoder().decode(key.open(row!.sealed, number, "report")));
}

/** Phases in which voters come on the roll and leave it. */
export const ROLL_PHASES: readonly Phase[] = ["draft", "scheduled", "open", "paused"];

/** Why the roll cannot be changed now; `undefined` when it can. */
export async function rollFault(query: Query, election: string, now: Date): Promise<Refusal | undefined> {
  const { phase, manifest } = await readState(query, election, now);
  if (ROLL_PHASES.includes(phase)) return undefined;
  return conflict(
    phase === "closed"
      ? `the roll cannot be changed: voting closed at ${manifest.closesAt}`
      : `the roll cannot be changed: the election is ${phase}`,
  );
}

/** A file that somebody wants to import. */
export type FileToImport = Readonly<{ name: string; bytes: number; sha256: string }>;

/** Lets no two changes of an election's imports run at the same time. */
async function lockImports(query: Query, election: string): Promise<void> {
  await query("SELECT pg_advisory_xact_lock($1::int, hashtext($2))", [7_028, election]);
}

/**
 * Begins an import. A file that is being imported goes on; one that was imported is refused, and so is another one while an
 * import is under way.
 */
export async function beginImport(
  db: Database,
  election: string,
  file: FileToImport,
  account: string,
  now: Date,
): Promise<RollImport | Refusal> {
  return await db.transaction(async (query) => {
    await lockImports(query, election);
    const fault = await rollFault(query, election, now);
    if (fault !== undefined) return fault;
    const all = await readImports(query, election);
    const running = all.find(({ status }) => UNDER_WAY.includes(status));
    if (running !== undefined) {
      if (running.sha256 === file.sha256) return running;
      return conflict(
        `import ${running.import} of ${running.name} is ${running.status}; end it first: commit, revert or discard it`,
      );
    }
    const same = all.find(({ sha256, status }) => sha256 === file.sha256 && status === "committed");
    if (same !== undefined) {
      return conflict(
        `the same file was imported already: import ${same.import}, ${same.name}, committed at ${same.changedAt}; ` +
          "revert that one to import it again",
      );
    }
    const number = (all[0]?.import ?? 0) + 1;
    await query(
      `INSERT INTO office.roll_imports (election, number, name, bytes, sha256, status, begun_at, begun_by, changed_at)
       VALUES ($1, $2, $3, $4, decode($5, 'hex'), 'uploading', $6::timestamptz, $7, $6::timestamptz)`,
      [election, number, file.name, file.bytes, file.sha256, now.toISOString(), account],
    );
    await appendAudit(query, now, "roll_import_begun", election, { import: number, sha256: file.sha256 });
    return await readImport(query, election, number);
  });
}

/** Changes an import, as it stands, in a transaction in which no other change of the election's imports runs. */
async function changeImport<T>(
  db: Database,
  election: string,
  number: number,
  work: (query: Query, found: RollImport) => Promise<T | Refusal>,
): Promise<T | Refusal> {
  return await db.transaction(async (query) => {
    await lockImports(query, election);
    const found = await readImport(query, election, number);
    return isRefusal(found) ? found : await work(query, found);
  });
}

/** Keeps a part of the file. Parts come in order; one that is there already is taken as sent. */
export async function addPart(
  db: Database,
  election: string,
  number: number,
  from: number,
  part: Uint8Array,
  key: ImportKey,
  now: Date,
): Promise<{ uploaded: number } | Refusal> {
  return await changeImport(db, election, number, async (query, { status, uploaded, bytes }) => {
    if (status !== "uploading") {
      return conflict(`import ${number} is ${status}: it takes no more of the file`);
    }
    if (from < uploaded && from + part.length <= uploaded) return { uploaded };
    if (from !== uploaded) return conflict(`bytes 0 to ${uploaded} are here: send the part from ${uploaded}`);
    if (from + part.length > bytes) {
      return conflict(`the file has ${bytes} bytes, and this part ends at ${from + part.length}`);
    }
    await query(
      `INSERT INTO office.roll_import_parts (election, number, starts_at, sealed) VALUES ($1, $2, $3, decode($4, 'hex'))`,
      [election, number, from, key.seal(part, number, `part ${from}`)],
    );
    await query(
      "UPDATE office.roll_imports SET uploaded = $3, changed_at = $4::timestamptz WHERE election = $1 AND number = $2",
      [election, number, from + part.length, now.toISOString()],
    );
    return { uploaded: from + part.length };
  });
}

/** Ends an import that has put nobody on the roll. */
export async function discardImport(
  db: Database,
  election: string,
  number: number,
  now: Date,
): Promise<RollImport | Refusal> {
  return await changeImport(db, election, number, async (query, found) => {
    if (!["uploading", "checking", "checked", "refused"].includes(found.status)) {
      return conflict(
        `import ${number} is ${found.status}` +
          (found.status === "committing" ? ": commit it to its end, then revert it" : ""),
      );
    }
    await setStatus(query, election, number, "discarded", now);
    await dropFile(query, election, number);
    await appendAudit(query, now, "roll_import_discarded", election, { import: number });
    return await readImport(query, election, number);
  });
}

/** Goes from one status to another, if it has one of those that are named. */
export async function moveStatus(
  db: Database,
  election: string,
  number: number,
  from: readonly ImportStatus[],
  to: ImportStatus,
  now: Date,
): Promise<RollImport | Refusal> {
  return await changeImport(db, election, number, async (query, found) => {
    if (!from.includes(found.status)) {
      return conflict(`import ${number} is ${found.status}, and must be ${from.join(" or ")}`);
    }
    if (found.status !== to) await setStatus(query, election, number, to, now, 0);
    return await readImport(query, election, number);
  });
}

/** @param done Rows that the work of the new status has gone through; unchanged when left out. */
export async function setStatus(
  query: Query,
  election: string,
  number: number,
  status: ImportStatus,
  now: Date,
  done?: number,
): Promise<void> {
  await query(
    `UPDATE office.roll_imports SET status = $3, changed_at = $4::timestamptz, done = coalesce($5::bigint, done)
     WHERE election = $1 AND number = $2`,
    [election, number, status, now.toISOString(), done ?? null],
  );
}

/** Notes how many rows the work has gone through. */
export async function setDone(query: Query, election: string, number: number, rows: number): Promise<void> {
  await query("UPDATE office.roll_imports SET done = $3 WHERE election = $1 AND number = $2", [
    election,
    number,
    rows,
  ]);
}

/** Removes an import's file. */
export async function dropFile(query: Query, election: string, number: number): Promise<void> {
  await query("DELETE FROM office.roll_import_parts WHERE election = $1 AND number = $2", [election, number]);
}

/** An import's file, read from the database part by part. */
export function importedFile(
  query: Query,
  election: string,
  { import: number, name }: Pick<RollImport, "import" | "name">,
  key: ImportKey,
): Exclude<CsvSource, string> {
  return {
    name,
    async *bytes() {
      for (let from = 0;;) {
        const [row] = await query<{ sealed: string }>(
          `SELECT encode(sealed, 'hex') AS sealed FROM office.roll_import_parts
           WHERE election = $1 AND number = $2 AND starts_at = $3`,
          [election, number, from],
        );
        if (row === undefined) return;
        const part = key.open(row.sealed, number, `part ${from}`);
        from += part.length;
        yield part;
      }
    },
  };
}

/** Seals what is kept of an election's imports. */
export class ImportKey {
  readonly #election: string;
  readonly #key: Uint8Array;

  /** @param master The election's master key, 32 bytes. */
  constructor(election: string, master: Uint8Array) {
    this.#election = election;
    this.#key = deriveKey(master, "roll-import", election);
  }

  /** Returns hex. */
  seal(bytes: Uint8Array, number: number, what: string): string {
    return seal(this.#key, bytes, this.#context(number, what)).toHex();
  }

  /** @throws when it was sealed with another key, or is another part. */
  open(sealed: string, number: number, what: string): Uint8Array {
    const bytes = unseal(this.#key, Uint8Array.fromHex(sealed), this.#context(number, what));
    if (bytes === undefined) throw new Error(`Cannot open ${what} of import ${number}: it was changed`);
    return bytes;
  }

  /** A report, in hex. */
  sealReport(report: ImportReport, number: number): string {
    return this.seal(utf8(JSON.stringify(report)), number, "report");
  }

  #context(number: number, what: string): Uint8Array {
    return lengthPrefixed(this.#election, String(number), what);
  }
}
