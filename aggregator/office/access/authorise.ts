/**
 * What an account may do now: asked of the database at each request, so that a role that was taken away is away at once.
 *
 * @module
 */
import type { Query } from "../../database/database.ts";
import type { OfficeRole } from "./roles.ts";
import type { Identity } from "./tokens.ts";

/** An account's roles: of the office, and of the election that is asked about. */
export type Access = Readonly<{ roles: readonly OfficeRole[] }>;

/**
 * The roles of who asks; `undefined` when the account or the key that signed in is not good any more.
 *
 * @param election The one that the request is about; `undefined` when it is about the office. Roles in a rehearsal are those in
 *   the election that is rehearsed.
 */
export async function readAccess(
  query: Query,
  { account, keyId }: Identity,
  election: string | undefined,
): Promise<Access | undefined> {
  // Whether an identity at a provider is good was asked when its account was looked up.
  const rows = await query<{ role: OfficeRole | null }>(
    `SELECT g.role FROM office.accounts a
     LEFT JOIN office.grants g ON g.account = a.account AND g.granted_at IS NOT NULL AND g.revoked_at IS NULL
       AND g.election IS NOT DISTINCT FROM coalesce((SELECT election FROM office.rehearsals WHERE rehearsal = $3), $3)
     WHERE a.account = $1 AND ($2::text IS NULL OR EXISTS (
       SELECT FROM office.account_keys k
       WHERE k.account = a.account AND k.key_id = $2 AND k.granted_at IS NOT NULL AND k.revoked_at IS NULL))`,
    [account, keyId ?? null, election ?? null],
  );
  if (rows.length === 0) return undefined;
  return { roles: rows.flatMap(({ role }) => role === null ? [] : [role]) };
}

/** Elections in which an account has a role, with its roles. */
export async function readOwnElections(
  query: Query,
  account: string,
): Promise<{ election: string; roles: OfficeRole[] }[]> {
  const rows = await query<{ election: string; role: OfficeRole }>(
    `WITH own AS (
       SELECT election, role FROM office.grants
       WHERE account = $1 AND election IS NOT NULL AND granted_at IS NOT NULL AND revoked_at IS NULL
     )
     SELECT election, role FROM own
     UNION ALL
     SELECT rehearsal, role FROM own JOIN office.rehearsals r USING (election)
     WHERE r.reset_at IS NULL AND EXISTS (SELECT FROM registry.elections e WHERE e.election = r.rehearsal)
     ORDER BY election, role`,
    [account],
  );
  return [...Map.groupBy(rows, ({ election }) => election)].map(([election, of]) => ({
    election,
    roles: of.map(({ role }) => role),
  }));
}
