/**
 * A PostgreSQL server of a benchmark's own, with a database that is empty.
 *
 * @module
 */
import type { Database } from "../aggregator/database/database.ts";
import { openPostgres } from "../aggregator/database/postgres.ts";
import { startCluster } from "../tests/stack/cluster.ts";
import { TEST_SESSIONS, testTarget } from "../tests/test_database.ts";
import type { Bench } from "./measure.ts";

/** Starts it, and opens the database. Both end with the run. */
export async function ownDatabase(bench: Bench): Promise<{ db: Database; url: string }> {
  const cluster = await startCluster();
  bench.atEnd(() => cluster.remove());
  const url = cluster.url(await cluster.createDatabase());
  const db = await openPostgres(testTarget(url), TEST_SESSIONS);
  bench.atEnd(() => db.close());
  return { db, url };
}
