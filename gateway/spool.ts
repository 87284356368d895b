/**
 * The spool: a gateway's own durable queue of records that are not on the log yet. SQLite with a full sync of its
 * write-ahead log: when {@link Spool.append} returns, the records survive a loss of power.
 *
 * @module
 */
import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Chunk } from "./chunk.ts";

/** Pages of the write-ahead log, of 4,096 bytes, from which on it is taken into the file. */
const CHECKPOINT_PAGES = 4_000;
/**
 * Bytes that a spool leaves free on its disk, by refusing votes: twice what the write-ahead log and its way into the
 * file may take. Letting go of a chunk has to be written too; without room for it, what is on the log already would be sent
 * there again and again, and nothing behind it ever.
 */
export const RESERVED_DISK_BYTES = 4 * CHECKPOINT_PAGES * 4_096;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, spooled_at INTEGER NOT NULL, election TEXT NOT NULL,
    partitions INTEGER NOT NULL, version TEXT NOT NULL, key_id TEXT NOT NULL, sender_key BLOB NOT NULL,
    records INTEGER NOT NULL, bytes BLOB NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS chunks_of_election ON chunks (election);
  CREATE TABLE IF NOT EXISTS damaged (
    id INTEGER PRIMARY KEY, spooled_at INTEGER NOT NULL, election TEXT NOT NULL, partitions INTEGER NOT NULL,
    version TEXT NOT NULL, key_id TEXT NOT NULL, sender_key BLOB NOT NULL, records INTEGER NOT NULL,
    bytes BLOB NOT NULL, why TEXT NOT NULL
  ) STRICT;
