import assert from "assert";
import type { View, ViewRow, Views } from "../shared/log/views.ts";
import { withDatabase } from "../tests/test_database.ts";
import type { Query } from "./database/database.ts";
import { ViewWriter } from "./views.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Views in memory: the rows that were written, newest of each key; they may be away. */
function memoryViews(): Views & { rows: Map<string, ViewRow["value"]>; writes: number; away: boolean } {
  const views = {
    rows: new Map<string, ViewRow["value"]>(),
    writes: 0,
    away: false,
    write(view: View, rows: readonly ViewRow[]) {
      if (views.away) return Promise.reject(new Error("away"));
      for (const { key, value } of rows) views.rows.set(`${view} ${key}`, value);
      views.writes += rows.length;
      return Promise.resolve();
    },
    close: () => Promise.resolve(),
  };
  return views;
}

/** Releases a station's votes, the newest of which stand. */
async function release(query: Query, revision: number, station: string, ann: number, bob: number) {
  const votes = JSON.stringify([
    { contest: "mayor", candidate: "ann", votes: ann, added: ann },
    { contest: "mayor", candidate: "bob", votes: bob, added: bob },
  ]);
  await query(
    `INSERT INTO results.releases VALUES ($1, 'town', $2, 'in_person', '2026-11-03T12:00:00Z', $3, $3, false, $4::text::jsonb)`,
    [revision, station, ann + bob, votes],
  );
  await query(
    `INSERT INTO results.current VALUES ('town', $1, 'in_person', $2, false, $3)
     ON CONFLICT (election, station, mode) DO UPDATE SET revision = excluded.revision`,
    [station, revision, ann + bob],
  );
}

Deno.test("ViewWriter writes sums of releases, and then only what has changed", async () => {
  await withDatabase(async ({ query }) => {
    const views = memoryViews();
    const writer = new ViewWriter(views, "town", 2, () => 0);
    assert.equal(await writer.step(query), 0);
    await release(query, 1, "n-1", 3, 1);
    await release(query, 2, "s-1", 2, 0);
    assert.equal(await writer.step(query), 2);
    assert.deepEqual(Object.fromEntries(views.rows), {
      "tallies town/mayor/ann": {
        election: "town",
        contest: "mayor",
        candidate: "ann",
        votes: 5,
        revision: 2,
      },
      "tallies town/mayor/bob": {
        election: "town",
        contest: "mayor",
        candidate: "bob",
        votes: 1,
        revision: 2,
      },
    });
    assert.equal(await writer.step(query), 0);
    await release(query, 3, "n-1", 4, 1);
    assert.equal(await writer.step(query), 2);
    assert.deepEqual(views.rows.get("tallies town/mayor/ann"), {
      election: "town",
      contest: "mayor",
      candidate: "ann",
      votes: 6,
      revision: 3,
    });
  });
});

Deno.test("ViewWriter writes turnout by region, and rejections without who voted", async () => {
  await withDatabase(async ({ query }) => {
    const views = memoryViews();
    const writer = new ViewWriter(views, "town", 2, () => 0);
    await query(`INSERT INTO counting.turnout_groups VALUES
      ('town', 'north', '18-24', 'female', 0, 2), ('town', 'north', '25-34', 'male', 1, 3), ('other', 'north', '18-24', 'female', 0, 9)`);
    await query(`INSERT INTO counting.rejections VALUES
      ('town', 1, 7, 'rejected', 'unknown_voter', '2026-11-03T12:00:00.5Z', 'g-1', 'n-1', '5f0c1f6e-0000-4000-8000-000000000000'),
      ('town', 0, 2, 'rejected', 'malformed', '2026-11-03T12:00:00Z', NULL, NULL, NULL)`);
    assert.equal(await writer.step(query), 3);
    assert.deepEqual(Object.fromEntries(views.rows), {
      "turnout town/north": { election: "town", region: "north", voters: 5 },
      "rejections town/0/2": {
        election: "town",
        partition: 0,
        offset: 2,
        fate: "rejected",
        cause: "malformed",
        appendedAt: "2026-11-03T12:00:00.000Z",
        gateway: "",
        station: "",
      },
      "rejections town/1/7": {
        election: "town",
        partition: 1,
        offset: 7,
        fate: "rejected",
        cause: "unknown_voter",
        appendedAt: "2026-11-03T12:00:00.500Z",
        gateway: "g-1",
        station: "n-1",
      },
    });
    assert.equal(await writer.step(query), 0);
  });
});

Deno.test("ViewWriter writes again what could not be written, and everything now and then", async () => {
  await withDatabase(async ({ query }) => {
    const views = memoryViews();
    let nowMs = 0;
    const writer = new ViewWriter(views, "town", 1, () => nowMs);
    await release(query, 1, "n-1", 3, 1);
    views.away = true;
    await assert.rejects(writer.step(query), /away/);
    views.away = false;
    assert.equal(await writer.step(query), 2);
    assert.equal(await writer.step(query), 0);
    nowMs = 60_000;
    assert.equal(await writer.step(query), 2);
  });
});
