import assert from "assert";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { definitionSchema, indexElection, type Manifest } from "../../shared/election.ts";
import { checkBallot, voteSchema } from "../../shared/vote.ts";
import { TEST_FRAME } from "../../tests/simulated_country.ts";
import { castVote, selectionsText } from "../voting/cast.ts";
import { fullRollLine, rollLine } from "../voting/roll.ts";
import { voterChoices } from "./choices.ts";
import { type CountrySize, DEFAULT_SIZE, simulateCountry } from "./country.ts";
import { comersOf, DEFAULT_TURNOUT } from "./turnout.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
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
  const country = simulateCountry(seed, size, TEST_FRAME);
  const choices = voterChoices(seed, country.definition);
  return JSON.stringify(country.definition) + [...country.fullVoters()].map(fullRollLine).join("") +
    JSON.stringify([...country.voters()].map((voter) => choices(voter, voter.station, 0)));
}

Deno.test("simulateCountry() gives the same bytes for the same seed, others for another", strict, () => {
  assert.equal(asText(7), asText(7));
  assert.notEqual(asText(7), asText(8));
});

Deno.test("simulateCountry() makes the country that it always made of a seed", strict, () => {
  const country = simulateCountry(1, DEFAULT_SIZE, TEST_FRAME);
  const { definition, fullVoters } = country;
  const hash = (text: string) => createHash("sha256").update(text).digest("hex");
  // Another version of the generator may change these; nothing else should.
  assert.equal(
    hash(JSON.stringify(definition)),
    "6efabe7db41f469fb0e3ba349edf935bc83c51022644bbafb75c5da90ef87331",
  );
  assert.equal(
    hash([...fullVoters()].map(fullRollLine).join("")),
    "7163d5400b48c13a3e628d27260fd2e6faf95c6d69c8a96feb83ace4a4f9aa11",
  );
  assert.equal(
    hash([...comersOf(country, 1, DEFAULT_TURNOUT).voters()].map(rollLine).join("")),
    "89ac7fdaa8160fff6b031c2ca45e7025ea62663942af12a59967750df74d61ab",
  );
});

Deno.test("simulateCountry() makes voters who follow from the seed and their number alone", strict, () => {
  const large = simulateCountry(5, { ...small, voters: 1_000_000, candidates: 9, parties: 1 }, TEST_FRAME);
  large.fullVoter(999_999);
  const later = simulateCountry(5, small, {
    ...TEST_FRAME,
    opensAt: "2026-11-02T07:00:00.000Z",
    election: "later",
  });
  for (const index of [0, 7, 199]) assert.deepEqual(later.fullVoter(index), large.fullVoter(index));
  const { profile, ...plain } = large.fullVoter(3);
  assert.deepEqual(large.voter(3), plain);
  assert.ok(profile.name.length > 0);
});

Deno.test(
  "simulateCountry() reckons ages on the election's day, and lets nobody be too young",
  strict,
  () => {
    const ages = new Set<number>();
    for (const opensAt of ["2026-01-01T07:00:00.000Z", TEST_FRAME.opensAt]) {
      const country = simulateCountry(2, small, { ...TEST_FRAME, opensAt });
      for (const { birthDate, profile: { age } } of country.fullVoters()) {
        const birthday = `${Number(birthDate.slice(0, 4)) + age}${birthDate.slice(4)}`;
        const next = `${Number(birthDate.slice(0, 4)) + age + 1}${birthDate.slice(4)}`;
        assert.ok(birthday <= opensAt.slice(0, 10) && opensAt.slice(0, 10) < next, `${birthDate}: ${age}`);
        assert.ok(age >= 18 && age < 96);
        ages.add(age);
      }
    }
    assert.ok(ages.size > 50);
  },
);

Deno.test("simulateCountry() has voters live where they vote", strict, () => {
  const { definition, fullVoters } = simulateCountry(2, small, TEST_FRAME);
  const names = new Map(definition.stations.map(({ id, name }) => [id, name]));
  for (const { station, profile } of fullVoters()) {
    assert.ok(names.get(station)!.startsWith(`${profile.city}, `), `${names.get(station)}: ${profile.city}`);
  }
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
      const { definition } = simulateCountry(seed, size, TEST_FRAME);
      assert.deepEqual(definitionSchema.parse(JSON.parse(JSON.stringify(definition))), definition);
      assert.equal(definition.stations.length, size.stations);
      assert.equal(definition.devices!.length, size.stations * size.devicesPerStation);
    }),
    { numRuns: 40 },
  );
});

Deno.test("simulateCountry() gives each station a first gateway and another as fallback", strict, () => {
  const { definition } = simulateCountry(1, small, TEST_FRAME);
  const [one, two] = definition.gateways;
  assert.ok(one && two);
  assert.deepEqual(one.stations, two.fallbackFor);
  assert.deepEqual(two.stations, one.fallbackFor);
  assert.equal(one.stations.length, 3);
});

Deno.test("simulateCountry() makes ballots that the election takes", strict, () => {
  const country = simulateCountry(3, small, TEST_FRAME);
  const choices = voterChoices(3, country.definition);
  const manifest = {
    ...country.definition,
    version: 1,
    voteBytes: 512,
    sealingKey: "0".repeat(64),
    denied: [],
  };
  const index = indexElection(manifest as Manifest);
  const now = Date.parse(TEST_FRAME.opensAt) + 1_000;
  for (let i = 0; i < small.voters; i++) {
    const voter = country.voter(i);
    const { mode, selections } = choices(voter, voter.station, i % 3);
    const id = crypto.randomUUID();
    const { text } = castVote(
      id,
      voter.id,
      voter.station,
      mode,
      selectionsText(selections),
      TEST_FRAME.opensAt,
    );
    const vote = voteSchema.parse(JSON.parse(text));
    assert.deepEqual(vote.selections, selections);
    assert.equal(checkBallot(index, vote, now), undefined);
  }
});
