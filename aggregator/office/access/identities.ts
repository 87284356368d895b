/**
 * Who a person is at an OpenID provider. An identity belongs to one account, and a person has one account: so a proposal and its approval
 * by one person are seen as such, whatever issuer they come through.
 *
 * Only the person joins an identity to the account, with a token of each: an administrator who could would sign in as an official.
 *
 * @module
 */
import { appendAudit } from "../../audit/events.ts";
import { type Database, isoTime, type Query } from "../../database/database.ts";
import type { Refusal } from "./accounts.ts";

/** An identity of an account. */
export type AccountIdentity = Readonly<
  { identity: number; issuer: string; subject: string; addedAt: string }
>;

/** The account of an identity; `undefined` when there is none. */
export async function accountOf(query: Query, issuer: string, subject: string): Promise<string | undefined> {
  const [row] = await query<{ account: string }>(
    "SELECT account FROM office.identities WHERE issuer = $1 AND subject = $2 AND revoked_at IS NULL",
    [issuer, subject],
  );
  return row?.account;
}

/** The identities of an account that are good. */
export async function identitiesOf(query: Query, account: string): Promise<AccountIdentity[]> {
  return await query<AccountIdentity>(
    `SELECT identity_id::float8 AS identity, issuer, subject, ${isoTime("added_at")} AS "addedAt"
     FROM office.identities WHERE account = $1 AND revoked_at IS NULL ORDER BY identity_id`,
    [account],
  );
}

/** Joins an identity to an account. One that another account has, or ever had, stays there. */
export async function addIdentity(
  db: Database,
  account: string,
  { issuer, subject }: Readonly<{ issuer: string; subject: string }>,
  now: Date,
): Promise<AccountIdentity | Refusal> {
  return await db.transaction(async (query) => {
    const [added] = await query<AccountIdentity>(
      `INSERT INTO office.identities (issuer, subject, account, added_at) VALUES ($1, $2, $3, $4::timestamptz)
       ON CONFLICT (issuer, subject) DO UPDATE SET revoked_at = NULL, added_at = excluded.added_at
         WHERE identities.account = excluded.account AND identities.revoked_at IS NOT NULL
       RETURNING identity_id::float8 AS identity, issuer, subject, ${isoTime("added_at")} AS "addedAt"`,
      [issuer, subject, account, now.toISOString()],
    );
    if (added === undefined) {
      return {
        refused: "conflict",
        detail: "this identity belongs to an account already; a person has one account",
      };
    }
    await appendAudit(query, now, "account_identity_added", null, { account, issuer });
    return added;
  });
}

/** Takes an identity away: its tokens are refused from now on. */
export async function revokeIdentity(
  db: Database,
  account: string,
  identity: number,
  now: Date,
): Promise<AccountIdentity | Refusal> {
  return await db.transaction(async (query) => {
    const [revoked] = await query<AccountIdentity>(
      `UPDATE office.identities SET revoked_at = $3::timestamptz
       WHERE account = $1 AND identity_id = $2::bigint AND revoked_at IS NULL
       RETURNING identity_id::float8 AS identity, issuer, subject, ${isoTime("added_at")} AS "addedAt"`,
      [account, identity, now.toISOString()],
    );
    if (revoked === undefined) {
      return { refused: "not-found", detail: `account ${account} has no identity ${identity} that is good` };
    }
    await appendAudit(query, now, "account_identity_revoked", null, { account, issuer: revoked.issuer });
    return revoked;
  });
}
