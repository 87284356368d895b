import assert from "assert";
import { testDefinition } from "../../tests/fixture.ts";
import { withElection, writeRelease } from "../../tests/seeded_database.ts";
import { addTally } from "../../tests/tallies.ts";
import { type Results, resultsSchema } from "./schemas.ts";
import { Elections } from "../registry/election_names.ts";
import { publish, type ReleasePolicy } from "./publish.ts";
import { newestRelease, releasesSince } from "./releases.ts";
import { type Asked, isFault, readNotShown, readResults } from "./results.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** The rows as short lines, without names. */
function lines(results: Results): string[] {
  assert.deepEqual(resultsSchema.parse(results), results);
  return results.rows.map((row) => {
    const values = Object.entries(row).filter(([key]) => key !== "name" && key !== "colour");
    return values.map(([, value]) => value).join(" ");
  });
}

Deno.test("readResults() sums releases, and nothing but releases", async (t) => {
  await withElection(async (db) => {
    const elections = new Elections();
    const read = async (by: Results["by"], part?: Asked) => {
      const results = await readResults(db, elections, "test-2026", by, part);
      assert(!isFault(results), JSON.stringify(results));
      return results;
    };

    await t.step("before the first release, every candidate has none", async () => {
      // Counted, and not released: must not be seen.
      const place = { election: "test-2026", station: "n-1", mode: "early" };
      await addTally(db.query, { ...place, votes: { "mayor/ann": 99 } });
      const results = await read("candidate");
      assert.equal(results.revision, 0);
      assert.equal(results.releasedAt, null);
      assert.equal(results.voters, 0);
      assert.deepEqual(results.rows.map((row) => (row as { votes: number }).votes), [0, 0, 0, 0, 0, 0]);
      for (const by of ["station", "time"] as const) assert.deepEqual(lines(await read(by)), []);
    });

    await writeRelease(db, {
      station: "n-1",
      at: "2026-11-03T12:00:10.000Z",
      voters: 3,
      votes: { "mayor/ann": [2, 2], "mayor/bob": [1, 1], "council/dan": [3, 3] },
    });
    await writeRelease(db, {
      station: "n-1",
      at: "2026-11-03T12:02:10.000Z",
      voters: 7,
      addedVoters: 4,
      votes: { "mayor/ann": [5, 3], "mayor/bob": [2, 1], "council/dan": [4, 1] },
    });
    await writeRelease(db, {
      station: "n-1",
      mode: "early",
      at: "2026-11-03T12:02:20.000Z",
      voters: 3,
      votes: { "mayor/cyd": [3, 3] },
    });
    const newest = await writeRelease(db, {
      station: "s-2",
      at: "2026-11-03T12:02:30.123Z",
      voters: 4,
      votes: { "mayor/ann": [4, 4], "council/fay": [2, 2] },
    });

    await t.step("by candidate: the newest release of each station and mode, zeros included", async () => {
      const results = await read("candidate");
      assert.equal(results.revision, newest);
      assert.equal(results.releasedAt, "2026-11-03T12:02:30.123Z");
      assert.equal(results.voters, 14);
      assert.deepEqual(lines(results), [
        "mayor ann red 9",
        "mayor bob blue 2",
        "mayor cyd  3",
        "council dan red 4",
        "council eve blue 0",
        "council fay  2",
      ]);
      assert.equal((results.rows[0] as { name: string }).name, "Ann");
    });

    await t.step("by party: over all contests or in one, and candidates without a party last", async () => {
      assert.deepEqual(lines(await read("party")), ["red 13", "blue 2", " 5"]);
      assert.deepEqual(lines(await read("party", { contest: "mayor" })), ["red 9", "blue 2", " 3"]);
      const [red] = (await read("party")).rows;
      assert.deepEqual(red, { party: "red", name: "Red", colour: "#cc0000", votes: 13 });
    });

    await t.step("by region: contests that are voted on there", async () => {
      const rows = lines(await read("region", { contest: "mayor" }));
      assert.deepEqual(rows, [
        "north mayor ann 5",
        "north mayor bob 2",
        "north mayor cyd 3",
        "south mayor ann 4",
        "south mayor bob 0",
        "south mayor cyd 0",
      ]);
      assert.equal((await read("region")).rows.length, 12);
    });

    await t.step("by station: what is released there, with each candidate of its contests", async () => {
      const rows = lines(await read("station", { region: "north", contest: "mayor" }));
      assert.deepEqual(rows, [
        "n-1/early n-1 north early mayor ann 0",
        "n-1/early n-1 north early mayor bob 0",
        "n-1/early n-1 north early mayor cyd 3",
        "n-1/in_person n-1 north in_person mayor ann 5",
        "n-1/in_person n-1 north in_person mayor bob 2",
        "n-1/in_person n-1 north in_person mayor cyd 0",
      ]);
      await writeRelease(db, {
        station: "n-2",
        at: "2026-11-03T12:02:35.000Z",
        voters: 3,
        votes: { "mayor/ann": [3, 3] },
      });
      assert.equal((await read("station", { station: "n-2" })).rows.length, 3, "n-2 has one contest only");
    });

    await t.step("ballots, undervotes and blanks stand beside the candidates", async () => {
      const none = { undervotes: 0, blanks: 0 };
      const all = await read("candidate", { contest: "council" });
      assert(all.by === "candidate");
      assert.deepEqual(all.contests, [{ contest: "council", ballots: 11, undervotes: 0, blanks: 2 }]);
      const regions = await read("region", { contest: "council" });
      assert(regions.by === "region");
      assert.deepEqual(regions.contests, [
        { region: "north", contest: "council", ballots: 7, ...none, blanks: 1 },
        { region: "south", contest: "council", ballots: 4, ...none, blanks: 1 },
      ]);
      const units = await read("station", { station: "s-2", contest: "council" });
      assert(units.by === "station");
      assert.deepEqual(units.contests, [
        {
          unit: "s-2/in_person",
          station: "s-2",
          mode: "in_person",
          contest: "council",
          ballots: 4,
          ...none,
          blanks: 1,
        },
      ]);
      assert.deepEqual(units.units, [], "each is one cell");
    });

    await t.step("by time: what each minute released, and the running total", async () => {
      assert.deepEqual(lines(await read("time", { station: "n-1", contest: "mayor" })), [
        "2026-11-03T12:00Z mayor ann 2 2",
        "2026-11-03T12:00Z mayor bob 1 1",
        "2026-11-03T12:02Z mayor ann 3 5",
        "2026-11-03T12:02Z mayor bob 1 2",
        "2026-11-03T12:02Z mayor cyd 3 3",
      ]);
    });

    await t.step("at a past moment: the newest releases of then, and no later one", async () => {
      const at = "2026-11-03T12:02:15.000Z";
      const past = await read("candidate", { at });
      assert.deepEqual([past.releasedAt, past.voters], ["2026-11-03T12:02:10.000Z", 7]);
      assert.deepEqual(lines(past).slice(0, 4), [
        "mayor ann red 5",
        "mayor bob blue 2",
        "mayor cyd  0",
        "council dan red 4",
      ]);
      const regions = await read("region", { at, contest: "mayor" });
      assert(regions.by === "region");
      assert.deepEqual(lines(regions).slice(0, 4), [
        "north mayor ann 5",
        "north mayor bob 2",
        "north mayor cyd 0",
        "south mayor ann 0",
      ]);
      assert.deepEqual(regions.regions, [
        { region: "north", voters: 7, stations: ["n-1"] },
        { region: "south", voters: 0, stations: [] },
      ]);
      assert.deepEqual(lines(await read("station", { at, contest: "mayor" })).length, 3);
      assert.deepEqual(lines(await read("time", { at, contest: "mayor" })).slice(-2), [
        "2026-11-03T12:02Z mayor ann 3 5",
        "2026-11-03T12:02Z mayor bob 1 2",
      ]);
      const before = await read("candidate", { at: "2026-11-03T11:00:00.000Z" });
      assert.deepEqual(await read("candidate", { at: "0000-01-01T00:00:00.000Z" }), before);
      assert.deepEqual([before.revision, before.releasedAt, before.voters], [0, null, 0]);
      const last = await read("region", { at: "2026-11-03T13:00:00.000Z" });
      assert.deepEqual(last, await read("region"), "and the last moment is now");
    });

    await t.step("by region: voters add up to the head's, and stations are those with votes", async () => {
      const { voters, ...answer } = await read("region");
      assert("regions" in answer);
      assert.equal(answer.regions.reduce((sum, region) => sum + region.voters, 0), voters);
      assert.deepEqual(answer.regions.map(({ stations }) => stations), [["n-1", "n-2"], ["s-2"]]);
    });

    await t.step("in parts: voters, too, are those of the part", async () => {
      assert.equal((await read("candidate", { region: "south" })).voters, 4);
      assert.equal((await read("candidate", { region: "south", station: "n-1" })).voters, 0);
      assert.deepEqual(lines(await read("region", { station: "s-2", contest: "council" })), [
        "south council dan 0",
        "south council eve 0",
        "south council fay 2",
      ]);
    });

    await t.step("no such election, contest, region or station", async () => {
      assert.deepEqual(await readResults(db, elections, "none", "party"), { fault: "unknown-election" });
      for (const field of ["contest", "region", "station"] as const) {
        assert.deepEqual(await readResults(db, elections, "test-2026", "candidate", { [field]: "none" }), {
          fault: "no-such-part",
          field,
          detail: `the election has no ${field} none`,
        });
      }
    });

    await t.step("newestRelease() and releasesSince()", async () => {
      const all = await releasesSince(db.query, "test-2026", 0, 100);
      assert.equal(all.length, 5);
      assert.deepEqual(
        all.map(({ revision }) => revision),
        all.map(({ revision }) => revision).sort((a, b) => a - b),
      );
      const [first] = all;
      assert.deepEqual(first, {
        revision: first.revision,
        unit: "n-1/in_person",
        region: null,
        station: "n-1",
        mode: "in_person",
        members: null,
        kind: "interim",
        releasedAt: "2026-11-03T12:00:10.000Z",
        voters: 3,
        addedVoters: 3,
        votes: [
          { contest: "mayor", candidate: "ann", votes: 2, added: 2 },
          { contest: "mayor", candidate: "bob", votes: 1, added: 1 },
          { contest: "council", candidate: "dan", votes: 3, added: 3 },
        ],
        contests: ["mayor", "council"].map((contest) => ({
          contest,
          ballots: 3,
          undervotes: 0,
          blanks: 1,
          addedBallots: 3,
          addedUndervotes: 0,
          addedBlanks: 1,
        })),
      });
      const page = await releasesSince(db.query, "test-2026", first.revision, 2);
      assert.deepEqual(page, all.slice(1, 3));
      assert.deepEqual(await newestRelease(db.query, "none"), { revision: 0, releasedAt: null });
    });

    await t.step("by time: sums of the whole election are kept as its releases are written", async () => {
      const ofStations = async () => {
        const parts = [await read("time", { region: "north" }), await read("time", { region: "south" })];
        const sums = new Map<string, number>();
        for (const { rows } of parts) {
          for (const row of rows as { minute: string; contest: string; candidate: string; votes: number }[]) {
            const key = `${row.minute} ${row.contest} ${row.candidate}`;
            sums.set(key, (sums.get(key) ?? 0) + row.votes);
          }
        }
        return [...sums].map(([key, votes]) => `${key} ${votes}`).sort();
      };
      const ofElection = async () =>
        lines(await read("time")).map((line) => line.replace(/ -?\d+$/, "")).sort();
      const annsVotes = async () =>
        (await read("time")).rows.reduce((sum, row) => {
          const { contest, candidate, votes } = row as { contest: string; candidate: string; votes: number };
          return contest === "mayor" && candidate === "ann" ? sum + votes : sum;
        }, 0);
      assert.deepEqual(await ofElection(), await ofStations());
      const before = await annsVotes();
      await writeRelease(db, {
        station: "n-1",
        kind: "withdrawn",
        at: "2026-11-03T12:02:40.000Z",
        voters: 0,
        addedVoters: -7,
        votes: { "mayor/ann": [0, -5], "mayor/bob": [0, -2], "council/dan": [0, -4] },
      });
      assert.deepEqual(await ofElection(), await ofStations());
      assert.equal(await annsVotes(), before - 5, "taken off again");
    });

    await t.step(
      "by candidate: sums of the whole election are kept as its releases are written",
      async () => {
        // As of a moment, they are summed from the releases.
        assert.deepEqual(
          await read("candidate"),
          await read("candidate", { at: "2100-01-01T00:00:00.000Z" }),
        );
      },
    );

    await t.step("by station: a unit that was withdrawn shows no contest", async () => {
      const { rows, contests } = await read("station") as Extract<Results, { by: "station" }>;
      const isWithdrawn = ({ unit }: { unit: string }) => unit === "n-1/in_person";
      assert.deepEqual([rows.filter(isWithdrawn), contests.filter(isWithdrawn)], [[], []]);
      assert.ok(rows.length > 0, "others show theirs");
    });
  });
});

