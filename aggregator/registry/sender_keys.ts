/**
 * What a gateway says with a sync about its sender keys: that it uses one, how many records it took under one, and,
 * after the acceptance window, which ones it ever used. The count is checked against this.
 *
 * A thief with a gateway's file can say such things too. What he registers is limited, and ends when the gateway's key is
 * revoked; a key that he does not have he cannot state anything about, since a statement is sealed under its sender key.
 *
 * @module
 */
import { equalBytes, utf8 } from "../../shared/bytes.ts";
import { parseKeyName, recordKey, sha256 } from "../../shared/keys.ts";
import { RecentMap } from "../../shared/recent.ts";
import { entryContext, entryRecords, entrySignature, openEntry } from "../../shared/record.ts";
import { decodeStatement } from "../../shared/statement.ts";
import {
  readStatementEntry,
  type StatementEntry,
  statementEntrySchema,
  type SyncRequest,
} from "../../shared/sync.ts";
import { arrayLiteral, type Database, type Query } from "../database/database.ts";
import type { SyncKeys } from "./role_keys.ts";

/** Sender keys of one gateway that its syncs register within {@link REGISTRATION_MS}, at most. */
export const MAX_REGISTERED_KEYS = 60;
/** One hour. */
export const REGISTRATION_MS = 3_600_000;
/**
 * How long a registered key, or a list that was taken, is not looked up again, in milliseconds. A table that was emptied
 * meanwhile, for a rebuild, has the keys again after that.
 */
const KNOWN_MS = 600_000;
/** Registered keys and lists that are known without a look-up, at most. */
const MAX_KNOWN_KEYS = 40_000;

/** Namespace of the advisory locks under which one gateway's keys are registered; any number, the same in every process. */
const REGISTRATION_LOCK = 7_026_415;

/** Statements of one gateway that may wait for a counting process, at most. */
const MAX_DELIVERED_STATEMENTS = 1_000;
/** Delivered statements that are taken in at once. */
const DELIVERED_AT_ONCE = 100;

/** What was ignored of a request: sender keys beyond the limit or too late, and statements that prove nothing. */
export type Ignored = Readonly<{ senderKeys: number; statements: number }>;

/** Who says it, and when. */
export type Claimant = Readonly<{
  election: string;
  gateway: string;
  nowMs: number;
  /** The end of the acceptance window. */
  acceptsUntilMs: number;
}>;

/** Takes in what gateways say about their sender keys. */
export class SenderKeys {
  readonly #db: Database;
  /** `election/key`, and `election/gateway/list` → the time until which the database is not asked again. */
  readonly #known = new RecentMap<number>(MAX_KNOWN_KEYS);

  /** @param db Whose user may write counting.sender_keys. */
  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * Registers sender keys, stores statements and takes a closing list. Idempotent: a gateway repeats what it said until
   * it was answered.
   *
   * @param keys The election's. Without the sealing key, statements are left to a counting process: see {@link takeDelivered}.
   */
  async take(
    { senderKeys, statements, listedKeys }: SyncRequest,
    claimant: Claimant,
    keys: StatementKeys,
  ): Promise<Ignored> {
    const isOpen = claimant.nowMs <= claimant.acceptsUntilMs;
    const unlisted = isOpen || listedKeys === undefined ? 0 : await this.#takeList(listedKeys, claimant);
    const unregistered = await this.#register(senderKeys, claimant, isOpen);
    const refused = statements.length === 0 ? 0 : await this.#state(statements, claimant, isOpen, keys);
    return { senderKeys: unlisted + unregistered.length, statements: refused };
  }

