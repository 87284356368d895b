/**
 * How many voters live where: regions and stations are of different sizes, drawn from the seed.
 *
 * @module
 */
import { normal, runningSums, seededRandom } from "../random.ts";

/** Standard deviations of the logarithm of a size. With 0.5, two in three are from 0.6 to 1.6 times the usual. */
const SPREADS = { region: 0.5, station: 0.35 } as const;

/**
 * Running sums of the stations' sizes, in order, to draw a voter's station with. A region's size does not depend on how
 * many stations it has; it is dealt out to them.
 *
 * @param regionOf Of each station, its region's number.
 */
export function stationSizeSums(seed: number, regionOf: readonly number[]): number[] {
  const size = (what: keyof typeof SPREADS, n: number) =>
    Math.exp(SPREADS[what] * normal(seededRandom(seed, "size", what, n)));
  const shares = regionOf.map((_, station) => size("station", station));
  const ofRegion = new Map<number, number>();
  for (const [station, region] of regionOf.entries()) {
    ofRegion.set(region, (ofRegion.get(region) ?? 0) + shares[station]!);
  }
  const sizes = new Map([...ofRegion.keys()].map((region) => [region, size("region", region)]));
  return runningSums(
    regionOf.map((region, station) => sizes.get(region)! * shares[station]! / ofRegion.get(region)!),
  );
}
