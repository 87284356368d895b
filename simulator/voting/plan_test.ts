import assert from "assert";
import { Device } from "../../device/device.ts";
import { isProofOf } from "../../shared/proof.ts";
import { testDeviceIdentity } from "../../tests/device_fixture.ts";
import { testCountry } from "../../tests/simulated_country.ts";
import { voterChoices } from "../country/choices.ts";
import { BAD_KINDS, type BadKind, describeKind } from "../bad/kinds.ts";
import { plan as planned, planBad, type Planned, type PlannedBatch, type PlannedRequest } from "./plan.ts";
import { seededRandom } from "../random.ts";
import type { Voter } from "./roll.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
const { definition, voters } = testCountry();

const world = {
  fetch: () => Promise.reject(new Error("unused")),
  clock: { now: () => 0, sleep: () => Promise.resolve() },
  random: seededRandom(1),
  uuid: () => "",
};
const device = (id: string, station: string) => new Device(testDeviceIdentity("sim", id, station), [], world);
const polls = new Map(
  definition.stations.map(({ id }) => [id, [device(`${id}-a`, id), device(`${id}-b`, id)]]),
);

const REVOKED_STATION = definition.stations[1]!.id;
type Mix = Partial<Record<BadKind, number>>;
const everyKind = (share: number) => Object.fromEntries(BAD_KINDS.map((kind) => [kind, share])) as Mix;

async function plan(mix: Mix, who: Iterable<Voter> = voters(), planner = planned): Promise<Planned[]> {
  let ids = 0;
  return await Array.fromAsync(planner({
    voters: who,
    definition,
    polls,
    stationsOf: Map.groupBy(definition.stations, ({ region }) => region).entries()
      .reduce(
        (map, [region, list]) => map.set(region, list.map(({ id }) => id)),
        new Map<string, string[]>(),
      ),
    choices: voterChoices(1, definition),
    batchVotes: 20,
    bad: new Map(Object.entries(mix) as [BadKind, number][]),
    revokedStation: REVOKED_STATION,
    random: seededRandom(1, "plan"),
    uuid: () => `vote-${ids++}`,
    now: () => 10,
  }));
}

const batchesOf = (all: readonly Planned[]) => all.filter((each): each is PlannedBatch => "votes" in each);
const requestsOf = (all: readonly Planned[]) => all.filter((each): each is PlannedRequest => "kind" in each);

