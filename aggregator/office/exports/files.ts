/**
 * The files that leave the house: made once for each version or release, with a signed list of their SHA-256.
 *
 * @module
 */
import { utf8 } from "../../../shared/bytes.ts";
import { sha256 } from "../../../shared/keys.ts";
import { isRehearsal, REHEARSAL_MARK } from "../../../shared/rehearsal.ts";
import { RecentMap } from "../../../shared/recent.ts";
import { SizedLru } from "../../../shared/sized_lru.ts";
import { type NoteKey, signNote } from "../../audit/note.ts";
import type { Database, Query } from "../../database/database.ts";
import { Elections } from "../../registry/election_names.ts";
import { readWholeComparisons, type WholeComparison } from "../../results/history/comparison.ts";
import { newestRelease } from "../../results/releases.ts";
import { comparisonCsv, type CsvKind, openElectionsCsv, turnoutCsv } from "./csv.ts";
import { electionReport } from "./err.ts";
import { eventLog, readTrail } from "./event_log.ts";
import { type ExportFault, type Published, readPublished } from "./published.ts";

/** Files for everyone: they are made of releases alone. */
export const PUBLIC_FILES = ["openelections.csv", "err-v2.json", "turnout.csv"] as const;
export type PublicFile = (typeof PUBLIC_FILES)[number];
/**
 * A file for everyone that is there after the final release, where a contest is compared with an earlier election. No certified version
 * has it: officials may link units anew.
 */
export const COMPARISON_FILE = "comparison.csv";

/** Sets of files that are kept in memory: their number and size. */
const CACHE_LIMITS = { entries: 64, bytes: 64 << 20 };
/** How long a set of the present is given again without a look at the database, in milliseconds. */
export const CURRENT_MS = 5_000;
/** Elections of which the set of the present is remembered. */
const MAX_CURRENT = 64;

const WRITERS: Record<PublicFile, (published: Published, kind: CsvKind) => string> = {
  "openelections.csv": openElectionsCsv,
  "err-v2.json": (published) => electionReport(published),
  "turnout.csv": turnoutCsv,
};

/** A file of a set: a public one, exact or for spreadsheets, or the list of sums. */
type FileName = `${PublicFile | typeof COMPARISON_FILE} ${CsvKind}` | "SHA256SUMS";
type FileSet = ReadonlyMap<FileName, string>;

/**
 * Makes files, and keeps the sets that were asked for last: the same version or release has the same bytes. All files of a set are
 * made together, so the list of sums fits them.
 */
