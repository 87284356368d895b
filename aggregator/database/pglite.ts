/**
 * The embedded database: PostgreSQL in WebAssembly, in this process, on a directory or in memory.
 *
 * @module
 */
import { PGlite } from "@electric-sql/pglite";
import type { Database, Isolation, Parameter, Query } from "./database.ts";

/** Transactions after which tables are looked at for rows that are dead, and how many of them a table may have. */
const VACUUM_LOOK_EVERY = 500;
const MAX_DEAD_ROWS = 20_000;

/** The directory is another process's. */
export class DatabaseInUse extends Error {
  override name = "DatabaseInUse";
}

/**
 * Opens a database. PGlite has no lock of its own, and two processes on one directory would ruin it, so this takes
 * one, which the system frees when the process ends, however it ends.
 *
 * @param directory Made if missing; in memory when left out.
 * @throws {DatabaseInUse} when another process has it open.
 */
export async function openPglite(directory?: string): Promise<Database> {
  const lock = directory === undefined ? undefined : await lockDirectory(directory);
  const db = await PGlite.create(directory === undefined ? {} : { dataDir: directory }).catch((error) => {
    lock?.close();
    throw error;
  });
  const wrap = (runner: { query: PGlite["query"] }): Query => async (sql, params) => {
    const { rows } = await runner.query(sql, params as Parameter[] | undefined);
    return rows as never[];
  };
  let transactions = 0;
  return {
    query: wrap(db),
    async transaction<T>(work: (query: Query) => Promise<T>, isolation?: Isolation): Promise<T> {
      const result = await db.transaction(async (transaction) => {
        if (isolation === "snapshot") {
          await transaction.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
        }
        return await work(wrap(transaction as unknown as { query: PGlite["query"] }));
      }) as T;
      // What was committed is, whatever becomes of the vacuum: it is tried again.
      if (++transactions % VACUUM_LOOK_EVERY === 0) await vacuum(wrap(db)).catch(() => {});
      return result;
    },
    cut() {},
    async close() {
      await db.close().finally(() => lock?.close());
    },
  };
}

/**
 * A server does this by itself; PGlite has no process for it, and without it a table that is filled and emptied over
 * and over, as that of the changed stations is, grows for ever, and each emptying reads all that was ever in it.
 */
async function vacuum(query: Query): Promise<void> {
  // What is dead is otherwise told once a second at the most: too late for what is filled faster.
  await query("SELECT pg_stat_force_next_flush()");
  const tables = await query<{ name: string }>(
    "SELECT format('%I.%I', schemaname, relname) AS name FROM pg_stat_user_tables WHERE n_dead_tup > $1::bigint",
    [MAX_DEAD_ROWS],
  );
  for (const { name } of tables) await query(`VACUUM ${name}`);
}

async function lockDirectory(directory: string): Promise<Deno.FsFile> {
  await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
  // One directory, one lock, however the directory is spelt.
  const lock = await Deno.open(`${await Deno.realPath(directory)}.lock`, { create: true, write: true });
  if (!await lock.tryLock(true)) {
    lock.close();
    throw new DatabaseInUse(
      `Cannot open the database ${directory}: another process has it open; stop that one, or use PostgreSQL to share a database`,
    );
  }
  return lock;
}
