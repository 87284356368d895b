/**
 * The rhythm of a polling day: a rush when the doors open, one at lunch, the largest after work. The shape is made
 * up after what election offices tell of their days; only its mean is exact.
 *
 * @module
 */

/** Peaks over an even stream of voters: when (0 opening, 1 closing), how long (a deviation), how high above it. */
const PEAKS = [
  { at: 0.03, width: 0.04, height: 1.1 },
  { at: 0.42, width: 0.06, height: 0.7 },
  { at: 0.83, width: 0.07, height: 1.6 },
] as const;
/** Steps over which the mean is taken: the minutes of a day of 24 hours. */
const STEPS = 1_440;

function shape(day: number): number {
  let sum = 1;
  for (const { at, width, height } of PEAKS) sum += height * Math.exp(-(((day - at) / width) ** 2) / 2);
  return sum;
}

const MEAN = Array.from({ length: STEPS }, (_, i) => shape((i + 0.5) / STEPS)).reduce((a, b) => a + b) /
  STEPS;

/**
 * How many voters come, as a multiple of the day's mean: the mean over a whole day is 1.
 *
 * @param day How much of the day is over: 0 at opening, 1 at closing, and what lies beyond is taken for these.
 */
export function rhythmAt(day: number): number {
  return shape(Math.min(1, Math.max(0, day))) / MEAN;
}
