/**
 * Self-calibration: the model projects stations that have reported from others that have, as if they were out. By how much it
 * misses there, measured in its own standard errors, says how wide its intervals must be. Pure.
 *
 * @module
 */
import { type Estimate, estimateShares } from "./final_share.ts";
import { randomFrom, shuffled } from "./random.ts";
import { type ProjectedStation, type ReportedStation, splitReported, sum, votesIn } from "./stations.ts";

/** How many times stations are set aside; fewer times in elections of more than {@link ALL_TRIALS_STATIONS}. */
const MAX_TRIALS = 60;
const MIN_TRIALS = 20;
const ALL_TRIALS_STATIONS = 1_000;
/** Of the reported roll, how much is kept in a trial at least; and at most. */
const MIN_KEPT = 0.4;
const MAX_KEPT = 0.75;

/**
 * By candidate, how many standard errors the final share of the reported stations was from its estimate, in each trial.
 * Whole regions are set aside as often as the roll that is out lies in regions of which nothing is known.
 */
export function missesOf(stations: readonly ProjectedStation[], candidates: number): number[][] {
  const { reported, out } = splitReported(stations);
  const random = randomFrom(reported.length * 7_919 + out.length);
  const all = sum(reported.map(({ roll }) => roll));
  const kept = Math.min(MAX_KEPT, Math.max(MIN_KEPT, all / (all + sum(out.map(({ roll }) => roll)))));
  const regions = new Set(reported.map(({ region }) => region));
  const unseen = sum(out.filter(({ region }) => !regions.has(region)).map(({ roll }) => roll));
  const wholeRegions = unseen / Math.max(1, sum(out.map(({ roll }) => roll)));
  const truth = sharesOf(reported, candidates);
  const misses: number[][] = Array.from({ length: candidates }, () => []);
  const affordable = Math.floor(MAX_TRIALS * ALL_TRIALS_STATIONS / stations.length);
  const trials = Math.max(MIN_TRIALS, Math.min(MAX_TRIALS, affordable));
  for (let trial = 0; trial < trials; trial++) {
    const inTrial = setAside(reported, kept * all, random() < wholeRegions, random);
    if (new Set(inTrial.filter(({ votes }) => votes !== undefined).map(({ region }) => region)).size < 2) {
      continue;
    }
    estimateShares(inTrial, candidates).forEach(({ share, error }: Estimate, candidate) => {
      if (error > 0) misses[candidate]!.push(Math.abs(share - truth[candidate]!) / error);
    });
  }
  return misses;
}

/** Takes the votes of all but so much of the roll away: those of whole regions, or of stations of any region. */
function setAside(
  reported: readonly ReportedStation[],
  keptRoll: number,
  wholeRegions: boolean,
  random: () => number,
): ProjectedStation[] {
  const groups = wholeRegions
    ? [...Map.groupBy(reported, ({ region }) => region).values()]
    : reported.map((station) => [station]);
  let roll = 0;
  return shuffled(groups, random).flatMap((group) => {
    const isKept = roll < keptRoll;
    roll += sum(group.map(({ roll }) => roll));
    return isKept ? group : group.map(({ votes: _, ...station }) => station);
  });
}

/** The share of each candidate in the votes of stations. */
export function sharesOf(reported: readonly ReportedStation[], candidates: number): number[] {
  const all = sum(reported.map(votesIn));
  return Array.from(
    { length: candidates },
    (_, at) => all === 0 ? 0 : sum(reported.map(({ votes }) => votes[at]!)) / all,
  );
}

/** The value below which this share of the numbers lies, from 0 to 1. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  // One more than there are, as conformal intervals do it: with few numbers the quantile is the greatest.
  const at = Math.ceil((sorted.length + 1) * share) - 1;
  return sorted[Math.min(sorted.length - 1, Math.max(0, at))] ?? 0;
}