`;

/** A chunk as the spool has it. `spooledAtMs` is milliseconds since 1970. */
export type SpooledChunk = Chunk & Readonly<{ id: number; spooledAtMs: number }>;

/** How full the spool is. */
export type SpoolState = Readonly<{ chunks: number; records: number; bytes: number; damagedRecords: number }>;

/** The spool has reached its limit. Nothing was written. */
export class SpoolFull extends Error {
  override name = "SpoolFull";
}

/** What a spool is made of. */
export type SpoolOptions = Readonly<{
  /** The SQLite file; made if missing. */
  path: string;
  /** Bytes of records that it holds at the most. */
  maxBytes: number;
  now(): number;
  /** Bytes that are free on its disk; asked of the system when left out. */
  freeBytes?(): number;
  /** Ends the transaction, durably. When it throws, nobody knows whether it has. */
  commit?(db: DatabaseSync): void;
}>;

type Row = {
  id: number;
  spooled_at: number;
  election: string;
  partitions: number;
  version: string;
  key_id: string;
  sender_key: Uint8Array;
  records: number;
};

/** One gateway's spool. One process may have it open. */
export class Spool {
  readonly #db: DatabaseSync;
  readonly #options: SpoolOptions;
  readonly #commit: (db: DatabaseSync) => void;
  readonly #freeBytes: () => number;
  readonly #insert: StatementSync;
  readonly #delete: StatementSync;
  readonly #firstOf: StatementSync;
  readonly #rowsOf: StatementSync;
  readonly #bytesOf: StatementSync;
  #state: { chunks: number; records: number; bytes: number; damagedRecords: number };
  /** Chunks of each election that has some. */
  #chunksOf: Map<string, number>;

  /** @throws when the file is another process's just now, or no spool. */
  constructor(options: SpoolOptions) {
    this.#options = options;
    this.#commit = options.commit ?? ((db) => db.exec("COMMIT"));
    this.#freeBytes = options.freeBytes ?? (() => freeBytesBeside(options.path));
    this.#db = openDatabase(options.path);
    this.#insert = this.#db.prepare(
      `INSERT INTO chunks (spooled_at, election, partitions, version, key_id, sender_key, records, bytes)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#delete = this.#db.prepare("DELETE FROM chunks WHERE id = ?");
    this.#firstOf = this.#db.prepare("SELECT min(id) AS id FROM chunks WHERE election = ?");
    this.#rowsOf = this.#db.prepare(
      `SELECT id, spooled_at, election, partitions, version, key_id, sender_key, records
       FROM chunks WHERE election = ? ORDER BY id LIMIT ?`,
    );
    this.#bytesOf = this.#db.prepare("SELECT bytes FROM chunks WHERE id = ?");
    this.#state = this.#countState();
    this.#chunksOf = this.#countElections();
  }

  /** How full the spool is. */
  get state(): SpoolState {
    return { ...this.#state };
  }

  /**
   * Makes chunks durable: all of them, or none when it throws.
   *
   * @throws {SpoolFull} when they do not fit under the limit, or the disk has no room to spare; any other error is the disk's.
   */
  append(chunks: readonly Chunk[]): void {
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0);
    if (this.#state.bytes + bytes > this.#options.maxBytes) {
      throw new SpoolFull(
        `Cannot spool ${bytes} bytes: ${this.#state.bytes} of ${this.#options.maxBytes} are taken; the log must come back first`,
      );
    }
    const free = this.#freeBytes();
    if (free - bytes < RESERVED_DISK_BYTES) {
      throw new SpoolFull(
        `Cannot spool ${bytes} bytes: the disk has ${free} bytes left, and must keep ${RESERVED_DISK_BYTES}; the log must come back first, or room be made`,
      );
    }
    const now = this.#options.now();
    this.#transact(() => {
      for (const chunk of chunks) {
        const { election, partitions, version, keyId, senderKey, records } = chunk;
        this.#insert.run(now, election, partitions, version, keyId, senderKey, records, chunk.bytes);
      }
    });
    for (const { election, records } of chunks) {
      this.#chunksOf.set(election, (this.#chunksOf.get(election) ?? 0) + 1);
      this.#state.chunks += 1;
      this.#state.records += records;
    }
    this.#state.bytes += bytes;
  }

  /**
   * The oldest chunks of one election: of those that are not excluded, the one whose turn it is. At least one, if
   * there is any.
   *
   * @param excluded Elections whose log does not answer just now.
   */
  oldest(maxChunks: number, maxRecords: number, excluded: readonly string[] = []): SpooledChunk[] {
    const election = this.#electionNext(excluded);
    if (election === undefined) return [];
    const rows = this.#rowsOf.all(election, maxChunks) as unknown as Row[];
    const chunks: SpooledChunk[] = [];
    let sum = 0;
    for (const { id, spooled_at, partitions, version, key_id, sender_key, records } of rows) {
      sum += records;
      if (chunks.length > 0 && sum > maxRecords) break;
      // Bytes are read of these chunks only, not of all that stand behind them.
      const { bytes } = this.#bytesOf.get(id) as { bytes: Uint8Array<ArrayBuffer> };
      const [keyId, senderKey, spooledAtMs] = [key_id, sender_key, spooled_at];
      chunks.push({ id, spooledAtMs, election, partitions, version, keyId, senderKey, records, bytes });
    }
    return chunks;
  }

  #electionNext(excluded: readonly string[]): string | undefined {
    let next: { election: string; id: number } | undefined;
    for (const election of this.#chunksOf.keys()) {
      if (excluded.includes(election)) continue;
      const { id } = this.#firstOf.get(election) as { id: number };
      if (next === undefined || id < next.id) next = { election, id };
    }
    return next?.election;
  }

  /** Lets go of chunks that the log has acknowledged. */
  free(chunks: readonly SpooledChunk[]): void {
    this.#transact(() => {
      for (const { id } of chunks) this.#delete.run(id);
    });
    this.#forget(chunks);
  }

  /**
   * Sets a chunk aside that cannot be read: nothing is dropped, and nothing stands in the others' way. All of its row
   * is kept, so that what is whole of it can be taken out by hand.
   */
  setAside(chunk: SpooledChunk, why: string): void {
    this.#transact(() => {
      this.#db.prepare("INSERT INTO damaged SELECT *, ? FROM chunks WHERE id = ?").run(why, chunk.id);
      this.#delete.run(chunk.id);
    });
    this.#forget([chunk]);
    this.#state.damagedRecords += chunk.records;
  }

  close(): void {
    this.#db.close();
  }

  #forget(chunks: readonly SpooledChunk[]): void {
    for (const { election, records, bytes } of chunks) {
      const left = this.#chunksOf.get(election)! - 1;
      if (left === 0) this.#chunksOf.delete(election);
      else this.#chunksOf.set(election, left);
      this.#state.chunks -= 1;
      this.#state.records -= records;
      this.#state.bytes -= bytes.length;
    }
  }

  #transact(work: () => void): void {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      work();
      this.#commit(this.#db);
    } catch (error) {
      if (this.#db.isTransaction) {
        this.#db.exec("ROLLBACK");
      } else {
        // It may have been committed all the same: only the file knows.
        this.#state = this.#countState();
        this.#chunksOf = this.#countElections();
      }
      throw error;
    }
  }

  #countState(): SpoolState {
    return this.#db.prepare(
      `SELECT count(*) AS chunks, coalesce(sum(records), 0) AS records, coalesce(sum(length(bytes)), 0) AS bytes,
         (SELECT coalesce(sum(records), 0) FROM damaged) AS damagedRecords FROM chunks`,
    ).get() as SpoolState;
  }

  #countElections(): Map<string, number> {
    const rows = this.#db.prepare("SELECT election, count(*) AS chunks FROM chunks GROUP BY election").all();
    return new Map(
      (rows as { election: string; chunks: number }[]).map(({ election, chunks }) => [election, chunks]),
    );
  }
}

/** What whoever is not root may still write to the disk that holds a file. */
function freeBytesBeside(path: string): number {
  const { bavail, bsize } = statfsSync(dirname(path));
  return bavail * bsize;
}

function openDatabase(path: string): DatabaseSync {
  const db = new DatabaseSync(path);
  try {
    db.exec(
      `PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`,
    );
    db.exec(SCHEMA);
    // What a crash has left of a transaction must not be made whole by what a later one writes over it.
    db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    return db;
  } catch (error) {
    db.close();
    throw new Error(`Cannot open the spool ${path}: ${(error as Error).message}`, { cause: error });
  }
}
