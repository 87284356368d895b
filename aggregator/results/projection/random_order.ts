/**
 * An exact confidence sequence for stations that report in random order: Waudby-Smith and Ramdas, "Confidence sequences for
 * sampling without replacement" (NeurIPS 2020), with the empirical-Bernstein supermartingale of its section 3.
 *
 * If θ is the final share, the values `z = θ + (v − θ n) / R` of all stations have the mean θ: `v` of a station's `n` votes are
 * the candidate's, and no station has more than `R`. Each θ is tested so; the shares that were never rejected are the
 * interval. In a random order it holds the final share at all times together, with no other assumption. Pure.
 *
 * @module
 */
import { sum } from "./stations.ts";

/** A station that has reported: a candidate's votes, and all votes in the contest. */
export type Drawn = Readonly<{ votes: number; of: number }>;

/** How fine the interval's ends are sought: so many shares from 0 to 1 are tested. The ends are rounded outwards. */
const SHARES = 400;

/** Most that is wagered at one station; below 1, where the supermartingale ends. */
const MAX_LAMBDA = 0.75;

/**
 * The interval of a candidate's final share.
 *
 * @param drawn In the order in which they reported, which must be random.
 * @param stations How many there are, those that are out included.
 * @param most The most votes that any station can have: the largest roll, times the choices that a voter has.
 * @param confidence Such as 0.9.
 */
export function randomOrderInterval(
  drawn: readonly Drawn[],
  stations: number,
  most: number,
  confidence: number,
): [low: number, high: number] {
  if (drawn.some(({ of }) => of > most)) return [0, 1];
  const votes = sum(drawn.map(({ of }) => of));
  if (votes === 0) return [0, 1];
  const limit = Math.log(2 / (1 - confidence));
  const holds = (at: number) => !isRejected(drawn, stations, most, at / SHARES, limit);
  // From the outside: what is not rejected need not be in one piece.
  let low = 0;
  while (low < SHARES && !holds(low)) low++;
  let high = SHARES;
  while (high > low && !holds(high)) high--;
  // Should everything be rejected, the order was not random, or a roll is wrong.
  if (low === SHARES) return [0, 1];
  return [Math.max(0, low - 1) / SHARES, Math.min(SHARES, high + 1) / SHARES];
}

/** Whether either of the two supermartingales of a share ever came to the limit. */
function isRejected(
  drawn: readonly Drawn[],
  stations: number,
  most: number,
  share: number,
  limit: number,
): boolean {
  let [up, down] = [0, 0];
  let total = 0;
  let squares = 0.05;
  for (let at = 0; at < drawn.length; at++) {
    const left = stations - at;
    // What the mean of those that are left must be, if the share is true.
    const mean = (stations * share - total) / left;
    // Such a mean cannot be: the share is impossible.
    if (mean < 0 || mean > 1) return true;
    const guess = Math.min(1, (share + total) / (at + 1));
    const variance = squares / (at + 1);
    const lambda = Math.min(MAX_LAMBDA, Math.sqrt(2 * limit / (variance * stations)));
    const { votes, of } = drawn[at]!;
    const value = share + (votes - share * of) / most;
    const cost = (value - guess) ** 2 * (-Math.log(1 - lambda) - lambda);
    up += lambda * (value - mean) - cost;
    down += lambda * (mean - value) - cost;
    if (up >= limit || down >= limit) return true;
    total += value;
    squares += (value - guess) ** 2;
  }
  return false;
}
