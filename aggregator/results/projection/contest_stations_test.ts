import assert from "assert";
import type { ElectionDefinition } from "../../../shared/election.ts";
import { testDefinition } from "../../../tests/fixture.ts";
import { withElection } from "../../../tests/seeded_database.ts";
import { Elections } from "../../registry/election_names.ts";
import { contestStations, type ContestUnit, type Rolls } from "./contest_stations.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** The names of the test election, and its contest's units put together. */
async function together(units: ContestUnit[], rolls: Rolls, definition?: ElectionDefinition) {
  let found: ReturnType<typeof contestStations> | undefined;
  await withElection(async (db) => {
    const names = (await new Elections().find(db.query, "test-2026"))!;
    found = contestStations(names, "mayor", ["ann", "bob"], units, rolls);
  }, definition);
  return found!;
}

const REGIONS = new Map([["north", 200], ["south", 100]]);
const unit = (station: string | null, ballots: number, more: Partial<ContestUnit> = {}): ContestUnit => ({
  station,
  region: null,
  members: null,
  revision: 1,
  ballots,
  votes: new Map([["ann", ballots]]),
  ...more,
});

Deno.test("contestStations() adds the modes of a station, and shares a region's roll out where stations' are unknown", async () => {
  const rolls = { regions: REGIONS, stations: new Map() };
  const { stations, mostVotes } = await together([unit("n-1", 30, { revision: 4 }), unit("n-1", 20)], rolls);
  const [first] = stations;
  assert.equal(first.region, "north");
  assert.equal(first.roll, 100);
  assert.deepEqual([first.votes?.[0], first.order], [50, 4]);
  assert.equal(mostVotes, undefined);
  assert.ok(stations.slice(1).every(({ votes }) => votes === undefined));
});

Deno.test("contestStations() takes stations' own rolls where the office gave them", async () => {
  const ids = testDefinition().stations.map(({ id }) => id);
  const rolls = { regions: REGIONS, stations: new Map(ids.map((id, at) => [id, 50 + at])) };
  const { stations, mostVotes } = await together([], rolls);
  assert.deepEqual(stations.map(({ roll }) => roll), ids.map((_, at) => 50 + at));
  assert.equal(mostVotes, 50 + ids.length - 1);
});

Deno.test("contestStations() takes stations that are shown together as one", async () => {
  const rolls = { regions: REGIONS, stations: new Map() };
  const members = { stations: ["n-1", "n-2"] };
  const { stations } = await together([unit(null, 60, { members, region: "north" }), unit("n-2", 10)], rolls);
  const north = stations.filter(({ region }) => region === "north");
  assert.deepEqual(north.map(({ roll, votes }) => [roll, votes?.[0]]), [[200, 70]]);
});

Deno.test("contestStations() takes a station with less than half of the usual turnout as out", async () => {
  const rolls = { regions: REGIONS, stations: new Map() };
  const { stations } = await together([unit("n-1", 60), unit("n-2", 50), unit("s-1", 5)], rolls);
  assert.deepEqual(
    stations.map(({ votes }) => votes?.[0]),
    [60, 50, undefined, undefined].slice(0, stations.length),
  );
});
