import assert from "assert";
import fc from "fast-check";
import { definitionSchema, indexElection, type Manifest } from "../../shared/election.ts";
import { checkBallot, voteSchema } from "../../shared/vote.ts";
import { castVote, selectionsText } from "../cast.ts";
import { rollLine } from "../roll.ts";
import { voterChoices } from "./choices.ts";
import { type CountrySize, simulateCountry } from "./country.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
const frame = {
  election: "sim",
  opensAt: "2026-11-03T07:00:00.000Z",
  closesAt: "2026-11-03T20:00:00.000Z",
  acceptsUntil: "2026-11-04T20:00:00.000Z",
};
const small: CountrySize = {
  voters: 200,
  contests: 2,
  candidates: 4,
  parties: 3,
  regions: 2,
  stations: 6,
  devicesPerStation: 2,
  gateways: 2,
};

function asText(seed: number, size = small): string {
  const country = simulateCountry(seed, size, frame);
  const choices = voterChoices(seed, country.definition);
  return JSON.stringify(country.definition) + [...country.voters()].map(rollLine).join("") +
    JSON.stringify([...country.voters()].map((voter) => choices(voter, voter.station, 0)));
}

Deno.test("simulateCountry() gives the same bytes for the same seed, others for another", strict, () => {
  assert.equal(asText(7), asText(7));
  assert.notEqual(asText(7), asText(8));
});

Deno.test("simulateCountry() makes definitions that hold, whatever the size", strict, () => {
  const n = (max: number) => fc.integer({ min: 1, max });
  const size = fc.record({
    voters: n(50),
    contests: n(4),
    candidates: n(30),
    parties: fc.nat(25),
    regions: n(40),
    stations: n(60),
    devicesPerStation: n(40),
    gateways: n(4),
  });
  fc.assert(
    fc.property(size, fc.nat(), (size, seed) => {
      const { definition } = simulateCountry(seed, size, frame);
      assert.deepEqual(definitionSchema.parse(JSON.parse(JSON.stringify(definition))), definition);
      assert.equal(definition.stations.length, size.stations);
      assert.equal(definition.devices!.length, size.stations * size.devicesPerStation);
    }),
    { numRuns: 40 },
  );
});

Deno.test("simulateCountry() gives each station a first gateway and another as fallback", strict, () => {
  const { definition } = simulateCountry(1, small, frame);
  const [one, two] = definition.gateways;
  assert.deepEqual(one.stations, two.fallbackFor);
  assert.deepEqual(two.stations, one.fallbackFor);
  assert.equal(one.stations.length, 3);
});

Deno.test("simulateCountry() makes ballots that the election takes", strict, () => {
  const country = simulateCountry(3, small, frame);
  const choices = voterChoices(3, country.definition);
  const manifest = {
    ...country.definition,
    version: 1,
    recordBytes: 512,
    sealingKey: "0".repeat(64),
    denied: [],
  };
  const index = indexElection(manifest as Manifest);
  const now = Date.parse(frame.opensAt) + 1_000;
  for (let i = 0; i < small.voters; i++) {
    const voter = country.voter(i);
    const { mode, selections } = choices(voter, voter.station, i % 3);
    const id = crypto.randomUUID();
    const { text } = castVote(id, voter.id, voter.station, mode, selectionsText(selections), frame.opensAt);
    const vote = voteSchema.parse(JSON.parse(text));
    assert.deepEqual(vote.selections, selections);
    assert.equal(checkBallot(index, vote, now), undefined);
  }
});
