/**
 * The projection of a contest: each candidate's final share with an interval, or why none is shown. docs/projection.md has the
 * method. Pure.
 *
 * @module
 */
import { missesOf, quantile } from "./calibration.ts";
import { estimateShares } from "./final_share.ts";
import { judgeOrder, type OrderFlag } from "./order_flags.ts";
import { randomOrderInterval } from "./random_order.ts";
import { type ProjectedStation, splitReported, sum, votesIn } from "./stations.ts";
import { studentQuantile } from "./student.ts";

/** How often an interval should hold the final share. */
export const CONFIDENCE = 0.9;

/** What must have reported before anything is projected. */
export const LEAST = { rollShare: 0.25, stations: 30, regions: 8 } as const;

/** An interval is at least so much wider than the model alone would have it. */
const MIN_SCALE = 1.1;

/** A share, from 0 to 1, between two others. */
export type Range = Readonly<{ low: number; high: number }>;

/** How much has reported. */
export type ReportedPart = Readonly<{
  stations: number;
  ofStations: number;
  regions: number;
  ofRegions: number;
  /** Of the roll, from 0 to 1. */
  rollShare: number;
}>;

/** Why nothing is projected. */
export type HiddenReason = "too_little" | "order_roll" | "order_earlier";

/** One candidate's projection, in the order of the candidates. */
export type ProjectedShare = Readonly<
  Range & {
    share: number;
    /** Safe if the order is random; `null` where the order is visibly not, or cannot be judged. */
    randomOrder: Range | null;
  }
>;

/** A projection, or why there is none. */
export type Projection = Readonly<
  & { reported: ReportedPart }
  & (
    | { hidden: HiddenReason }
    | {
      hidden: null;
      shares: ProjectedShare[];
      /** Why there is no interval for a random order. */
      randomOrderHidden: OrderFlag | "rolls" | null;
    }
  )
>;

/** What is projected. `mostVotes`: that any station can have, as far as it is known. */
export type ContestStations = Readonly<
  { stations: readonly ProjectedStation[]; candidates: number; mostVotes?: number }
>;

/** Projects a contest. */
export function project({ stations, candidates, mostVotes }: ContestStations): Projection {
  const { reported: inResults } = splitReported(stations);
  const regions = (list: readonly ProjectedStation[]) => new Set(list.map(({ region }) => region)).size;
  const roll = (list: readonly ProjectedStation[]) => sum(list.map(({ roll }) => roll));
  const reported = {
    stations: inResults.length,
    ofStations: stations.length,
    regions: regions(inResults),
    ofRegions: regions(stations),
    rollShare: stations.length === 0 ? 0 : roll(inResults) / roll(stations),
  };
  const isEnough = reported.rollShare >= LEAST.rollShare && reported.stations >= LEAST.stations &&
    reported.regions >= LEAST.regions && inResults.some((station) => votesIn(station) > 0);
  if (!isEnough) return { reported, hidden: "too_little" };
  const { flags: [flag], uneven: [uneven = null] } = judgeOrder(stations);
  if (flag !== undefined) return { reported, hidden: flag === "earlier" ? "order_earlier" : "order_roll" };
  const randomOrderHidden = uneven ?? (mostVotes === undefined ? "rolls" : null);
  const misses = missesOf(stations, candidates);
  const drawn = inResults.toSorted((a, b) => (a.order ?? 0) - (b.order ?? 0));
  const shares = estimateShares(stations, candidates).map(({ share, error, freedom }, candidate) => {
    const student = studentQuantile((1 + CONFIDENCE) / 2, freedom);
    const half = error * Math.max(MIN_SCALE * student, quantile(misses[candidate]!, CONFIDENCE));
    const randomOrder = randomOrderHidden !== null ? null : toRange(randomOrderInterval(
      drawn.map((station) => ({ votes: station.votes[candidate]!, of: votesIn(station) })),
      stations.length,
      mostVotes!,
      CONFIDENCE,
    ));
    return { share, low: Math.max(0, share - half), high: Math.min(1, share + half), randomOrder };
  });
  return { reported, hidden: null, shares, randomOrderHidden };
}

function toRange([low, high]: readonly [number, number]): Range {
  return { low, high };
}