export class ExportFiles {
  readonly #db: Database;
  readonly #key: NoteKey;
  readonly #now: () => number;
  readonly #elections = new Elections();
  readonly #kept = new SizedLru<FileSet>(CACHE_LIMITS);
  /** Sets of the present, by election: when they were made, or are being made. */
  readonly #current = new RecentMap<Readonly<{ atMs: number; set: Promise<FileSet | ExportFault> }>>(
    MAX_CURRENT,
  );

  /** @param now Milliseconds since 1970. */
  constructor(db: Database, key: NoteKey, now: () => number) {
    this.#db = db;
    this.#key = key;
    this.#now = now;
  }

  /** A file of what is published, or of a certified version. */
  async file(
    election: string,
    file: PublicFile,
    version: number | undefined,
    kind: CsvKind = "exact",
  ): Promise<string | ExportFault> {
    return await this.#get(election, version, `${file} ${kind}`);
  }

  /** Comparisons with earlier elections as they stand now. */
  async comparison(election: string, kind: CsvKind = "exact"): Promise<string | ExportFault> {
    return await this.#get(election, undefined, `${COMPARISON_FILE} ${kind}`);
  }

  /**
   * The list of the files' SHA-256, as `sha256sum` writes it, signed as a note. That of a certified version has the event log up to
   * its certification, too.
   */
  async sums(election: string, version: number | undefined): Promise<string | ExportFault> {
    return await this.#get(election, version, "SHA256SUMS");
  }

  async #get(election: string, version: number | undefined, name: FileName): Promise<string | ExportFault> {
    const set = version === undefined ? await this.#currentSet(election) : await this.#set(election, version);
    return "fault" in set ? set : set.get(name) ?? { fault: "no-comparison" };
  }

  async #currentSet(election: string): Promise<FileSet | ExportFault> {
    const known = this.#current.get(election);
    const nowMs = this.#now();
    if (known !== undefined && Math.abs(nowMs - known.atMs) < CURRENT_MS) return await known.set;
    const set = this.#set(election, undefined);
    this.#current.set(election, { atMs: nowMs, set });
    const forget = () => this.#current.delete(election);
    set.then((made) => "fault" in made && forget(), forget);
    return await set;
  }

  async #set(election: string, version: number | undefined): Promise<FileSet | ExportFault> {
    return await this.#db.transaction(async (query) => {
      const state = version === undefined ? await currentState(query, election) : `version ${version}`;
      const key = `${election} ${state}`;
      const kept = this.#kept.get(key);
      if (kept !== undefined) return kept;
      const made = await this.#make(query, election, version);
      if ("fault" in made) return made;
      // A text has at most two bytes a character in memory.
      this.#kept.set(key, made, [...made.values()].reduce((sum, text) => sum + text.length * 2, 0));
      return made;
    }, "snapshot");
  }

  async #make(query: Query, election: string, version: number | undefined): Promise<FileSet | ExportFault> {
    const published = await readPublished(query, election, version);
    if ("fault" in published) return published;
    const set = new Map<FileName, string>();
    const listed = new Map<string, string>();
    for (const file of PUBLIC_FILES) {
      const exact = WRITERS[file](published, "exact");
      listed.set(file, exact);
      set.set(`${file} exact`, exact);
      if (file.endsWith(".csv")) set.set(`${file} spreadsheet`, WRITERS[file](published, "spreadsheet"));
    }
    if (version === undefined) {
      const names = await this.#elections.find(query, election);
      const comparisons: WholeComparison[] = [];
      for (const contest of names!.contests.keys()) {
        comparisons.push(...await readWholeComparisons(query, names!, contest));
      }
      if (comparisons.length > 0) {
        for (const kind of ["exact", "spreadsheet"] as const) {
          set.set(`${COMPARISON_FILE} ${kind}`, comparisonCsv(names!, comparisons, kind));
        }
        listed.set(COMPARISON_FILE, set.get(`${COMPARISON_FILE} exact`)!);
      }
    } else {
      const log = await eventLogOf(query, election, version);
      if (typeof log !== "string") return log;
      listed.set("event-log.json", log);
    }
    const state = version === undefined ? published.status : `version ${version}`;
    const lines = [...listed].sort(([a], [b]) => a < b ? -1 : 1)
      .map(([file, text]) => `${sha256(utf8(text)).toHex()}  ${file}\n`);
    const mark = isRehearsal(election) ? `# ${REHEARSAL_MARK}\n` : "";
    const note = signNote(
      `# pollwire exports ${election} ${state} ${published.asOf}\n${mark}${lines.join("")}`,
      this.#key,
    );
    return set.set("SHA256SUMS", note);
  }
}

/** What files of the present depend on: the same text, the same files. */
async function currentState(query: Query, election: string): Promise<string> {
  const { revision } = await newestRelease(query, election);
  const [row] = await query<{ state: string }>(
    `SELECT max(version) || ' ' || EXISTS (
       SELECT FROM results.elections WHERE election = $1 AND final_at IS NOT NULL
     ) || ' ' || (SELECT count(*) FROM office.adjustments WHERE election = $1) || ' ' || (
       SELECT coalesce(sum(hashtextextended(line, 0)), 0) FROM (
         SELECT c::text AS line FROM history.comparisons c WHERE c.election = $1
         UNION ALL SELECT u::text FROM history.unit_links u WHERE u.election = $1
         UNION ALL SELECT p::text FROM history.party_links p WHERE p.election = $1
       ) links
     ) AS state FROM registry.manifests WHERE election = $1`,
    [election],
  );
  return `${revision} ${row?.state}`;
}

/** The event log of an election, up to a certified version or to the end. */
export async function eventLogOf(
  query: Query,
  election: string,
  version?: number,
): Promise<string | ExportFault> {
  if (version !== undefined) {
    const [known] = await query(
      "SELECT FROM office.result_versions WHERE election = $1 AND version = $2::bigint",
      [election, version],
    );
    if (known === undefined) return { fault: "no-such-version" };
  }
  const events = await readTrail(query, election, version);
  return events === undefined ? { fault: "too-large" } : eventLog(election, events);
}
