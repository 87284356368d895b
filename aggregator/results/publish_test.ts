import assert from "assert";
import { MARK } from "../../shared/marks.ts";
import type { VotingMode } from "../../shared/mode.ts";
import { NOON_MS } from "../../tests/fixture.ts";
import { addTally } from "../../tests/tallies.ts";
import { withDatabase } from "../../tests/test_database.ts";
import type { Database, Query } from "../database/database.ts";
import { rebuildWork } from "../counting/rebuild_lease.ts";
import { changedElections, publish, type ReleasePolicy } from "./publish.ts";
import { releasesSince } from "./releases.ts";
import { withdrawUnfounded } from "./withdraw.ts";

const NOW = new Date(NOON_MS);

/** Counts voters of one cell who all choose the same. */
async function count(
  query: Query,
  voters: number,
  candidate: string | undefined,
  { station = "n-1", mode = "in_person" as VotingMode, lane = 0 } = {},
): Promise<void> {
  const votes = { [`mayor/${candidate ?? MARK.blank}`]: voters, [`mayor/${MARK.ballots}`]: voters };
  await addTally(query, { election: "test", station, mode, lane, voters, votes });
  await query("INSERT INTO counting.changes VALUES ('test', $1)", [station]);
}

function policy(change: Partial<ReleasePolicy> = {}): ReleasePolicy {
  return {
    election: "test",
    threshold: 5,
    beforeFinal: true,
    final: false,
    caughtUp: false,
    regionOf: (station) => station.startsWith("n") ? "north" : "south",
    all: false,
    ...change,
  };
}

/** What stands published: by unit, voters and votes. */
async function shown(db: Database): Promise<Record<string, unknown>> {
  const rows = await db.query<
    { unit: string; voters: number; votes: { candidate: string; votes: number }[] }
  >(
    `SELECT c.unit, r.voters::float8 AS voters, r.votes FROM results.current c JOIN results.releases r USING (revision)
     ORDER BY 1`,
  );
  return Object.fromEntries(rows.map(({ unit, voters, votes }) => [
    unit,
    [voters, ...votes.map(({ candidate, votes }) => `${candidate} ${votes}`)].join(", "),
  ]));
}

Deno.test("publish() shows a snapshot when k more have come, and never fewer than k new voters", async () => {
  await withDatabase(async (db) => {
    const publishAfter = async (voters: number, candidate: string) => {
      await count(db.query, voters, candidate);
      await publish(db, policy(), NOW);
      return await shown(db);
    };
    assert.deepEqual(await publishAfter(7, "ann"), {}, "a snapshot of 7");
    assert.deepEqual(await publishAfter(4, "bob"), {}, "4 more are too few");
    assert.deepEqual(await publishAfter(1, "bob"), { "n-1/in_person": "7, ann 7" });
    assert.deepEqual(await publishAfter(5, "cyd"), { "n-1/in_person": "12, ann 7, bob 5" });
  });
});

Deno.test("publish() never shows one ballot by itself, as the closing release did of the 11th voter where k is 5", async () => {
  await withDatabase(async (db) => {
    await count(db.query, 5, "ann");
    await publish(db, policy(), NOW);
    await count(db.query, 5, "bob");
    await publish(db, policy(), NOW);
    assert.deepEqual(await shown(db), { "n-1/in_person": "5, ann 5" });
    await count(db.query, 1, "cyd");
    await publish(db, policy({ final: true }), NOW);
    assert.deepEqual(await shown(db), { "n-1/in_person": "11, ann 5, bob 5, cyd 1" });
    const releases = await releasesSince(db.query, "test", 0, 10);
    assert.deepEqual(releases.map(({ kind, addedVoters }) => [kind, addedVoters]), [["interim", 5], [
      "final",
      6,
    ]]);
  });
});

Deno.test("publish() shows all that was counted at the end, 15 of 15, small cells together with others", async () => {
  await withDatabase(async (db) => {
    await count(db.query, 11, "ann");
    await count(db.query, 4, "bob", { station: "s-1" });
    await publish(db, policy({ final: true }), NOW);
    const [[unit, row]] = Object.entries(await shown(db));
    assert.match(unit, /^:[0-9a-f]{16}$/);
    assert.equal(row, "15, ann 11, bob 4");
    const [release] = await releasesSince(db.query, "test", 0, 10);
    const { station, region, mode, members } = release;
    assert.deepEqual({ station, region, mode, members }, {
      station: null,
      region: null,
      mode: null,
      members: { regions: ["north", "south"] },
    });
  });
});

