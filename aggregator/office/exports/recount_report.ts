/**
 * The report of a recount, signed. It says nothing of when or where it was made, so that the same log and tables give the same bytes.
 *
 * @module
 */
import { isRehearsal, REHEARSAL_MARK } from "../../../shared/rehearsal.ts";
import { utf8 } from "../../../shared/bytes.ts";
import { sha256 } from "../../../shared/keys.ts";
import { canonicalJson } from "../../audit/canonical_json.ts";
import { signNote } from "../../audit/note.ts";
import { openHistory } from "../../counting/history.ts";
import { recount } from "../../counting/recount.ts";
import { readOutcomes, readPositions } from "../../counting/tables.ts";
import type { Query } from "../../database/database.ts";
import { newestManifest } from "../../registry/manifests.ts";
import { OfficeError } from "../../registry/office_error.ts";
import { readUnits, readVersions, sumUnits } from "../lifecycle/certified.ts";
import { showsCounts } from "../quality/run.ts";
import type { OfficeSources } from "../sources.ts";

/** A report, and the note with its SHA-256. */
export type RecountReport = Readonly<{ report: string; note: string; differences: number }>;

/**
 * Counts the log again up to where counting stands, compares it with the tables, and reports.
 *
 * @throws {OfficeError} when counting goes on meanwhile: then it would be of no one moment.
 */
export async function recountReport(
  { db, keyring, keys, openLog }: OfficeSources,
  election: string,
): Promise<RecountReport> {
  const manifest = await newestManifest(db.query, election);
  if (manifest === undefined) throw new OfficeError(`Cannot find election ${election}`);
  const log = await openLog(election, manifest.partitions);
  const history = (await openHistory(db.query, election, keyring.master(election)))!;
  const before = await endsOf(db.query, election, manifest.partitions);
  const found = await recount(db, log, history);
  const { ends, outcomes, units, newest } = await db.transaction(async (query) => ({
    ends: await endsOf(query, election, manifest.partitions),
    outcomes: await readOutcomes(query, election),
    units: await readUnits(query, election),
    newest: (await readVersions(query, election)).at(-1),
  }), "snapshot");
  if (ends.join() !== before.join()) {
    throw new OfficeError("counting went on during the recount: ask again when the log is read to its end");
  }
  const isShown = await showsCounts(db, manifest);
  const report = canonicalJson({
    ...isRehearsal(election) && { rehearsal: true, mark: REHEARSAL_MARK },
    election,
    manifestVersion: manifest.version,
    ends,
    records: found.records,
    counted: found.counted,
    altered: found.altered,
    reused: found.reused,
    deleted: found.deleted,
    lines: found.lines,
    differences: found.differences,
    // Vote ids are for receipts, and counts that are not published are for nobody.
    shown: found.shown.map(({ line, tables, recount }) => ({
      line,
      ...isShown && !/^participation \d/.test(line) && { tables, recount },
    })),
    outcomes: Object.fromEntries(outcomes),
    published: { votes: sumUnits(units, "votes"), marks: sumUnits(units, "marks") },
    certified: newest === undefined
      ? null
      : { version: newest.version, sha256: sha256(utf8(newest.results)).toHex() },
  });
  const digest = sha256(utf8(report)).toHex();
  const note = signNote(
    `pollwire recount ${election}\n${
      isRehearsal(election) ? `${REHEARSAL_MARK}\n` : ""
    }${digest}\n${found.differences} differences\n`,
    keys.notes,
  );
  return { report, note, differences: found.differences };
}

async function endsOf(query: Query, election: string, partitions: number): Promise<number[]> {
  const positions = await readPositions(query, election);
  return Array.from({ length: partitions }, (_, partition) => positions.get(partition)?.next ?? 0);
}
