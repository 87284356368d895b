/**
 * The sender keys of a spool: under each one records are numbered from 1 on. With every transaction that makes records
 * durable, the key's ready statement ("I took N records under this key") is replaced. So after a crash the statement is
 * there, although the key is gone. A statement is due once its key is no longer in use; at a start all of them are.
 *
 * @module
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { equalBytes, fromHex } from "../shared/bytes.ts";
import { ephemeralKeyPair, type KeyName, recordKey } from "../shared/keys.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { partitionOf } from "../shared/partition.ts";
import { type EntrySealer, entrySealer, type LogRecord, RECORD_VERSION } from "../shared/record.ts";
import { encodeStatement } from "../shared/statement.ts";
import { type StatementEntry, writeStatementEntry } from "../shared/sync.ts";

/** How long one sender key numbers records, in milliseconds: an hour. */
export const MAX_SENDER_KEY_AGE_MS = 3_600_000;

/** Maximum statements in one append to the log. */
const MAX_APPEND_STATEMENTS = 100;

/** One row for each sender key that was ever used, with its newest statement and who has received that. */
export const SENDER_KEYS_SCHEMA = `
  CREATE TABLE sender_keys (
    id INTEGER PRIMARY KEY, election TEXT NOT NULL, partitions INTEGER NOT NULL, sender_key BLOB NOT NULL,
    key_id TEXT NOT NULL, sequence INTEGER NOT NULL, signature BLOB NOT NULL, value BLOB NOT NULL,
    is_on_log INTEGER NOT NULL DEFAULT 0, is_told INTEGER NOT NULL DEFAULT 0, UNIQUE (election, sender_key)
  ) STRICT;
  CREATE INDEX sender_keys_not_on_log ON sender_keys (id) WHERE is_on_log = 0;
`;

/** What the spool's thread needs of an election to number, seal and sign. Keys are 32 bytes. */
export type SenderElection = Readonly<{
  /** The gateway, and its key's version. */
  name: KeyName;
  signingKey: Uint8Array;
  /** The aggregator's public key, from the manifest. */
  sealingKey: Uint8Array;
  partitions: number;
  acceptsUntilMs: number;
}>;

/** The report about one election's sender keys for the aggregator. Keys are hex. */
export type ElectionKeys = Readonly<{
  election: string;
  /** The key that numbers records now, once it has numbered one. */
  current?: string;
  /** Every key that this spool ever used, oldest first. */
  all: readonly string[];
  /** Statements that the aggregator does not have yet, oldest first. */
  untold: readonly StatementEntry[];
  /** Statements that the log or the aggregator does not have yet. */
  statementsDue: number;
}>;

/** Due statements of one election, as entries for its log. */
export type DueStatements = Readonly<{ election: string; partitions: number; entries: PlacedRecord[] }>;

type Live = {
  readonly election: SenderElection;
  readonly sealer: EntrySealer;
  readonly hex: string;
  readonly madeAtMs: number;
  /** How many records are durable under this key. */
  taken: number;
};

type Row = {
  id: number;
  election: string;
  partitions: number;
  sender_key: Uint8Array;
  key_id: string;
  sequence: number;
  signature: Uint8Array;
  value: Uint8Array;
  is_on_log: 0 | 1;
  is_told: 0 | 1;
};

/** See the module. */
export class SenderKeys {
  readonly #now: () => number;
  readonly #elections = new Map<string, SenderElection>();
  readonly #live = new Map<string, Live>();
  readonly #over = new Set<string>();
  readonly #all: StatementSync;
  readonly #notOnLog: StatementSync;
  readonly #markOnLog: StatementSync;
  readonly #markTold: StatementSync;
  readonly #write: StatementSync;
  #revision = 0;