Deno.test(
  "plan() has every voter vote once, at the own station, in batches of one device",
  strict,
  async () => {
    const batches = batchesOf(await plan({}));
    const seen = new Map<string, string>();
    for (const { device, votes } of batches) {
      assert.ok(votes.length >= 1 && votes.length <= 20);
      for (const { entry, vote } of votes) {
        assert.equal(entry.station, device.identity.station);
        assert.equal(JSON.parse(vote.vote).voteId, entry.voteId);
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

Deno.test("plan() has the same plan for the same seed", strict, async () => {
  assert.deepEqual(await plan(everyKind(0.2)), await plan(everyKind(0.2)));
});

Deno.test("plan() has a second vote come from another device, under another id", strict, async () => {
  const byVoter = Map.groupBy(
    batchesOf(await plan({ double: 0.3 })).flatMap(({ device, votes }) =>
      votes.map((vote) => ({ device: device.identity.device, ...vote }))
    ),
    ({ entry }) => entry.voterId,
  );
  let doubles = 0;
  for (const votes of byVoter.values()) {
    if (votes.length === 1) continue;
    doubles++;
    assert.deepEqual(new Set(votes.map(({ entry }) => entry.kind)), new Set(["first", "double"]));
    assert.notEqual(votes[0]!.device, votes[1]!.device);
    assert.notEqual(votes[0]!.entry.voteId, votes[1]!.entry.voteId);
  }
  assert.ok(doubles > 100 && doubles < 200, `${doubles} of 500`);
});

Deno.test("plan() finds a station for a voter who may vote at any", strict, async () => {
  const anywhere = [...voters()].map((voter) => ({ ...voter, station: "" }));
  const regionOf = new Map(definition.stations.map(({ id, region }) => [id, region]));
  const batches = batchesOf(await plan({}, anywhere));
  const regions = new Map(anywhere.map(({ id, region }) => [id, region]));
  for (const { entry } of batches.flatMap(({ votes }) => votes)) {
    assert.equal(regionOf.get(entry.station), regions.get(entry.voterId));
  }
});

Deno.test("plan() has each kind come beside every voter, when all are asked for", strict, async () => {
  const all = await plan(everyKind(1));
  const votes = batchesOf(all).flatMap(({ votes }) => votes);
  const entries = [...votes, ...requestsOf(all)].map(({ entry }) => entry);
  const byKind = Map.groupBy(entries, ({ kind }) => kind);
  for (const kind of BAD_KINDS.filter((kind) => describeKind(kind).way !== "again")) {
    assert.equal(byKind.get(kind)?.length, 500, kind);
  }
  const own = votes.filter(({ entry }) => entry.kind === "first");
  assert.deepEqual([own.length, own.every(({ again, reused }) => again && reused !== undefined)], [
    500,
    true,
  ]);
  assert.equal(new Set(entries.map(({ voteId }) => voteId)).size, entries.length, "no id is taken twice");
});

Deno.test(
  "plan() has a bad vote name a voter on the roll, and its own device but where that is the fault",
  strict,
  async () => {
    const known = new Set([...voters()].map(({ id }) => id));
    const all = await plan(everyKind(0.3));
    for (const { device, votes } of batchesOf(all)) {
      for (const { entry } of votes) {
        assert.equal(entry.station, device.identity.station);
        assert.equal(known.has(entry.voterId), entry.kind !== "unknown-voter");
      }
    }
    for (const { device, entry } of requestsOf(all)) {
      assert.equal(entry.station, device.identity.station);
      assert.ok(known.has(entry.voterId));
    }
  },
);

Deno.test("plan() has votes under a revoked key cast where its device stood", strict, async () => {
  const requests = requestsOf(await plan({ "revoked-device": 1 }));
  assert.equal(requests.length, 500);
  for (const { device, entry, vote } of requests) {
    const { station } = JSON.parse(vote.vote);
    assert.deepEqual([device.identity.station, entry.station, station], Array(3).fill(REVOKED_STATION));
  }
});

Deno.test(
  "plan() has each device sign its votes, and signs with another key where that is the fault",
  strict,
  async () => {
    const all = await plan(everyKind(0.3));
    const signed = [
      ...batchesOf(all).flatMap(({ device, votes }) =>
        votes.flatMap(({ vote, entry, reused }) => [
          { device, vote, kind: entry.kind },
          ...reused === undefined ? [] : [{ device, vote: reused.vote, kind: entry.kind }],
        ])
      ),
      ...requestsOf(all).map(({ device, vote, kind }) => ({ device, vote, kind })),
    ];
    for (const { device: { identity }, vote: { vote, proof, proofKey }, kind } of signed) {
      assert.equal(proofKey, `${identity.device}.1`);
      const isOwn = isProofOf(Uint8Array.fromHex(proof), identity.proofKey, "sim", proofKey, vote);
      assert.equal(isOwn, kind !== "wrong-proof", kind);
    }
    assert.ok(signed.some(({ kind }) => kind === "wrong-proof"));
  },
);

Deno.test("plan() reuses an id for the same decision, at another moment", strict, async () => {
  const { votes } = batchesOf(await plan({ "reused-id": 1 }))[0]!;
  const { vote, reused, entry } = votes[0]!;
  const [was, is] = [JSON.parse(vote.vote), JSON.parse(reused!.vote.vote)];
  assert.deepEqual({ ...is, castAt: was.castAt }, was);
  assert.notEqual(is.castAt, was.castAt);
  assert.deepEqual([reused!.vote.voteId, reused!.entry.kind], [entry.voteId, "reused-id"]);
  assert.notEqual(reused!.entry.voteId, entry.voteId);
});

Deno.test("plan() sends no voter elsewhere who may vote at any station", strict, async () => {
  const anywhere = [...voters()].map((voter) => ({ ...voter, station: "" }));
  const batches = batchesOf(await plan({ "other-station": 1 }, anywhere));
  assert.ok(batches.every(({ votes }) => votes.every(({ entry }) => entry.kind === "first")));
});

Deno.test(
  "planBad() has one bad vote a voter, of the kinds that need no vote of the voter's own",
  strict,
  async () => {
    const all = await plan({ "forged": 0.01, "unknown-voter": 0.01, "reused-id": 1 }, voters(), planBad);
    const kinds = [...batchesOf(all).flatMap(({ votes }) => votes), ...requestsOf(all)].map(({ entry }) =>
      entry.kind
    );
    assert.equal(kinds.length, 500);
    assert.deepEqual(new Set(kinds), new Set(["forged", "unknown-voter"]));
    assert.deepEqual(await plan({ retransmission: 1 }, voters(), planBad), []);
  },
);
