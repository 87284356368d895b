/**
 * Imports of rolls, killed in every transaction of their work, before its commit and after: begun again each time, every voter is
 * on the roll once, and what history has of the import is whole.
 */
import assert from "assert";
import { freeLease, runChild } from "./dying_child.ts";
import { createAccount, requestRole } from "../../aggregator/office/access/accounts.ts";
import { newKeyFile, publicKeyOf } from "../../aggregator/office/access/keys.ts";
import { openPglite } from "../../aggregator/database/pglite.ts";
import { writeMigratedDatabase } from "../database_snapshot.ts";
import { openBallotBox } from "../ballot_box.ts";
import { withDirectory } from "../directory.ts";
import { longTest } from "../runs.ts";

const VOTERS = 12_000;
const HOUR_MS = 3_600_000;

longTest(
  "an import of a roll that is killed in any of its transactions goes on when it is begun again",
  async () => {
    await withDirectory(async (directory) => {
      const [database, roll] = [`${directory}/db`, `${directory}/roll.csv`];
      await writeMigratedDatabase(database);
      await prepare(database, roll);
      let deaths = 0;
      let last = "";
      for (let lives = 0; last === ""; lives++) {
        assert.ok(lives < 40, "the import comes to an end");
        // Each transaction dies before its commit, and in the next life after it.
        const { code, signal, out, err } = await runChild(
          "roll_import_child.ts",
          database,
          roll,
          lives % 2 === 0 ? "before" : "after",
        );
        if (code === 0) last = out;
        // It died after its very last commit.
        else if (/the same file was imported already: import 1, roll.csv, committed at/.test(err)) last = err;
        else {
          assert.equal(signal, "SIGKILL", err);
          assert.equal(out, "");
          deaths++;
          await freeLease(database);
        }
      }
      // Begun, a part, checking, checked, committing, three batches, committed: each twice.
      assert.equal(deaths, 18);
      await verify(database);
    });
  },
);

async function prepare(database: string, roll: string): Promise<void> {
  const db = await openPglite(database);
  try {
    const now = Date.now();
    await openBallotBox(db, "crash", {
      opensAt: new Date(now - HOUR_MS).toISOString(),
      closesAt: new Date(now + HOUR_MS).toISOString(),
      acceptsUntil: new Date(now + HOUR_MS).toISOString(),
    });
    const file = await newKeyFile("registrar");
    await createAccount(db, "registrar", "Registrar", await publicKeyOf(file.key), new Date());
    await requestRole(db, "registrar", "registrar", "crash", undefined, new Date());
    await Deno.writeTextFile(`${roll}.key`, JSON.stringify(file));
  } finally {
    await db.close();
  }
  const rows = Array.from({ length: VOTERS }, (_, i) => `v-${i},north,,1980-05-17,female,Voter ${i}`);
  await Deno.writeTextFile(roll, `voter_id,region,station,birth_date,gender,name\n${rows.join("\n")}\n`);
}

async function verify(database: string): Promise<void> {
  const db = await openPglite(database);
  try {
    const [registry] = await db.query(
      "SELECT count(*)::int AS rows, count(DISTINCT voter_id)::int AS voters FROM registry.voters",
    );
    assert.deepEqual(registry, { rows: VOTERS, voters: VOTERS });
    const [roll] = await db.query(
      "SELECT count(*)::int AS rows, count(DISTINCT voter_key)::int AS voters FROM counting.roll",
    );
    assert.deepEqual(roll, { rows: VOTERS, voters: VOTERS });
    const [batches] = await db.query(
      "SELECT sum(added)::int AS added, sum(known)::int AS known, max(rows)::int AS rows FROM office.roll_import_batches",
    );
    assert.deepEqual(batches, { added: VOTERS, known: 0, rows: VOTERS });
    const [changes] = await db.query(
      `SELECT count(*)::int AS changes, bool_and(kind = 'roll') AS rolls FROM registry.changes c
       WHERE EXISTS (SELECT FROM office.roll_import_batches b WHERE b.revision = c.revision)`,
    );
    assert.deepEqual(changes, { changes: 3, rolls: true });
    const [parts] = await db.query("SELECT count(*)::int AS parts FROM office.roll_import_parts");
    assert.deepEqual(parts, { parts: 0 });
  } finally {
    await db.close();
  }
}
