import assert from "assert";
import type { Database, Query } from "./database.ts";
import { openTestDatabase, withDatabase } from "../../tests/test_database.ts";
import { CELL_VOTES, layoutWith } from "../counting/layouts.ts";
import { migrate, MigrationFault } from "./migrate.ts";

/** The migrations' files, in the order of their numbers. */
const FILES = [...Deno.readDirSync(new URL("migrations", import.meta.url))].map(({ name }) => name).sort();

/** Everything there is in the database that migrations may have made. */
async function objectsIn(query: Query): Promise<string[]> {
  const rows = await query<{ name: string }>(
    `SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
     UNION ALL SELECT nspname FROM pg_namespace WHERE nspname IN ('registry', 'counting', 'results', 'audit')
     ORDER BY name`,
  );
  return rows.map(({ name }) => name);
}

/** The same database, in which a statement that holds this text fails, as one that is wrong would. */
function failingAt(db: Database, text: string): Database {
  return {
    ...db,
    transaction: (work, isolation) =>
      db.transaction(
        (query) => work(((sql, params) => query(sql.includes(text) ? "SELECT wrong" : sql, params)) as Query),
        isolation,
      ),
  };
}

Deno.test("migrate() makes all of the tables once, or nothing at all", async (t) => {
  const db = await openTestDatabase();
  try {
    await t.step("a migration that fails leaves nothing", async () => {
      // The last of the tables, so that all others have been made by then.
      await assert.rejects(migrate(failingAt(db, "CREATE TABLE audit.events")), /wrong/);
      assert.deepEqual(await objectsIn(db.query), []);
      await assert.rejects(migrate(failingAt(db, "INSERT INTO public.migrations")), /wrong/);
      assert.deepEqual(await objectsIn(db.query), []);
    });

    await t.step("of two at once, one makes the tables", async () => {
      const runs = await Promise.all([migrate(db), migrate(db)]);
      assert.deepEqual(runs.sort((a, b) => b.length - a.length), [FILES, []]);
    });

    await t.step("it makes what the design names, and notes what it ran", async () => {
      const objects = await objectsIn(db.query);
      for (
        const table of ["registry.voters", "counting.participations", "results.releases", "audit.events"]
      ) assert.ok(objects.includes(table), table);
      assert.deepEqual(
        await db.query("SELECT name FROM public.migrations ORDER BY name"),
        FILES.map((name) => ({ name })),
      );
    });

    await t.step("it does nothing the next time, and touches no row", async () => {
      await db.query("INSERT INTO counting.changes VALUES ('e', 's')");
      const before = await objectsIn(db.query);
      assert.deepEqual(await migrate(db), []);
      assert.deepEqual(await objectsIn(db.query), before);
      assert.deepEqual(await db.query("SELECT * FROM counting.changes"), [{ election: "e", station: "s" }]);
    });
  } finally {
    await db.close();
  }
});

Deno.test("migrate() refuses a database that a newer program has been at, and says so", async () => {
  await withDatabase(async (db) => {
    await db.query("INSERT INTO public.migrations (name) VALUES ('999999_later.sql')");
    await assert.rejects(migrate(db), (error) => {
      assert.ok(error instanceof MigrationFault);
      assert.match(
        error.message,
        /^Cannot use the database: a newer Pollwire has brought it to 999999_later\.sql, /,
      );
      return true;
    });
  });
});

Deno.test("the files of migrations are numbered, each by a number of its own", () => {
  for (const name of FILES) assert.match(name, /^\d{6}_[a-z0-9_]+\.sql$/);
  assert.equal(new Set(FILES.map((name) => name.slice(0, 6))).size, FILES.length);
});

Deno.test("migrate() takes a database of version 0.1 with releases in it, and keeps what was shown", async () => {
  const db = await openTestDatabase();
  try {
    // Version 0.1 had the first five.
    const later = FILES.filter((name) => name > "000005_reasons.sql");
    await migrate(db, FILES.filter((name) => !later.includes(name)));
    await db.query(
      `INSERT INTO results.releases (revision, election, station, mode, released_at, voters, added_voters, closing, votes)
       VALUES (7, 'old', 'n-1', 'early', now(), 4, 4, true, '[{"contest":"mayor","candidate":"ann","votes":4,"added":4}]')`,
    );
    await db.query(
      `INSERT INTO counting.turnout_counts
       VALUES ('old', 'n-1', 'early', '2026-11-03T12:00Z', 0, 1), ('old', 'n-2', 'early', '2026-11-03T12:00Z', 0, 3)`,
    );
    await db.query("INSERT INTO results.current VALUES ('old', 'n-1', 'early', 7, true, 4)");
    assert.deepEqual(await migrate(db), later);
    assert.deepEqual(
      await db.query(
        `SELECT c.unit, c.station, c.mode, c.voters::int AS voters, r.unit AS released, r.kind, r.marks
         FROM results.current c JOIN results.releases r USING (revision)`,
      ),
      [{
        unit: "n-1/early",
        station: "n-1",
        mode: "early",
        voters: 4,
        released: "n-1/early",
        kind: "final",
        marks: [],
      }],
    );
    assert.deepEqual(
      await db.query("SELECT election, contest, candidate, added::int AS added FROM results.minute_votes"),
      [{ election: "old", contest: "mayor", candidate: "ann", added: 4 }],
    );
    assert.deepEqual(
      await db.query("SELECT election, minute::text, voters::int AS voters FROM counting.minute_voters"),
      [{ election: "old", minute: "2026-11-03 12:00:00+00", voters: 4 }],
    );
    await assert.rejects(db.query("UPDATE results.releases SET voters = 1"), /its rows are kept as they are/);
  } finally {
    await db.close();
  }
});

