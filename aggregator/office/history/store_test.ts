import assert from "assert";
import fc from "fast-check";
import type { Database } from "../../database/database.ts";
import { createElection } from "../../registry/elections.ts";
import { Elections } from "../../registry/election_names.ts";
import {
  type ComparedBy,
  type ComparisonAnswer,
  comparisonSchema,
  isComparisonFault,
  readComparison,
} from "../../results/history/comparison.ts";
import { MASTER, NOON_MS, testDefinition } from "../../../tests/fixture.ts";
import { enrol, withElection, writeRelease } from "../../../tests/seeded_database.ts";
import { withDatabase } from "../../../tests/test_database.ts";
import { parseWeight, type UnitLink } from "./link.ts";
import { readPartyLinks, readUnitLinks } from "./link_files.ts";
import { type PastResults, readOpenElections } from "./openelections.ts";
import { compareWith, listPast, type PastElection, pastOfCounted, readLinks, writePast } from "./store.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const NOW = new Date(NOON_MS);

/** What is imported: of a red, a blue and a green party, of which green is none today. */
const FILE = `county,precinct,office,party,candidate,votes
North,North 1,Registered Voters,,,200
North,North 1,Ballots Cast,,,120
North,North 1,Mayor,Red,Old Ann,60
North,North 1,Mayor,Blue,Old Bob,40
North,North 1,Mayor,Green,Old Gus,10
North,North 2,Registered Voters,,,200
North,North 2,Ballots Cast,,,100
North,North 2,Mayor,Red,Old Ann,30
North,North 2,Mayor,Blue,Old Bob,70
South,South 1,Mayor,Red,Old Ann,80
South,South 1,Mayor,Blue,Old Bob,20
South,Old mill,Mayor,Red,Old Ann,10
South,Old mill,Mayor,Blue,Old Bob,10
South,South 2,Mayor,Red,Old Ann,100
South,South 2,Mayor,Blue,Old Bob,100
`;

const PAST: PastElection = {
  past: "town-2016",
  name: "Town 2016",
  heldOn: "2016-11-08",
  kind: "imported",
  source: "town.csv",
  sha256: "ab".repeat(32),
};

async function withFile<Result>(text: string, work: (path: string) => Promise<Result>): Promise<Result> {
  const path = await Deno.makeTempFile({ suffix: ".csv" });
  try {
    await Deno.writeTextFile(path, text);
    return await work(path);
  } finally {
    await Deno.remove(path);
  }
}

async function compared(
  db: Database,
  by: ComparedBy,
  more: { upTo?: number; election?: string } = {},
): Promise<ComparisonAnswer> {
  const { election = "test-2026", ...part } = more;
  const answer = await readComparison(db, new Elections(), election, { contest: "mayor", by, ...part });
  assert.ok(!isComparisonFault(answer), JSON.stringify(answer));
  return comparisonSchema.parse(answer);
}

async function release(
  db: Database,
  station: string,
  [ann, bob, cyd]: [number, number, number],
): Promise<number> {
  return await writeRelease(db, {
    station,
    voters: ann + bob + cyd,
    votes: { "mayor/ann": [ann, ann], "mayor/bob": [bob, bob], "mayor/cyd": [cyd, cyd] },
  });
}

const makeFinal = (db: Database, election = "test-2026") =>
  db.query("UPDATE results.elections SET final_at = '2026-11-03T23:30:00Z' WHERE election = $1", [election]);

const near = (found: number | null, wanted: number, what: string) =>
  assert.ok(found !== null && Math.abs(found - wanted) < 5e-7, `${what}: ${found} is not ${wanted}`);