Deno.test("publish() merges modes within the station, and moves what was shown alone", async () => {
  await withDatabase(async (db) => {
    await count(db.query, 6, "ann");
    await publish(db, policy(), NOW);
    await count(db.query, 6, "ann");
    await publish(db, policy(), NOW);
    await count(db.query, 2, "bob", { mode: "absentee" });
    await publish(db, policy({ final: true }), NOW);
    assert.deepEqual(await shown(db), {
      "n-1/in_person": "0, ann 0",
      "n-1/in_person+absentee": "14, ann 12, bob 2",
    });
    const releases = await releasesSince(db.query, "test", 0, 10);
    assert.deepEqual(releases.map(({ unit, kind, addedVoters }) => [unit, kind, addedVoters]), [
      ["n-1/in_person", "interim", 6],
      ["n-1/in_person", "moved", -6],
      ["n-1/in_person+absentee", "final", 14],
    ]);
    assert.deepEqual(releases[2].members, { modes: ["in_person", "absentee"] });
  });
});

Deno.test("publish() shows nothing before the final release where the election does not allow it", async () => {
  await withDatabase(async (db) => {
    const held = policy({ beforeFinal: false });
    for (let i = 0; i < 4; i++) {
      await count(db.query, 9, "ann");
      await publish(db, held, NOW);
    }
    assert.deepEqual(await shown(db), {});
    await publish(db, { ...held, final: true }, NOW);
    assert.deepEqual(await shown(db), { "n-1/in_person": "36, ann 36" });
    assert.equal(await publish(db, { ...held, final: true }, NOW), 0, "the final release comes once");
  });
});

Deno.test("publish() pools late votes upward until they are k: the unit, its region, all", async () => {
  await withDatabase(async (db) => {
    for (const station of ["n-1", "n-2", "s-1"]) await count(db.query, 6, "ann", { station });
    const final = policy({ final: true, caughtUp: true });
    await publish(db, final, NOW);
    const late = async (voters: number, station: string, change: Partial<ReleasePolicy> = {}) => {
      await count(db.query, voters, "bob", { station });
      await publish(db, { ...final, ...change }, NOW);
      const { "n-1/in_person": n1, "n-2/in_person": n2, "s-1/in_person": s1, ...pools } = await shown(db);
      return [n1, n2, s1, pools];
    };
    const whole = "6, ann 6";
    assert.deepEqual(await late(4, "n-1"), [whole, whole, whole, {}]);
    assert.deepEqual(await late(1, "n-1"), ["11, ann 6, bob 5", whole, whole, {}]);
    assert.deepEqual(await late(3, "n-1"), ["11, ann 6, bob 5", whole, whole, {}]);
    // More may be on its way: it might become enough for the unit itself.
    assert.deepEqual((await late(2, "n-2", { caughtUp: false }))[3], {});
    assert.deepEqual((await late(1, "n-2"))[3], { "north:late": "6, ann 0, bob 6" });
    await late(3, "s-1");
    assert.deepEqual((await late(2, "n-2"))[3], {
      ":late": "5, ann 0, bob 5",
      "north:late": "6, ann 0, bob 6",
    });
  });
});

Deno.test("publish() shows a contest that had too few voters at the end, once it has enough", async () => {
  await withDatabase(async (db) => {
    await count(db.query, 3, "ann");
    await publish(db, policy({ final: true }), NOW);
    assert.deepEqual(await shown(db), {});
    await count(db.query, 2, "bob", { station: "n-2" });
    await publish(db, policy({ final: true, caughtUp: true }), NOW);
    const [[unit, row]] = Object.entries(await shown(db));
    assert.match(unit, /^north:[0-9a-f]{16}$/);
    assert.equal(row, "5, ann 3, bob 2");
  });
});

Deno.test("publish() publishes as it comes for k = 1, with what each release added", async () => {
  await withDatabase(async (db) => {
    const open = policy({ threshold: 1 });
    await count(db.query, 1, "ann", { lane: 1 });
    await count(db.query, 1, undefined, { lane: 2 });
    assert.equal(await publish(db, open, NOW), 1);
    await count(db.query, 1, "bob");
    assert.equal(await publish(db, open, NOW), 1);
    assert.equal(await publish(db, open, NOW), 0, "nothing has changed");
    const [first, second] = await releasesSince(db.query, "test", 0, 10);
    assert.ok(first.revision < second.revision);
    assert.deepEqual(first.votes, [{ contest: "mayor", candidate: "ann", votes: 1, added: 1 }]);
    assert.deepEqual(second.votes, [
      { contest: "mayor", candidate: "ann", votes: 1, added: 0 },
      { contest: "mayor", candidate: "bob", votes: 1, added: 1 },
    ]);
    assert.deepEqual(second.contests, [{
      contest: "mayor",
      ballots: 3,
      undervotes: 0,
      blanks: 1,
      addedBallots: 1,
      addedUndervotes: 0,
      addedBlanks: 0,
    }]);
  });
});

