import assert from "assert";
import { Device } from "../device/device.ts";
import { voterChoices } from "./country/choices.ts";
import { simulateCountry } from "./country/country.ts";
import { planBatches, type PlannedBatch } from "./plan.ts";
import { seededRandom } from "./random.ts";
import type { Voter } from "./roll.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
const size = {
  voters: 500,
  contests: 1,
  candidates: 3,
  parties: 2,
  regions: 2,
  stations: 5,
  devicesPerStation: 2,
  gateways: 2,
};
const { definition, voters } = simulateCountry(1, size, {
  election: "sim",
  opensAt: "2026-11-03T07:00:00.000Z",
  closesAt: "2026-11-03T20:00:00.000Z",
  acceptsUntil: "2026-11-04T20:00:00.000Z",
});

const world = {
  fetch: () => Promise.reject(new Error("unused")),
  clock: { now: () => 0, sleep: () => Promise.resolve() },
  random: seededRandom(1),
  uuid: () => "",
};
const device = (id: string, station: string) =>
  new Device({ election: "sim", device: id, version: 1, station, key: new Uint8Array(32) }, [], world);
const polls = new Map(
  definition.stations.map(({ id }) => [id, [device(`${id}-a`, id), device(`${id}-b`, id)]]),
);

async function plan(duplicates: number, who: Iterable<Voter> = voters()): Promise<PlannedBatch[]> {
  let ids = 0;
  return await Array.fromAsync(planBatches({
    voters: who,
    polls,
    stationsOf: Map.groupBy(definition.stations, ({ region }) => region).entries()
      .reduce(
        (map, [region, list]) => map.set(region, list.map(({ id }) => id)),
        new Map<string, string[]>(),
      ),
    choices: voterChoices(1, definition),
    batchVotes: 20,
    duplicates,
    random: seededRandom(1, "plan"),
    uuid: () => `vote-${ids++}`,
    now: () => 0,
  }));
}

Deno.test(
  "planBatches() has every voter vote once, at the own station, in batches of one device",
  strict,
  async () => {
    const batches = await plan(0);
    const seen = new Map<string, string>();
    for (const { device, votes } of batches) {
      assert.ok(votes.length >= 1 && votes.length <= 20);
      for (const { entry, vote } of votes) {
        assert.equal(entry.station, device.identity.station);
        assert.equal(JSON.parse(vote.text).voteId, entry.voteId);
        assert.ok(!seen.has(entry.voterId));
        seen.set(entry.voterId, entry.station);
      }
    }
    assert.deepEqual(
      [...voters()].map(({ id, station }) => seen.get(id) === station).filter((same) => !same),
      [],
    );
    assert.equal(seen.size, 500);
  },
);

Deno.test("planBatches() has the same plan for the same seed", strict, async () => {
  const text = (batches: readonly PlannedBatch[]) =>
    batches.map(({ votes }) => votes.map(({ vote }) => vote.text)).join();
  assert.equal(text(await plan(0.2)), text(await plan(0.2)));
});

Deno.test("planBatches() has a second vote come from another device, under another id", strict, async () => {
  const byVoter = Map.groupBy(
    (await plan(1)).flatMap(({ device, votes }) =>
      votes.map((vote) => ({ device: device.identity.device, ...vote }))
    ),
    ({ entry }) => entry.voterId,
  );
  let doubles = 0;
  for (const votes of byVoter.values()) {
    if (votes.length === 1) continue;
    doubles++;
    assert.deepEqual(new Set(votes.map(({ entry }) => entry.kind)), new Set(["first", "double"]));
    assert.notEqual(votes[0].device, votes[1].device);
    assert.notEqual(votes[0].entry.voteId, votes[1].entry.voteId);
  }
  assert.ok(doubles > 100 && doubles < 230, `${doubles} of 500`);
});

Deno.test("planBatches() finds a station for a voter who may vote at any", strict, async () => {
  const anywhere = [...voters()].map((voter) => ({ ...voter, station: "" }));
  const regionOf = new Map(definition.stations.map(({ id, region }) => [id, region]));
  const batches = await plan(0, anywhere);
  const regions = new Map(anywhere.map(({ id, region }) => [id, region]));
  for (const { entry } of batches.flatMap(({ votes }) => votes)) {
    assert.equal(regionOf.get(entry.station), regions.get(entry.voterId));
  }
});
