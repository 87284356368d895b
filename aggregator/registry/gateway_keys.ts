/**
 * Gateways' keys. Several versions are valid at once, until one is revoked. The registry keeps them all.
 *
 * @module
 */
import { appendAudit } from "../audit/events.ts";
import type { Database, Query } from "../database/database.ts";
import { changeHistory, lockHistory } from "./changes.ts";
import { OfficeError } from "./office_error.ts";

/**
 * Gives a gateway its next key. The earlier ones stay valid until {@link revokeGatewayKey}.
 *
 * @param logEnds See {@link changeHistory}.
 * @returns the new version.
 */
export async function rotateGatewayKey(
  db: Database,
  election: string,
  gateway: string,
  now: Date,
  logEnds?: readonly number[],
): Promise<number> {
  return await db.transaction(async (query) => {
    await lockHistory(query, election);
    const newest = await newestGatewayKey(query, election, gateway);
    if (newest === undefined) {
      throw new OfficeError(
        `Cannot rotate the key of gateway ${gateway}: election ${election} has no such gateway`,
      );
    }
    const version = newest + 1;
    const { revision } = await changeHistory(query, election, "gateway_key", now, logEnds);
    await query(
      "INSERT INTO registry.gateway_keys (election, gateway, version, revision) VALUES ($1, $2, $3, $4)",
      [election, gateway, version, revision],
    );
    await appendAudit(query, now, "gateway_key_rotated", election, { gateway, version });
    return version;
  });
}

/**
 * Revokes a gateway's key. The aggregator answers nothing more under it, and records that it signed are held from this
 * change's positions on, whatever time they name.
 *
 * @param logEnds See {@link changeHistory}.
 */
export async function revokeGatewayKey(
  db: Database,
  election: string,
  gateway: string,
  version: number,
  now: Date,
  logEnds?: readonly number[],
): Promise<void> {
  const name = `${gateway}.${version}`;
  await db.transaction(async (query) => {
    await lockHistory(query, election);
    const [key] = await query<{ isRevoked: boolean }>(
      `SELECT revoked_revision IS NOT NULL AS "isRevoked" FROM registry.gateway_keys
       WHERE election = $1 AND gateway = $2 AND version = $3`,
      [election, gateway, version],
    );
    if (key === undefined) {
      throw new OfficeError(`Cannot revoke ${name}: election ${election} has no such gateway key`);
    }
    if (key.isRevoked) throw new OfficeError(`Cannot revoke ${name}: it has been revoked already`);
    const { revision } = await changeHistory(query, election, "gateway_key", now, logEnds);
    await query(
      `UPDATE registry.gateway_keys SET revoked_revision = $4, revoked_at = $5::timestamptz
       WHERE election = $1 AND gateway = $2 AND version = $3`,
      [election, gateway, version, revision, now.toISOString()],
    );
    await appendAudit(query, now, "gateway_key_revoked", election, { gateway, version });
  });
}

/** The newest version of a gateway's key, revoked or not; `undefined` when there is no such gateway. */
export async function newestGatewayKey(
  query: Query,
  election: string,
  gateway: string,
): Promise<number | undefined> {
  const [row] = await query<{ version: number }>(
    "SELECT version FROM registry.gateway_keys WHERE election = $1 AND gateway = $2 ORDER BY version DESC LIMIT 1",
    [election, gateway],
  );
  return row?.version;
}
