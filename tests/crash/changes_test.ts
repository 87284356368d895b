/**
 * A process that brings changes onto their topics, killed before and after each append and when its position is stored: every change
 * is on its topic, those that are there twice are the same, and none comes before an earlier one.
 */
import assert from "assert";
import { freeLease, runChild } from "./dying_child.ts";
import { openPglite } from "../../aggregator/database/pglite.ts";
import { createElection } from "../../aggregator/registry/elections.ts";
import { importRoll } from "../../aggregator/registry/roll.ts";
import { CHANGE_TOPICS } from "../../shared/changes.ts";
import { SqliteChanges } from "../../shared/log/sqlite_changes.ts";
import { writeMigratedDatabase } from "../database_snapshot.ts";
import { withDirectory } from "../directory.ts";
import { MASTER, testDefinition } from "../fixture.ts";
import { longTest } from "../runs.ts";

/** Two whole pages and a part of one. */
const VOTERS = 4_100;
const POINTS = ["before", "after", "stored"] as const;

longTest(
  "changes are each on their topic, once or again as they were, however often their process is killed",
  async () => {
    await withDirectory(async (directory) => {
      const [database, file] = [`${directory}/db`, `${directory}/changes.sqlite`];
      await writeMigratedDatabase(database);
      await prepare(database);
      let deaths = 0;
      for (let lives = 0;; lives++) {
        assert.ok(lives < 20, "all of it is produced at last");
        const { signal, code, out, err } = await runChild(
          "changes_child.ts",
          database,
          file,
          POINTS[lives % 3]!,
        );
        if (code === 0) {
          assert.equal(out, "done\n");
          break;
        }
        assert.equal(signal, "SIGKILL", err);
        deaths++;
        await freeLease(database);
      }
      assert.ok(deaths >= 9, `it died ${deaths} times: three times of each topic`);
      await verify(file);
    });
  },
);

async function prepare(database: string): Promise<void> {
  const db = await openPglite(database);
  try {
    await createElection(db, testDefinition({ election: "crash" }), MASTER, new Date());
    const voters = Array.from({ length: VOTERS }, (_, i) => ({
      voter_id: `V-${i}`,
      region: "north",
      station: "",
      birth_date: "",
      gender: "unknown" as const,
    }));
    await importRoll(db, "crash", MASTER, voters, Date.now);
  } finally {
    await db.close();
  }
}

async function verify(file: string): Promise<void> {
  const changes = new SqliteChanges(file);
  try {
    let repeats = 0;
    const keys: Record<string, number> = {};
    for (const topic of CHANGE_TOPICS) {
      const { messages } = await changes.read(topic, 0, 100_000);
      const values = new Map<string, string>();
      for (const { key, value } of messages) {
        if (values.has(key)) repeats++;
        assert.equal(values.get(key) ?? value, value, "what comes again is the same");
        values.set(key, value);
      }
      keys[topic] = values.size;
    }
    assert.deepEqual(keys, { voters: VOTERS, candidates: 6, parties: 2 });
    assert.ok(
      repeats > 0,
      "something was produced twice: the process died between the append and its position",
    );
  } finally {
    await changes.close();
  }
}
