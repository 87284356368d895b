/**
 * Brings a database to the newest tables: numbered, append-only files, each run once, in one transaction.
 *
 * @module
 */
import { type Database, type Query, queryOne } from "./database.ts";

/** Key of the advisory lock under which migrations run; any number, the same in every process. */
const MIGRATION_LOCK = 7_026_411;

const FILES = [
  "000001_tables.sql",
  "000002_definitions.sql",
  "000003_roles.sql",
  "000004_leases.sql",
  "000005_reasons.sql",
  "000006_format_2.sql",
  "000010_release_units.sql",
  "000030_columns.sql",
  "000031_hold_counting.sql",
  "000042_process_roles.sql",
  "000043_sums.sql",
  "000044_rejections_arrive.sql",
  "000047_tallies.sql",
  "000048_releases_cheaper.sql",
  "000050_audit_chains.sql",
  "000051_office.sql",
  "000052_lifecycle.sql",
  "000054_alerts.sql",
  "000056_projection.sql",
  "000058_quality.sql",
  "000060_accreditation.sql",
  "000061_device_enrolment.sql",
  "000062_lifecycle_ends.sql",
  "000064_candidates.sql",
  "000065_stations.sql",
  "000066_identities.sql",
  "000067_history.sql",
  "000069_pipeline.sql",
  "000070_candidate_votes.sql",
  "000071_rehearsals.sql",
  "000073_key_approvals.sql",
  "000074_replaced_definitions.sql",
  "000075_recount.sql",
  "000076_recount_differences.sql",
  "000077_analysts.sql",
  "000078_history_joins.sql",
  "000079_history_unlinked.sql",
  "000080_time_zone.sql",
  "000083_history_once.sql",
  "000084_readmit.sql",
  "000089_turnout_by_minute.sql",
  "000093_rarer_summaries.sql",
];

/** The database's version does not fit this program. The message says which of the two to upgrade. */
export class MigrationFault extends Error {
  override name = "MigrationFault";
}

/**
 * Runs the migrations that the database has not seen. A database that has seen all is only read, so that users who own
 * nothing in it may call this.
 *
 * @param files Those to know; fewer than all in tests of an older database only.
 * @returns the names of those that were run.
 * @throws {MigrationFault} when a newer program has been at the database, or this user may not change its tables.
 */
export async function migrate(db: Database, files: readonly string[] = FILES): Promise<string[]> {
  if ((await missing(db.query, files)).length === 0) return [];
  await refuseStranger(db.query);
  return await db.transaction(async (query) => {
    await query("SELECT pg_advisory_xact_lock($1::bigint)", [MIGRATION_LOCK]);
    await query(
      "CREATE TABLE IF NOT EXISTS public.migrations (name text PRIMARY KEY, run_at timestamptz NOT NULL DEFAULT now())",
    );
    const run: string[] = [];
    // Asked again: another process may have been at it meanwhile.
    for (const name of await missing(query, files)) {
      const sql = await Deno.readTextFile(new URL(`migrations/${name}`, import.meta.url));
      for (const statement of statements(sql)) await query(statement);
      await grantColumns(query);
      await query("INSERT INTO public.migrations (name) VALUES ($1)", [name]);
      run.push(name);
    }
    return run;
  });
}

/** Names of the migrations that the database has not seen. */
async function missing(query: Query, files: readonly string[]): Promise<readonly string[]> {
  const { any } = await queryOne<{ any: boolean }>(
    query,
    "SELECT to_regclass('public.migrations') IS NOT NULL AS any",
  );
  if (!any) return files;
  const rows = await query<{ name: string }>("SELECT name FROM public.migrations ORDER BY name");
  const done = new Set(rows.map(({ name }) => name));
  const unknown = [...done].filter((name) => !files.includes(name));
  if (unknown.length > 0) {
    throw new MigrationFault(
      `Cannot use the database: a newer Pollwire has brought it to ${
        unknown.at(-1)
      }, and this one knows it up to ${files.at(-1)}; run the newer one`,
    );
  }
  return files.filter((file) => !done.has(file));
}

/**
 * Turns what a migration granted on a table into grants on its columns: see 000030_columns.sql. It runs after each one, so
 * that a new database and one that was brought up step by step have the same grants.
 */
async function grantColumns(query: Query): Promise<void> {
  const { exists } = await queryOne<{ exists: boolean }>(
    query,
    "SELECT to_regprocedure('public.pollwire_grant_columns()') IS NOT NULL AS exists",
  );
  if (exists) await query("SELECT public.pollwire_grant_columns()");
}

/** Tables are made and changed by the owner of the database, who makes the first of them, and by nobody else. */
async function refuseStranger(query: Query): Promise<void> {
  const { may, user, owner } = await queryOne<{ may: boolean; user: string; owner: string }>(
    query,
    `SELECT pg_has_role(datdba, 'MEMBER') AS may, current_user AS user, pg_get_userbyid(datdba) AS owner
     FROM pg_database WHERE datname = current_database()`,
  );
  if (!may) {
    throw new MigrationFault(
      `Cannot bring the database to the newest tables as ${user}: it is ${owner}'s; run the migrate task as ${owner} first`,
    );
  }
}

/** Splits a migration at the semicolons that end its lines, except those in a function's body. */
function statements(sql: string): string[] {
  const pieces = sql.replaceAll(/^--.*$/gm, "").match(/(?:\$\$.*?\$\$|.)+?(?:;\s*$|$(?![^]))/gms) ?? [];
  return pieces.map((text) => text.trim().replace(/;$/, "")).filter((text) => text !== "");
}
