/**
 * The final share of each candidate by the region model: the votes that are in, and an estimate of those that are out. Pure.
 *
 * @module
 */
import { fitRegionModel, type RegionModel } from "./region_model.ts";
import { type ProjectedStation, type ReportedStation, splitReported, sum, votesIn } from "./stations.ts";

/** A share with its standard error, both from 0 to 1, and the degrees of freedom behind the error. */
export type Estimate = Readonly<{ share: number; error: number; freedom: number }>;

/** A station that is out: its region, and the votes that are expected of it. */
type Expected = Readonly<{ region: string; votes: number; variance: number }>;

/**
 * Estimates the final share of each candidate, in the order of the candidates.
 *
 * @param stations With votes of at least two stations in at least two regions.
 */
export function estimateShares(stations: readonly ProjectedStation[], candidates: number): Estimate[] {
  const { reported, out } = splitReported(stations);
  const turnout = fitRegionModel(
    reported.map((station) => ({
      region: station.region,
      value: votesIn(station) / station.roll,
      weight: station.roll,
    })),
  );
  const expected = out.map(({ region, roll }) => ({
    region,
    votes: roll * Math.max(0, turnout.of(region).mean),
    variance: roll * roll * turnout.within,
  }));
  const voted = reported.filter((station) => votesIn(station) > 0);
  const counted = sum(voted.map(votesIn));
  const all = counted + sum(expected.map(({ votes }) => votes));
  const regions = byRegion(expected, out, turnout);
  return Array.from({ length: candidates }, (_, candidate) => {
    const model = fitRegionModel(voted.map((station) => shareOf(station, candidate)));
    const known = sum(voted.map(({ votes }) => votes[candidate]!));
    const share = all === 0
      ? 0
      : (known + sum(regions.map(({ region, votes }) => votes * model.of(region).mean))) / all;
    return {
      share: Math.min(1, Math.max(0, share)),
      error: all === 0 ? 0 : Math.sqrt(varianceOut(regions, model, turnout, share)) / all,
      freedom: model.freedom,
    };
  });
}

function shareOf(station: ReportedStation, candidate: number) {
  const votes = votesIn(station);
  return { region: station.region, value: station.votes[candidate]! / votes, weight: votes };
}

/** What is out in one region. */
type RegionOut = Readonly<{
  region: string;
  votes: number;
  /** Sum of the squares of its stations' expected votes, and of their rolls. */
  squares: number;
  roll: number;
  /** Variance of its votes. */
  variance: number;
}>;

function byRegion(
  expected: readonly Expected[],
  out: readonly ProjectedStation[],
  turnout: RegionModel,
): RegionOut[] {
  const regions = new Map<string, { votes: number; squares: number; roll: number; variance: number }>();
  expected.forEach(({ region, votes, variance }, at) => {
    let group = regions.get(region);
    if (group === undefined) regions.set(region, group = { votes: 0, squares: 0, roll: 0, variance: 0 });
    group.votes += votes;
    group.squares += votes * votes;
    group.roll += out[at]!.roll;
    group.variance += variance;
  });
  return [...regions].map(([region, group]) => ({
    region,
    ...group,
    variance: group.variance + group.roll ** 2 * turnout.of(region).variance,
  }));
}

/** The variance of a candidate's votes that are out, with that of the turnout there. */
function varianceOut(
  regions: readonly RegionOut[],
  model: RegionModel,
  turnout: RegionModel,
  share: number,
): number {
  let variance = 0;
  let pulled = 0;
  let leaning = 0;
  for (const { region, votes, squares, roll, variance: votesVariance } of regions) {
    const here = model.of(region);
    variance += votes ** 2 * here.variance + squares * model.within;
    // A vote more or less there moves the share by what the region differs from it.
    variance += (here.mean - share) ** 2 * votesVariance;
    pulled += votes * here.pull;
    leaning += (here.mean - share) * roll * turnout.of(region).pull;
  }
  return variance + pulled ** 2 * model.meanVariance + leaning ** 2 * turnout.meanVariance;
}
