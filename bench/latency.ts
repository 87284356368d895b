/**
 * How long votes took, as a row of the report.
 *
 * @module
 */
import { quantile, type Row } from "./measure.ts";

/** This part of the votes warms the processes up, and is not counted. */
const WARM_PART = 1 / 6;
const GOAL_MS = 500;

/** @param tookMs As `pace` returns it. The streams of all aggregators are one: a page may read any of them. */
export function latencyRow(benchmark: string, perSecond: number, tookMs: readonly number[][]): Row {
  const warm = tookMs.flatMap((each) => each.slice(Math.floor(each.length * WARM_PART)));
  const [p50, p99] = [quantile(warm, 0.5), quantile(warm, 0.99)];
  return {
    benchmark,
    of: `${perSecond.toLocaleString("en")} single votes/s, POST to page (k = 1)`,
    value: 1_000 / p99,
    unit: "/s (1/p99)",
    goal: { value: 1_000 / GOAL_MS },
    notes: `p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms; goal: p99 under ${GOAL_MS} ms`,
  };
}