Deno.test("readResults() shows what publish() releases", async () => {
  await withElection(async (db) => {
    const count = async (votes: Record<string, number>, voters: number) => {
      const marked = { ...votes, "#ballots": voters };
      await addTally(db.query, {
        election: "test-2026",
        station: "s-1",
        mode: "in_person",
        voters,
        votes: Object.fromEntries(Object.entries(marked).map(([candidate, n]) => [`mayor/${candidate}`, n])),
      });
      await db.query("INSERT INTO counting.changes VALUES ('test-2026', 's-1')");
    };
    const policy: ReleasePolicy = {
      election: "test-2026",
      threshold: 3,
      beforeFinal: true,
      final: false,
      caughtUp: false,
      regionOf: () => "south",
      all: false,
    };
    const rows = async () => {
      const results = await readResults(db, new Elections(), "test-2026", "candidate", { contest: "mayor" });
      assert(!isFault(results));
      return lines(results);
    };
    const now = new Date("2026-11-03T12:00:00.000Z");
    await count({ ann: 4, bob: 2 }, 6);
    await publish(db, policy, now);
    assert.deepEqual(await rows(), ["mayor ann red 0", "mayor bob blue 0", "mayor cyd  0"]);
    await count({ ann: 1, cyd: 1 }, 2);
    await publish(db, policy, now);
    assert.deepEqual(await rows(), ["mayor ann red 0", "mayor bob blue 0", "mayor cyd  0"]);
    await count({ ann: 1 }, 1);
    await publish(db, policy, now);
    assert.deepEqual(
      await rows(),
      ["mayor ann red 4", "mayor bob blue 2", "mayor cyd  0"],
      "one snapshot behind",
    );
    assert.deepEqual(await readNotShown(db.query, "test-2026", 9), { final: false, voters: 3, contests: [] });
    await publish(db, { ...policy, final: true }, now);
    assert.deepEqual(await rows(), ["mayor ann red 6", "mayor bob blue 2", "mayor cyd  1"]);
    await count({ ann: 1 }, 1);
    await publish(db, { ...policy, final: true, caughtUp: true }, now);
    assert.deepEqual(await readNotShown(db.query, "test-2026", 10), {
      final: true,
      voters: 1,
      contests: [{ contest: "mayor", ballots: 1 }],
    });
  }, testDefinition());
});

