import assert from "assert";
import { TEST_FRAME } from "../../tests/simulated_country.ts";
import type { Voter } from "../voting/roll.ts";
import { DEFAULT_SIZE, simulateCountry } from "./country.ts";
import { type Comer, comersOf, DEFAULT_TURNOUT, rollFor, voterTurnout } from "./turnout.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];
const country = (seed: number, voters: number, regions = DEFAULT_SIZE.regions) =>
  simulateCountry(seed, { ...DEFAULT_SIZE, voters, regions }, TEST_FRAME);

/** The share of some voters who come, over some seeds: one alone may happen to lean little. */
function shareOf(facts: Partial<Voter>): number {
  const who: Comer[] = Array.from(
    { length: 1_000 },
    (_, i) => ({ id: `voter-${i}`, region: "here", birthDate: "1976-05-01", gender: "other", ...facts }),
  );
  const come = SEEDS.flatMap((seed) => who.filter(voterTurnout(seed, 0.7, ["here", "there"])));
  return come.length / (SEEDS.length * who.length);
}

Deno.test("voterTurnout() says the same of a voter whoever was asked about before", () => {
  const { voter, definition } = country(3, 400);
  const regions = definition.regions.map(({ id }) => id);
  const who = Array.from({ length: 400 }, (_, i) => voter(i));
  const inOrder = who.map(voterTurnout(3, 0.7, regions));
  assert.deepEqual(who.toReversed().map(voterTurnout(3, 0.7, regions)).toReversed(), inOrder);
  assert.notDeepEqual(who.map(voterTurnout(4, 0.7, regions)), inOrder);
});

Deno.test("voterTurnout() rises with age up to 70 or so, and falls again", () => {
  const bornIn = (year: number) => shareOf({ birthDate: `${year}-05-01` });
  const [young, middle, old, oldest] = [bornIn(2007), bornIn(1981), bornIn(1955), bornIn(1931)];
  assert.ok(
    young < middle - 0.08 && middle < old - 0.08 && oldest < old - 0.08,
    `${[young, middle, old, oldest]}`,
  );
});

Deno.test("voterTurnout() has a few more women come than men, and leaves aside what is not known", () => {
  const more = shareOf({ gender: "female" }) - shareOf({ gender: "male" });
  assert.ok(more > 0.01 && more < 0.04, `${more}`);
  assert.equal(shareOf({ birthDate: "", gender: "unknown" }), shareOf({ birthDate: "1982-01-01" }));
});

/** By how much a figure of the regions differs from the least to the most, on average over some countries. */
const rangeOf = (figures: (seed: number) => readonly number[]) =>
  SEEDS.map(figures).reduce((sum, each) => sum + Math.max(...each) - Math.min(...each), 0) / SEEDS.length;

Deno.test("comersOf() has about the share asked for come, and regions differ by more than chance", () => {
  const range = rangeOf((seed) => {
    const made = country(seed, 4_000);
    const { total, voters } = comersOf(made, seed, DEFAULT_TURNOUT);
    assert.ok(total > 0.65 * 4_000 && total < 0.75 * 4_000, `seed ${seed}: ${total}`);
    const come = Map.groupBy(voters(), ({ region }) => region);
    return [...Map.groupBy(made.voters(), ({ region }) => region)].map(([region, all]) =>
      (come.get(region)?.length ?? 0) / all.length
    );
  });
  assert.ok(range > 0.07, `${range}`);
});

Deno.test("comersOf() has each come once, in the same order each time, and everybody when asked to", () => {
  const made = country(2, 500);
  const { total, voters } = comersOf(made, 2, 0.7);
  const ids = [...voters()].map(({ id }) => id);
  assert.equal(ids.length, total);
  assert.equal(new Set(ids).size, total);
  assert.deepEqual([...voters()].map(({ id }) => id), ids);
  const everybody = comersOf(made, 2, 1);
  assert.equal(everybody.total, 500);
  assert.deepEqual(
    [...everybody.voters()].map(({ id }) => id).sort(),
    [...made.voters()].map(({ id }) => id).sort(),
  );
});

Deno.test("comersOf() mixes stations all day, and lets regions be earlier or later than others", () => {
  const made = country(5, 6_000);
  const come = [...comersOf(made, 5, 0.7).voters()];
  const next = come.filter(({ station }, i) => station === come[i + 1]?.station).length;
  assert.ok(next < come.length / 6, `${next} of ${come.length} voters follow a voter of the same station`);
  const range = rangeOf((seed) => {
    const all = [...comersOf(country(seed, 4_000), seed, 0.7).voters()];
    const early = Map.groupBy(all.slice(0, all.length / 2), ({ region }) => region);
    const halves = [...Map.groupBy(all, ({ region }) => region)].map(([region, all]) =>
      (early.get(region)?.length ?? 0) / all.length
    );
    assert.ok(halves.every((half) => half > 0.3 && half < 0.7), `seed ${seed}: ${halves}`);
    return halves;
  });
  assert.ok(range > 0.075, `${range}`);
});

Deno.test("rollFor() makes a roll of which enough come, and no longer than everybody needs", () => {
  for (
    const [wanted, regions, share] of [[10, 1, 0.7], [300, 5, 0.7], [3_000, 5, 0.5], [3_000, 2, 0.7]] as const
  ) {
    for (const seed of SEEDS) {
      const { total } = comersOf(country(seed, rollFor(wanted, share), regions), seed, share);
      assert.ok(total >= wanted, `seed ${seed}: ${total} of ${wanted}`);
    }
  }
  assert.equal(rollFor(720_000, 1), 720_000);
});
