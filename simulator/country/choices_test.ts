import assert from "assert";
import type { ElectionDefinition } from "../../shared/election.ts";
import { TEST_FRAME } from "../../tests/simulated_country.ts";
import type { Voter } from "../voting/roll.ts";
import { type Chooser, voterChoices } from "./choices.ts";
import { DEFAULT_SIZE, simulateCountry } from "./country.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const { definition } = simulateCountry(3, { ...DEFAULT_SIZE, contests: 2 }, TEST_FRAME);
const [station, elsewhere] = [definition.stations[0]!, definition.stations[1]!];

const voters = (facts: Partial<Voter>, count = 2_000): Chooser[] =>
  Array.from(
    { length: count },
    (_, i) => ({ id: `voter-${i}`, birthDate: "1976-05-01", gender: "other", ...facts }),
  );

/** Each first candidate's share of the votes of some voters. */
function shares(seed: number, who: readonly Chooser[], at = station.id): number[] {
  const choices = voterChoices(seed, definition);
  const picks = who.flatMap((voter) => choices(voter, at, 0).selections)
    .filter(({ contest }) => contest === definition.contests[0]!.id);
  return definition.contests[0]!.candidates.map(({ id }) =>
    picks.filter(({ candidate }) => candidate === id).length / picks.length
  );
}

/** How far two lists of shares are apart at most, 0 to 1. */
const apart = (a: readonly number[], b: readonly number[]) =>
  Math.max(...a.map((share, i) => Math.abs(share - b[i]!)));
/** The mean of a figure over some countries: one alone may happen to lean little. */
const overCountries = (figure: (seed: number) => number) =>
  [1, 2, 3, 4, 5, 6].reduce((sum, seed) => sum + figure(seed), 0) / 6;

Deno.test("voterChoices() leans by region, age and gender, and not by chance", () => {
  const some = voters({});
  const others = voters({}).map((voter) => ({ ...voter, id: `other-${voter.id}` }));
  const noise = overCountries((seed) => apart(shares(seed, some), shares(seed, others)));
  const age = overCountries((seed) =>
    apart(
      shares(seed, voters({ birthDate: "2008-01-01" })),
      shares(seed, voters({ birthDate: "1940-01-01" })),
    )
  );
  const gender = overCountries((seed) =>
    apart(shares(seed, voters({ gender: "female" })), shares(seed, voters({ gender: "male" })))
  );
  const region = overCountries((seed) => apart(shares(seed, some), shares(seed, some, elsewhere.id)));
  assert.notEqual(station.region, elsewhere.region);
  for (const lean of [age, gender, region]) assert.ok(lean > 2 * noise, `${lean} is more than ${noise}`);
});

Deno.test("voterChoices() takes a voter without birth date for one of middle age", () => {
  const known = voters({ birthDate: "1977-01-01" });
  assert.deepEqual(shares(1, voters({ birthDate: "" })), shares(1, known));
});

Deno.test("voterChoices() decides by seed, voter, station and attempt alone", () => {
  const [one, two, three] = voters({});
  assert.ok(one && two && three);
  const inOrder = voterChoices(5, definition);
  const first = [one, two, three].map((voter) => inOrder(voter, station.id, 0));
  const backwards = voterChoices(5, definition);
  backwards(one, elsewhere.id, 1);
  assert.deepEqual(
    [three, two, one].map((voter) => backwards(voter, station.id, 0)).toReversed(),
    first,
  );
});

Deno.test("voterChoices() keeps to the contests of the station", () => {
  const [first, ...rest] = definition.stations;
  assert.ok(first);
  const changed: ElectionDefinition = {
    ...definition,
    stations: [{ ...first, contests: ["council-1"] }, ...rest],
  };
  const choices = voterChoices(3, changed);
  const contests = new Set(
    voters({}, 50).flatMap((voter) => choices(voter, first.id, 0).selections).map(({ contest }) => contest),
  );
  assert.deepEqual([...contests], ["council-1"]);
});