Deno.test("readResults() by mode adds stations up, and says what a withdrawal took off, also as of a past moment", async () => {
  await withElection(async (db) => {
    const elections = new Elections();
    const read = async (part?: Asked) => {
      const results = await readResults(db, elections, "test-2026", "mode", part);
      assert(!isFault(results) && results.by === "mode");
      assert.deepEqual(resultsSchema.parse(results), results);
      return results;
    };
    const empty = await read();
    assert.deepEqual([empty.rows, empty.modes, empty.contests, empty.corrected], [[], [], [], null]);
    const write = (station: string, mode: "in_person" | "early", voters: number, at: string) =>
      writeRelease(db, { station, mode, at, voters, votes: { "mayor/ann": [voters, voters] } });
    await write("n-1", "in_person", 5, "2026-11-03T12:00:10.000Z");
    await write("s-1", "in_person", 4, "2026-11-03T12:00:20.000Z");
    await write("s-1", "early", 3, "2026-11-03T12:00:30.000Z");
    const before = await read({ contest: "mayor" });
    assert.deepEqual(before.modes, [{ mode: "early", voters: 3 }, { mode: "in_person", voters: 9 }]);
    assert.deepEqual(lines(before).filter((line) => line.includes("ann")), [
      "early mayor ann 3",
      "in_person mayor ann 9",
    ]);
    assert.equal(before.rows.length, 6, "zeros included");
    assert.deepEqual(before.contests.map(({ mode, ballots }) => [mode, ballots]), [["early", 3], [
      "in_person",
      9,
    ]]);
    assert.deepEqual((await read({ region: "north" })).modes, [{ mode: "in_person", voters: 5 }]);
    const revision = await writeRelease(db, {
      station: "n-1",
      at: "2026-11-03T13:00:00.000Z",
      kind: "withdrawn",
      voters: 0,
      addedVoters: -5,
      votes: { "mayor/ann": [0, -5] },
    });
    const after = await read();
    assert.deepEqual(after.corrected, { revision, releasedAt: "2026-11-03T13:00:00.000Z", voters: 5 });
    assert.deepEqual(after.modes.map(({ voters }) => voters), [3, 4]);
    assert.equal((await read({ at: "2026-11-03T12:30:00.000Z" })).corrected, null);
  });
});
