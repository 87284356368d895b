/**
 * The projection on elections that it was not made on: countries that the simulator makes up, each of its own seed. Rhode Island, on
 * which its factors were chosen, is in aggregator/results/projection/coverage_test.ts. The full run prints the second table of
 * docs/projection.md:
 *
 *     POLLWIRE_RUNS=full deno test -A tests/projection_country_test.ts
 *
 * @module
 */
import assert from "assert";
import { sharesOf } from "../aggregator/results/projection/calibration.ts";
import { type OrderKind, reportedUpTo } from "../aggregator/results/projection/precincts_fixture.ts";
import { project } from "../aggregator/results/projection/project.ts";
import type { ReportedStation } from "../aggregator/results/projection/stations.ts";
import { voterChoices } from "../simulator/country/choices.ts";
import { DEFAULT_SIZE, simulateCountry } from "../simulator/country/country.ts";
import { voterTurnout } from "../simulator/country/turnout.ts";
import { FULL_RUN } from "./runs.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTIONS = FULL_RUN ? 12 : 2;
const ORDERS_EACH = FULL_RUN ? 25 : 8;
/** Of the intervals, how many must hold the final share: nominal are 90 %. The short run allows for chance. */
const LEAST_HELD = FULL_RUN ? 0.85 : 0.6;
const SIZE = {
  ...DEFAULT_SIZE,
  voters: FULL_RUN ? 120_000 : 24_000,
  candidates: 4,
  parties: 4,
  regions: 40,
  stations: 400,
};
const FRAME = {
  election: "country-2026",
  opensAt: "2026-11-03T07:00:00.000Z",
  closesAt: "2026-11-03T21:00:00.000Z",
  acceptsUntil: "2026-11-03T23:00:00.000Z",
};
const TURNOUT = 0.66;

/** The votes of a country's first contest, by station. */
function hold(seed: number): ReportedStation[] {
  const { definition, voters } = simulateCountry(seed, SIZE, FRAME);
  const { candidates } = definition.contests[0]!;
  const at = new Map(candidates.map(({ id }, index) => [id, index]));
  const comes = voterTurnout(seed, TURNOUT, definition.regions.map(({ id }) => id));
  const choose = voterChoices(seed, definition);
  const stations = new Map(definition.stations.map(({ id, region }) => [
    id,
    { region, roll: 0, votes: candidates.map(() => 0) },
  ]));
  for (const voter of voters()) {
    const station = stations.get(voter.station)!;
    station.roll++;
    if (!comes(voter)) continue;
    for (const { candidate } of choose(voter, voter.station, 0).selections) {
      station.votes[at.get(candidate)!]!++;
    }
  }
  return [...stations.values()].filter(({ roll, votes }) => roll > 0 && votes.some((count) => count > 0));
}

/** Of the seeds that the projection's factors were chosen on, none. */
const elections = Array.from({ length: ELECTIONS }, (_, index) => hold(index + 1));

const CASES = (["random", "towns"] as const).flatMap((kind) =>
  [0.25, 0.5, 0.75].map((part): [OrderKind, number] => [kind, part])
).filter(([, part]) => FULL_RUN || part === 0.5);

for (const [kind, part] of CASES) {
  Deno.test(`intervals hold the final share of simulated elections, ${kind} order, ${100 * part} % reported`, () => {
    let [shown, held, width] = [0, 0, 0];
    for (const [index, stations] of elections.entries()) {
      const candidates = stations[0]!.votes.length;
      const finals = sharesOf(stations, candidates);
      const mostVotes = Math.max(...stations.map(({ roll }) => roll));
      for (let order = 0; order < ORDERS_EACH; order++) {
        const reported = reportedUpTo(stations, kind, part, 1_000 * order + index);
        const projection = project({ stations: reported, candidates, mostVotes });
        if (projection.hidden !== null) continue;
        shown++;
        // One candidate an order, in turn: the shares of one election depend on each other.
        const which = order % candidates;
        const { low, high } = projection.shares[which]!;
        if (low <= finals[which]! && finals[which]! <= high) held++;
        width += 100 * (high - low);
      }
    }
    const orders = ELECTIONS * ORDERS_EACH;
    if (FULL_RUN) {
      console.log(
        `${ELECTIONS} simulated elections: ${kind}, ${100 * part} %: shown at ${shown} of ${orders}, ` +
          `${(100 * held / shown).toFixed(1)} % held, ${(width / shown).toFixed(1)} points wide`,
      );
    }
    assert.ok(shown >= 0.7 * orders, `shown at ${shown} of ${orders} orders`);
    assert.ok(held >= LEAST_HELD * shown, `${held} of ${shown} held`);
  });
}
