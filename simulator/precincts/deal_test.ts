import assert from "assert";
import fc from "fast-check";
import { ballotsNeeded, dealBallots, type Pile } from "./deal.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

function deal(piles: readonly Pile[]): [number, number][][] {
  const ballots: [number, number][][] = [];
  let ballot: [number, number][] = [];
  for (const _ of dealBallots(piles, (contest, candidate) => ballot.push([contest, candidate]))) {
    ballots.push(ballot);
    ballot = [];
  }
  return ballots;
}

const pile = fc.array(fc.nat(25), { minLength: 1, maxLength: 8 }).chain((counts) =>
  fc.record({ votesAllowed: fc.integer({ min: 1, max: counts.length }), counts: fc.constant(counts) })
);

Deno.test(
  "dealBallots() deals exactly the piles, onto ballots that are legal, and no more than needed",
  strict,
  () => {
    fc.assert(fc.property(fc.array(pile, { maxLength: 5 }), (piles) => {
      const ballots = deal(piles);
      assert.equal(ballots.length, ballotsNeeded(piles));
      const counts = piles.map(({ counts }) => counts.map(() => 0));
      for (const ballot of ballots) {
        assert.equal(new Set(ballot.map(String)).size, ballot.length, "a candidate twice on one ballot");
        piles.forEach(({ votesAllowed }, contest) => {
          assert.ok(ballot.filter(([c]) => c === contest).length <= votesAllowed, "an overvote");
        });
        for (const [contest, candidate] of ballot) counts[contest]![candidate]!++;
      }
      assert.deepEqual(counts, piles.map((pile) => pile.counts));
    }));
  },
);

Deno.test("dealBallots() leaves the rest of the ballots open in a smaller contest", strict, () => {
  const ballots = deal([{ votesAllowed: 1, counts: [2, 1] }, { votesAllowed: 1, counts: [1] }]);
  assert.deepEqual(ballots, [[[0, 0], [1, 0]], [[0, 0]], [[0, 1]]]);
});

Deno.test("dealBallots() deals nothing from nothing", strict, () => {
  assert.deepEqual(deal([]), []);
  assert.deepEqual(deal([{ votesAllowed: 2, counts: [0, 0] }]), []);
});