  /** @param db Has {@link SENDER_KEYS_SCHEMA}. */
  constructor(db: DatabaseSync, now: () => number) {
    this.#now = now;
    this.#all = db.prepare("SELECT * FROM sender_keys ORDER BY id");
    this.#notOnLog = db.prepare("SELECT * FROM sender_keys WHERE is_on_log = 0 ORDER BY id");
    this.#markOnLog = db.prepare(
      "UPDATE sender_keys SET is_on_log = 1 WHERE election = ? AND sender_key = ? AND sequence = ?",
    );
    this.#markTold = db.prepare("UPDATE sender_keys SET is_told = 1 WHERE election = ? AND sender_key = ?");
    this.#write = db.prepare(
      `INSERT INTO sender_keys (election, partitions, sender_key, key_id, sequence, signature, value)
       VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (election, sender_key) DO UPDATE
       SET sequence = excluded.sequence, signature = excluded.signature, value = excluded.value`,
    );
  }

  /** Rises with every change of what {@link list} returns. */
  get revision(): number {
    return this.#revision;
  }

  /** Adds or updates an election. A new key of the gateway ends the sender key. */
  use(election: SenderElection): void {
    const id = election.name.election;
    this.#elections.set(id, election);
    const live = this.#live.get(id);
    if (live !== undefined && !isSame(live.election, election)) this.#retire(id);
  }

  /** An election that was added. @throws when it was not. */
  election(id: string): SenderElection {
    const election = this.#elections.get(id);
    if (election === undefined) throw new Error(`Cannot number records of ${id}: its keys are not known yet`);
    return election;
  }

  /** Begins the numbering of one transaction. Its numbers are used up only by {@link SequenceAllocation.commit}. */
  begin(): SequenceAllocation {
    return new SequenceAllocation({
      liveOf: (election) => this.#liveOf(election),
      now: this.#now,
      write: (...values) => void this.#write.run(...values),
      commit: (live, taken) => this.#commit(live, taken),
    });
  }

  /** Ends keys that are too old, and those of elections whose acceptance window is over. */
  retireOld(): void {
    const nowMs = this.#now();
    for (const [id, { acceptsUntilMs }] of this.#elections) {
      const isOver = nowMs > acceptsUntilMs;
      if (isOver !== this.#over.has(id)) this.#revision++;
      if (isOver) this.#over.add(id);
      else this.#over.delete(id);
    }
    for (const [id, live] of this.#live) {
      if (this.#over.has(id) || isOld(live, nowMs)) this.#retire(id);
    }
  }

  /**
   * Ends every key: before the process stops, and after a commit whose result is unknown. Their statements are in the
   * file, each from the last durable transaction.
   */
  retireAll(): void {
    for (const id of [...this.#live.keys()]) this.#retire(id);
  }

  /** Due statements that the log does not have, of one election; `undefined` when there are none. */
  dueForLog(excluded: readonly string[] = []): DueStatements | undefined {
    const rows = this.#rows(this.#notOnLog).filter((row) =>
      !this.#isLive(row) && !excluded.includes(row.election)
    );
    const [first] = rows;
    if (first === undefined) return undefined;
    const { election, partitions } = first;
    const entries = rows.filter((row) => row.election === election).slice(0, MAX_APPEND_STATEMENTS);
    return { election, partitions, entries: entries.map(entryOf) };
  }

  /** Marks statements as being on the log. */
  markOnLog({ election, entries }: DueStatements): void {
    for (const { senderKey, sequence } of entries) this.#markOnLog.run(election, senderKey, sequence);
    this.#revision++;
  }

  /** Marks the statements of these keys, in hex, as received by the aggregator. */
  markTold(election: string, senderKeys: readonly string[]): void {
    for (const hex of senderKeys) {
      if (this.#live.get(election)?.hex !== hex) this.#markTold.run(election, fromHex(hex));
    }
    this.#revision++;
  }

  /** The keys of every election that has used one. */
  list(): ElectionKeys[] {
    const byElection = Map.groupBy(this.#rows(this.#all), ({ election }) => election);
    return [...byElection].map(([election, rows]) => {
      const ended = rows.filter((row) => !this.#isLive(row));
      // After the acceptance window the log alone is enough: the aggregator may never come back.
      const isOver = this.#over.has(election);
      return {
        election,
        current: rows.find((row) => this.#isLive(row))?.sender_key.toHex(),
        all: rows.map(({ sender_key }) => sender_key.toHex()),
        untold: ended.filter(({ is_told }) => is_told === 0).map(statementOf),
        statementsDue: ended.filter((row) => row.is_on_log === 0 || row.is_told === 0 && !isOver).length,
      };
    });
  }

  #rows(statement: StatementSync): Row[] {
    return statement.all() as unknown as Row[];
  }

  #isLive({ election, sender_key }: Row): boolean {
    const live = this.#live.get(election);
    return live !== undefined && equalBytes(live.sealer.senderKey, sender_key);
  }

  /** The current key; a new one when there is none or it is too old. */
  #liveOf(id: string): Live {
    const nowMs = this.#now();
    const live = this.#live.get(id);
    if (live !== undefined && !isOld(live, nowMs)) return live;
    return makeKey(this.election(id), nowMs);
  }

  #commit(live: Live, taken: number): void {
    const id = live.election.name.election;
    live.taken = taken;
    if (this.#live.get(id) === live) return;
    this.#live.set(id, live);
    this.#revision++;
  }

  #retire(election: string): void {
    this.#live.delete(election);
    this.#revision++;
  }
}

type Hooks = Readonly<{
  liveOf(election: string): Live;
  now(): number;
  write(...values: (string | number | Uint8Array)[]): void;
  commit(live: Live, taken: number): void;
}>;

/** The numbers of one transaction. Without {@link commit} none are used up. */
export class SequenceAllocation {
  readonly #hooks: Hooks;
  readonly #turns = new Map<string, { live: Live; taken: number }>();

  /** @internal See {@link SenderKeys.begin}. */
  constructor(hooks: Hooks) {
    this.#hooks = hooks;
  }

  /** Numbers, seals and signs records as one entry. `plaintext` has them one after another. */
  seal(election: string, plaintext: Uint8Array, records = 1): LogRecord {
    let turn = this.#turns.get(election);
    if (turn === undefined) {
      const live = this.#hooks.liveOf(election);
      this.#turns.set(election, turn = { live, taken: live.taken });
    }
    const sequence = turn.taken + 1;
    turn.taken += records;
    return turn.live.sealer.seal("vote", sequence, plaintext);
  }

  /** Replaces the ready statement of every key that numbered, inside the transaction. */
  write(): void {
    const statedAtMs = this.#hooks.now();
    for (const [id, { live, taken }] of this.#turns) {
      const plaintext = encodeStatement({ records: taken, statedAtMs });
      const { keyId, senderKey, signature, value } = live.sealer.seal("statement", taken, plaintext);
      this.#hooks.write(id, live.election.partitions, senderKey, keyId, taken, signature, value);
    }
  }

  /** The transaction is durable, and so are its numbers. */
  commit(): void {
    for (const { live, taken } of this.#turns.values()) this.#hooks.commit(live, taken);
  }
}

/** Makes a sender key. Its private half is erased at once: sealing needs only the derived key. */
function makeKey(election: SenderElection, madeAtMs: number): Live {
  const { name, signingKey, sealingKey: aggregatorKey } = election;
  const { privateKey, publicKey } = ephemeralKeyPair();
  const sealingKey = recordKey(privateKey, aggregatorKey, name.election, publicKey, aggregatorKey);
  privateKey.fill(0);
  const sealer = entrySealer({ name, signingKey, sealingKey, senderKey: publicKey });
  return { election, sealer, hex: publicKey.toHex(), madeAtMs, taken: 0 };
}

/** A key is too old also when the clock went back, because its age is then unknown. */
function isOld({ madeAtMs }: Live, nowMs: number): boolean {
  return nowMs < madeAtMs || nowMs - madeAtMs >= MAX_SENDER_KEY_AGE_MS;
}

function isSame(a: SenderElection, b: SenderElection): boolean {
  return a.name.version === b.name.version && a.name.id === b.name.id &&
    equalBytes(a.signingKey, b.signingKey) && equalBytes(a.sealingKey, b.sealingKey);
}

function entryOf({ sender_key, key_id, sequence, signature, value, partitions }: Row): PlacedRecord {
  return {
    version: RECORD_VERSION,
    kind: "statement",
    keyId: key_id,
    senderKey: sender_key,
    sequence,
    signature,
    value,
    partition: partitionOf(sender_key, partitions),
  };
}

function statementOf({ sender_key, key_id, sequence, signature, value }: Row): StatementEntry {
  return writeStatementEntry({ keyId: key_id, senderKey: sender_key, sequence, signature, value });
}
