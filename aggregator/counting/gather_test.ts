import assert from "assert";
import { GATHER_MAX_RECORDS, GATHER_MAX_WAIT_MS, gatheredRecords, isDue } from "./gather.ts";

Deno.test("isDue() waits for min(k, 10) records, or for 2 s", () => {
  const table: readonly (readonly [records: number, waitedMs: number, k: number, due: boolean])[] = [
    [0, 0, 1, false],
    [0, GATHER_MAX_WAIT_MS, 5, false],
    [1, 0, 1, true],
    [1, 0, 2, false],
    [2, 0, 2, true],
    [4, GATHER_MAX_WAIT_MS - 1, 5, false],
    [4, GATHER_MAX_WAIT_MS, 5, true],
    [5, 0, 5, true],
    [9, 0, 10, false],
    [9, 0, 1_000, false],
    [10, 0, 1_000, true],
    [2_000, 0, 1_000, true],
    [1, GATHER_MAX_WAIT_MS + 1, 1_000, true],
  ];
  for (const [records, waitedMs, k, due] of table) {
    assert.equal(isDue(records, waitedMs, k), due, `${records} records, ${waitedMs} ms, k = ${k}`);
  }
});

Deno.test("gatheredRecords() is k, and 10 at the most", () => {
  assert.deepEqual([1, 2, 9, 10, 11, 1_000].map(gatheredRecords), [1, 2, 9, 10, 10, 10]);
  assert.deepEqual([GATHER_MAX_RECORDS, GATHER_MAX_WAIT_MS], [10, 2_000]);
});