Deno.test("a comparison is that of a hand calculation, of complete places only", async (t) => {
  await withElection(async (db) => {
    await enrol(db.query, 1, 400);
    const past = await withFile(FILE, (path) => readOpenElections(path));
    assert.equal((await compared(db, "region")).past, null, "it is compared with none yet");
    assert.equal(await writePast(db, PAST, past, NOW), true);
    assert.equal(await writePast(db, PAST, past, NOW), false, "the same again changes nothing");
    await assert.rejects(
      writePast(db, { ...PAST, sha256: "cd".repeat(32) }, past, NOW),
      /Cannot write town-2016: it is there already, from town.csv with the SHA-256 abab/,
    );
    const comparison = { election: "test-2026", contest: "mayor", past: "town-2016", pastContest: "mayor" };
    assert.deepEqual(await compareWith(db, comparison, {}, NOW), {
      stations: 4,
      regions: 1,
      nothing: 0,
      lostParties: ["Green"],
    });
    await release(db, "n-1", [55, 45, 10]);
    await release(db, "n-2", [40, 60, 0]);
    await release(db, "s-1", [60, 40, 0]);
    const newest = await release(db, "s-2", [90, 110, 0]);

    await t.step("before the final release nothing is compared", async () => {
      const { final, rows, places, past } = await compared(db, "region");
      assert.deepEqual([final, rows, past?.name, past?.kind], [false, [], "Town 2016", "imported"]);
      assert.deepEqual(places.map(({ why }) => why), ["not_final", "not_final"]);
    });
    await makeFinal(db);

    await t.step("regions and their sum, with the swing", async () => {
      const { final, revision, pair, total, places, rows } = await compared(db, "region");
      assert.deepEqual([final, revision, pair], [true, newest, { first: "red", second: "blue" }]);
      assert.deepEqual(
        rows.map(({ region, party, votesThen, votesNow }) => [region, party, votesThen, votesNow]),
        [
          [null, "blue", 240, 255],
          [null, "red", 280, 245],
          [null, null, 10, 10],
          ["north", "blue", 110, 105],
          ["north", "red", 90, 95],
          ["north", null, 10, 10],
          ["south", "blue", 130, 150],
          ["south", "red", 190, 150],
        ],
      );
      // 280 of 530 and 245 of 510; 240 of 530 and 255 of 510.
      near(rows[1]!.shareThen, 0.5283019, "red then");
      near(rows[1]!.shareNow, 0.4803922, "red now");
      near(rows[1]!.change, -0.0479097, "red");
      near(rows[0]!.change, 0.0471698, "blue");
      near(total.swing, 0.0475398, "from red to blue");
      // North: 90 and 95 of 210, 110 and 105 of 210. South: 190 of 320 and 150 of 300, 130 of 320 and 150 of 300.
      near(places[0]!.swing, -0.0238095, "north");
      near(places[1]!.swing, 0.09375, "south");
      assert.deepEqual([total.regions, total.ofRegions, total.votesThen, total.votesNow], [2, 2, 530, 510]);
    });

    await t.step("turnout, where both are known", async () => {
      const { places, total } = await compared(db, "region");
      // 220 ballots of 400; 210 of 400 on the roll.
      assert.deepEqual([places[0]!.turnoutThen, places[0]!.turnoutNow], [0.55, 0.525]);
      assert.deepEqual([places[1]!.turnoutThen, total.turnoutThen], [null, null]);
    });

    await t.step("stations of which 95 % are linked, and the others by their region", async () => {
      const { places, rows } = await compared(db, "station");
      assert.deepEqual(places.map(({ station, why }) => [station, why]), [
        ["n-1", null],
        ["n-2", null],
        ["s-1", "not_linked"],
        ["s-2", "not_linked"],
      ]);
      near(places[2]!.linked, 100 / 120, "80 and 20, of which 20 more may be a part");
      assert.deepEqual(
        rows.filter(({ station }) => station === "n-1").map((
          { party, votesThen, votesNow },
        ) => [party, votesThen, votesNow]),
        [["red", 60, 55], ["blue", 40, 45], [null, 10, 10]],
      );
      assert.ok(!rows.some(({ station }) => station?.startsWith("s-")));
    });

    await t.step("as it stood at an earlier revision", async () => {
      const { rows, revision, final } = await compared(db, "region", { upTo: newest - 1 });
      assert.deepEqual(
        [revision, final, rows],
        [newest - 1, false, []],
        "the final release was not made yet",
      );
    });

    await t.step("a station that is shown only together with others is not compared", async () => {
      await db.query(
        `INSERT INTO results.releases
           (revision, election, unit, station, region, mode, members, released_at, voters, added_voters, kind, votes, marks)
         VALUES (nextval('results.revisions'), 'test-2026', 'north:x', NULL, 'north', NULL, '{"stations":["n-1"]}',
           '2026-11-03T23:00:00Z', 5, 5, 'final', '[{"contest":"mayor","candidate":"ann","votes":5,"added":5}]',
           '[{"contest":"mayor","candidate":"#ballots","votes":5,"added":5}]')`,
      );
      await db.query(
        `INSERT INTO results.current (election, unit, region, members, revision, voters)
         SELECT election, unit, region, members, revision, voters FROM results.releases WHERE unit = 'north:x'`,
      );
      assert.deepEqual((await compared(db, "station")).places.map(({ why }) => why), [
        "together",
        null,
        "not_linked",
        "not_linked",
      ]);
      const { rows } = await compared(db, "region");
      assert.equal(rows.find(({ region, party }) => region === "north" && party === "red")?.votesNow, 100);
    });

    await t.step("files of links say where else votes belong, and what is wrong in them", async () => {
      const links = (text: string) => ({
        units: (units: ReadonlySet<string>, places: Parameters<typeof readUnitLinks>[2]) =>
          withFile(`unit,region,station,weight\n${text}`, (path) => readUnitLinks(path, units, places)),
      });
      const refused = async (text: string, wanted: RegExp) =>
        await assert.rejects(compareWith(db, comparison, links(text), NOW), wanted);
      await refused(
        "nowhere,,n-1,1\n",
        /line 2, column unit: "nowhere" must be a unit of the earlier election/,
      );
      await refused(
        "south-old-mill,,x-9,1\n",
        /line 2, column station: "x-9" must be a station of the election/,
      );
      await refused(
        "south-old-mill,north,s-1,1\n",
        /column region: "north" must be south, where station s-1 lies/,
      );
      await refused("south-old-mill,,s-1,1.5\n", /column weight: "1.5" must be above 0 and at most 1/);
      await refused(
        "south-old-mill,,s-1,0.5\nsouth-old-mill,,s-2,0.4\n",
        /line 2, column weight: the weights of unit south-old-mill must sum to 1, and sum to 0.9/,
      );
      await compareWith(db, comparison, {
        ...links("south-old-mill,,s-1,0.75\nsouth-old-mill,,s-2,0.25\n"),
        parties: (past, parties) =>
          withFile("past_party,party\ngreen,blue\n", (path) => readPartyLinks(path, past, parties)),
      }, NOW);
      const { places, rows } = await compared(db, "station");
      assert.deepEqual(places.map(({ why }) => why), ["together", null, null, null]);
      assert.equal(places[2]!.votesThen, 115);
      assert.equal(rows.find(({ station, party }) => station === "s-1" && party === "blue")?.votesThen, 27.5);
      const { rows: total } = await compared(db, "region");
      assert.equal(total.find(({ region, party }) => region === null && party === "blue")?.votesThen, 250);
      assert.deepEqual(
        (await readLinks(db.query, "town-2016", "test-2026")).filter(({ method }) => method === "file"),
        [
          {
            unit: "south-old-mill",
            region: "south",
            station: "s-1",
            weight: "0.75",
            method: "file",
            name: "Old mill",
          },
          {
            unit: "south-old-mill",
            region: "south",
            station: "s-2",
            weight: "0.25",
            method: "file",
            name: "Old mill",
          },
        ],
      );
    });

    await t.step("an election that was counted here becomes an earlier one", async () => {
      const { results, ...facts } = await pastOfCounted(db, "test-2026");
      await writePast(db, { past: "test-2026", kind: "counted", ...facts }, results, NOW);
      assert.deepEqual((await listPast(db.query)).map(({ past, kind }) => [past, kind]), [
        ["town-2016", "imported"],
        ["test-2026", "counted"],
      ]);
      const [{ votes }] = await db.query<{ votes: number }>(
        "SELECT sum(votes)::float8 AS votes FROM history.results WHERE past = 'test-2026' AND contest = 'mayor'",
      ) as [{ votes: number }];
      assert.equal(votes, 510 + 5);
      await assert.rejects(db.query("DELETE FROM history.results"), /history.results/);
    });
  }, testDefinition({ releaseThreshold: 1 }));
});

