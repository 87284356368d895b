import assert from "assert";
import { fitRegionModel, type Observation } from "./region_model.ts";
import { randomFrom } from "./random.ts";

Deno.test.sanitizer({ ops: true, resources: true });

function assertNear(actual: number, expected: number, within: number): void {
  assert.ok(Math.abs(actual - expected) <= within, `${actual} is not ${expected} ± ${within}`);
}

const same = (region: string, values: number[]): Observation[] =>
  values.map((value) => ({ region, value, weight: 10 }));

Deno.test("fitRegionModel() trusts a region's own mean where its stations agree", () => {
  const model = fitRegionModel([...same("north", [0.6, 0.6, 0.6]), ...same("south", [0.4, 0.4])]);
  assertNear(model.within, 0, 1e-12);
  assertNear(model.of("north").mean, 0.6, 1e-9);
  assertNear(model.of("south").mean, 0.4, 1e-9);
  assertNear(model.of("north").pull, 0, 1e-9);
});

Deno.test("fitRegionModel() expects the mean of all where nothing was seen, with the variance between regions", () => {
  const model = fitRegionModel([...same("north", [0.6, 0.6]), ...same("south", [0.4, 0.4])]);
  // Two regions that are 0.2 apart: the variance of 0.4 and 0.6 is 0.02.
  assertNear(model.between, 0.02, 1e-9);
  assert.deepEqual(model.of("west"), { mean: model.mean, variance: model.between, pull: 1 });
  assertNear(model.mean, 0.5, 1e-9);
});

Deno.test("fitRegionModel() gives regions that differ no more than their stations the mean of all", () => {
  const model = fitRegionModel([...same("north", [0.4, 0.6]), ...same("south", [0.4, 0.6])]);
  assert.equal(model.between, 0);
  assert.deepEqual(model.of("north"), { mean: model.mean, variance: 0, pull: 1 });
  assertNear(model.within, 0.02, 1e-9);
});

Deno.test("fitRegionModel() finds the variances that made the values", () => {
  const random = randomFrom(3);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const observations = Array.from({ length: 400 }, (_, region) => {
    const mean = 0.5 + 0.1 * normal();
    return Array.from({ length: 6 }, () => ({
      region: String(region),
      value: mean + 0.04 * normal(),
      weight: 50 + Math.floor(100 * random()),
    }));
  }).flat();
  const model = fitRegionModel(observations);
  assertNear(Math.sqrt(model.between), 0.1, 0.01);
  assertNear(Math.sqrt(model.within), 0.04, 0.003);
  assertNear(model.mean, 0.5, 0.02);
});
