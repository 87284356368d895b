import assert from "assert";
import { withDatabase } from "../../tests/test_database.ts";
import { DeviceCounts } from "./device_counts.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTION = "town";
const CLOSED = "2026-11-03T21:00:00.000Z";
const RECOUNTED = "2026-11-03T22:00:00.000Z";
const MINUTE_MS = 60_000;

type Line = Readonly<
  { device: string; station: string; sent: number | null; counted: number; countedAt?: string; note?: string }
>;

Deno.test("DeviceCounts sum up by station what devices state and what was counted, where the two differ", async () => {
  await withDatabase(async (db) => {
    const counts = new DeviceCounts();
    let nowMs = 0;
    const read = () => counts.read(db.query, ELECTION, nowMs += MINUTE_MS);
    assert.deepEqual(await read(), [], "a database without statements");
    await db.query(
      `CREATE TABLE office.device_reconciliation (election text, device text, station text, sent bigint, counted bigint,
         counted_at timestamptz, closed_at timestamptz, note text)`,
      [],
    );
    const state = async ({ device, station, sent, counted, countedAt = RECOUNTED, note }: Line) =>
      void await db.query(
        `INSERT INTO office.device_reconciliation VALUES ($1, $2, $3, $4::bigint, $5::bigint, $6::timestamptz, $7::timestamptz, $8)`,
        [ELECTION, device, station, sent, counted, countedAt, CLOSED, note ?? null],
      );
    await state({ device: "d-1", station: "hall", sent: 20, counted: 20 });
    await state({ device: "d-2", station: "hall", sent: null, counted: 4 });
    await state({ device: "d-3", station: "hall", sent: 9, counted: 8, note: "A voter voted twice" });
    await state({
      device: "d-4",
      station: "hall",
      sent: 9,
      counted: 0,
      countedAt: "2026-11-03T20:59:00.000Z",
    });
    assert.deepEqual(await read(), [], "equal, not stated, explained, and not counted again since");
    await state({ device: "d-5", station: "hall", sent: 12, counted: 10 });
    await state({ device: "d-6", station: "hall", sent: 3, counted: 4 });
    await state({ device: "d-7", station: "school", sent: 1, counted: 0 });
    const differ = [
      { station: "hall", devices: 2, stated: 15, counted: 14 },
      { station: "school", devices: 1, stated: 1, counted: 0 },
    ];
    assert.deepEqual(
      await counts.read(db.query, ELECTION, nowMs + MINUTE_MS / 2),
      [],
      "not asked again so soon",
    );
    assert.deepEqual(await read(), differ);
    assert.deepEqual(await counts.read(db.query, "another", nowMs += MINUTE_MS), []);
  });
});
