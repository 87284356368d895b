import assert from "assert";
import { changed, changeOf, fileOf, placesOf, readLines, swingOf } from "./earlier.ts";

const FILE = `office,candidate,party,precinct,votes,absentee_votes
Mayor,Ann,R,Northtown 1,60,5
Mayor,"Bob ""B"" Low",D,Northtown 1,40,0
Mayor,Ann,R,South 1,30,0
Mayor,"Bob ""B"" Low",D,South 1,70,9
`;
const PLACES = {
  regions: [{ id: "n", name: "Northtown" }, { id: "s", name: "South" }],
  stations: [{ id: "n-1", name: "Northtown 1", region: "n" }, { id: "s-1", name: "South 1", region: "s" }],
};

Deno.test("changed() takes votes from one party and names from one region, and fileOf() writes what readLines() reads", () => {
  const now = readLines(FILE);
  const before = changed(now, "D", "Northtown");
  assert.deepEqual(before.map(({ votes }) => votes), [60, 24, 30, 42]);
  assert.deepEqual([...new Set(before.map(({ precinct }) => precinct))], ["Northtown Ward 1", "South 1"]);
  assert.deepEqual(readLines(fileOf(before)), before);
});

Deno.test("placesOf() sums by region and station, and swingOf() is half of what one gained and another lost", () => {
  const now = readLines(FILE);
  const places = placesOf(PLACES, changed(now, "D", "Northtown"), now, "region");
  assert.deepEqual([...places.keys()], ["", "n", "s"]);
  // South: 42 of 72 then, 70 of 100 now.
  assert.ok(Math.abs(changeOf(places.get("s")!, "D") - (0.7 - 42 / 72)) < 1e-12);
  assert.ok(Math.abs(swingOf(places.get("s")!, "R", "D") - (0.7 - 42 / 72)) < 1e-12);
  assert.deepEqual(placesOf(PLACES, now, now, "station").get("n-1")!.before, new Map([["R", 60], ["D", 40]]));
  assert.throws(() => placesOf({ ...PLACES, stations: [] }, now, now, "region"), /no station Northtown 1/);
});
