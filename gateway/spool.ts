/**
 * The spool: a gateway's durable queue of records that are not on the log yet. SQLite with a full sync of its
 * write-ahead log: when {@link Spool.append} returns, the records survive a loss of power. Records are numbered, sealed
 * and signed inside the transaction that makes them durable, so only durable records have a number.
 *
 * @module
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { SEAL_OVERHEAD_BYTES } from "../shared/keys.ts";
import { type Chunk, type DeviceRecords, FRAME_BYTES, MAX_CHUNK_RECORDS, packChunk } from "./chunk.ts";
import { copyFingerprint, FINGERPRINT_BYTES } from "./fingerprint.ts";
import { type PlainRecord, sealEntries } from "./seal_entries.ts";
import { SenderKeys, type SequenceAllocation } from "./sender_keys.ts";
import { readSpooledVotes, type SpooledVotes } from "./spooled_votes.ts";
import { CHECKPOINT_PAGES, freeBytesBeside, openSpoolFile } from "./spool_file.ts";

/**
 * Bytes that stay free on the spool's disk: it refuses votes before. Twice what the write-ahead log and a checkpoint may
 * take. Deleting a chunk needs room, too. Without room the spool would send the same chunk to the log forever, and none
 * of the chunks after it.
 */
export const RESERVED_DISK_BYTES = 4 * CHECKPOINT_PAGES * 4_096;

/** The records of one request, all from one device. {@link Spool.append} names refused parts by `id`. */
export type SpoolPart = Readonly<{ id: number; device: string; records: number }>;

/** Records of one election to be made durable together, not numbered and not sealed yet. */
export type SpoolRun = Readonly<{
  election: string;
  /** The partition of each record. */
  partitions: Uint16Array<ArrayBuffer>;
  /** The concatenated records, all of the same length: see `encodeRecord` in record.ts. */
  plaintexts: Uint8Array<ArrayBuffer>;
  /** The fingerprint of each record's vote: see fingerprint.ts. */
  fingerprints: Uint8Array<ArrayBuffer>;
  /** The devices' parts, in the same order. */
  parts: readonly SpoolPart[];
}>;

/** A chunk in the spool. `spooledAtMs` is milliseconds since 1970. */
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
  /** Maximum bytes of records. */
  maxBytes: number;
  /** Maximum bytes of one device's records. Default: no limit. */
  deviceMaxBytes?: number;
  now(): number;
  /** Bytes that are free on its disk. Default: what the system says. */
  freeBytes?(): number;
  /** Commits the transaction durably. When it throws, the result is unknown. */
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

/** A chunk and the fingerprints of its votes, which only the gateway needs. */
type Sealed = Readonly<{ chunk: Chunk; fingerprints: Uint8Array<ArrayBuffer> }>;

type ElectionChunks = { chunks: number; records: number };

/** A run without its refused parts. */
type Admitted = Readonly<{ run: SpoolRun; from: number; part: SpoolPart }>;

