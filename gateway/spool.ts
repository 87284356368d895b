/**
 * The spool: a gateway's own durable queue of records that are not on the log yet. SQLite with a full sync of its
 * write-ahead log: when {@link Spool.append} returns, the records survive a loss of power. Records are numbered, sealed
 * and signed inside the transaction that makes them durable, so only durable records have a number.
 *
 * @module
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { SEAL_OVERHEAD_BYTES } from "../shared/keys.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { type Chunk, type DeviceRecords, FRAME_BYTES, MAX_CHUNK_RECORDS, packChunk } from "./chunk.ts";
import { SenderKeys, type SequenceAllocation } from "./sender_keys.ts";
import { CHECKPOINT_PAGES, freeBytesBeside, openSpoolFile } from "./spool_file.ts";

/**
 * Bytes that a spool leaves free on its disk, by refusing votes: twice what the write-ahead log and its way into the
 * file may take. Letting go of a chunk has to be written too; without room for it, what is on the log already would be sent
 * there again and again, and nothing behind it ever.
 */
export const RESERVED_DISK_BYTES = 4 * CHECKPOINT_PAGES * 4_096;

/** Records of one request: of one device. `id` is how {@link Spool.append} names those that it refuses. */
export type SpoolPart = Readonly<{ id: number; device: string; records: number }>;

/** Records of one election to be made durable together, not numbered and not sealed yet. */
export type SpoolRun = Readonly<{
  election: string;
  /** The partition of each record. */
  partitions: Uint16Array<ArrayBuffer>;
  /** The records one after another, all of one length: see `encodeRecord` in record.ts. */
  plaintexts: Uint8Array<ArrayBuffer>;
  /** Whose they are, in the same order. */
  parts: readonly SpoolPart[];
}>;

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
  /** Bytes of one device's records that it holds at the most; no limit when left out. */
  deviceMaxBytes?: number;
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
  sequence: number;
  records: number;
  devices: string;
};

