import assert from "assert";
import { LEAST, project } from "./project.ts";
import { readPrecincts, reportedUpTo } from "./precincts_fixture.ts";
import { sharesOf } from "./calibration.ts";
import { type ProjectedStation, sum } from "./stations.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const { stations, candidates: { length: candidates } } = await readPrecincts();
const mostVotes = Math.max(...stations.map(({ roll }) => roll));

/** Stations of which the first so many have reported. */
function firstReported(count: number, stationsOfRegion: number, all = 100): ProjectedStation[] {
  return Array.from({ length: all }, (_, at) => ({
    region: `r-${Math.floor(at / stationsOfRegion)}`,
    roll: 100,
    ...at < count && { votes: [30 + at % 7, 20] },
  }));
}

Deno.test("project() shows nothing before 25 % of the roll, 30 stations and 8 regions have reported", () => {
  const of = (count: number, stationsOfRegion: number, all?: number) =>
    project({ stations: firstReported(count, stationsOfRegion, all), candidates: 2 }).hidden;
  assert.equal(of(32, 4), null);
  assert.equal(of(29, 3), "too_little", "stations");
  assert.equal(of(35, 5), "too_little", "regions");
  assert.equal(of(32, 4, 200), "too_little", "roll");
  assert.equal(project({ stations: [], candidates: 2 }).hidden, "too_little");
  assert.deepEqual(LEAST, { rollShare: 0.25, stations: 30, regions: 8 });
});

Deno.test("project() says how much has reported", () => {
  const { reported } = project({ stations: firstReported(32, 4), candidates: 2 });
  assert.deepEqual(reported, { stations: 32, ofStations: 100, regions: 8, ofRegions: 25, rollShare: 0.32 });
});

Deno.test("project() hides what an order by size would make of it, and says so", () => {
  const bySize = stations.toSorted((a, b) => a.roll - b.roll);
  const order = bySize.map((station, at) => at < 300 ? station : { ...station, votes: undefined });
  assert.equal(project({ stations: order, candidates }).hidden, "order_roll");
});

Deno.test("project() gives the shares themselves once all stations have reported", () => {
  const projection = project({ stations, candidates, mostVotes });
  assert.ok(projection.hidden === null);
  const finals = sharesOf(stations, candidates);
  projection.shares.forEach(({ share, low, high }, at) => {
    for (const each of [share, low, high]) assert.ok(Math.abs(each - finals[at]) < 1e-9);
  });
});

Deno.test("project() gives intervals around shares that come to 1, the same for the same stations", () => {
  const half = reportedUpTo(stations, "random", 0.5, 3);
  const projection = project({ stations: half, candidates, mostVotes });
  assert.ok(projection.hidden === null);
  assert.ok(Math.abs(sum(projection.shares.map(({ share }) => share)) - 1) < 0.01);
  for (const { low, share, high, randomOrder } of projection.shares) {
    assert.ok(0 <= low && low <= share && share <= high && high <= 1);
    assert.ok(
      randomOrder !== null && randomOrder.high - randomOrder.low > high - low,
      "assumes less, says less",
    );
  }
  assert.deepEqual(project({ stations: half, candidates, mostVotes }), projection);
});

Deno.test("project() has no interval for a random order where the order is not, or where rolls are unknown", () => {
  const towns = project({ stations: reportedUpTo(stations, "towns", 0.5, 3), candidates, mostVotes });
  assert.ok(towns.hidden === null);
  assert.equal(towns.randomOrderHidden, "regions");
  assert.ok(towns.shares.every(({ randomOrder }) => randomOrder === null));
  const unknown = project({ stations: reportedUpTo(stations, "random", 0.5, 3), candidates });
  assert.ok(unknown.hidden === null);
  assert.equal(unknown.randomOrderHidden, "rolls");
});
