/**
 * Quantiles of Student's t and of the normal distribution. Pure.
 *
 * @module
 */

/** The normal quantile (Acklam's rational approximation; relative error below 1.2e-9). */
export function normalQuantile(p: number): number {
  if (!(p > 0 && p < 1)) throw new RangeError(`Cannot take the quantile of ${p}: it must be between 0 and 1`);
  const low = 0.02425;
  if (p > 1 - low) return -normalQuantile(1 - p);
  const horner = (x: number, of: readonly number[]) => of.reduce((sum, each) => sum * x + each, 0);
  if (p < low) {
    const q = Math.sqrt(-2 * Math.log(p));
    return horner(q, TAIL) / (horner(q, TAIL_BELOW) * q + 1);
  }
  const q = p - 0.5;
  const r = q * q;
  return horner(r, MIDDLE) * q / (horner(r, MIDDLE_BELOW) * r + 1);
}

const MIDDLE = [
  -3.969683028665376e1,
  2.209460984245205e2,
  -2.759285104469687e2,
  1.38357751867269e2,
  -3.066479806614716e1,
  2.506628277459239,
];
const MIDDLE_BELOW = [
  -5.447609879822406e1,
  1.615858368580409e2,
  -1.556989798598866e2,
  6.680131188771972e1,
  -1.328068155288572e1,
];
const TAIL = [
  -7.784894002430293e-3,
  -3.223964580411365e-1,
  -2.400758277161838,
  -2.549732539343734,
  4.374664141464968,
  2.938163982698783,
];
const TAIL_BELOW = [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416];

/** The quantile of Student's t, by the Cornish-Fisher expansion: within 0.01 for 5 degrees of freedom and more. */
export function studentQuantile(p: number, freedom: number): number {
  const z = normalQuantile(p);
  const v = freedom;
  return z + (z ** 3 + z) / (4 * v) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * v ** 2) +
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * v ** 3);
}
