import assert from "assert";
import type { Query } from "../../database/database.ts";
import { countVoters, withElection, writeRelease } from "../../../tests/seeded_database.ts";
import { ReleaseCount } from "./release_count.ts";
import { turnoutByMinute, turnoutOf } from "./sources.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTION = "test-2026";
const at = (minute: string) => Date.parse(`2026-11-03T${minute}:00Z`);

/** What turnoutOf() says of minutes, as `minute unit voters`. */
async function unitsOf(query: Query, ...minutes: string[]): Promise<string[]> {
  const { rows } = await turnoutOf(query, ELECTION, minutes.map(at));
  return rows.map(({ minute, unit, voters }) => `${minute.slice(11, 16)} ${unit} ${voters}`).sort();
}

Deno.test("turnout by minute is that of acceptance for k = 1, and its units are found by their minutes", async () => {
  await withElection(async ({ query }) => {
    await query("UPDATE results.elections SET release_threshold = 1");
    const counted = [["12:00", "n-1", 3], ["12:01", "n-1", 2], ["12:01", "n-2", 4], [
      "12:03",
      "n-2",
      5,
    ]] as const;
    for (const [minute, station, voters] of counted) {
      for (const lane of [0, 1]) {
        await countVoters(query, voters, {
          station,
          minute: `2026-11-03T${minute}:00Z`,
          region: "north",
          lane,
        });
      }
    }
    assert.deepEqual(
      await turnoutByMinute(query, ELECTION),
      new Map([[at("12:00"), 6], [at("12:01"), 12], [at("12:03"), 10]]),
    );
    assert.deepEqual(await unitsOf(query, "12:01", "12:03"), [
      "12:01 n-1/in_person 4",
      "12:01 n-2/in_person 8",
      "12:03 n-2/in_person 10",
    ]);
    assert.deepEqual(await unitsOf(query, "12:03", "12:00"), [
      "12:00 n-1/in_person 6",
      "12:03 n-2/in_person 10",
    ]);
  });
});

Deno.test("turnout by minute is that of releases for k > 1, and is found by their minutes", async () => {
  await withElection(async (db) => {
    const { query } = db;
    await query("UPDATE results.elections SET release_threshold = 10");
    await countVoters(query, 50, { station: "n-1", minute: "2026-11-03T11:00:00Z", region: "north" });
    const released = [["12:00:00", "n-1", 10], ["12:00:59.999", "n-2", 20], ["12:01:00", "n-1", 30]] as const;
    for (const [time, station, voters] of released) {
      await writeRelease(db, { station, at: `2026-11-03T${time}Z`, voters, votes: {} });
    }
    assert.deepEqual(await turnoutByMinute(query, ELECTION), new Map([[at("12:00"), 30], [at("12:01"), 30]]));
    assert.deepEqual(await unitsOf(query, "12:00"), ["12:00 n-1/in_person 10", "12:00 n-2/in_person 20"]);
    assert.deepEqual(await unitsOf(query, "12:01"), ["12:01 n-1/in_person 30"]);
  });
});

Deno.test("each release is counted once, up to any revision", async () => {
  await withElection(async (db) => {
    const asked: unknown[] = [];
    const query: Query = (sql, params) => {
      asked.push(params?.[3]);
      return db.query(sql, params);
    };
    const revisions: number[] = [];
    for (const voters of [1, 2, 3]) {
      revisions.push(await writeRelease(db, { station: "n-1", voters, votes: {} }));
    }
    const count = new ReleaseCount();
    const upTo = async (revision = 0) =>
      (await count.upTo(query, new Map([[ELECTION, revision]]))).get(ELECTION);
    const [first, second, third] = revisions;
    assert.deepEqual([await upTo(first), await upTo(third), await upTo(third)], [1, 3, 3]);
    assert.deepEqual(asked.splice(0), ["{}", `{${first}}`, `{${third}}`], "after which revisions");
    assert.equal(await upTo(second), 2);
    count.forget();
    assert.equal(await upTo(third), 3);
    assert.deepEqual(asked, ["{}", "{}"]);
  });
});
