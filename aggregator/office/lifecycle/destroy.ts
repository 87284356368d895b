/**
 * Destroys what names voters, once the time of retention is over: profiles in the database, and then, outside of it, the log and
 * the keys. Without the keys, copies of the log and of sealed profiles cannot be read either. Audit trail, manifests, counts,
 * releases and certified results stay.
 *
 * @module
 */
import { actAs } from "../../audit/actor.ts";
import { appendAudit } from "../../audit/events.ts";
import { type Database, type Query, queryOne } from "../../database/database.ts";

/** Deletes what the database has, in the caller's transaction. Nothing counts the election from then on. */
export async function destroyRecords(
  query: Query,
  election: string,
  now: Date,
): Promise<{ voters: number }> {
  await query("UPDATE registry.elections SET destroyed_at = $2::timestamptz WHERE election = $1", [
    election,
    now.toISOString(),
  ]);
  for (
    const table of [
      "office.roll_import_parts",
      "office.roll_import_batches",
      "office.roll_imports",
      "office.enrolment_codes",
    ]
  ) await query(`DELETE FROM ${table} WHERE election = $1`, [election]);
  const { voters } = await queryOne<{ voters: number }>(
    query,
    `WITH gone AS (DELETE FROM registry.voters WHERE election = $1 RETURNING 1)
     SELECT count(*)::float8 AS voters FROM gone`,
    [election],
  );
  await appendAudit(query, now, "records_destroyed", election, { voters });
  return { voters };
}

/**
 * Erases log and keys of elections whose records were destroyed. What fails stays due, and is tried again.
 *
 * @param erase Removes an election's log and its keys. Idempotent.
 * @returns the elections whose log and keys are gone now.
 */
export async function eraseDestroyed(
  db: Database,
  erase: (election: string) => Promise<void>,
  now: Date,
): Promise<string[]> {
  const due = await db.query<{ election: string }>(
    "SELECT election FROM registry.elections WHERE destroyed_at IS NOT NULL AND erased_at IS NULL ORDER BY election",
  );
  for (const { election } of due) {
    await erase(election);
    await db.transaction(async (query) => {
      const marked = await query(
        "UPDATE registry.elections SET erased_at = $2::timestamptz WHERE election = $1 AND erased_at IS NULL RETURNING 1",
        [election, now.toISOString()],
      );
      if (marked.length === 0) return;
      await actAs({ actor: "process:office" }, () => appendAudit(query, now, "records_erased", election, {}));
    });
  }
  return due.map(({ election }) => election);
}
