/**
 * The files that leave the house: made once for each version or release, with a signed list of their SHA-256.
 *
 * @module
 */
import { utf8 } from "../../../shared/bytes.ts";
import { sha256 } from "../../../shared/keys.ts";
import { SizedLru } from "../../../shared/sized_lru.ts";
import { type NoteKey, signNote } from "../../audit/note.ts";
import type { Database, Query } from "../../database/database.ts";
import { newestRelease } from "../../results/releases.ts";
import { type CsvKind, openElectionsCsv, turnoutCsv } from "./csv.ts";
import { electionReport } from "./err.ts";
import { eventLog, readTrail } from "./event_log.ts";
import { type ExportFault, type Published, readPublished } from "./published.ts";

/** Files for everyone: they are made of releases alone. */
export const PUBLIC_FILES = ["openelections.csv", "err-v2.json", "turnout.csv"] as const;
export type PublicFile = (typeof PUBLIC_FILES)[number];

/** Files that are kept in memory: their number and size. */
const CACHE_LIMITS = { entries: 64, bytes: 64 << 20 };

const WRITERS: Record<PublicFile, (published: Published, kind: CsvKind) => string> = {
  "openelections.csv": openElectionsCsv,
  "err-v2.json": (published) => electionReport(published),
  "turnout.csv": turnoutCsv,
};

/** Makes files, and keeps those that were asked for last: the same version or release has the same bytes. */
export class ExportFiles {
  readonly #db: Database;
  readonly #key: NoteKey;
  readonly #kept = new SizedLru<string>(CACHE_LIMITS);

  constructor(db: Database, key: NoteKey) {
    this.#db = db;
    this.#key = key;
  }

  /** A file of what is published, or of a certified version. */
  async file(
    election: string,
    file: PublicFile,
    version: number | undefined,
    kind: CsvKind = "exact",
  ): Promise<string | ExportFault> {
    return await this.#keep(election, version, `${file} ${kind}`, async (query) => {
      const published = await readPublished(query, election, version);
      return "fault" in published ? published : WRITERS[file](published, kind);
    });
  }

  /**
   * The list of the files' SHA-256, as `sha256sum` writes it, signed as a note. That of a certified version has the event log up to
   * its certification, too.
   */
  async sums(election: string, version: number | undefined): Promise<string | ExportFault> {
    return await this.#keep(election, version, "SHA256SUMS", async (query) => {
      const published = await readPublished(query, election, version);
      if ("fault" in published) return published;
      const files = new Map<string, string>(
        PUBLIC_FILES.map((file) => [file, WRITERS[file](published, "exact")]),
      );
      if (version !== undefined) {
        const log = await eventLogOf(query, election, version);
        if (typeof log !== "string") return log;
        files.set("event-log.json", log);
      }
      const state = version === undefined ? published.status : `version ${version}`;
      const lines = [...files].sort(([a], [b]) => a < b ? -1 : 1)
        .map(([file, text]) => `${sha256(utf8(text)).toHex()}  ${file}\n`);
      return signNote(
        `# pollwire exports ${election} ${state} ${published.asOf}\n${lines.join("")}`,
        this.#key,
      );
    });
  }

  async #keep(
    election: string,
    version: number | undefined,
    name: string,
    make: (query: Query) => Promise<string | ExportFault>,
  ): Promise<string | ExportFault> {
    return await this.#db.transaction(async (query) => {
      const state = version === undefined ? await currentState(query, election) : `version ${version}`;
      const key = `${election} ${state} ${name}`;
      const kept = this.#kept.get(key);
      if (kept !== undefined) return kept;
      const made = await make(query);
      // A text has at most two bytes a character in memory.
      if (typeof made === "string") this.#kept.set(key, made, made.length * 2);
      return made;
    }, "snapshot");
  }
}

/** What files of the present depend on: the same text, the same files. */
async function currentState(query: Query, election: string): Promise<string> {
  const { revision } = await newestRelease(query, election);
  const [row] = await query<{ state: string }>(
    `SELECT max(version) || ' ' || EXISTS (
       SELECT FROM results.elections WHERE election = $1 AND final_at IS NOT NULL
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
