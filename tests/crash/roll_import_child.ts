/**
 * A process of the office that imports a roll, and kills itself at the point that it was told of. tests/crash/roll_import_test.ts
 * starts it.
 *
 * Arguments: directory of the database, roll file, and whether it dies `before` or `after` the commit of the first transaction
 * that writes the import. It says `done` when there is none.
 *
 * @module
 */
import { OfficeClient } from "../../aggregator/office/client.ts";
import { checkRoll, finish } from "../../aggregator/office/accreditation/import_client.ts";
import { createOfficeApp } from "../../aggregator/office/api/app.ts";
import { officeKeysOf } from "../../aggregator/office/office_key.ts";
import type { Database } from "../../aggregator/database/database.ts";
import { openPglite } from "../../aggregator/database/pglite.ts";
import type { Keyring } from "../../aggregator/registry/keyring.ts";
import { MASTER } from "../fixture.ts";
import { MemoryLog } from "../memory_log.ts";

const [directory, roll, point] = Deno.args as [string, string, "before" | "after"];

function die(): never {
  Deno.kill(Deno.pid, "SIGKILL");
  for (;;);
}

/** A database whose transactions that write an import count towards the death. */
function doomed(db: Database): Database {
  return {
    ...db,
    async transaction(work, isolation) {
      let writes = false;
      const result = await db.transaction(async (query) => {
        const done = await work(async (sql, params) => {
          writes ||= /^\s*(INSERT INTO|UPDATE|DELETE FROM) office\.roll_import/.test(sql);
          return await query(sql, params);
        });
        if (writes && point === "before") die();
        return done;
      }, isolation);
      if (writes) die();
      return result;
    },
  };
}

const db = await openPglite(directory);
const app = createOfficeApp({
  db: doomed(db),
  now: Date.now,
  keys: officeKeysOf(new Uint8Array(32).fill(7)),
  keyring: { master: () => MASTER } as unknown as Keyring,
  openLog: () => Promise.resolve(new MemoryLog(3)),
});
const file = JSON.parse(await Deno.readTextFile(`${roll}.key`));
const client = new OfficeClient((path, init) => app.request(path, init, { address: "192.0.2.7" }), file);
const { found } = await checkRoll(client, "crash", roll, () => {});
const { status, added } = await finish(client, "crash", found.import, "commit", () => {});
console.log(`done: ${status}, ${added} added`);
await db.close();
