/**
 * The long work of roll imports, which goes on behind the answers of the API: check, commit, revert. One process does an
 * election's at a time, under a lease. Each step is a transaction of its own, so that work that was killed goes on
 * where it stood.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { UsageError } from "../../../cli/command.ts";
import type { CsvSource } from "../../../cli/csv.ts";
import { actAs, currentActor } from "../../audit/actor.ts";
import { appendAudit } from "../../audit/events.ts";
import type { Query } from "../../database/database.ts";
import { Lease } from "../../database/lease.ts";
import { readAccreditationRules } from "../../registry/definition.ts";
import { newestManifest } from "../../registry/manifests.ts";
import { OfficeError } from "../../registry/office_error.ts";
import { dayOfAges, importRoll, ROLL_BATCH, rollKeys, tellDifferences } from "../../registry/roll.ts";
import { findByNumbers, strikeVoters, votersOfRevision, whoVoted } from "../../registry/roll_changes.ts";
import { normalised } from "../../registry/sealed_profile.ts";
import { conflict, isRefusal, type Refusal } from "../access/accounts.ts";
import { type Finding, inspectRoll, readRoll, type RollRow } from "../roll_file.ts";
import type { OfficeSources } from "../sources.ts";
import {
  dropFile,
  importedFile,
  ImportKey,
  type ImportReport,
  moveStatus,
  readImport,
  readReport,
  rollFault,
  type RollImport,
  setDone,
  setStatus,
} from "./roll_imports.ts";

/** How long an import is another process's after that was last heard of, in milliseconds. */
const LEASE_MS = 20_000;
/** Maximum voters in a list of those who were kept. */
export const MAX_KEPT = 1_000;

/** The rest between two batches, in milliseconds: time for timers, sockets and other requests. */
const REST_MS = 25;

/** The kinds of work. */
export type ImportWork = "check" | "commit" | "revert";

/** Another process does the work now, or took it over. */
class TakenOver extends Error {
  override name = "TakenOver";
}

/** The import was discarded while it was checked. */
class Ended extends Error {
  override name = "Ended";
}

/** Does the work of a process's imports. */
export class RollImportJobs {
  readonly #sources: OfficeSources;
  readonly #running = new Map<string, Promise<void>>();
  readonly #faults = new Map<string, string>();

  constructor(sources: OfficeSources) {
    this.#sources = sources;
  }

  /** Whether any process works on an import of the election, and what its last work ended with here, if it failed. */
  async state(election: string, number: number): Promise<{ isRunning: boolean; fault?: string }> {
    const fault = this.#faults.get(`${election}/${number}`);
    const isRunning = this.#running.has(election) || await isHeld(this.#sources, election);
    return { isRunning, ...fault === undefined ? {} : { fault } };
  }

