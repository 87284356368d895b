/**
 * The spool's file: its tables, and how it is opened.
 *
 * @module
 */
import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { SENDER_KEYS_SCHEMA } from "./sender_keys.ts";

/** Pages of the write-ahead log, of 4,096 bytes each, after which SQLite checkpoints it. */
export const CHECKPOINT_PAGES = 4_000;

/** `PRAGMA user_version`: 3, and 2 before votes' fingerprints were kept; 0.1 left it at 0. */
const SCHEMA_VERSION = 3;
const WITHOUT_FINGERPRINTS = 2;
const SCHEMA = `
  CREATE TABLE chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, spooled_at INTEGER NOT NULL, election TEXT NOT NULL,
    partitions INTEGER NOT NULL, version TEXT NOT NULL, key_id TEXT NOT NULL, sender_key BLOB NOT NULL,
    sequence INTEGER NOT NULL, records INTEGER NOT NULL, devices TEXT NOT NULL, fingerprints BLOB NOT NULL,
    bytes BLOB NOT NULL
  ) STRICT;
  CREATE INDEX chunks_of_election ON chunks (election);
  CREATE TABLE damaged (
    id INTEGER PRIMARY KEY, spooled_at INTEGER NOT NULL, election TEXT NOT NULL, partitions INTEGER NOT NULL,
    version TEXT NOT NULL, key_id TEXT NOT NULL, sender_key BLOB NOT NULL, sequence INTEGER NOT NULL,
    records INTEGER NOT NULL, devices TEXT NOT NULL, bytes BLOB NOT NULL, why TEXT NOT NULL
  ) STRICT;
  ${SENDER_KEYS_SCHEMA}
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

/** Free bytes on a file's disk for users other than root. */
export function freeBytesBeside(path: string): number {
  const { bavail, bsize } = statfsSync(dirname(path));
  return bavail * bsize;
}

/** Opens a spool's file, and makes it if missing. @throws when another process has it open, or it is not a spool. */
export function openSpoolFile(path: string): DatabaseSync {
  const db = new DatabaseSync(path);
  try {
    db.exec(
      `PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`,
    );
    makeSchema(db);
    // A later transaction must not complete what a crash has left of an earlier one.
    db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    return db;
  } catch (error) {
    db.close();
    throw new Error(`Cannot open the spool ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** @throws when the file holds records of format 1. */
function makeSchema(db: DatabaseSync): void {
  const { user_version: version } = db.prepare("PRAGMA user_version").get() as { user_version: number };
  if (version === SCHEMA_VERSION) return;
  if (version === WITHOUT_FINGERPRINTS) {
    return db.exec(
      `BEGIN IMMEDIATE; ALTER TABLE chunks ADD COLUMN fingerprints BLOB NOT NULL DEFAULT x'';
       PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`,
    );
  }
  if (version !== 0) throw new Error(`it has version ${version}, and this program reads ${SCHEMA_VERSION}`);
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE name IN ('chunks', 'damaged')").all();
  for (const { name } of tables as { name: string }[]) {
    if (db.prepare(`SELECT 1 FROM ${name} LIMIT 1`).get() !== undefined) {
      throw new Error(
        "it holds records of format 1: finish that election with 0.1, or name another directory",
      );
    }
    db.exec(`DROP TABLE ${name}`);
  }
  db.exec(`BEGIN IMMEDIATE; ${SCHEMA} COMMIT`);
}
