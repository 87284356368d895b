/**
 * How often the projection's intervals hold the final shares, over many orders in which stations report. The full run prints
 * the table of docs/projection.md:
 *
 *     POLLWIRE_RUNS=full deno test -A aggregator/results/projection/coverage_test.ts
 *
 * @module
 */
import assert from "assert";
import { FULL_RUN } from "../../../tests/runs.ts";
import { sharesOf } from "./calibration.ts";
import { type OrderKind, readPrecincts, reportedUpTo } from "./precincts_fixture.ts";
import { project, type Range } from "./project.ts";
import { type ProjectedStation, splitReported, sum, votesIn } from "./stations.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** How many orders of each kind. */
const ORDERS = FULL_RUN ? 300 : 25;
/** How much of them must hold the final share: nominal are 90 %. The short run allows for chance. */
const LEAST_HELD = FULL_RUN ? 0.85 : 0.7;

const { name, candidates: all, stations: asCounted, isReal } = await readPrecincts();
const shares = sharesOf(asCounted, all.length);
const inOrder = shares.map((_, at) => at).sort((a, b) => shares[b] - shares[a]);
/** The two with the most votes; all others count as one, which changes nothing for these two. */
const leading = [0, 1];
const candidates = [...inOrder.slice(0, 2).map((at) => all[at]), "others"];
const stations = asCounted.map((station) => {
  const [first, second, ...others] = inOrder.map((at) => station.votes[at]);
  return { ...station, votes: [first, second, sum(others)] };
});
const finals = sharesOf(stations, candidates.length);
const mostVotes = Math.max(...stations.map(({ roll }) => roll));

/** Of how many orders an interval was shown, how many held, and how wide it was on average, in points. */
class Tally {
  shown = 0;
  held = 0;
  #width = 0;

  add({ low, high }: Range, final: number): void {
    this.shown++;
    if (low <= final && final <= high) this.held++;
    this.#width += 100 * (high - low);
  }

  get share(): number {
    return this.held / this.shown;
  }

  toString(): string {
    if (this.shown === 0) return "never shown";
    return `${(100 * this.share).toFixed(1)} % held, ${(this.#width / this.shown).toFixed(1)} points wide`;
  }
}

/** What a plain sampling formula says, for comparison: the ratio estimate of stations that were drawn at random. */
function plainInterval(order: readonly ProjectedStation[], candidate: number): Range {
  const { reported } = splitReported(order);
  const share = sharesOf(reported, candidates.length)[candidate];
  const k = reported.length;
  const votes = sum(reported.map(votesIn));
  const residuals = sum(reported.map((each) => (each.votes[candidate] - share * votesIn(each)) ** 2));
  const error = Math.sqrt((1 - k / order.length) * k * residuals / (k - 1)) / votes;
  return { low: share - 1.645 * error, high: share + 1.645 * error };
}

const CASES = (["random", "towns"] as const).flatMap((kind) =>
  [0.25, 0.5, 0.75].map((part): [OrderKind, number] => [kind, part])
);

for (const [kind, part] of CASES) {
  Deno.test(`intervals hold the final share, ${kind} order, ${100 * part} % reported`, () => {
    const model = leading.map(() => new Tally());
    const sequence = leading.map(() => new Tally());
    const plain = new Tally();
    let hidden = 0;
    for (let order = 0; order < ORDERS; order++) {
      const reported = reportedUpTo(stations, kind, part, 1_000 * order + 17);
      plain.add(plainInterval(reported, leading[0]), finals[leading[0]]);
      const projection = project({
        stations: reported,
        candidates: candidates.length,
        mostVotes,
      });
      if (projection.hidden !== null) {
        hidden++;
        continue;
      }
      leading.forEach((candidate, at) => {
        const share = projection.shares[candidate];
        model[at].add(share, finals[candidate]);
        if (share.randomOrder !== null) sequence[at].add(share.randomOrder, finals[candidate]);
      });
    }
    if (FULL_RUN) {
      const shown = `shown at ${ORDERS - hidden} of ${ORDERS}`;
      for (const [at, candidate] of leading.entries()) {
        console.log(
          `${name}: ${kind}, ${100 * part} %: ${candidates[candidate]}: model ${model[at]} (${shown}); ` +
            `random order ${sequence[at]} (shown at ${sequence[at].shown})`,
        );
      }
    }
    if (FULL_RUN) console.log(`${name}: ${kind}, ${100 * part} %: plain sampling ${plain}`);
    for (const tally of model) {
      assert.ok(tally.shown >= 0.8 * ORDERS, `shown at ${tally.shown} of ${ORDERS} orders`);
      assert.ok(tally.share >= LEAST_HELD, `${tally}`);
    }
    if (kind === "random") {
      for (const tally of sequence) {
        assert.ok(tally.shown >= 0.9 * ORDERS, `shown at ${tally.shown} of ${ORDERS} orders`);
        assert.ok(tally.share >= 0.9, `${tally}`);
      }
    } else {
      assert.ok(sequence.every(({ shown }) => shown < 0.1 * ORDERS), "an order by town is not called random");
    }
  });
}

Deno.test("the projection is of Rhode Island where its file is there", () => {
  if (isReal) assert.deepEqual([stations.length, all.length], [504, 7]);
});
