/**
 * `deno task simulation`: runs seeds, and says which of them found something.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { UNDONE_MENDS } from "./history.ts";
import { SEEDED_FAULTS } from "./seeded_faults.ts";
import { runInProcesses, runSeeds } from "./start.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "200" },
    from: { type: "string", default: "1" },
    step: { type: "string", default: "1" },
    seed: { type: "string" },
    fault: { type: "string" },
    trace: { type: "boolean", default: false },
    processes: { type: "string", default: String(navigator.hardwareConcurrency) },
  },
});

const fault = [...SEEDED_FAULTS, ...UNDONE_MENDS].find(({ name }) => name === values.fault);
if (values.fault !== undefined && fault === undefined) {
  console.error(`There is no fault ${values.fault}: seeded_faults.ts and history.ts name them`);
  Deno.exit(2);
}
const beganMs = performance.now();
const seconds = () => ((performance.now() - beganMs) / 1_000).toFixed(1);
let found = 0;
if (values.seed !== undefined) {
  const seeds = { from: Number(values.seed), step: 1, count: 1 };
  const patches = fault?.patches ?? [];
  await runSeeds(seeds, patches, (result) => {
    console.log(JSON.stringify(result, undefined, 2));
    if (result.violation !== undefined) found++;
  }, values.trace ? (line) => console.log(line) : undefined);
} else if (fault !== undefined) {
  // Looks for a seed that finds a fault.
  const seeds = { from: Number(values.from), step: Number(values.step), count: Number(values.seeds) };
  await runSeeds(seeds, fault.patches, ({ seed, violation }) => {
    if (violation === undefined) return false;
    console.log(`seed ${seed}: ${violation.split("\n")[0]}`);
    return true;
  });
} else {
  let done = 0;
  const seeds = { from: Number(values.from), count: Number(values.seeds) };
  const results = await runInProcesses(seeds, Number(values.processes), ({ seed, violation }) => {
    if (violation !== undefined) {
      found++;
      console.log(`seed ${seed}: ${violation}`);
    }
    if (++done % 1_000 === 0) console.log(`${done} seeds in ${seconds()} s`);
  });
  const sum = (of: (result: (typeof results)[number]) => number) =>
    results.reduce((total, each) => total + of(each), 0);
  console.log(
    `${results.length} seeds in ${seconds()} s, ${
      (results.length / Number(seconds())).toFixed(1)
    } a second: ${sum(({ votes }) => votes)} votes, ${sum(({ events }) => events)} events, ${
      Math.round(sum(({ virtualMs }) => virtualMs) / 1_000)
    } s of virtual time; ${found} seeds found something`,
  );
}
Deno.exit(found === 0 ? 0 : 1);
