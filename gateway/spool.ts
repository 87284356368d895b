/**
 * The spool: a gateway's own durable queue of records that are not on the log yet. SQLite with a full sync of its
 * write-ahead log: when {@link Spool.append} returns, the records survive a loss of power.
 *
 * @module
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Chunk } from "./chunk.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, spooled_at INTEGER NOT NULL, election TEXT NOT NULL,
    partitions INTEGER NOT NULL, version TEXT NOT NULL, key_id TEXT NOT NULL, sender_key BLOB NOT NULL,
    records INTEGER NOT NULL, bytes BLOB NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS damaged (
    id INTEGER PRIMARY KEY, spooled_at INTEGER NOT NULL, election TEXT NOT NULL, why TEXT NOT NULL,
    records INTEGER NOT NULL, bytes BLOB NOT NULL
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
  /** Ends the transaction, durably. */
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
  bytes: Uint8Array<ArrayBuffer>;
};

/** One gateway's spool. One process may have it open. */
export class Spool {
  readonly #db: DatabaseSync;
  readonly #options: SpoolOptions;
  readonly #commit: (db: DatabaseSync) => void;
  readonly #insert: StatementSync;
  readonly #delete: StatementSync;
  #state: { chunks: number; records: number; bytes: number; damagedRecords: number };

  constructor(options: SpoolOptions) {
    this.#options = options;
    this.#commit = options.commit ?? ((db) => db.exec("COMMIT"));
    this.#db = new DatabaseSync(options.path);
    this.#db.exec(
      "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000",
    );
    this.#db.exec(SCHEMA);
    this.#insert = this.#db.prepare(
      `INSERT INTO chunks (spooled_at, election, partitions, version, key_id, sender_key, records, bytes)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#delete = this.#db.prepare("DELETE FROM chunks WHERE id = ?");
    this.#state = this.#db.prepare(
      `SELECT count(*) AS chunks, coalesce(sum(records), 0) AS records, coalesce(sum(length(bytes)), 0) AS bytes,
         (SELECT coalesce(sum(records), 0) FROM damaged) AS damagedRecords FROM chunks`,
    ).get() as SpoolState;
  }

  /** How full the spool is. */
  get state(): SpoolState {
    return { ...this.#state };
  }

  /**
   * Makes chunks durable: all of them, or none when it throws.
   *
   * @throws {SpoolFull} when they do not fit under the limit; any other error is the disk's.
   */
  append(chunks: readonly Chunk[]): void {
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0);
    if (this.#state.bytes + bytes > this.#options.maxBytes) {
      throw new SpoolFull(
        `Cannot spool ${bytes} bytes: ${this.#state.bytes} of ${this.#options.maxBytes} are taken; the log must come back first`,
      );
    }
    const now = this.#options.now();
    this.#transact(() => {
      for (const chunk of chunks) {
        const { election, partitions, version, keyId, senderKey, records } = chunk;
        this.#insert.run(now, election, partitions, version, keyId, senderKey, records, chunk.bytes);
      }
    });
    this.#state.chunks += chunks.length;
    this.#state.bytes += bytes;
    this.#state.records += chunks.reduce((sum, { records }) => sum + records, 0);
  }

  /**
   * The oldest chunks, up to so many, of elections that are not excluded.
   *
   * @param excluded Elections whose log does not answer just now.
   */
  oldest(limit: number, excluded: readonly string[] = []): SpooledChunk[] {
    const where = excluded.length === 0
      ? ""
      : `WHERE election NOT IN (${excluded.map(() => "?").join(", ")})`;
    const rows = this.#db.prepare(`SELECT * FROM chunks ${where} ORDER BY id LIMIT ?`)
      .all(...excluded, limit) as unknown as Row[];
    return rows.map((
      { id, spooled_at, election, partitions, version, key_id, sender_key, records, bytes },
    ) => ({
      id,
      spooledAtMs: spooled_at,
      election,
      partitions,
      version,
      keyId: key_id,
      senderKey: sender_key,
      records,
      bytes,
    }));
  }

  /** Lets go of chunks that the log has acknowledged. */
  free(chunks: readonly SpooledChunk[]): void {
    this.#transact(() => {
      for (const { id } of chunks) this.#delete.run(id);
    });
    this.#forget(chunks);
  }

  /** Sets a chunk aside that cannot be read: nothing is dropped, and nothing stands in the others' way. */
  setAside(chunk: SpooledChunk, why: string): void {
    const { id, spooledAtMs, election, records, bytes } = chunk;
    this.#transact(() => {
      this.#db.prepare("INSERT INTO damaged VALUES (?, ?, ?, ?, ?, ?)").run(
        id,
        spooledAtMs,
        election,
        why,
        records,
        bytes,
      );
      this.#delete.run(id);
    });
    this.#forget([chunk]);
    this.#state.damagedRecords += records;
  }

  close(): void {
    this.#db.close();
  }

  #forget(chunks: readonly SpooledChunk[]): void {
    for (const { records, bytes } of chunks) {
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
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
  }
}
