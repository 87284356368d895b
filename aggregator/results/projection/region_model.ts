/**
 * The empirical-Bayes region model: a station's value is the mean of all regions, plus what is particular to its region, plus
 * what is particular to itself. How much regions and stations differ is estimated from the stations that have reported. The
 * formulas are in docs/projection.md. Pure.
 *
 * @module
 */
import { sum } from "./stations.ts";

/** A value that was seen at a station, with the station's weight. */
export type Observation = Readonly<{ region: string; value: number; weight: number }>;

/** What is known of one region: the expected value there, and the variance of the region's own mean around it. */
type RegionEstimate = Readonly<{
  mean: number;
  variance: number;
  /** How much of the mean of all regions is in `mean`: 1 where nothing was seen, towards 0 with many stations. */
  pull: number;
}>;

/** The model, fitted. */
export type RegionModel = Readonly<{
  mean: number;
  meanVariance: number;
  /** Variance between regions. */
  between: number;
  /** Variance between the stations of a region. */
  within: number;
  /** Degrees of freedom behind the variance between regions: less than their number where a few are large. */
  freedom: number;
  of(region: string): RegionEstimate;
}>;

type Seen = Readonly<{ weight: number; mean: number; count: number }>;

/** Fits the model to at least two observations in at least two regions. */
export function fitRegionModel(observations: readonly Observation[]): RegionModel {
  const seen = new Map<string, Seen>();
  let withinSum = 0;
  let withinFree = 0;
  for (const [region, { weight, squares, values, valueSquares }] of sumsByRegion(observations)) {
    const mean = values / weight;
    seen.set(region, { weight, mean, count: weight * weight / squares });
    withinSum += Math.max(0, valueSquares - weight * mean * mean);
    withinFree += weight - squares / weight;
  }
  const within = withinFree > 0 ? withinSum / withinFree : 0;
  const all = [...seen.values()];
  // By voters and by regions: a few large regions that happen to be alike say little of those that are out.
  const between = Math.max(
    varianceBetween(all, within, ({ weight }) => weight),
    varianceBetween(all, within, () => 1),
  );
  const precision = ({ count }: Seen) => 1 / (between + within / count + Number.EPSILON);
  // Weighted by size as well: what is sought is a mean over voters, and large regions may differ from small ones.
  const weights = all.map((group) => ({ group, by: Math.sqrt(group.weight) * precision(group) }));
  const sumBy = sum(weights.map(({ by }) => by));
  const mean = sum(weights.map(({ group, by }) => by * group.mean)) / sumBy;
  const meanVariance = sum(weights.map(({ group, by }) => (by / sumBy) ** 2 / precision(group)));
  return {
    mean,
    meanVariance,
    between,
    within,
    freedom: Math.max(1, sumBy ** 2 / sum(weights.map(({ by }) => by * by)) - 1),
    of(region) {
      const group = seen.get(region);
      if (group === undefined) return { mean, variance: between, pull: 1 };
      const noise = within / group.count;
      const pull = between + noise > 0 ? noise / (between + noise) : 0;
      return { mean: group.mean + pull * (mean - group.mean), variance: pull * between, pull };
    },
  };
}

/** Sums over the stations of a region: of weights and their squares, and of values and their squares by weight. */
type Sums = { weight: number; squares: number; values: number; valueSquares: number };

/** One pass without lists: the model is fitted hundreds of times for a projection. */
function sumsByRegion(observations: readonly Observation[]): Map<string, Sums> {
  const regions = new Map<string, Sums>();
  for (const { region, value, weight } of observations) {
    let sums = regions.get(region);
    if (sums === undefined) {
      regions.set(region, sums = { weight: 0, squares: 0, values: 0, valueSquares: 0 });
    }
    sums.weight += weight;
    sums.squares += weight * weight;
    sums.values += weight * value;
    sums.valueSquares += weight * value * value;
  }
  return regions;
}

/** Variance between regions by moments: what their means differ by, less what stations alone would make them differ by. */
function varianceBetween(groups: readonly Seen[], within: number, weightOf: (group: Seen) => number): number {
  const total = sum(groups.map(weightOf));
  const squares = sum(groups.map((group) => weightOf(group) ** 2));
  const mean = sum(groups.map((group) => group.mean * weightOf(group))) / total;
  const spread = sum(groups.map((group) => weightOf(group) * (group.mean - mean) ** 2));
  const noise = sum(
    groups.map((group) => weightOf(group) * (1 - weightOf(group) / total) * within / group.count),
  );
  const free = total - squares / total;
  return free > 0 ? Math.max(0, (spread - noise) / free) : 0;
}