Deno.test("a station without linked votes is not_linked where its region has votes of no station, else no_votes", async () => {
  await withElection(async (db) => {
    const text = "county,precinct,office,party,candidate,votes\n" +
      "North,North 1,Mayor,Red,Old Ann,60\nSouth,Old mill,Mayor,Red,Old Ann,10\n";
    await writePast(db, PAST, await withFile(text, (path) => readOpenElections(path)), NOW);
    const comparison = { election: "test-2026", contest: "mayor", past: "town-2016", pastContest: "mayor" };
    await compareWith(db, comparison, {}, NOW);
    for (const station of ["n-1", "n-2", "s-1"]) await release(db, station, [50, 50, 0]);
    await makeFinal(db);
    assert.deepEqual((await compared(db, "station")).places.map(({ station, why }) => [station, why]), [
      ["n-1", null],
      ["n-2", "no_votes"],
      // The votes of Old mill may be its own.
      ["s-1", "not_linked"],
      ["s-2", "no_votes"],
    ]);
    assert.deepEqual((await compared(db, "region")).places.map(({ why }) => why), [null, null]);
  }, testDefinition({ releaseThreshold: 1 }));
});

/** Past results of units with votes for parties, by name. */
function pastResults(votes: readonly (readonly number[])[], names: readonly string[]): PastResults {
  const parties = ["red", "blue", "green"].map((id) => ({ id, name: id }));
  return {
    contests: [{ id: "mayor", name: "Mayor" }],
    parties,
    units: votes.map((_, at) => ({
      id: `u-${at}`,
      name: names[at]!,
      region: null,
      registered: null,
      ballots: null,
    })),
    rows: votes.flatMap((of, unit) =>
      of.map((count, party) => ({
        contest: "mayor",
        unit: `u-${unit}`,
        candidate: parties[party]!.name,
        party: parties[party]!.id,
        votes: count,
      }))
    ),
    notes: [],
  };
}

