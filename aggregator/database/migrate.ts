/**
 * Brings a database to the newest tables: numbered, append-only files, each run once, in one transaction.
 *
 * @module
 */
import type { Database } from "./database.ts";

/** Key of the advisory lock under which migrations run; any number, the same in every process. */
const MIGRATION_LOCK = 7_026_411;

const FILES = ["000001_tables.sql", "000002_definitions.sql"];

/**
 * Runs the migrations that the database has not seen.
 *
 * @returns the names of those that were run.
 */
export async function migrate(db: Database): Promise<string[]> {
  return await db.transaction(async (query) => {
    await query("SELECT pg_advisory_xact_lock($1::bigint)", [MIGRATION_LOCK]);
    await query(
      "CREATE TABLE IF NOT EXISTS public.migrations (name text PRIMARY KEY, run_at timestamptz NOT NULL DEFAULT now())",
    );
    const done = new Set(
      (await query<{ name: string }>("SELECT name FROM public.migrations")).map(({ name }) => name),
    );
    const run: string[] = [];
    for (const name of FILES.filter((file) => !done.has(file))) {
      const sql = await Deno.readTextFile(new URL(`migrations/${name}`, import.meta.url));
      for (const statement of statements(sql)) await query(statement);
      await query("INSERT INTO public.migrations (name) VALUES ($1)", [name]);
      run.push(name);
    }
    return run;
  });
}

/** Splits a migration at the semicolons that end its lines. */
function statements(sql: string): string[] {
  return sql.replaceAll(/^--.*$/gm, "").split(/;\s*$/m).map((text) => text.trim()).filter((text) =>
    text !== ""
  );
}