Deno.test("publish() keeps to the highest k there was, and takes over what was shown with k = 1", async () => {
  await withDatabase(async (db) => {
    await count(db.query, 3, "ann");
    await publish(db, policy({ threshold: 1 }), NOW);
    await count(db.query, 5, "bob");
    await publish(db, policy({ threshold: 5, all: true }), NOW);
    assert.deepEqual(await shown(db), { "n-1/in_person": "3, ann 3" });
    await count(db.query, 5, "cyd");
    await publish(db, policy({ threshold: 1 }), NOW);
    assert.deepEqual(await shown(db), { "n-1/in_person": "8, ann 3, bob 5" }, "k does not fall");
  });
});

for (const threshold of [1, 5]) {
  Deno.test(`withdrawUnfounded() takes off again what it withdraws, for k = ${threshold}, so that sums over time are right`, async () => {
    await withDatabase(async (db) => {
      const terms = policy({ threshold });
      for (let i = 0; i < 3; i++) {
        await count(db.query, 6, "ann");
        await publish(db, terms, NOW);
      }
      const before = await shown(db);
      await db.query("DELETE FROM counting.tallies");
      await count(db.query, 9, "bob");
      await db.transaction((query) => withdrawUnfounded(query, "test", NOW));
      assert.deepEqual(await shown(db), { "n-1/in_person": "0, ann 0" });
      const sums = async () => {
        const added: Record<string, number> = {};
        for (const release of await releasesSince(db.query, "test", 0, 100)) {
          added.voters = (added.voters ?? 0) + release.addedVoters;
          for (const { candidate, added: n } of release.votes) added[candidate] = (added[candidate] ?? 0) + n;
        }
        return added;
      };
      assert.deepEqual(await sums(), { voters: 0, ann: 0 });
      await publish(db, terms, NOW);
      if (threshold === 1) assert.deepEqual(await sums(), { voters: 9, ann: 0, bob: 9 });
      else assert.deepEqual(await sums(), { voters: 0, ann: 0 }, "12 were known, so 17 are needed");
      // A later rebuild finds what was there at first.
      await db.query("DELETE FROM counting.tallies");
      await count(db.query, 18, "ann");
      await db.transaction((query) => withdrawUnfounded(query, "test", NOW));
      if (threshold === 1) await publish(db, terms, NOW);
      const after = await shown(db);
      assert.equal(
        String(after["n-1/in_person"]).startsWith(String(before["n-1/in_person"])),
        true,
        "as it was",
      );
      assert.deepEqual(
        (await releasesSince(db.query, "test", 0, 100)).filter(({ kind }) => kind === "withdrawn").length > 0,
        true,
      );
    });
  });
}

Deno.test("changedElections() names those that have changed since they were published", async () => {
  await withDatabase(async (db) => {
    const changed = () => changedElections(db.query, ["other", "test"]);
    assert.deepEqual(await changed(), new Set());
    await count(db.query, 1, "ann");
    assert.deepEqual(await changed(), new Set(["test"]));
    assert.deepEqual(await changedElections(db.query, ["other"]), new Set());
    await publish(db, policy({ threshold: 1 }), NOW);
    assert.deepEqual(await changed(), new Set());
  });
});

Deno.test("publish() lets one publisher at a time, and none during a rebuild, and leaves the changes", async () => {
  await withDatabase(async (db) => {
    // PGlite has one session, so another's lock is played by a database that never gives it.
    const refused: Database = {
      ...db,
      transaction: (work) =>
        db.transaction((query) =>
          work(
            ((sql: string, params?: readonly (string | number | boolean | null)[]) =>
              sql.includes("pg_try_advisory_xact_lock")
                ? Promise.resolve([{ mine: false }])
                : query(sql, params)) as Query,
          )
        ),
    };
    await count(db.query, 1, "ann");
    assert.equal(await publish(refused, policy({ threshold: 1 }), NOW), undefined);
    await db.query(
      "INSERT INTO counting.leases VALUES ($1, gen_random_uuid(), now() + interval '1 hour')",
      [rebuildWork("test")],
    );
    assert.equal(await publish(db, policy({ threshold: 1 }), NOW), undefined);
    await db.query("DELETE FROM counting.leases");
    assert.equal(await publish(db, policy({ threshold: 1 }), NOW), 1);
  });
});