const STATIONS = ["n-1", "n-2", "s-1", "s-2"];
const REGION: Record<string, string> = { "n-1": "north", "n-2": "north", "s-1": "south", "s-2": "south" };

Deno.test("property: links conserve totals, whatever their weights", async () => {
  await withElection(async (db) => {
    let number = 0;
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 999_999_999 }), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({ votes: fc.tuple(fc.nat(5_000), fc.nat(5_000), fc.nat(5_000)), cuts, first: fc.nat(5) }),
          { minLength: 1, maxLength: 6 },
        ),
        async (units) => {
          const past = `p-${++number}`;
          const results = pastResults(units.map(({ votes }) => votes), units.map((_, at) => `Unit ${at}`));
          await writePast(db, { ...PAST, past, sha256: number.toString(16).padStart(64, "0") }, results, NOW);
          // Four stations, a region without a station, and nowhere.
          const targets = [...STATIONS.map((station) => [REGION[station]!, station]), ["north", null], [
            null,
            null,
          ]];
          const links = units.flatMap(({ cuts, first }, unit): UnitLink[] => {
            const ends = [0, ...cuts.toSorted((a, b) => a - b), 1_000_000_000];
            return ends.slice(1).map((end, at) => {
              const nine = end - ends[at]!;
              const [region, station] = targets[(first + at) % targets.length]!;
              const weight = nine === 1_000_000_000 ? "1" : `0.${String(nine).padStart(9, "0")}`;
              assert.equal(parseWeight(weight), BigInt(nine));
              return {
                unit: `u-${unit}`,
                region: region!,
                station: station!,
                weight,
                method: region === null ? "none" : "file",
              };
            });
          });
          await compareWith(
            db,
            { election: "test-2026", contest: "mayor", past, pastContest: "mayor" },
            { units: () => Promise.resolve(links) },
            NOW,
          );
          const sums = await db.query<{ party: string; votes: string }>(
            `SELECT party, sum(votes)::text AS votes FROM history.votes_then('test-2026', 'mayor', $1)
             GROUP BY party HAVING sum(votes) > 0 ORDER BY party`,
            [past],
          );
          const wanted = ["", "blue", "red"].map((party, at) => [
            party,
            units.reduce((sum, { votes }) => sum + votes[[2, 1, 0][at]!]!, 0),
          ]).filter(([, votes]) => votes !== 0);
          assert.deepEqual(sums.map(({ party, votes }) => [party, Number(votes)]), wanted);
        },
      ),
      { numRuns: 25 },
    );
    await assert.rejects(
      db.query("UPDATE history.unit_links SET weight = weight / 2 WHERE past = 'p-1'"),
      /must sum to 1, and sum to 0.5/,
    );
  });
});

