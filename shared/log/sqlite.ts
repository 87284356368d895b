/**
 * The embedded log: one SQLite file for each election, with the partition in the key. Many processes append, one
 * consumes. Write-ahead logging with a full sync: when `append` returns, the records are on the disk.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { utf8 } from "../bytes.ts";
import { lockFileSync, tryLockFile } from "../file_lock.ts";
import {
  type ConsumeOptions,
  type LogConsumer,
  LogFault,
  LogInUse,
  type PlacedRecord,
  type StoredRecord,
  type VoteLog,
} from "./vote_log.ts";

/** How long an append waits for another process's append, in milliseconds. */
const LOCK_WAIT_MS = 10_000;
/** How often the consumer checks for new records, in milliseconds. */
const POLL_MS = 10;
/**
 * How long the consumer pauses after each batch, in milliseconds. Reading is synchronous, and so is an embedded database:
 * without the pause a backlog would block the process's requests.
 */
const YIELD_MS = 1;
/** A row's id is partition × this + offset: one tree, each partition contiguous. 2^40 records a partition. */
const PARTITION_SPAN = 2 ** 40;

// Headers are stored as bytes, because node:sqlite cuts a text off at its first NUL when it reads it.
const headers = new TextDecoder("utf-8", { ignoreBOM: true });

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS log (identity TEXT NOT NULL, partitions INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS ends (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY, appended_at INTEGER NOT NULL, version BLOB NOT NULL, kind BLOB NOT NULL,
    key_id BLOB NOT NULL, sender_key BLOB NOT NULL, sequence INTEGER, signature BLOB NOT NULL, value BLOB NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS positions (
    consumer TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
    PRIMARY KEY (consumer, partition)
  ) STRICT;
`;

type Row = {
  id: number;
  appended_at: number;
  version: Uint8Array;
  kind: Uint8Array;
  key_id: Uint8Array;
  sender_key: Uint8Array;
  sequence: number | null;
  signature: Uint8Array;
  value: Uint8Array;
};

/** See {@link VoteLog}. Open it with {@link openSqliteLog}. */
export class SqliteLog implements VoteLog {
  readonly #db: DatabaseSync;
  readonly #path: string;
  readonly #now: () => number;
  readonly #identity: string;
  readonly partitions: number;
  readonly #insert: StatementSync;
  readonly #readEnd: StatementSync;
  readonly #writeEnd: StatementSync;
  readonly #select: StatementSync;
  readonly #commit: StatementSync;

  /** @internal */
  constructor(db: DatabaseSync, path: string, identity: string, partitions: number, now: () => number) {
    this.#db = db;
    this.#path = path;
    this.#now = now;
    this.#identity = identity;
    this.partitions = partitions;
    this.#insert = db.prepare("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    this.#readEnd = db.prepare("SELECT next_offset FROM ends WHERE partition = ?");
    this.#writeEnd = db.prepare("UPDATE ends SET next_offset = ? WHERE partition = ?");
    this.#select = db.prepare("SELECT * FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?");
    this.#commit = db.prepare(
      "INSERT INTO positions VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset",
    );
  }

  identity(): Promise<string> {
    return Promise.resolve(this.#identity);
  }

  async append(records: readonly PlacedRecord[]): Promise<void> {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const ends = new Map<number, number>();
      const appendedAt = this.#now();
      for (const record of records) {
        const { partition, version, kind, keyId, senderKey, sequence, signature, value } = record;
        const offset = ends.get(partition) ?? this.#endOf(partition);
        this.#insert.run(
          partition * PARTITION_SPAN + offset,
          appendedAt,
          utf8(version),
          utf8(kind),
          utf8(keyId),
          senderKey,
          Number.isSafeInteger(sequence) && sequence >= 0 ? sequence : null,
          signature,
          value,
        );
        ends.set(partition, offset + 1);
      }
      for (const [partition, next] of ends) this.#writeEnd.run(next, partition);
      this.#db.exec("COMMIT");
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  async consume(consumer: LogConsumer, options: ConsumeOptions): Promise<void> {
    const { group, signal } = options;
    const path = `${this.#path}.${group}.lock`;
    using lock = await tryLockFile(path);
    if (lock === undefined) {
      throw new LogInUse(`Cannot take the lock ${path}: another process counts from ${this.#path}`);
    }
    const next = new Map<number, number>();
    for (let from = 0; !signal.aborted;) {
      const { until, isDelivered } = await this.#deliver(consumer, options, next, from);
      from = until % this.partitions;
      await delay(isDelivered ? YIELD_MS : POLL_MS, undefined, { signal }).catch(() => {});
    }
  }

  /**
   * Delivers what some partitions have, from one on: of at most `partitionsAtOnce` of them that have records, and
   * together at most one batch.
   *
   * @param next Of each partition that was taken: the offset that comes next.
   */
  async #deliver(
    consumer: LogConsumer,
    { group, batchRecords, partitionsAtOnce = 1, signal }: ConsumeOptions,
    next: Map<number, number>,
    from: number,
  ): Promise<{ until: number; isDelivered: boolean }> {
    let room = batchRecords;
    const found: { partition: number; records: StoredRecord[] }[] = [];
    const mayFind = () => !signal.aborted && found.length < partitionsAtOnce && room > 0;
    let until = from;
    for (; until < from + this.partitions && mayFind(); until++) {
      const partition = until % this.partitions;
      if (!next.has(partition)) {
        if (this.#endOf(partition) === 0) continue;
        next.set(partition, await consumer.take(partition));
      }
      const records = this.#rows(partition, next.get(partition)!, room);
      if (records.length === 0) continue;
      room -= records.length;
      found.push({ partition, records });
    }
    if (signal.aborted) return { until, isDelivered: false };
    // None is left behind: the lock is given back when this ends.
    const ended = await Promise.allSettled(found.map(async ({ partition, records }) => {
      if (await consumer.batch(partition, records) === "again") return false;
      const done = records.at(-1)!.offset + 1;
      next.set(partition, done);
      this.#commit.run(group, partition, done);
      return true;
    }));
    const failed = ended.find((each) => each.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    return { until, isDelivered: ended.some((each) => each.status === "fulfilled" && each.value) };
  }

  async read(partition: number, fromOffset: number, limit: number): Promise<StoredRecord[]> {
    return this.#rows(partition, fromOffset, limit);
  }

  async start(partition: number): Promise<number> {
    return this.#rows(partition, 0, 1)[0]?.offset ?? this.#endOf(partition);
  }

  /** No setting of this log ever deletes records. */
  retentionFaults(): Promise<string[]> {
    return Promise.resolve([]);
  }

  async end(partition: number): Promise<number> {
    return this.#endOf(partition);
  }

  async committed(group: string, partition: number): Promise<number> {
    const row = this.#db.prepare("SELECT next_offset FROM positions WHERE consumer = ? AND partition = ?")
      .get(group, partition) as { next_offset: number } | undefined;
    return row?.next_offset ?? 0;
  }

  async close(): Promise<void> {
    if (this.#db.isOpen) this.#db.close();
  }

  #endOf(partition: number): number {
    const row = this.#readEnd.get(partition) as { next_offset: number } | undefined;
    if (row === undefined) {
      throw new LogFault(`Cannot use partition ${partition}: the log has 0 to ${this.partitions - 1}`);
    }
    return row.next_offset;
  }

  #rows(partition: number, fromOffset: number, limit: number): StoredRecord[] {
    const first = partition * PARTITION_SPAN;
    const rows = this.#select.all(first + fromOffset, first + PARTITION_SPAN, limit) as unknown as Row[];
    return rows.map((row) => ({
      partition,
      offset: row.id - first,
      appendedAtMs: row.appended_at,
      version: headers.decode(row.version),
      kind: headers.decode(row.kind),
      keyId: headers.decode(row.key_id),
      senderKey: row.sender_key,
      sequence: row.sequence ?? NaN,
      signature: row.signature,
      value: row.value,
    }));
  }
}

/**
 * Opens an election's log, and makes it when it is not there yet.
 *
 * @param directory The directory of the logs; made if missing.
 * @param partitions From the manifest.
 * @param now The log's clock, milliseconds since 1970.
 * @throws {LogFault} when the log has another number of partitions, or records of format 1.
 */
export function openSqliteLog(
  directory: string,
  election: string,
  partitions: number,
  now: () => number = Date.now,
): SqliteLog {
  Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = `${directory}/votes.${election}.sqlite`;
  // One process at a time: switching a new file to write-ahead logging fails at once while another process does it.
  using _turn = lockFileSync(`${path}.open`);
  const db = new DatabaseSync(path, { timeout: LOCK_WAIT_MS });
  try {
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;");
    db.exec("BEGIN IMMEDIATE");
    db.exec(SCHEMA);
    if (db.prepare("SELECT 1 FROM pragma_table_info('records') WHERE name = 'kind'").get() === undefined) {
      throw new LogFault(
        `Cannot use ${path}: it has records of format 1, and this version reads format 2; finish this election with 0.1`,
      );
    }
    let row = db.prepare("SELECT identity, partitions FROM log").get() as
      | { identity: string; partitions: number }
      | undefined;
    if (row === undefined) {
      row = { identity: crypto.randomUUID(), partitions };
      db.prepare("INSERT INTO log VALUES (?, ?)").run(row.identity, partitions);
      const insert = db.prepare("INSERT INTO ends VALUES (?, 0)");
      for (let partition = 0; partition < partitions; partition++) insert.run(partition);
    }
    db.exec("COMMIT");
    if (row.partitions !== partitions) {
      throw new LogFault(
        `Cannot use ${path}: it has ${row.partitions} partitions, and the manifest says ${partitions}`,
      );
    }
    return new SqliteLog(db, path, row.identity, partitions, now);
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Removes an election's log from the disk. Idempotent. */
export function removeSqliteLog(directory: string, election: string): void {
  const path = `${directory}/votes.${election}.sqlite`;
  for (const end of ["", "-wal", "-shm", ".open"]) {
    try {
      Deno.removeSync(path + end);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
