/**
 * Accounts of the office, their keys and their roles. Every change is on the office's audit chain.
 *
 * @module
 */
import { rehearsedBy } from "../../../shared/rehearsal.ts";
import { appendAudit } from "../../audit/events.ts";
import { type Database, isoTime, type Query } from "../../database/database.ts";
import type { OfficeRole } from "./roles.ts";

/** Why something was not done: an expected failure. `kind` says what answer it gets. */
export type Refusal = Readonly<{ refused: "not-found" | "conflict" | "invalid"; detail: string }>;

/** Whether a use case refused. */
export function isRefusal(value: unknown): value is Refusal {
  return typeof value === "object" && value !== null && "refused" in value;
}

/** Refuses what the present state does not allow. */
export function conflict(detail: string): Refusal {
  return { refused: "conflict", detail };
}

function refuse(refused: Refusal["refused"], detail: string): Refusal {
  return { refused, detail };
}

/**
 * A key of an account. `keyId` is its thumbprint (RFC 7638). It waits for a second administrator, and signs nobody in, while `grantedAt` is
 * missing.
 */
export type AccountKey = Readonly<{
  keyId: string;
  addedAt: string;
  requestedBy: string | null;
  approvedBy: string | null;
  grantedAt: string | null;
  revokedAt: string | null;
}>;

/** A role of an account; it waits for a second administrator while `grantedAt` is missing. */
export type Grant = Readonly<{
  grant: number;
  account: string;
  role: OfficeRole;
  election: string | null;
  requestedBy: string;
  requestedAt: string;
  approvedBy: string | null;
  grantedAt: string | null;
}>;

export type Account = Readonly<
  { account: string; name: string; createdAt: string; keys: AccountKey[]; roles: Grant[] }
>;

/** A public key as it is stored. */
export type PublicKey = Readonly<{ keyId: string; publicKey: Uint8Array }>;

const GRANT_COLUMNS = `grant_id::float8 AS "grant", account, role, election, requested_by AS "requestedBy",
  ${isoTime("requested_at")} AS "requestedAt", approved_by AS "approvedBy", ${
  isoTime("granted_at")
} AS "grantedAt"`;

const KEY_COLUMNS = `key_id AS "keyId", ${isoTime("added_at")} AS "addedAt", requested_by AS "requestedBy",
  approved_by AS "approvedBy", ${isoTime("granted_at")} AS "grantedAt", ${
  isoTime("revoked_at")
} AS "revokedAt"`;

/** Lets no two changes of accounts and roles run at the same time: rules about several rows hold. */
async function lockAccounts(query: Query): Promise<void> {
  await query("SELECT pg_advisory_xact_lock($1::bigint)", [7_026_415]);
}

/** All accounts, with their live roles. */
export async function readAccounts(query: Query): Promise<Account[]> {
  const accounts = await query<{ account: string; name: string; createdAt: string }>(
    `SELECT account, name, ${isoTime("created_at")} AS "createdAt" FROM office.accounts ORDER BY account`,
  );
  const keys = await query<AccountKey & { account: string }>(
    `SELECT account, ${KEY_COLUMNS} FROM office.account_keys ORDER BY added_at, key_id`,
  );
  const grants = await query<Grant>(
    `SELECT ${GRANT_COLUMNS} FROM office.grants WHERE revoked_at IS NULL ORDER BY grant_id`,
  );
  return accounts.map((account) => ({
    ...account,
    keys: keys.filter((key) => key.account === account.account).map(({ account: _, ...key }) => key),
    roles: grants.filter((grant) => grant.account === account.account),
  }));
}

/** Creates an account with its first key. */
export async function createAccount(
  db: Database,
  account: string,
  name: string,
  key: PublicKey,
  now: Date,
): Promise<{ account: string } | Refusal> {
  return await db.transaction(async (query) => {
    await lockAccounts(query);
    if (await isKeyKnown(query, key)) return KEY_IS_KNOWN;
    const rows = await query(
      "INSERT INTO office.accounts (account, name, created_at) VALUES ($1, $2, $3::timestamptz) ON CONFLICT DO NOTHING RETURNING 1",
      [account, name, now.toISOString()],
    );
    if (rows.length === 0) {
      return conflict(`there is an account ${account} already; choose another name`);
    }
    await appendAudit(query, now, "account_created", null, { account, name });
    await insertKey(query, account, key, undefined, now, false);
    await appendAudit(query, now, "account_key_added", null, { account, keyId: key.keyId });
    return { account };
  });
}

/**
 * Gives an account a further key. That of an official or an administrator, or of somebody who is to be one, waits for a second
 * administrator: who holds a key acts as the account.
 *
 * @param by The administrator who asks.
 */