/** A run without what was refused of it. */
type Admitted = Readonly<{ run: SpoolRun; from: number; part: SpoolPart }>;

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
  /** Bytes of each device's records, by `election/device`. */
  #heldOf: Map<string, number>;
  readonly senderKeys: SenderKeys;

  /** @throws when the file is another process's just now, or no spool. */
  constructor(options: SpoolOptions) {
    this.#options = options;
    this.#commit = options.commit ?? ((db) => db.exec("COMMIT"));
    this.#freeBytes = options.freeBytes ?? (() => freeBytesBeside(options.path));
    this.#db = openSpoolFile(options.path);
    this.#insert = this.#db.prepare(
      `INSERT INTO chunks (spooled_at, election, partitions, version, key_id, sender_key, sequence, records, devices, bytes)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#delete = this.#db.prepare("DELETE FROM chunks WHERE id = ?");
    this.#firstOf = this.#db.prepare("SELECT min(id) AS id FROM chunks WHERE election = ?");
    this.#rowsOf = this.#db.prepare(
      `SELECT id, spooled_at, election, partitions, version, key_id, sender_key, sequence, records, devices
       FROM chunks WHERE election = ? ORDER BY id LIMIT ?`,
    );
    this.#bytesOf = this.#db.prepare("SELECT bytes FROM chunks WHERE id = ?");
    this.#state = this.#countState();
    this.#chunksOf = this.#countElections();
    this.#heldOf = this.#countDevices();
    this.senderKeys = new SenderKeys(this.#db, options.now);
  }

  /** How full the spool is. */
  get state(): SpoolState {
    return { ...this.#state };
  }

  /**
   * Numbers, seals and signs records and makes them durable: all of them but those of devices that have used up their
   * share, or none when it throws.
   *
   * @returns the ids of the parts that were refused for their device's share.
   * @throws {SpoolFull} when they do not fit under the limit, or the disk has no room to spare; any other error is the disk's.
   */
  append(runs: readonly SpoolRun[]): number[] {
    const { admitted, refused } = this.#admit(runs);
    if (admitted.length === 0) return refused;
    this.#makeRoom(admitted.reduce((sum, each) => sum + bytesOf(each), 0));
    const now = this.#options.now();
    const allocation = this.senderKeys.begin();
    const chunks: Chunk[] = [];
    this.#transact(() => {
      for (const chunk of this.#seal(admitted, allocation)) {
        const { election, partitions, version, keyId, senderKey, sequence, records, bytes } = chunk;
        const head = [now, election, partitions, version, keyId, senderKey] as const;
        this.#insert.run(...head, sequence, records, JSON.stringify(chunk.devices), bytes);
        chunks.push(chunk);
      }
      allocation.write();
    });
    allocation.commit();
    for (const chunk of chunks) this.#remember(chunk);
    return refused;
  }

  /** Tells what fits under the shares of its devices from what does not. */
  #admit(runs: readonly SpoolRun[]): { admitted: Admitted[]; refused: number[] } {
    const { deviceMaxBytes = Infinity } = this.#options;
    const added = new Map<string, number>();
    const admitted: Admitted[] = [];
    const refused: number[] = [];
    for (const run of runs) {
      let from = 0;
      for (const part of run.parts) {
        const each = { run, from, part };
        from += part.records;
        const device = `${run.election}/${part.device}`;
        const bytes = (added.get(device) ?? this.#heldOf.get(device) ?? 0) + bytesOf(each);
        if (bytes > deviceMaxBytes) {
          refused.push(part.id);
          continue;
        }
        added.set(device, bytes);
        admitted.push(each);
      }
    }
    return { admitted, refused };
  }

  #makeRoom(bytes: number): void {
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
  }

  /** Numbers, seals and signs records, and packs them: one run of records an election, in chunks of a bounded size. */
  *#seal(admitted: readonly Admitted[], allocation: SequenceAllocation): Generator<Chunk> {
    for (const [election, group] of Map.groupBy(admitted, ({ run }) => run.election)) {
      const { partitions } = this.senderKeys.election(election);
      let records: PlacedRecord[] = [];
      let devices: Record<string, number> = {};
      const flush = () => {
        const chunk = packChunk({ election, partitions, devices, records });
        records = [];
        devices = {};
        return chunk;
      };
      for (const { run, from, part: { device, records: count } } of group) {
        const size = recordBytesOf(run);
        for (let i = from; i < from + count; i++) {
          const plaintext = run.plaintexts.subarray(i * size, (i + 1) * size);
          records.push({ ...allocation.seal(election, plaintext), partition: run.partitions[i]! });
          devices[device] = (devices[device] ?? 0) + 1;
          if (records.length === MAX_CHUNK_RECORDS) yield flush();
        }
      }
      if (records.length > 0) yield flush();
    }
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
    for (const row of rows) {
      const { id, partitions, version, sequence, records } = row;
      sum += records;
      if (chunks.length > 0 && sum > maxRecords) break;
      // Bytes are read of these chunks only, not of all that stand behind them.
      const { bytes } = this.#bytesOf.get(id) as { bytes: Uint8Array<ArrayBuffer> };
      const [keyId, senderKey, spooledAtMs] = [row.key_id, row.sender_key, row.spooled_at];
      const devices = readDevices(row.devices);
      const head = { id, spooledAtMs, election, partitions, version, keyId, senderKey };
      chunks.push({ ...head, sequence, records, devices, bytes });
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

  #remember(chunk: Chunk): void {
    const { election, records, bytes } = chunk;
    this.#chunksOf.set(election, (this.#chunksOf.get(election) ?? 0) + 1);
    this.#state.chunks += 1;
    this.#state.records += records;
    this.#state.bytes += bytes.length;
    this.#hold(chunk, 1);
  }

  /** Adds a chunk to what its devices hold, or takes it off. */
  #hold({ election, records, devices, bytes }: Chunk, sign: 1 | -1): void {
    for (const [device, count] of Object.entries(devices)) {
      const key = `${election}/${device}`;
      const held = (this.#heldOf.get(key) ?? 0) + sign * Math.round(count * bytes.length / records);
      if (held > 0) this.#heldOf.set(key, held);
      else this.#heldOf.delete(key);
    }
  }

  #forget(chunks: readonly SpooledChunk[]): void {
    for (const chunk of chunks) {
      const { election, records, bytes } = chunk;
      this.#hold(chunk, -1);
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
    let isCommitting = false;
    try {
      work();
      isCommitting = true;
      this.#commit(this.#db);
    } catch (error) {
      if (this.#db.isTransaction) {
        this.#db.exec("ROLLBACK");
      } else if (isCommitting) {
        // It may have been committed all the same: only the file knows. Its numbers may be given away, so the sender
        // keys give no more; what they took is in their statements, in the file.
        this.senderKeys.retireAll();
        this.#state = this.#countState();
        this.#chunksOf = this.#countElections();
        this.#heldOf = this.#countDevices();
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

  #countDevices(): Map<string, number> {
    const held = new Map<string, number>();
    const rows = this.#db.prepare("SELECT election, records, devices, length(bytes) AS bytes FROM chunks");
    for (const row of rows.iterate()) {
      const { election, records, devices, bytes } = row as {
        election: string;
        records: number;
        devices: string;
        bytes: number;
      };
      for (const [device, count] of Object.entries(readDevices(devices))) {
        const key = `${election}/${device}`;
        held.set(key, (held.get(key) ?? 0) + Math.round(count * bytes / records));
      }
    }
    return held;
  }
}

function recordBytesOf({ plaintexts, partitions }: SpoolRun): number {
  return plaintexts.length / partitions.length;
}

/** Bytes of a part once it is sealed and packed. */
function bytesOf({ run, part }: Admitted): number {
  return part.records * (FRAME_BYTES + SEAL_OVERHEAD_BYTES + recordBytesOf(run));
}

/** A disk that gives back something else must not stop the start. */
function readDevices(text: string): DeviceRecords {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
