/**
 * A database for tests: in memory, or on the server that `TEST_DATABASE_URL` names (a superuser's address), where each
 * has one of its own that is dropped behind it. Opening one takes long, so the tests of most files share one, and each
 * brings its own election.
 *
 * @module
 */
import type { Database, Parameter } from "../aggregator/database/database.ts";
import { databaseChoice, type PostgresTarget } from "../aggregator/database/database_url.ts";
import { migrate } from "../aggregator/database/migrate.ts";
import { openPostgres } from "../aggregator/database/postgres.ts";
import { openSnapshot } from "./database_snapshot.ts";

/** How tests connect to a server: limits that none of them should meet. */
export const TEST_SESSIONS = {
  applicationName: "test",
  statementTimeoutMs: 60_000,
  lockTimeoutMs: 30_000,
  idleInTransactionTimeoutMs: 60_000,
  connections: 4,
};

/** A server's address, read. */
export function testTarget(url: string, ca?: string): PostgresTarget {
  const choice = databaseChoice(url, undefined, ca);
  if (choice.kind !== "postgres") throw new Error("Cannot test: the address is not a server's");
  return choice.target;
}

/** Opens an empty database, with no tables yet. */
export async function openTestDatabase(): Promise<Database> {
  return await openOnServer() ?? await openSnapshot("empty");
}

/** Opens a database with the newest tables. */
async function openMigratedDatabase(): Promise<Database> {
  const db = await openOnServer() ?? await openSnapshot("migrated");
  // Does nothing to a snapshot but see that it has all tables.
  await migrate(db);
  return db;
}

/** An empty database of its own on the server that the environment names, if it names one. */
async function openOnServer(): Promise<Database | undefined> {
  const url = Deno.env.get("TEST_DATABASE_URL");
  if (!url) return undefined;
  const target = testTarget(url);
  const name = `test_${crypto.randomUUID().replaceAll("-", "")}`;
  const admin = async (sql: string) => {
    const server = await openPostgres(target, { ...TEST_SESSIONS, connections: 1 });
    await server.query(sql).finally(() => server.close());
  };
  await admin(`CREATE DATABASE ${name}`);
  const db = await openPostgres({ ...target, database: name }, TEST_SESSIONS);
  return {
    ...db,
    async close() {
      await db.close();
      await admin(`DROP DATABASE ${name} WITH (FORCE)`);
    },
  };
}

/** Opens a database with the newest tables, and closes it after the file's last test. Call it at the top level. */
export async function testDatabase(): Promise<Database> {
  const db = await openMigratedDatabase();
  Deno.test.afterAll(() => db.close());
  return db;
}

/** Runs a test in an empty database of its own: for what is the same election in every test. */
export async function withDatabase(work: (db: Database) => Promise<void>): Promise<void> {
  const db = await openMigratedDatabase();
  try {
    await work(db);
  } finally {
    await db.close();
  }
}

/** Lets the rest of a transaction change what the tables keep, as who owns the server could. */
export const TAMPER = "SET LOCAL session_replication_role = replica";

/** Changes what the tables keep as it is. */
export async function tamper(db: Database, sql: string, params: readonly Parameter[]): Promise<void> {
  await db.transaction(async (query) => {
    await query(TAMPER);
    await query(sql, params);
  });
}
