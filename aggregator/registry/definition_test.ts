import assert from "assert";
import { ANNS_PHOTO, definitionWithFacts, MASTER, NOON_MS } from "../../tests/fixture.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { readRegistered } from "./election_facts.ts";
import { createElection } from "./elections.ts";

const db = await testDatabase();
const read = (columns: string, table: string, election: string) =>
  db.query(`SELECT ${columns} FROM registry.${table} WHERE election = $1 ORDER BY 1, 2`, [election]);

Deno.test("insertDefinition() keeps what the manifest leaves out, beside what it says", async () => {
  await createElection(db, definitionWithFacts({ election: "kept" }), MASTER, new Date(NOON_MS));
  assert.deepEqual(await read("party, name, colour", "parties", "kept"), [
    { party: "blue", name: "Blue", colour: "#0000cc" },
    { party: "red", name: "Red", colour: "#cc0000" },
  ]);
  assert.deepEqual(await read("contest, name, votes_allowed", "contests", "kept"), [
    { contest: "council", name: "Council", votes_allowed: 2 },
    { contest: "mayor", name: "Mayor", votes_allowed: 1 },
  ]);
  const candidates = await read(
    "contest, candidate, name, party, biography, platform, photo",
    "candidates",
    "kept",
  );
  assert.equal(candidates.length, 6);
  assert.deepEqual(candidates.slice(3), [
    {
      contest: "mayor",
      candidate: "ann",
      name: "Ann",
      party: "red",
      biography: "Born “here”.",
      platform: "More trees; less noise.",
      photo: ANNS_PHOTO,
    },
    {
      contest: "mayor",
      candidate: "bob",
      name: "Bob",
      party: "blue",
      biography: "Born there.",
      platform: null,
      photo: null,
    },
    {
      contest: "mayor",
      candidate: "cyd",
      name: "Cyd",
      party: null,
      biography: null,
      platform: null,
      photo: null,
    },
  ]);
  assert.deepEqual(await read("region, name, latitude, longitude", "regions", "kept"), [
    { region: "north", name: "North", latitude: 54.5, longitude: -1.25 },
    { region: "south", name: "South", latitude: null, longitude: null },
  ]);
  const stations = await read("station, region, name, latitude, longitude", "stations", "kept");
  assert.deepEqual(stations.slice(0, 2), [
    { station: "n-1", region: "north", name: "North 1", latitude: 54.51, longitude: -1.26 },
    { station: "n-2", region: "north", name: "North 2", latitude: null, longitude: null },
  ]);
  assert.equal(stations.length, 4);
});

Deno.test("insertDefinition() writes more rows than one statement takes", async () => {
  const definition = definitionWithFacts({ election: "large" });
  const many = Array.from(
    { length: 10_001 },
    (_, i) => ({ id: `s-${i}`, name: "A station", region: "north" }),
  );
  const gateways = [{ id: "g-1", stations: many.map(({ id }) => id), fallbackFor: [] }];
  await createElection(db, { ...definition, stations: many, gateways }, MASTER, new Date(NOON_MS));
  const [{ count }] = await db.query<{ count: number }>(
    "SELECT count(*)::float8 AS count FROM registry.stations WHERE election = 'large'",
  );
  assert.equal(count, 10_001);
});

Deno.test("insertDefinition() keeps how many voters a station has on its own list, where it is said", async () => {
  const definition = definitionWithFacts({ election: "listed" });
  const [first, ...others] = definition.stations;
  const stations = [{ ...first, registered: 812 }, ...others];
  await createElection(db, { ...definition, stations }, MASTER, new Date(NOON_MS));
  assert.deepEqual(await readRegistered(db.query, "listed"), new Map([[first.id, 812]]));
});