export async function addKey(
  db: Database,
  account: string,
  key: PublicKey,
  by: string,
  now: Date,
): Promise<AccountKey | Refusal> {
  return await db.transaction(async (query) => {
    await lockAccounts(query);
    if (!await hasAccount(query, account)) return refuse("not-found", `there is no account ${account}`);
    if (await isKeyKnown(query, key)) return KEY_IS_KNOWN;
    const waits = (await rolesOfTwo(query, account)).length > 0;
    const added = await insertKey(query, account, key, by, now, waits);
    await auditKey(query, now, waits ? "account_key_requested" : "account_key_added", account, key.keyId);
    return added;
  });
}

/** A second administrator approves a key: it signs in from now on. */
export async function approveKey(
  db: Database,
  account: string,
  keyId: string,
  by: string,
  now: Date,
): Promise<AccountKey | Refusal> {
  return await db.transaction(async (query) => {
    await lockAccounts(query);
    const [found] = await query<AccountKey>(
      `SELECT ${KEY_COLUMNS} FROM office.account_keys WHERE account = $1 AND key_id = $2 AND revoked_at IS NULL`,
      [account, keyId],
    );
    if (found === undefined) return refuse("not-found", `account ${account} has no key ${keyId}`);
    if (found.grantedAt !== null) return conflict(`key ${keyId} has been approved already`);
    if (found.requestedBy === by) {
      return conflict(`${by} asked for key ${keyId}; another administrator must approve it`);
    }
    const [approved] = await query<AccountKey>(
      `UPDATE office.account_keys SET approved_by = $3, granted_at = $4::timestamptz
       WHERE account = $1 AND key_id = $2 RETURNING ${KEY_COLUMNS}`,
      [account, keyId, by, now.toISOString()],
    );
    await auditKey(query, now, "account_key_added", account, keyId);
    return approved!;
  });
}

/** Elections in which an account has a role that takes two administrators, or waits for one; `null` is the office. */
async function rolesOfTwo(query: Query, account: string): Promise<(string | null)[]> {
  const rows = await query<{ election: string | null }>(
    `SELECT election FROM office.grants
     WHERE account = $1 AND role IN ('official', 'admin') AND revoked_at IS NULL ORDER BY election`,
    [account],
  );
  return rows.map(({ election }) => election);
}

/** On the office's chain, and on those of the elections whose officials should see it. */
async function auditKey(
  query: Query,
  now: Date,
  event: "account_key_requested" | "account_key_added" | "account_key_revoked",
  account: string,
  keyId: string,
): Promise<void> {
  const elections = await rolesOfTwo(query, account);
  for (const election of [null, ...elections.filter((election) => election !== null)]) {
    await appendAudit(query, now, event, election, { account, keyId });
  }
}

/** One key for two accounts would make one person two: nobody could tell who signed. */
const KEY_IS_KNOWN = conflict("the key is known already; every account needs a key of its own");

async function isKeyKnown(query: Query, { keyId }: PublicKey): Promise<boolean> {
  return (await query("SELECT 1 FROM office.account_keys WHERE key_id = $1", [keyId])).length > 0;
}

async function insertKey(
  query: Query,
  account: string,
  { keyId, publicKey }: PublicKey,
  by: string | undefined,
  now: Date,
  waits: boolean,
): Promise<AccountKey> {
  const [added] = await query<AccountKey>(
    `INSERT INTO office.account_keys (key_id, account, public_key, added_at, requested_by, granted_at)
     VALUES ($1, $2, decode($3, 'hex'), $4::timestamptz, $5, $6::timestamptz) RETURNING ${KEY_COLUMNS}`,
    [keyId, account, publicKey.toHex(), now.toISOString(), by ?? null, waits ? null : now.toISOString()],
  );
  return added!;
}

/** Revokes a key, or takes back the request for one: tokens that were made with it are refused from now on. */
export async function revokeKey(
  db: Database,
  account: string,
  keyId: string,
  now: Date,
): Promise<{ keyId: string } | Refusal> {
  return await db.transaction(async (query) => {
    await lockAccounts(query);
    const rows = await query(
      `UPDATE office.account_keys SET revoked_at = $3::timestamptz
       WHERE account = $1 AND key_id = $2 AND revoked_at IS NULL RETURNING 1`,
      [account, keyId, now.toISOString()],
    );
    if (rows.length === 0) return refuse("not-found", `account ${account} has no key ${keyId} that is good`);
    await auditKey(query, now, "account_key_revoked", account, keyId);
    return { keyId };
  });
}

/**
 * Asks for a role. `official` and `admin` wait for another administrator, every other is granted at once.
 *
 * @param by The administrator who asks; `undefined` when the office is set up.
 */
export async function requestRole(
  db: Database,
  account: string,
  role: OfficeRole,
  election: string | null,
  by: string | undefined,
  now: Date,
): Promise<Grant | Refusal> {
  return await db.transaction(async (query) => {
    await lockAccounts(query);
    const fault = await roleFault(query, account, role, election);
    if (fault !== undefined) return fault;
    const atOnce = by === undefined || role !== "official" && role !== "admin";
    const [grant] = await query<Grant>(
      `INSERT INTO office.grants (account, role, election, requested_by, requested_at, granted_at)
       VALUES ($1, $2, $3, $4, $5::timestamptz, $6::timestamptz) ON CONFLICT DO NOTHING RETURNING ${GRANT_COLUMNS}`,
      [account, role, election, by ?? "init", now.toISOString(), atOnce ? now.toISOString() : null],
    );
    if (grant === undefined) {
      return conflict(`account ${account} has the role ${role} already, or it was asked for`);
    }
    await appendAudit(query, now, atOnce ? "role_granted" : "role_requested", election, describe(grant));
    return grant;
  });
}

