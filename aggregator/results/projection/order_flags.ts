/**
 * Whether the order in which stations report can have been random, and if not, whether the region model bears it. Pure.
 *
 * @module
 */
import { type ProjectedStation, splitReported, sum } from "./stations.ts";

/** What is wrong with the order. */
export type OrderFlag = "roll" | "earlier" | "regions";

/** The order of the stations, in two grades. `flags`: the model does not bear it. `uneven`: it is not random. */
export type OrderVerdict = Readonly<{ flags: OrderFlag[]; uneven: OrderFlag[] }>;

/**
 * How far the mean of the reported stations may be from the mean of all, in standard deviations of a station, before the
 * model is not shown; the more have reported, the less.
 */
export const MAX_SHIFT = 0.4;
/** The same in standard errors of a random order, before the order is called uneven. */
export const MAX_Z = 3;
/** How far the counts of reported stations by region may be from those of a random order: a z-score of chi-squared. */
export const MAX_REGIONS_Z = 3;

/** Compares the stations that have reported with all. */
export function judgeOrder(stations: readonly ProjectedStation[]): OrderVerdict {
  const { reported } = splitReported(stations);
  const flags: OrderFlag[] = [];
  const uneven: OrderFlag[] = [];
  const compare = (flag: OrderFlag, valueOf: (station: ProjectedStation) => number | undefined) => {
    const values = (list: readonly ProjectedStation[]) =>
      list.map(valueOf).filter((value) => value !== undefined);
    const { shift, z } = shiftOf(values(reported), values(stations));
    if (Math.abs(shift) > MAX_SHIFT) flags.push(flag);
    if (Math.abs(z) > MAX_Z) uneven.push(flag);
  };
  compare("roll", ({ roll }) => Math.log(roll));
  compare("earlier", ({ earlierShare }) => earlierShare);
  if (regionsZ(reported, stations) > MAX_REGIONS_Z) uneven.push("regions");
  return { flags, uneven };
}

/** How far a part's mean is from that of all: in standard deviations, and in standard errors without replacement. */
function shiftOf(part: readonly number[], all: readonly number[]): { shift: number; z: number } {
  if (part.length === 0 || part.length === all.length) return { shift: 0, z: 0 };
  const mean = sum(all) / all.length;
  const deviation = Math.sqrt(sum(all.map((value) => (value - mean) ** 2)) / (all.length - 1));
  if (!(deviation > 1e-9)) return { shift: 0, z: 0 };
  // The nearer all have reported, the nearer the means must be.
  const shift = (sum(part) / part.length - mean) / (deviation * Math.sqrt(1 - part.length / all.length));
  return { shift, z: shift * Math.sqrt(part.length) };
}

/** How uneven regions have reported: chi-squared against the share of all, as a z-score (Wilson and Hilferty). */
function regionsZ(reported: readonly ProjectedStation[], all: readonly ProjectedStation[]): number {
  const share = reported.length / all.length;
  if (share === 0 || share === 1) return 0;
  const counts = (list: readonly ProjectedStation[]) =>
    new Map([...Map.groupBy(list, ({ region }) => region)].map(([region, { length }]) => [region, length]));
  const seen = counts(reported);
  let squared = 0;
  const regions = counts(all);
  for (const [region, count] of regions) {
    squared += ((seen.get(region) ?? 0) - share * count) ** 2 / (count * share * (1 - share));
  }
  // Without replacement the counts of a region vary less, by the factor (N − 1) / N for one region fewer.
  const freedom = regions.size - 1;
  if (freedom < 1) return 0;
  const variance = 2 / (9 * freedom);
  return (Math.cbrt(squared / freedom) - (1 - variance)) / Math.sqrt(variance);
}
