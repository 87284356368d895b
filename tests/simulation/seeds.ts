/**
 * Which seeds run what.
 *
 * @module
 */

/** One seed in so many runs on the real SQL, and publishes. The others count with a model of the database. */
export const SQL_EVERY = 40;

/** What chance alone hardly ever brings about: see scenarios.ts. */
export type Scenario =
  | "lateGateway"
  | "lonelyAggregator"
  | "unreadFront"
  | "lyingGateway"
  | "wrongGatewayClock"
  | "deviceWithoutAggregator";

/** Scenarios by the seed's remainder, of {@link SQL_EVERY} or twice that. */
const SCENARIOS = new Map<number, Scenario>([
  [8, "lonelyAggregator"],
  [16, "unreadFront"],
  [24, "lyingGateway"],
  [32, "wrongGatewayClock"],
  [36, "deviceWithoutAggregator"],
]);

/** The scenario of a seed, if it has one. */
export function scenarioOf(seed: number): Scenario | undefined {
  // Every second seed with SQL: it publishes, and the scenario is about the final release.
  if (seed % (2 * SQL_EVERY) === SQL_EVERY) return "lateGateway";
  return SCENARIOS.get(seed % SQL_EVERY);
}

/** How far on the next seed is that runs the same kind of run. */
export function stepOf(seed: number): number {
  if (seed % SQL_EVERY === 0) return 2 * SQL_EVERY;
  return scenarioOf(seed) === undefined ? 1 : SQL_EVERY;
}