/** Nobody is admin and official: who gives roles must not use those that need two people. */
async function roleFault(
  query: Query,
  account: string,
  role: OfficeRole,
  election: string | null,
): Promise<Refusal | undefined> {
  if (!await hasAccount(query, account)) return refuse("not-found", `there is no account ${account}`);
  const rehearsed = election === null ? undefined : rehearsedBy(election);
  if (rehearsed !== undefined) {
    return refuse("invalid", `${election} is a rehearsal: roles in it are those in ${rehearsed}`);
  }
  if ((role === "admin") !== (election === null)) {
    return refuse(
      "invalid",
      role === "admin"
        ? "admin is a role of the whole office: leave the election out"
        : `${role} is a role of one election: name it`,
    );
  }
  if (election !== null) {
    const known = await query("SELECT 1 FROM registry.elections WHERE election = $1", [election]);
    if (known.length === 0) return refuse("not-found", `there is no election ${election}`);
  }
  const other = role === "admin" ? "official" : role === "official" ? "admin" : undefined;
  if (other === undefined) return undefined;
  const both = await query(
    "SELECT 1 FROM office.grants WHERE account = $1 AND role = $2 AND revoked_at IS NULL",
    [account, other],
  );
  if (both.length === 0) return undefined;
  return conflict(`account ${account} is ${other}, and nobody may be admin and official`);
}

/** A second administrator approves a role. */
export async function approveRole(
  db: Database,
  grant: number,
  by: string,
  now: Date,
): Promise<Grant | Refusal> {
  return await db.transaction(async (query) => {
    await lockAccounts(query);
    const [found] = await query<Grant>(
      `SELECT ${GRANT_COLUMNS} FROM office.grants WHERE grant_id = $1 AND revoked_at IS NULL`,
      [grant],
    );
    if (found === undefined) return refuse("not-found", `there is no grant ${grant}`);
    if (found.grantedAt !== null) return conflict(`grant ${grant} has been approved already`);
    if (found.requestedBy === by) {
      return conflict(`grant ${grant} is ${by}'s own; another administrator must approve it`);
    }
    if (found.account === by) return conflict("nobody may approve a role of their own");
    const [approved] = await query<Grant>(
      `UPDATE office.grants SET approved_by = $2, granted_at = $3::timestamptz WHERE grant_id = $1
       RETURNING ${GRANT_COLUMNS}`,
      [grant, by, now.toISOString()],
    );
    await appendAudit(query, now, "role_granted", found.election, describe(approved!));
    return approved!;
  });
}

/** Takes a role away, or a request for one back: from the next request on. */
export async function revokeRole(db: Database, grant: number, now: Date): Promise<Grant | Refusal> {
  try {
    return await revokeRoleIn(db, grant, now);
  } catch (error) {
    if (!(error instanceof TooFewAdmins)) throw error;
    return refuse(
      "conflict",
      `the office needs ${MIN_ADMINS} administrators: give another account the role first`,
    );
  }
}

/** Fewer cannot give the role of an official. */
const MIN_ADMINS = 2;

/** Rolls a revocation back. */
class TooFewAdmins extends Error {
  override name = "TooFewAdmins";
}

async function countAdmins(query: Query): Promise<number> {
  const rows = await query(
    "SELECT 1 FROM office.grants WHERE role = 'admin' AND granted_at IS NOT NULL AND revoked_at IS NULL",
  );
  return rows.length;
}

async function revokeRoleIn(db: Database, grant: number, now: Date): Promise<Grant | Refusal> {
  return await db.transaction(async (query) => {
    await lockAccounts(query);
    const [found] = await query<Grant>(
      `UPDATE office.grants SET revoked_at = $2::timestamptz WHERE grant_id = $1 AND revoked_at IS NULL
       RETURNING ${GRANT_COLUMNS}`,
      [grant, now.toISOString()],
    );
    if (found === undefined) return refuse("not-found", `there is no grant ${grant}`);
    if (found.role === "admin" && found.grantedAt !== null && await countAdmins(query) < MIN_ADMINS) {
      throw new TooFewAdmins();
    }
    await appendAudit(query, now, "role_revoked", found.election, describe(found));
    return found;
  });
}

function describe({ grant, account, role }: Grant): Record<string, string | number> {
  return { grant, account, role };
}

async function hasAccount(query: Query, account: string): Promise<boolean> {
  return (await query("SELECT 1 FROM office.accounts WHERE account = $1", [account])).length > 0;
}
