/**
 * A process of the office that brings changes onto their topics, and kills itself at the point that it was told of.
 * tests/crash/changes_test.ts starts it.
 *
 * Arguments: directory of the database, file of the topics, and whether it dies `before` an append, `after` it, or when its position
 * is `stored`. It says `done` when there is nothing to append.
 *
 * @module
 */
import { ChangeProducer } from "../../aggregator/office/accreditation/produce_changes.ts";
import type { Database, Query } from "../../aggregator/database/database.ts";
import { openPglite } from "../../aggregator/database/pglite.ts";
import { SqliteChanges } from "../../shared/log/sqlite_changes.ts";

const [directory, file, point] = Deno.args as [string, string, "before" | "after" | "stored"];

function die(): never {
  Deno.kill(Deno.pid, "SIGKILL");
  for (;;);
}

class Doomed extends SqliteChanges {
  override async append(...asked: Parameters<SqliteChanges["append"]>): Promise<void> {
    if (point === "before") die();
    await super.append(...asked);
    if (point === "after") die();
  }
}

const db = await openPglite(directory);
const query: Query = async (sql, params) => {
  const rows = await db.query(sql, params);
  if (point === "stored" && sql.includes("INSERT INTO registry.outbox_positions")) die();
  return rows as never;
};
const changes = new Doomed(file);
await new ChangeProducer({ ...db, query } as Database, changes, Date.now).step();
console.log("done");
await changes.close();
await db.close();
