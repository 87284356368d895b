/**
 * The whole path of a vote in virtual time: docs/simulation.md. Here few seeds; with the crash tests 2,000, and the faults that
 * must be found.
 */
import assert from "assert";
import { longTest } from "./runs.ts";
import { SEEDED_FAULTS } from "./simulation/seeded_faults.ts";
import { type Result, runInProcesses, runSeeds } from "./simulation/start.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Seeds of a short run. The last one runs on the real SQL. */
const SHORT = { from: 36, count: 5 };
const LONG = { from: 1, count: 2_000 };

function assertNothingFound(results: readonly Result[]): void {
  const found = results.filter(({ violation }) => violation !== undefined);
  assert.deepEqual(found.map(({ seed, violation }) => `seed ${seed}: ${violation}`), []);
}

Deno.test("a few seeds of the simulation find nothing, and a seed reproduces its run exactly", async () => {
  const together: Result[] = [];
  const alone: Result[] = [];
  await Promise.all([
    runSeeds({ ...SHORT, step: 1 }, [], (result) => void together.push(result)),
    // In another process, after other seeds.
    runSeeds(
      { from: SHORT.from + SHORT.count - 1, step: -2, count: 3 },
      [],
      (result) => void alone.push(result),
    ),
  ]);
  assertNothingFound(together);
  const hashes = new Map(together.map(({ seed, hash }) => [seed, hash]));
  assert.deepEqual(alone.map(({ seed }) => seed), [40, 38, 36]);
  for (const { seed, hash } of alone) assert.equal(hash, hashes.get(seed), `seed ${seed}`);
  assert.equal(new Set(hashes.values()).size, SHORT.count, "seeds differ");
});

longTest(`${LONG.count} seeds of the simulation find nothing`, async () => {
  const results = await runInProcesses(LONG, navigator.hardwareConcurrency);
  assert.equal(results.length, LONG.count);
  assertNothingFound(results);
});

for (const { name, patches, seed, found } of SEEDED_FAULTS) {
  longTest(`seed ${seed} of the simulation finds: ${name}`, async () => {
    await runSeeds({ from: seed, step: 1, count: 1 }, patches, ({ violation }) => {
      assert.match(violation ?? "nothing was found", found);
    });
  });
}
