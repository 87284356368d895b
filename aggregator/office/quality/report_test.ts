import assert from "assert";
import { qualityLines } from "./report.ts";
import { notChecked, resultOf } from "./result.ts";

const AT = "2026-11-03T23:30:00.000Z";

Deno.test("qualityLines() prints each check, its wrong lines, its waiver, and what holds up certification", () => {
  const rows = [{ what: "partition 1", expected: 3, found: 2 }, { what: "n-1", expected: null, found: null }];
  const failed = resultOf("outcomes_balance", { expected: 9, found: 6, rows }, AT, true);
  const passed = resultOf("sums", { expected: 4, found: 4, rows: [] }, AT, false);
  const checks = [passed, failed, notChecked("log_against_tables", AT, "the log was not counted again yet")]
    .map((check) => ({ ...check, waiver: null }));
  const quality = { checkedAt: AT, logCheckedAt: null, failing: ["outcomes_balance"], checks };
  assert.deepEqual(qualityLines(quality), [
    "sums: ok, 4 compared (votes and undervotes against ballots × votes allowed, by contest, station and mode)",
    `outcomes_balance: error, 6 of 9 are right (outcomes against records read, by partition); digest ${failed.digest}`,
    "  partition 1: expected 3, found 2",
    "  n-1",
    "  and 1 more",
    "log_against_tables: not checked: the log was not counted again yet",
    `checked at ${AT}, the log never; not waived: outcomes_balance`,
  ]);
  const waiver = { reason: "Known", proposedBy: "ann", approvedBy: "ben", waivedAt: AT };
  const waived = { ...quality, logCheckedAt: AT, failing: [], checks: [{ ...failed, waiver }] };
  assert.deepEqual(qualityLines(waived).slice(-2), [
    "  waived by ann and ben: Known",
    `checked at ${AT}, the log at ${AT}; nothing holds up certification`,
  ]);
});
