/**
 * The embedded database: PostgreSQL in WebAssembly, in this process, on a directory or in memory.
 *
 * @module
 */
import { PGlite, type PGliteOptions } from "@electric-sql/pglite";
import { tryLockFile } from "../../shared/file_lock.ts";
import type { Database, Isolation, Parameter, Query } from "./database.ts";

/** Transactions between two checks for dead rows, and the dead rows that a table may have. */
const VACUUM_LOOK_EVERY = 500;
const MAX_DEAD_ROWS = 20_000;

/** Another process uses the directory. */
export class DatabaseInUse extends Error {
  override name = "DatabaseInUse";
}

/** The embedded database cannot continue: its disk is full, or its files have changed. */
export class DatabaseBroken extends Error {
  override name = "DatabaseBroken";
}

/** Bytes that are written to find out whether a disk is full. */
const PROBE_BYTES = 65_536;

/**
 * Opens a database. PGlite has no lock of its own, and two processes on one directory would ruin it, so this takes
 * one, which the system frees when the process ends, however it ends.
 *
 * @param directory Made if missing; in memory when left out.
 * @param contents A dump of a data directory, as a tar file, that a new database starts from.
 * @throws {DatabaseInUse} when another process has it open.
 * @throws {DatabaseBroken} when it cannot be started; so do its queries when it cannot continue.
 */
export async function openPglite(directory?: string, contents?: Blob): Promise<Database> {
  const lock = directory === undefined ? undefined : await lockDirectory(directory);
  const options = {
    ...directory !== undefined && { dataDir: directory },
    ...contents !== undefined && { loadDataDir: contents },
  };
  const db = await open(options).catch((error) => {
    lock?.[Symbol.dispose]();
    throw explain(error, directory);
  });
  const wrap = (runner: { query: PGlite["query"] }): Query => async (sql, params) => {
    try {
      const { rows } = await runner.query(sql, params as Parameter[] | undefined);
      return rows as never[];
    } catch (error) {
      throw explain(error, directory);
    }
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
      }).catch((error) => {
        throw explain(error, directory);
      }) as T;
      // What was committed is, whatever becomes of the vacuum: it is tried again.
      if (++transactions % VACUUM_LOOK_EVERY === 0) await vacuum(wrap(db)).catch(() => {});
      return result;
    },
    cut() {},
    async close() {
      await db.close().finally(() => lock?.[Symbol.dispose]());
    },
  };
}

/** PGlite that sets no timers: see {@link withoutTimers}. */
class TimerlessPGlite extends PGlite {
  override execProtocolRawSync(message: Uint8Array): Uint8Array {
    using _timers = withoutTimers();
    return super.execProtocolRawSync(message);
  }
}

async function open(options: PGliteOptions): Promise<PGlite> {
  using _timers = withoutTimers();
  const db = new TimerlessPGlite(options);
  await db.waitReady;
  return db;
}

/** How many opened databases and statements need {@link withoutTimers} now, and the process's own function meanwhile. */
let timerless = 0;
let { setTimeout } = globalThis;

/**
 * Keeps PostgreSQL from setting timers, until it is disposed of. It would set one of 10 s for its statistics, where a server would be
 * idle. Here no timer ends amid a statement, which has the thread; it would only wake the process, and keep it from ending.
 */
function withoutTimers(): Disposable {
  if (timerless++ === 0) {
    setTimeout = globalThis.setTimeout;
    globalThis.setTimeout = ((callback: () => void, ...more: unknown[]) =>
      String(callback).includes("__emscripten_timeout")
        ? 0
        : Reflect.apply(setTimeout, globalThis, [callback, ...more])) as typeof setTimeout;
  }
  return {
    [Symbol.dispose]() {
      if (--timerless === 0) globalThis.setTimeout = setTimeout;
    },
  };
}

/**
 * What PGlite throws when it cannot write is no answer of PostgreSQL: an object without a message, or WebAssembly that
 * has ended. All else is left as it is.
 */
function explain(error: unknown, directory: string | undefined): unknown {
  const { message = "", code } = (error ?? {}) as { message?: string; code?: unknown };
  const isOwn = error instanceof Error && !(error instanceof WebAssembly.RuntimeError) &&
    !/PGlite failed|No space left/.test(message) && code !== "53100";
  if (isOwn || directory === undefined) return error;
  const why = isFull(directory)
    ? "its disk is full; make room and start again"
    : `it cannot continue (${
      message || "its files cannot be read or written"
    }); its files must be complete and writable`;
  return new DatabaseBroken(`Cannot use the database ${directory}: ${why}`, { cause: error });
}

function isFull(directory: string): boolean {
  const probe = `${directory}.probe`;
  try {
    Deno.writeFileSync(probe, new Uint8Array(PROBE_BYTES));
    return false;
  } catch (error) {
    return /no space|quota|os error 28\b/i.test((error as Error).message);
  } finally {
    try {
      Deno.removeSync(probe);
    } catch {
      // It was never made.
    }
  }
}

/**
 * Removes dead rows. A server does this by itself; PGlite has no process for it. Without it a table that is repeatedly filled
 * and emptied, such as counting.changes, grows forever, and each emptying reads all rows that it ever had.
 */
async function vacuum(query: Query): Promise<void> {
  // Statistics of dead rows are otherwise written at most once a second: too late for tables that fill faster.
  await query("SELECT pg_stat_force_next_flush()");
  const tables = await query<{ name: string }>(
    "SELECT format('%I.%I', schemaname, relname) AS name FROM pg_stat_user_tables WHERE n_dead_tup > $1::bigint",
    [MAX_DEAD_ROWS],
  );
  for (const { name } of tables) await query(`VACUUM ${name}`);
}

async function lockDirectory(directory: string): Promise<Disposable> {
  await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
  // One directory, one lock, however the directory is spelt.
  const lock = await tryLockFile(`${await Deno.realPath(directory)}.lock`);
  if (lock === undefined) {
    throw new DatabaseInUse(
      `Cannot open the database ${directory}: another process has it open; stop that one, or use PostgreSQL to share a database`,
    );
  }
  return lock;
}
