/**
 * A database in memory for all tests of a file: opening one takes seconds, so each test brings its own election.
 *
 * @module
 */
import type { Database } from "../aggregator/database/database.ts";
import { migrate } from "../aggregator/database/migrate.ts";
import { openPglite } from "../aggregator/database/pglite.ts";

/** Opens a database with the newest tables, and closes it after the file's last test. Call it at the top level. */
export async function testDatabase(): Promise<Database> {
  const db = await openPglite();
  Deno.test.afterAll(() => db.close());
  await migrate(db);
  return db;
}

/** Runs a test in an empty database of its own: for what is the same election in every test. */
export async function withDatabase(work: (db: Database) => Promise<void>): Promise<void> {
  const db = await openPglite();
  try {
    await migrate(db);
    await work(db);
  } finally {
    await db.close();
  }
}
