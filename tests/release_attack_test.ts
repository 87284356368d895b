/**
 * The attack on published results: over random elections, whatever is added, subtracted or compared of all that was ever
 * published, no 1 to k − 1 voters come out. `ATTACK_ELECTIONS` says how many elections (1,000 by hand).
 */
import assert from "assert";
import fc from "fast-check";
import * as rules from "../aggregator/results/units.ts";
import { attack, type PublishedSet } from "./release_attack/attack.ts";
import { findings } from "./release_attack/findings.ts";
import { GOOD_HABITS } from "./release_attack/model.ts";
import { loadRules, MUTANTS } from "./release_attack/mutants.ts";
import { calmScripts, rebuiltScripts } from "./release_attack/scripts.ts";
import { votersOf } from "./release_attack/voters.ts";

/** Elections of the attack on the publisher in memory, and of each mutant at the most. */
const ELECTIONS = Number(Deno.env.get("ATTACK_ELECTIONS") ?? 200);
const ELECTIONS_OF_MUTANT = 2_000;
/** Always the same elections: each of these must find its mutant. */
const SEED_OF_MUTANTS = 6;

const set = (unit: string, ...voters: number[]): PublishedSet => ({
  name: unit,
  unit,
  isPool: false,
  voters: votersOf(voters),
});

Deno.test("the attack finds a small set, a small difference, and one that takes several sets to find", () => {
  const found = (k: number, ...sets: PublishedSet[]) =>
    attack(sets, k).map(({ voters }) => voters.toSorted().join());
  assert.deepEqual(found(3, set("a", 1, 2)), ["1,2", "1,2"]);
  assert.deepEqual(found(3, set("a", 1, 2, 3, 4), set("b", 1, 2, 3)), ["4", "4"]);
  const three = [set("all", 1, 2, 3, 4, 5, 6, 7), set("a", 1, 2, 3), set("b", 4, 5, 6)];
  assert.deepEqual(found(3, ...three), ["7"]);
  assert.deepEqual(found(4, set("a", 1, 2, 3, 4), set("a", 1, 2, 3, 4, 5, 6, 7, 8)), []);
  // As many voters, and others.
  assert.equal(attack([set("a", 1, 2, 3, 4), set("a", 5, 6, 7, 8)], 2).length, 1);
});

for (const [which, scripts] of [["", calmScripts], [" with rebuilds", rebuiltScripts]] as const) {
  Deno.test(`nothing published of ${ELECTIONS} random elections${which} tells of 1 to k - 1 voters, or is kept back or merged without need`, async () => {
    await fc.assert(
      fc.asyncProperty(scripts, async (script) => assert.deepEqual(await findings(script, rules), [])),
      { numRuns: ELECTIONS },
    );
  });
}

for (const { rule, edits, habits, watch, rebuilt, example, seen } of MUTANTS) {
  Deno.test(`the attack finds it when this rule is taken out: ${rule}`, async () => {
    const mutant = await loadRules(edits);
    if (example !== undefined) assert.deepEqual(await findings(example, rules), []);
    const found = await fc.check(
      fc.asyncProperty(rebuilt ? rebuiltScripts : calmScripts, async (script) => {
        const wrong = await findings(script, mutant, { ...GOOD_HABITS, ...habits }, watch);
        return !wrong.some((finding) => finding.startsWith(seen));
      }),
      {
        numRuns: ELECTIONS_OF_MUTANT,
        endOnFailure: true,
        seed: SEED_OF_MUTANTS,
        examples: example === undefined ? [] : [[example]],
      },
    );
    assert.ok(found.failed, `${ELECTIONS_OF_MUTANT} elections did not show it`);
  });
}