Deno.test("property: when the two elections change places, every change and swing changes its sign", async () => {
  await withDatabase(async (db) => {
    let number = 0;
    const station = fc.tuple(
      fc.integer({ min: 1, max: 3_000 }),
      fc.integer({ min: 1, max: 3_000 }),
      fc.nat(3_000),
    );
    const stations = fc.tuple(station, station, station, station);
    const names = ["North 1", "North 2", "South 1", "South 2"];
    /** Counts `now` in an election of its own, and compares it with `then`. */
    const run = async (now: readonly number[][], then: readonly number[][]) => {
      const election = `e-${++number}`;
      const definition = testDefinition({ election, releaseThreshold: 1 });
      await createElection(db, definition, MASTER, NOW);
      await db.query("INSERT INTO results.elections VALUES ($1, 1)", [election]);
      for (const [at, [red, blue, other]] of now.entries()) {
        await writeRelease(db, {
          election,
          station: STATIONS[at]!,
          voters: red! + blue! + other!,
          votes: { "mayor/ann": [red!, red!], "mayor/bob": [blue!, blue!], "mayor/cyd": [other!, other!] },
        });
      }
      await makeFinal(db, election);
      const sha256 = number.toString(16).padStart(64, "0");
      await writePast(db, { ...PAST, past: `p-${election}`, sha256 }, pastResults(then, names), NOW);
      const pastContest = "mayor";
      await compareWith(db, { election, contest: "mayor", past: `p-${election}`, pastContest }, {}, NOW);
      const [regions, all] = [
        await compared(db, "region", { election }),
        await compared(db, "station", { election }),
      ];
      const changes = new Map(
        [...regions.rows, ...all.rows].map((
          { region, station, party, change },
        ) => [`${region}/${station}/${party}`, change]),
      );
      const swings = [regions.total, ...regions.places, ...all.places].map(({ swing }) => swing!);
      return { pair: regions.pair, changes, swings };
    };
    await fc.assert(
      fc.asyncProperty(stations, stations, async (a, b) => {
        const [there, back] = [await run(a, b), await run(b, a)];
        assert.deepEqual(there.pair, back.pair);
        assert.ok(there.changes.size >= 14 && there.swings.length === 7);
        for (const [key, change] of there.changes) near(back.changes.get(key) ?? 0, -change, key);
        there.swings.forEach((swing, at) => near(back.swings[at]!, -swing, `swing ${at}`));
      }),
      { numRuns: 10 },
    );
  });
});
