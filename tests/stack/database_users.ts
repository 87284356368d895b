/**
 * A server's database as docs/operations.md sets it up: an owner who is no superuser, and a user for each role.
 *
 * @module
 */
import type { Database } from "../../aggregator/database/database.ts";
import { migrate } from "../../aggregator/database/migrate.ts";
import { openPostgres } from "../../aggregator/database/postgres.ts";
import { TEST_SESSIONS, testTarget } from "../test_database.ts";
import type { Cluster } from "./cluster.ts";

/** Users who log in, and the role that each is a member of. */
export const USERS = {
  office: "pollwire_registrar",
  aggregator: "pollwire_counter",
  reader: "pollwire_reader",
  audit: "pollwire_auditor",
  server: "pollwire_server",
  indexer: "pollwire_indexer",
  receipts: "pollwire_receipts",
  sync: "pollwire_sync",
  board: "pollwire_office",
  analyst: "pollwire_analyst",
  recount: "pollwire_recounter",
} as const;
export type User = keyof typeof USERS;

/** Password of all of them, and of the owner. The server lives as long as a test. */
export const PASSWORD = "secret";

/** Makes a database with the newest tables and its users, and closes every connection that the work opens with `as`. */
export async function withUsers(
  cluster: Cluster,
  work: (as: (user: User | "owner") => Promise<Database>, database: string) => Promise<void>,
): Promise<void> {
  const name = await cluster.createDatabase();
  const opened: Database[] = [];
  const as = async (user: string) => {
    const target = { ...testTarget(cluster.url(name)), user, password: PASSWORD };
    const db = await openPostgres(target, { ...TEST_SESSIONS, connections: 2 });
    opened.push(db);
    return db;
  };
  const makeRole = (role: string) =>
    cluster.psql(
      `DO $$ BEGIN CREATE ROLE ${role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$`,
    );
  await makeRole(`owner LOGIN CREATEROLE PASSWORD '${PASSWORD}'`);
  await cluster.psql(`ALTER DATABASE ${name} OWNER TO owner`);
  try {
    await migrate(await as("owner"));
    for (const [user, role] of Object.entries(USERS)) {
      await makeRole(`${user} LOGIN PASSWORD '${PASSWORD}' IN ROLE ${role}`);
    }
    await work(as, name);
  } finally {
    for (const db of opened) await db.close();
  }
}

/** SQLSTATE of a refusal: not allowed. */
export const INSUFFICIENT_PRIVILEGE = "42501";

/** The SQLSTATE that a transaction of these statements ends with; `undefined` when all are allowed. It is rolled back. */
export async function refusalOf(db: Database, ...statements: string[]): Promise<string | undefined> {
  const undone = new Error("undone");
  try {
    await db.transaction(async (query) => {
      for (const sql of statements) await query(sql);
      throw undone;
    });
  } catch (error) {
    if (error !== undone) return (error as { code: string }).code;
  }
  return undefined;
}