  /** Resolves when this process works on no import. */
  async idle(): Promise<void> {
    await Promise.all(this.#running.values());
  }

  /** Begins the work, or goes on with it, behind the answer. */
  async start(
    work: ImportWork,
    election: string,
    number: number,
    now: Date,
  ): Promise<RollImport | Refusal> {
    const { db, keyring } = this.#sources;
    const found = await readImport(db.query, election, number);
    if (isRefusal(found)) return found;
    if (this.#running.has(election)) return found;
    const closed = await rollFault(db.query, election, now);
    if (closed !== undefined) return closed;
    const key = new ImportKey(election, keyring.master(election));
    const may = await this.#mayStart(work, election, found, key);
    if (may !== undefined) return may;
    const lease = new Lease(db.query, leaseOf(election), LEASE_MS);
    // Another process works on it, or has died a moment ago: the answer says that it is running.
    if (!await lease.hold()) return found;
    const moved = await move(this.#sources, work, election, number, now);
    if (isRefusal(moved)) {
      await lease.release();
      return moved;
    }
    this.#faults.delete(`${election}/${number}`);
    const actor = currentActor();
    const running = actAs(actor, () => this.#work(work, election, moved, key, lease))
      .catch((error) => {
        if (!(error instanceof Ended)) this.#faults.set(`${election}/${number}`, (error as Error).message);
      })
      .finally(async () => {
        await lease.release().catch(() => {});
        this.#running.delete(election);
      });
    this.#running.set(election, running);
    return moved;
  }

  async #mayStart(
    work: ImportWork,
    election: string,
    { import: number, status, uploaded, bytes }: RollImport,
    key: ImportKey,
  ): Promise<Refusal | undefined> {
    if (work === "check" && status === "uploading" && uploaded < bytes) {
      return conflict(`${uploaded} of the file's ${bytes} bytes are here: send the rest first`);
    }
    if (work !== "commit" || status !== "checked") return undefined;
    const report = await readReport(this.#sources.db.query, election, number, key);
    if (isRefusal(report)) return report;
    const bad = report.total["bad row"];
    return bad === 0 ? undefined : conflict(`${bad} values of the file are wrong: see the report`);
  }

  async #work(
    work: ImportWork,
    election: string,
    found: RollImport,
    key: ImportKey,
    lease: Lease,
  ): Promise<void> {
    const { db, keyring } = this.#sources;
    const context = {
      ...this.#sources,
      election,
      found,
      key,
      master: keyring.master(election),
      file: importedFile(db.query, election, found, key),
      renew: async () => {
        // The embedded database answers without the event loop: without this, nothing else of the process would get a turn.
        await delay(REST_MS);
        if (!await lease.hold()) throw new TakenOver("another process of the office has taken the work over");
      },
    };
    if (work === "check") await check(context);
    else if (work === "commit") await commit(context);
    else await revert(context);
  }
}

function leaseOf(election: string): string {
  return `roll import ${election}`;
}

async function isHeld({ db }: OfficeSources, election: string): Promise<boolean> {
  const rows = await db.query("SELECT 1 FROM counting.leases WHERE work = $1 AND until > now()", [
    leaseOf(election),
  ]);
  return rows.length > 0;
}

async function move({ db }: OfficeSources, work: ImportWork, election: string, number: number, now: Date) {
  switch (work) {
    case "check":
      return await moveStatus(db, election, number, ["uploading", "checking"], "checking", now);
    case "commit":
      return await moveStatus(db, election, number, ["checked", "committing"], "committing", now);
    case "revert":
      return await moveStatus(db, election, number, ["committed", "reverting"], "reverting", now);
  }
}

type Context =
  & OfficeSources
  & Readonly<{
    election: string;
    found: RollImport;
    key: ImportKey;
    master: Uint8Array;
    file: Exclude<CsvSource, string>;
    /** @throws {TakenOver} */
    renew(): Promise<void>;
  }>;

const at = ({ now }: Pick<OfficeSources, "now">) => new Date(now());

/** Reads the whole file, compares it with the roll, and keeps the report. Writes nothing to the roll. */
async function check(context: Context): Promise<void> {
  const { db, election, found, key, renew } = context;
  const number = found.import;
  const report = await inspect(context).catch((error): ImportReport => {
    if (!(error instanceof OfficeError) && !(error instanceof UsageError)) throw error;
    return { ...NOTHING, fault: error.message };
  });
  await renew();
  await db.transaction(async (query) => {
    const now = await readImport(query, election, number);
    if (isRefusal(now) || now.status !== "checking") throw new Ended();
    const good = report.fault === undefined && report.total["bad row"] === 0;
    await query(
      `UPDATE office.roll_imports SET sealed_report = decode($3, 'hex'), rows = $4, done = $4
       WHERE election = $1 AND number = $2`,
      [election, number, key.sealReport(report, number), report.rows],
    );
    await setStatus(query, election, number, good ? "checked" : "refused", at(context));
    // A file that is wrong is sent again when it was put right.
    if (!good) await dropFile(query, election, number);
  });
}

const NOTHING: ImportReport = {
  voters: 0,
  rows: 0,
  findings: [],
  total: { "bad row": 0, "given twice": 0, "alike": 0, "on the roll": 0 },
  notes: [],
  fresh: 0,
  known: 0,
};

async function inspect(context: Context): Promise<ImportReport> {
  const { db, election, found, file, master, renew } = context;
  const changed = await digestFault(context);
  if (changed !== undefined) return { ...NOTHING, fault: changed };
  const manifest = (await newestManifest(db.query, election))!;
  const rules = await readAccreditationRules(db.query, election);
  const day = await dayOfAges(db.query, election);
  const keys = rollKeys(election, master);
  let known = 0;
  const compare = async (rows: readonly RollRow[]): Promise<Finding[]> => {
    const lines = new Map(rows.map(({ line, voter }) => [voter.voter_id, line]));
    const findings: Finding[] = [];
    const voters = rows.map(({ voter }) => voter);
    const onRoll = await tellDifferences(db.query, election, voters, (voterId, differs) =>
      findings.push({
        kind: "on the roll",
        line: lines.get(voterId)!,
        column: "voter_id",
        value: voterId,
        problem: `is on the roll with other data, which stays: ${differs}`,
      }));
    known += onRoll.size;
    if (!rules.registrationNumber?.unique) return findings;
    const numbers = rows.filter(({ voter }) => !onRoll.has(voter.voter_id))
      .map(({ line, voter }) => ({ line, value: voter.profile?.registration_number ?? "" }))
      .filter(({ value }) => value !== "");
    const taken = await findByNumbers(db.query, election, keys, numbers.map(({ value }) => value));
    for (const { line, value } of numbers) {
      const other = taken.get(normalised(value));
      if (other === undefined) continue;
      const problem = `is that of voter ${other}, who is on the roll; no two voters may have one`;
      findings.push({ kind: "bad row", line, column: "registration_number", value, problem });
    }
    return findings;
  };
  const onProgress = async (rows: number) => {
    await renew();
    await setDone(db.query, election, found.import, rows);
  };
  const report = await inspectRoll(file, manifest, { rules, day, compare, onProgress });
  if (report.rows === 0) {
    return { ...NOTHING, ...report, fault: `Cannot read the roll ${file.name}: it has no voters` };
  }
  return { ...report, known, fresh: report.voters - known - report.total["given twice"] };
}

/** What is wrong with the file as a whole, when it is not the one that was announced. */
async function digestFault({ file, found }: Context): Promise<string | undefined> {
  const hash = createHash("sha256");
  for await (const part of file.bytes()) hash.update(part);
  const sha256 = hash.digest("hex");
  if (sha256 === found.sha256) return undefined;
  return `Cannot read the roll ${file.name}: its SHA-256 is ${sha256}, and ${found.sha256} was announced; ` +
    "it changed while it was sent: send it again";
}

/** Puts the voters on the roll, from the row on to which it has come. */
async function commit(context: Context): Promise<void> {
  const { db, election, found, master, file, now, renew } = context;
  const number = found.import;
  const { rows: done } = (await db.query<{ rows: number }>(
    `SELECT coalesce(max(rows), 0)::float8 AS rows FROM office.roll_import_batches WHERE election = $1 AND number = $2`,
    [election, number],
  ))[0]!;
  let rows = done;
  await importRoll(
    db,
    election,
    master,
    from(readRoll(file), done, renew),
    now,
    {
      async inTransaction(query, batch) {
        await renewIn(query, context);
        rows += batch.rows;
        await query(
          `INSERT INTO office.roll_import_batches (election, number, rows, revision, added, known)
           VALUES ($1, $2, $3, $4, $5, $6)`,
          [election, number, rows, batch.revision ?? null, batch.added, batch.known],
        );
        await setDone(query, election, number, rows);
      },
    },
  );
  await renew();
  await db.transaction(async (query) => {
    await setStatus(query, election, number, "committed", at(context), rows);
    await dropFile(query, election, number);
    const ended = await readImport(query, election, number) as RollImport;
    const { added, known, sha256 } = ended;
    await appendAudit(query, at(context), "roll_import_committed", election, {
      import: number,
      sha256,
      added,
      known,
    });
  });
}

/** Sees in the transaction of a batch that the import is still this process's: another may have taken it over. */
async function renewIn(query: Query, { election, found }: Context): Promise<void> {
  const [row] = await query<{ status: string }>(
    `SELECT status FROM office.roll_imports WHERE election = $1 AND number = $2 FOR UPDATE`,
    [election, found.import],
  );
  if (row?.status !== "committing") throw new TakenOver("the import has another state by now");
}

/** What comes behind the first of them. Keeps the lease meanwhile. */
async function* from<T>(all: AsyncIterable<T>, first: number, renew: () => Promise<void>): AsyncGenerator<T> {
  let number = 0;
  for await (const each of all) {
    if (number++ % ROLL_BATCH === 0) await renew();
    if (number > first) yield each;
  }
}

/** Strikes the voters whom the import put on the roll and who have not voted, a change of history after another. */
async function revert(context: Context): Promise<void> {
  const { db, election, found, master, renew } = context;
  const number = found.import;
  const keys = rollKeys(election, master);
  const batches = await db.query<{ rows: number; revision: number | null }>(
    `SELECT rows::float8 AS rows, revision::float8 AS revision
     FROM office.roll_import_batches WHERE election = $1 AND number = $2 AND reverted_at IS NULL ORDER BY rows`,
    [election, number],
  );
  for (const { rows, revision } of batches) {
    await renew();
    await db.transaction(async (query) => {
      const voters = revision === null ? [] : await votersOfRevision(query, election, revision);
      const { voted } = voters.length === 0
        ? { voted: [] }
        : await strikeVoters(query, election, keys, voters, "import_reverted", at(context));
      await query(
        `UPDATE office.roll_import_batches SET reverted_at = $4::timestamptz, kept = $5
         WHERE election = $1 AND number = $2 AND rows = $3 AND reverted_at IS NULL`,
        [election, number, rows, at(context).toISOString(), voted.length],
      );
      await setDone(query, election, number, rows);
    });
  }
  await db.transaction(async (query) => {
    await setStatus(query, election, number, "reverted", at(context));
    const { added, kept } = await readImport(query, election, number) as RollImport;
    const details = { import: number, struck: added - kept, kept };
    await appendAudit(query, at(context), "roll_import_reverted", election, details);
  });
}

/** Voters whom an import put on the roll, who are on it still, and who have voted: those whom a revert leaves there. */
export async function readKept(
  { db, keyring }: OfficeSources,
  election: string,
  number: number,
): Promise<{ voters: string[]; isAll: boolean } | Refusal> {
  const found = await readImport(db.query, election, number);
  if (isRefusal(found)) return found;
  const keys = rollKeys(election, keyring.master(election));
  const batches = await db.query<{ revision: number }>(
    `SELECT revision::float8 AS revision FROM office.roll_import_batches
     WHERE election = $1 AND number = $2 AND revision IS NOT NULL AND coalesce(kept, 1) > 0 ORDER BY rows`,
    [election, number],
  );
  const kept: string[] = [];
  for (const { revision } of batches) {
    const voters = await votersOfRevision(db.query, election, revision);
    kept.push(...await whoVoted(db.query, election, keys, voters));
    if (kept.length > MAX_KEPT) return { voters: kept.slice(0, MAX_KEPT), isAll: false };
  }
  return { voters: kept.toSorted(), isAll: true };
}