/** One gateway's spool. Only one process can have it open. */
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
  readonly #fingerprintsOf: StatementSync;
  #state: { chunks: number; records: number; bytes: number; damagedRecords: number };
  /** Number of chunks, and of their records, by election. */
  #chunksOf: Map<string, ElectionChunks>;
  /** Bytes of each device's records, by `election/device`. */
  #heldOf: Map<string, number>;
  readonly senderKeys: SenderKeys;

  /** @throws when another process has the file open, or it is not a spool. */
  constructor(options: SpoolOptions) {
    this.#options = options;
    this.#commit = options.commit ?? ((db) => db.exec("COMMIT"));
    this.#freeBytes = options.freeBytes ?? (() => freeBytesBeside(options.path));
    this.#db = openSpoolFile(options.path);
    this.#insert = this.#db.prepare(
      `INSERT INTO chunks (spooled_at, election, partitions, version, key_id, sender_key, sequence, records, devices,
         fingerprints, bytes)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#delete = this.#db.prepare("DELETE FROM chunks WHERE id = ?");
    this.#firstOf = this.#db.prepare("SELECT min(id) AS id FROM chunks WHERE election = ?");
    this.#rowsOf = this.#db.prepare(
      `SELECT id, spooled_at, election, partitions, version, key_id, sender_key, sequence, records, devices
       FROM chunks WHERE election = ? ORDER BY id LIMIT ?`,
    );
    this.#bytesOf = this.#db.prepare("SELECT bytes FROM chunks WHERE id = ?");
    this.#fingerprintsOf = this.#db.prepare("SELECT fingerprints FROM chunks WHERE id = ?");
    this.#state = this.#countState();
    this.#chunksOf = this.#countElections();
    this.#heldOf = this.#countDevices();
    this.senderKeys = new SenderKeys(this.#db, options.now);
  }

  /** How full the spool is. */
  get state(): SpoolState {
    return { ...this.#state };
  }

  /** Records of an election that the spool holds. */
  recordsOf(election: string): number {
    return this.#chunksOf.get(election)?.records ?? 0;
  }

  /** The votes of the records that it holds: see {@link readSpooledVotes}. */
  heldVotes(): Iterable<SpooledVotes> {
    return readSpooledVotes(this.#db);
  }

  /**
   * Numbers, seals and signs records and makes them durable, except those of devices that have used up their share.
   * When it throws, none are durable.
   *
   * @returns the ids of the parts that were refused for their device's share.
   * @throws {SpoolFull} when they exceed the limit, or the disk is nearly full. Any other error comes from the disk.
   */
  append(runs: readonly SpoolRun[]): number[] {
    const { admitted, refused } = this.#admit(runs);
    if (admitted.length === 0) return refused;
    this.#makeRoom(admitted.reduce((sum, each) => sum + bytesOf(each), 0));
    const now = this.#options.now();
    const allocation = this.senderKeys.begin();
    const chunks: Chunk[] = [];
    this.#transact(() => {
      for (const { chunk, fingerprints } of this.#seal(admitted, allocation)) {
        const { election, partitions, version, keyId, senderKey, sequence, records, bytes } = chunk;
        const head = [now, election, partitions, version, keyId, senderKey] as const;
        this.#insert.run(...head, sequence, records, JSON.stringify(chunk.devices), fingerprints, bytes);
        chunks.push(chunk);
      }
      allocation.write();
    });
    allocation.commit();
    for (const chunk of chunks) this.#remember(chunk);
    return refused;
  }

  /** Separates the parts that fit into their devices' shares from those that do not. */
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
        `Cannot spool ${bytes} bytes: ${this.#state.bytes} of ${this.#options.maxBytes} are used; wait until the log accepts records again`,
      );
    }
    const free = this.#freeBytes();
    if (free - bytes < RESERVED_DISK_BYTES) {
      throw new SpoolFull(
        `Cannot spool ${bytes} bytes: the disk has ${free} bytes left, and must keep ${RESERVED_DISK_BYTES}; make room, or wait until the log accepts records again`,
      );
    }
  }

  /**
   * Numbers, seals and signs records, and packs them in chunks of a bounded size. Records of one partition share
   * entries, so a partition's records of one chunk have consecutive numbers.
   */
  *#seal(admitted: readonly Admitted[], allocation: SequenceAllocation): Generator<Sealed> {
    for (const [election, group] of Map.groupBy(admitted, ({ run }) => run.election)) {
      const { partitions } = this.senderKeys.election(election);
      let plain: PlainRecord[] = [];
      let devices: Record<string, number> = {};
      const records = group.reduce((sum, { part }) => sum + part.records, 0);
      const fingerprints = new Uint8Array(Math.min(records, MAX_CHUNK_RECORDS) * FINGERPRINT_BYTES);
      const flush = (): Sealed => {
        const entries = sealEntries(election, plain, allocation);
        const chunk = packChunk({ election, partitions, devices, entries, records: plain.length });
        const own = fingerprints.slice(0, plain.length * FINGERPRINT_BYTES);
        plain = [];
        devices = {};
        return { chunk, fingerprints: own };
      };
      for (const { run, from, part: { device, records: count } } of group) {
        const size = recordBytesOf(run);
        for (let i = from; i < from + count; i++) {
          copyFingerprint(
            run.fingerprints,
            i * FINGERPRINT_BYTES,
            fingerprints,
            plain.length * FINGERPRINT_BYTES,
          );
          plain.push({
            partition: run.partitions[i]!,
            bytes: run.plaintexts.subarray(i * size, (i + 1) * size),
          });
          devices[device] = (devices[device] ?? 0) + 1;
          if (plain.length === MAX_CHUNK_RECORDS) yield flush();
        }
      }
      if (plain.length > 0) yield flush();
    }
  }

  /**
   * The oldest chunks of one election, at least one if there is any. Elections that are not excluded take turns.
   *
   * @param excluded Elections whose log does not answer at the moment.
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
      // Reads the bytes of these chunks only, not of all later ones.
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

  /** Deletes chunks that the log has acknowledged. */
  free(chunks: readonly SpooledChunk[]): void {
    this.#transact(() => {
      for (const { id } of chunks) this.#delete.run(id);
    });
    this.#forget(chunks);
  }

  /**
   * Moves a chunk that cannot be read to another table, so that it does not block the others. The whole row is kept, so
   * that intact records can be recovered by hand.
   *
   * @returns the fingerprints of its votes, which are no longer held.
   */
  setAside(chunk: SpooledChunk, why: string): Uint8Array {
    const { fingerprints } = this.#fingerprintsOf.get(chunk.id) as { fingerprints: Uint8Array };
    this.#transact(() => {
      this.#db.prepare(
        `INSERT INTO damaged SELECT id, spooled_at, election, partitions, version, key_id, sender_key, sequence, records,
           devices, bytes, ? FROM chunks WHERE id = ?`,
      ).run(why, chunk.id);
      this.#delete.run(chunk.id);
    });
    this.#forget([chunk]);
    this.#state.damagedRecords += chunk.records;
    return fingerprints;
  }

  close(): void {
    this.#db.close();
  }

  #remember(chunk: Chunk): void {
    const { election, records, bytes } = chunk;
    const before = this.#chunksOf.get(election);
    this.#chunksOf.set(election, {
      chunks: (before?.chunks ?? 0) + 1,
      records: (before?.records ?? 0) + records,
    });
    this.#state.chunks += 1;
    this.#state.records += records;
    this.#state.bytes += bytes.length;
    this.#hold(chunk, 1);
  }

  /** Adds a chunk to its devices' bytes, or subtracts it. */
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
      const left = this.#chunksOf.get(election)!;
      left.chunks -= 1;
      // A damaged row may say any number.
      left.records = Math.max(0, left.records - records);
      if (left.chunks === 0) this.#chunksOf.delete(election);
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
        // The transaction may have been committed: only the file knows. Its numbers may be used up, so the sender
        // keys end here. Their statements in the file say what they took.
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

  #countElections(): Map<string, ElectionChunks> {
    const rows = this.#db.prepare(
      "SELECT election, count(*) AS chunks, sum(records) AS records FROM chunks GROUP BY election",
    ).all();
    return new Map(
      (rows as ({ election: string } & ElectionChunks)[]).map(({ election, ...each }) => [election, each]),
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

/** Maximum bytes of a part after sealing and packing: when each record is an entry of its own. */
function bytesOf({ run, part }: Admitted): number {
  return part.records * (FRAME_BYTES + SEAL_OVERHEAD_BYTES + recordBytesOf(run));
}

/** Damaged data must not prevent the start. */
function readDevices(text: string): DeviceRecords {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
