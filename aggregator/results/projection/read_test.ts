import assert from "assert";
import { NOON_MS, testDefinition } from "../../../tests/fixture.ts";
import { enrol, withElection, writeRelease } from "../../../tests/seeded_database.ts";
import type { Database } from "../../database/database.ts";
import { Elections } from "../../registry/election_names.ts";
import { RollCounts } from "../turnout.ts";
import { projectionSchema, readProjection } from "./read.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const REGIONS = Array.from({ length: 10 }, (_, i) => `r-${i}`);
const STATIONS = REGIONS.flatMap((region) =>
  Array.from(
    { length: 6 },
    (_, i) => ({ id: `${region}-s-${i}`, name: "A station", region, registered: 100 }),
  )
);

function definition(projection?: boolean) {
  return testDefinition({
    releaseThreshold: 1,
    ...projection !== undefined && { projection },
    regions: REGIONS.map((id) => ({ id, name: id })),
    stations: STATIONS,
    gateways: [{ id: "g-1", stations: STATIONS.map(({ id }) => id), fallbackFor: [] }],
  });
}

/** Every other station reports, with 50 votes of 100 voters. */
async function reportHalf(db: Database): Promise<void> {
  for (const [at, region] of REGIONS.entries()) await enrol(db.query, 1 + 1_000 * at, 600, { region });
  for (const [at, { id }] of STATIONS.entries()) {
    if (at % 2 === 1) continue;
    const ann = 25 + at % 5;
    await writeRelease(db, {
      station: id,
      voters: 50,
      votes: { "mayor/ann": [ann, ann], "mayor/bob": [50 - ann, 50 - ann] },
    });
  }
}

const sources = (db: Database) => ({ db, elections: new Elections(), roll: new RollCounts(() => NOON_MS) });
const read = (db: Database, isClosed = true) => readProjection(sources(db), "test-2026", "mayor", isClosed);

Deno.test("readProjection() shows nothing where the election does not allow it, which is the default", async () => {
  for (const projection of [undefined, false]) {
    await withElection(async (db) => {
      await reportHalf(db);
      assert.equal((await read(db))?.hidden, "not_allowed");
    }, definition(projection));
  }
});

Deno.test("readProjection() projects from releases, stations' lists and the roll", async () => {
  await withElection(async (db) => {
    assert.equal((await read(db))?.hidden, "no_roll");
    await reportHalf(db);
    assert.equal((await read(db, false))?.hidden, "before_closing");
    const answer = projectionSchema.parse(await read(db));
    assert.equal(answer.hidden, null);
    assert.deepEqual(answer.reported, {
      stations: 30,
      ofStations: 60,
      regions: 10,
      ofRegions: 10,
      rollShare: 0.5,
    });
    assert.equal(answer.randomOrderHidden, null);
    const ann = answer.rows.find(({ candidate }) => candidate === "ann")!;
    assert.ok(ann.low < 0.54 && ann.high > 0.52 && ann.high - ann.low < 0.1, JSON.stringify(ann));
    assert.ok(ann.randomOrder !== null);
    await db.query("UPDATE results.elections SET final_at = now()", []);
    assert.equal((await read(db))?.hidden, "complete");
    const none = await readProjection(sources(db), "test-2026", "nothing", true);
    assert.equal(none, undefined);
  }, definition(true));
});
