/**
 * The embedded database: PostgreSQL in WebAssembly, in this process, on a directory or in memory.
 *
 * @module
 */
import { PGlite } from "@electric-sql/pglite";
import type { Database, Isolation, Parameter, Query } from "./database.ts";

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
  return {
    query: wrap(db),
    transaction: <T>(work: (query: Query) => Promise<T>, isolation?: Isolation) =>
      db.transaction(async (transaction) => {
        if (isolation === "snapshot") {
          await transaction.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
        }
        return await work(wrap(transaction as unknown as { query: PGlite["query"] }));
      }) as Promise<T>,
    async close() {
      await db.close().finally(() => lock?.close());
    },
  };
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