  /** Registers keys that are not yet, where that may be. Returns those that are not registered after it. */
  async #register(keys: readonly string[], claimant: Claimant, mayAdd: boolean): Promise<string[]> {
    const { election, nowMs } = claimant;
    const asked = [...new Set(keys)].filter((key) => !this.#isKnown(election, key, nowMs));
    if (asked.length === 0) return [];
    let registered = await registeredKeys(this.#db.query, election, asked);
    if (registered.size < asked.length && mayAdd) {
      const fresh = asked.filter((key) => !registered.has(key));
      registered = await this.#db.transaction(async (query) => {
        await addKeys(query, claimant, fresh);
        return await registeredKeys(query, election, asked);
      });
    }
    for (const key of registered) this.#remember(election, key, nowMs);
    return asked.filter((key) => !registered.has(key));
  }

  #isKnown(election: string, key: string, nowMs: number): boolean {
    return (this.#known.get(`${election}/${key}`) ?? -Infinity) > nowMs;
  }

  #remember(election: string, key: string, nowMs: number): void {
    this.#known.set(`${election}/${key}`, nowMs + KNOWN_MS);
  }

  /**
   * Marks the keys of a list, and closes the gateway once all of them are registered. A list may add keys that the
   * aggregator has not heard of, within the hourly limit, also after the acceptance window: it is what the list is for.
   *
   * @returns how many of its keys are not registered.
   */
  async #takeList(keys: readonly string[], claimant: Claimant): Promise<number> {
    const { election, gateway, nowMs } = claimant;
    const list = `${gateway}/${sha256(utf8(keys.join())).toHex()}`;
    if (this.#isKnown(election, list, nowMs)) return 0;
    const missing = await this.#register(keys, claimant, true);
    await this.#db.query(
      `WITH marked AS (
         UPDATE counting.sender_keys SET is_listed = true
         WHERE election = $1 AND gateway = $2 AND NOT is_listed
           AND sender_key IN (SELECT decode(key, 'hex') FROM unnest($3::text::text[]) AS key)
       )
       INSERT INTO counting.closed_gateways (election, gateway, closed_at)
       SELECT $1, $2, $4::timestamptz WHERE $5 ON CONFLICT DO NOTHING`,
      [election, gateway, arrayLiteral(keys), new Date(nowMs).toISOString(), missing.length === 0],
    );
    if (missing.length === 0) this.#remember(election, list, nowMs);
    return missing.length;
  }

  /** Stores what verified statements state, at its highest. Returns how many statements prove nothing or came too late. */
  async #state(
    statements: readonly StatementEntry[],
    claimant: Claimant,
    isOpen: boolean,
    keys: StatementKeys,
  ): Promise<number> {
    const { election } = claimant;
    const highest = new Map<string, StatementEntry>();
    let refused = 0;
    const stated = await statedRecords(
      this.#db.query,
      election,
      statements.map(({ senderKey }) => senderKey),
    );
    for (const statement of statements) {
      const { senderKey, sequence } = statement;
      if (sequence <= (highest.get(senderKey)?.sequence ?? stated.get(senderKey) ?? -1)) continue;
      if (isStatementOf(statement, claimant, keys)) highest.set(senderKey, statement);
      else refused++;
    }
    if (highest.size === 0) return refused;
    const late = new Set(await this.#register([...highest.keys()], claimant, isOpen));
    const kept = [...highest.values()].filter(({ senderKey }) => !late.has(senderKey));
    if (keys.sealing === undefined) await deliver(this.#db.query, claimant, kept);
    else await storeStated(this.#db.query, claimant, kept);
    return refused + late.size;
  }
}

/** What statements are checked with: the gateway's key, and where it is, the key that they are sealed to. */
export type StatementKeys = Pick<SyncKeys, "gatewayKey" | "sealing">;

/** Stores statements. Only the owner of a sender key can make one: so the key is this gateway's, even if another registered it. */
async function storeStated(
  query: Query,
  { election, gateway }: Pick<Claimant, "election" | "gateway">,
  statements: readonly StatementEntry[],
): Promise<void> {
  await query(
    `UPDATE counting.sender_keys k SET stated = greatest(k.stated, s.records), gateway = $2
     FROM unnest($3::text::text[], $4::text::bigint[]) AS s (sender_key, records)
     WHERE k.election = $1 AND k.sender_key = decode(s.sender_key, 'hex')`,
    [
      election,
      gateway,
      arrayLiteral(statements.map(({ senderKey }) => senderKey)),
      arrayLiteral(statements.map(({ sequence }) => sequence)),
    ],
  );
}

/** Leaves statements to a counting process. What is over the limit comes with the log too. */
async function deliver(
  query: Query,
  { election, gateway, nowMs }: Claimant,
  statements: readonly StatementEntry[],
): Promise<void> {
  await query(
    `INSERT INTO counting.delivered_statements (election, gateway, sender_key, sequence, statement, delivered_at)
     SELECT $1, $2, decode(s.key, 'hex'), s.sequence, s.statement, $4::timestamptz
     FROM jsonb_to_recordset($3::text::jsonb) AS s (key text, sequence bigint, statement text)
     LIMIT greatest(0, $5::int - (
       SELECT count(*) FROM counting.delivered_statements WHERE election = $1 AND gateway = $2
     ))
     ON CONFLICT DO NOTHING`,
    [
      election,
      gateway,
      JSON.stringify(statements.map((statement) => ({
        key: statement.senderKey,
        sequence: statement.sequence,
        statement: JSON.stringify(statement),
      }))),
      new Date(nowMs).toISOString(),
      MAX_DELIVERED_STATEMENTS,
    ],
  );
}

/**
 * Takes in statements that processes without the sealing key were given. Several processes may do so at once.
 *
 * @param onRefused Told of each gateway whose statements prove nothing.
 * @returns how many there were.
 */
export async function takeDelivered(
  query: Query,
  election: string,
  keys: StatementKeys,
  onRefused: (gateway: string, statements: number) => void,
): Promise<number> {
  const rows = await query<{ gateway: string; key: string; sequence: string; statement: string }>(
    `SELECT gateway, encode(sender_key, 'hex') AS key, sequence::text AS sequence, statement
     FROM counting.delivered_statements WHERE election = $1 ORDER BY delivered_at LIMIT ${DELIVERED_AT_ONCE}`,
    [election],
  );
  for (const [gateway, own] of Map.groupBy(rows, (row) => row.gateway)) {
    const statements = own.map(({ statement }) => statementEntrySchema.safeParse(JSON.parse(statement)).data);
    const proven = statements.filter((each) =>
      each !== undefined && isStatementOf(each, { election, gateway }, keys)
    ) as StatementEntry[];
    const highest = new Map<string, StatementEntry>();
    for (const each of proven.toSorted((a, b) => a.sequence - b.sequence)) highest.set(each.senderKey, each);
    if (highest.size > 0) await storeStated(query, { election, gateway }, [...highest.values()]);
    if (proven.length < own.length) onRefused(gateway, own.length - proven.length);
  }
  if (rows.length > 0) {
    await query(
      `DELETE FROM counting.delivered_statements d
       USING unnest($2::text::text[], $3::text::text[], $4::text::bigint[]) AS t (gateway, key, sequence)
       WHERE d.election = $1 AND d.gateway = t.gateway AND d.sender_key = decode(t.key, 'hex') AND d.sequence = t.sequence`,
      [
        election,
        arrayLiteral(rows.map(({ gateway }) => gateway)),
        arrayLiteral(rows.map(({ key }) => key)),
        arrayLiteral(rows.map(({ sequence }) => sequence)),
      ],
    );
  }
  return rows.length;
}

/** Those of the keys that are registered. */
async function registeredKeys(query: Query, election: string, keys: readonly string[]): Promise<Set<string>> {
  const rows = await query<{ key: string }>(
    `SELECT encode(sender_key, 'hex') AS key FROM counting.sender_keys
     WHERE election = $1 AND sender_key IN (SELECT decode(key, 'hex') FROM unnest($2::text::text[]) AS key)`,
    [election, arrayLiteral(keys)],
  );
  return new Set(rows.map(({ key }) => key));
}

/** Sender key → stated number of records, for keys that have a statement. */
async function statedRecords(
  query: Query,
  election: string,
  keys: readonly string[],
): Promise<Map<string, number>> {
  const rows = await query<{ key: string; stated: number }>(
    `SELECT encode(sender_key, 'hex') AS key, stated::float8 AS stated FROM counting.sender_keys
     WHERE election = $1 AND stated IS NOT NULL
       AND sender_key IN (SELECT decode(key, 'hex') FROM unnest($2::text::text[]) AS key)`,
    [election, arrayLiteral(keys)],
  );
  return new Map(rows.map(({ key, stated }) => [key, stated]));
}

/** Registers keys up to the hourly limit, one request of a gateway after another. */
async function addKeys(query: Query, claimant: Claimant, keys: readonly string[]): Promise<void> {
  const { election, gateway, nowMs } = claimant;
  await query("SELECT pg_advisory_xact_lock($1::int, hashtext($2))", [
    REGISTRATION_LOCK,
    `${election}/${gateway}`,
  ]);
  await query(
    `INSERT INTO counting.sender_keys (election, sender_key, gateway, registered_at, registered_by)
     SELECT $1, decode(key, 'hex'), $2, $4::timestamptz, 'sync'
     FROM unnest($3::text::text[]) WITH ORDINALITY AS asked (key, number)
     WHERE NOT EXISTS (
       SELECT FROM counting.sender_keys WHERE election = $1 AND sender_key = decode(key, 'hex')
     )
     ORDER BY number
     LIMIT greatest(0, $6::int - (
       SELECT count(*) FROM counting.sender_keys
       WHERE election = $1 AND gateway = $2 AND registered_by = 'sync' AND registered_at > $5::timestamptz
     ))
     ON CONFLICT DO NOTHING`,
    [
      election,
      gateway,
      arrayLiteral(keys),
      new Date(nowMs).toISOString(),
      new Date(nowMs - REGISTRATION_MS).toISOString(),
      MAX_REGISTERED_KEYS,
    ],
  );
}

/**
 * Whether a statement is signed with a key of this gateway, sealed under its sender key, and states its number. The seal is
 * left out where the sealing key is not.
 */
function isStatementOf(
  statement: StatementEntry,
  { election, gateway }: Pick<Claimant, "election" | "gateway">,
  keys: StatementKeys,
): boolean {
  const name = parseKeyName(statement.keyId);
  if (name === undefined || name.election !== election || name.id !== gateway) return false;
  if (statement.value.length % 2 !== 0) return false; // Hex of half a byte.
  const entry = readStatementEntry(statement);
  if (entryRecords(entry, 1) === undefined) return false;
  const context = entryContext(election, entry);
  const signingKey = keys.gatewayKey(name);
  if (signingKey === undefined) return false;
  if (!equalBytes(entrySignature(signingKey, context, entry.value), entry.signature)) return false;
  if (keys.sealing === undefined) return true;
  const { privateKey, publicKey } = keys.sealing;
  let plaintext: Uint8Array | undefined;
  try {
    const key = recordKey(privateKey, entry.senderKey, election, entry.senderKey, publicKey);
    plaintext = openEntry(key, context, entry.value);
  } catch {
    return false; // The sender key is a point of low order.
  }
  return plaintext !== undefined && decodeStatement(plaintext)?.records === entry.sequence;
}
