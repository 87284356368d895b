/**
 * Tells the other processes that an election's tables are being rebuilt. Until that is done they neither count nor
 * publish it; then they continue.
 *
 * @module
 */
import { type Query, queryOne } from "../database/database.ts";

/** How long a rebuild that says nothing keeps others away, in milliseconds: longer than one batch takes. */
export const REBUILD_LEASE_MS = 60_000;

/** The name of an election's lease. */
export function rebuildWork(election: string): string {
  return `rebuild.${election}`;
}

/** Whether somebody is rebuilding the election now. */
export async function isBeingRebuilt(query: Query, election: string): Promise<boolean> {
  const { rebuilding } = await queryOne<{ rebuilding: boolean }>(
    query,
    "SELECT EXISTS (SELECT FROM counting.leases WHERE work = $1 AND until > now()) AS rebuilding",
    [rebuildWork(election)],
  );
  return rebuilding;
}
