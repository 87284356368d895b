import assert from "assert";
import type { ElectionDefinition } from "../../shared/election.ts";
import { ANNS_PHOTO, definitionWithFacts } from "../../tests/fixture.ts";
import { withElection } from "../../tests/seeded_database.ts";
import type { Database } from "../database/database.ts";
import { Elections } from "./election_names.ts";
import { detail } from "./election_details.ts";
import { readFacts, readPhoto, readStations } from "./election_facts.ts";
import { detailsSchema, stationsSchema } from "./schemas.ts";

Deno.test.sanitizer({ ops: true, resources: true });

async function withNames(
  work: (db: Database, names: NonNullable<Awaited<ReturnType<Elections["find"]>>>) => Promise<void>,
  definition?: ElectionDefinition,
): Promise<void> {
  await withElection(
    async (db) => work(db, (await new Elections().find(db.query, "test-2026"))!),
    definition,
  );
}

Deno.test("readFacts() adds to an election what the office knows, and nothing where it knows nothing", async () => {
  await withNames(async (db, names) => {
    const { ballot, regions } = detailsSchema.parse(
      detail(names, await readFacts(db.query, "test-2026"), 0),
    );
    assert.deepEqual(ballot[0].candidates, [
      {
        id: "ann",
        name: "Ann",
        party: "red",
        biography: "Born “here”.",
        platform: "More trees; less noise.",
        photo: "/v1/elections/test-2026/candidates/mayor/ann/photo",
      },
      { id: "bob", name: "Bob", party: "blue", biography: "Born there." },
      { id: "cyd", name: "Cyd" },
    ]);
    assert.deepEqual(regions, [
      { id: "north", name: "North", stations: 2, latitude: 54.5, longitude: -1.25 },
      { id: "south", name: "South", stations: 2 },
    ]);
    const photo = (candidate: string) => readPhoto(db.query, "test-2026", "mayor", candidate);
    assert.deepEqual(await Promise.all(["ann", "bob", "zoe"].map(photo)), [ANNS_PHOTO, undefined, undefined]);
  }, definitionWithFacts());
});

Deno.test("readFacts() knows nothing of an election that is older than its tables", async () => {
  await withNames(async (db, names) => {
    for (const table of ["candidates", "contests", "parties", "stations", "regions"]) {
      await db.query(`DELETE FROM registry.${table}`);
    }
    const { ballot, regions } = detail(names, await readFacts(db.query, "test-2026"), 0);
    assert.deepEqual(ballot, names.index.manifest.contests);
    assert.deepEqual(regions.map(({ stations }) => stations), [2, 2]);
    const stations = await readStations(db.query, names, { limit: 9 });
    assert.deepEqual("rows" in stations && stations.rows.map(({ name }) => name), [
      "North 1",
      "North 2",
      "South 1",
      "South 2",
    ]);
  });
});

Deno.test("readStations() pages through all stations, or through a region's", async () => {
  await withNames(async (db, names) => {
    const read = async (part: { region?: string; after?: string; limit: number }) =>
      await readStations(db.query, names, part);
    const page = async (part: Parameters<typeof read>[0]) => {
      const { rows, next } = stationsSchema.parse(await read(part));
      return [...rows.map(({ id }) => id), next];
    };
    assert.deepEqual(stationsSchema.parse(await read({ limit: 1 })).rows, [
      { id: "n-1", name: "North 1", region: "north", latitude: 54.51, longitude: -1.26 },
    ]);
    assert.deepEqual(await page({ limit: 3 }), ["n-1", "n-2", "s-1", "s-1"]);
    assert.deepEqual(await page({ limit: 3, after: "s-1" }), ["s-2", null]);
    assert.deepEqual(await page({ limit: 3, after: "s-2" }), [null]);
    assert.deepEqual(await page({ limit: 1, region: "south" }), ["s-1", "s-1"]);
    assert.deepEqual(await page({ limit: 2, region: "south" }), ["s-1", "s-2", null]);
    assert.deepEqual(await read({ limit: 1, region: "east" }), {
      fault: "no-such-part",
      field: "region",
      detail: "the election has no region east",
    });
    assert.deepEqual(await read({ limit: 1, region: "south", after: "n-1" }), {
      fault: "no-such-part",
      field: "after",
      detail: "there is no station n-1 to go on from",
    });
  }, definitionWithFacts());
});
