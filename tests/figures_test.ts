/** Every number of results that the API answers with is that of plain SQL over the releases, over random elections. */
import assert from "assert";
import { Elections } from "../aggregator/registry/election_names.ts";
import { isFault, readResults } from "../aggregator/results/results.ts";
import type { ResultsBy } from "../aggregator/results/schemas.ts";
import { addedVotes, drawFrom, randomDefinition, randomRelease } from "./random_election.ts";
import { runs } from "./runs.ts";
import { withElection } from "./seeded_database.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Sums by a key; keys without votes are left out, as SQL has no row of them. */
function sums<Row extends { votes: number }>(rows: readonly Row[], keyOf: (row: Row) => string) {
  const found = new Map<string, number>();
  for (const row of rows) found.set(keyOf(row), (found.get(keyOf(row)) ?? 0) + row.votes);
  return Object.fromEntries([...found].filter(([, votes]) => votes > 0).sort(([a], [b]) => a < b ? -1 : 1));
}

Deno.test("results by everything are what SQL adds up, over random elections", async () => {
  for (let seed = 1; seed <= runs(12, 2); seed++) {
    const draw = drawFrom(seed);
    const definition = randomDefinition(draw);
    await withElection(async (db) => {
      for (let release = 0; release < 12; release++) {
        await randomRelease(db, definition, draw, `2026-11-03T12:${10 + release % 4}:00.000Z`);
      }
      const read = async (by: ResultsBy) => {
        const results = await readResults(db, new Elections(), "test-2026", by);
        assert.ok(!isFault(results));
        return results as { voters: number; rows: any[]; contests: any[] };
      };
      const stored = await addedVotes(db, "test-2026");
      const regionOf = new Map(definition.stations.map(({ id, region }) => [id, region]));
      const partyOf = new Map(
        definition.contests.flatMap(({ id, candidates }) =>
          candidates.map((candidate) => [`${id}/${candidate.id}`, candidate.party ?? null])
        ),
      );
      const keys: [ResultsBy, (row: any) => string][] = [
        ["candidate", ({ contest, candidate }) => `${contest}/${candidate}`],
        ["station", ({ station, mode, contest, candidate }) => `${station}/${mode}/${contest}/${candidate}`],
        ["mode", ({ mode, contest, candidate }) => `${mode}/${contest}/${candidate}`],
        [
          "region",
          ({ region, station, contest, candidate }) =>
            `${region ?? regionOf.get(station)}/${contest}/${candidate}`,
        ],
        [
          "party",
          ({ party, contest, candidate }) =>
            String(contest === undefined ? party : partyOf.get(`${contest}/${candidate}`)),
        ],
        ["time", ({ contest, candidate }) => `${contest}/${candidate}`],
      ];
      for (const [by, keyOf] of keys) {
        assert.deepEqual(sums((await read(by)).rows, keyOf), sums(stored, keyOf), `seed ${seed}, by ${by}`);
      }
      const [{ voters }] = await db.query<{ voters: number }>(
        "SELECT sum(added_voters)::float8 AS voters FROM results.releases",
        [],
      );
      for (const by of ["candidate", "region", "mode"] as const) {
        assert.equal((await read(by)).voters, voters);
      }
    }, definition);
  }
});