Deno.test("migrate() turns counts by candidate into tallies, and loses no figure", async () => {
  const db = await openTestDatabase();
  try {
    const later = FILES.filter((name) => name >= "000047_tallies.sql");
    await migrate(db, FILES.filter((name) => !later.includes(name)));
    await db.query(
      `INSERT INTO counting.station_counts (election, station, contest, candidate, mode, lane, votes) VALUES
         ('e', 'n-1', 'mayor', '#ballots', 'early', 0, 3), ('e', 'n-1', 'mayor', 'ann', 'early', 0, 2),
         ('e', 'n-1', 'mayor', 'bob', 'early', 0, 1), ('e', 'n-1', 'council', '#ballots', 'early', 0, 2),
         ('e', 'n-1', 'council', '#blank', 'early', 0, 2), ('e', 'n-1', 'mayor', '#ballots', 'early', 5, 1),
         ('e', 'n-1', 'mayor', 'zed', 'early', 5, 1), ('e', 'n-1', 'mayor', 'ann', 'absentee', 0, 2147483647),
         ('e', 's-1', 'mayor', '#ballots', 'early', 0, 4), ('e', 's-1', 'mayor', 'ann', 'early', 0, 4),
         ('f', 'n-1', 'mayor', '#ballots', 'early', 0, 9), ('f', 'n-1', 'mayor', 'ann', 'early', 0, 9)`,
    );
    await db.query(
      `INSERT INTO counting.station_voters VALUES ('e', 'n-1', 'early', 0, 3), ('e', 'n-1', 'early', 5, 1),
         ('e', 'n-1', 'absentee', 0, 2147483647), ('e', 's-1', 'early', 0, 4), ('e', 's-2', 'early', 63, 6),
         ('f', 'n-1', 'early', 0, 9)`,
    );
    const voters = "SELECT election, station, mode, lane, voters::text FROM $t ORDER BY 1, 2, 3, 4";
    const votes = `SELECT election, station, mode, contest, candidate, sum(votes)::text AS votes FROM $t
      GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5`;
    const of = (sql: string, table: string) => db.query(sql.replace("$t", table));
    const before = [await of(voters, "counting.station_voters"), await of(votes, "counting.station_counts")];
    const ballots = () => db.query("SELECT contest, ballots::text FROM counting.ballots_of('e') ORDER BY 1");
    const ballotsBefore = await ballots();
    assert.deepEqual(await migrate(db), later);
    assert.deepEqual([await of(voters, "counting.tallies"), await of(votes, `${CELL_VOTES} v`)], before);
    assert.deepEqual(await ballots(), ballotsBefore);
    assert.deepEqual(ballotsBefore, [{ contest: "council", ballots: "2" }, {
      contest: "mayor",
      ballots: "8",
    }]);
    // Counting goes on: its own layouts have ids that are made in the same way.
    const layouts = await db.query<{ id: string; ballots: number; contests: string[]; candidates: string[] }>(
      "SELECT layout::text AS id, ballots, to_json(contests) AS contests, to_json(candidates) AS candidates FROM counting.layouts",
    );
    assert.equal(layouts.length, 4, "one for each ballot, and one without contests");
    for (const { id, ballots, contests, candidates } of layouts) {
      const layout = layoutWith(contests.map((contest, n) => [contest, candidates[n]!]));
      assert.deepEqual([layout.id, layout.ballots], [id, ballots]);
      assert.ok(candidates.every((candidate, n) => (candidate === "#ballots") === (n < ballots)));
    }
    assert.deepEqual(
      await db.query("SELECT to_regclass('counting.station_counts')::text AS t"),
      [{ t: null }],
    );
  } finally {
    await db.close();
  }
});
