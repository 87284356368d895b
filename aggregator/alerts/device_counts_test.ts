import assert from "assert";
import { withElection } from "../../tests/seeded_database.ts";
import type { Database } from "../database/database.ts";
import { DeviceCounts } from "./device_counts.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTION = "test-2026";
const CLOSED = "2026-11-03T21:00:00.000Z";
const RECOUNTED = "2026-11-03T22:00:00.000Z";
const MINUTE_MS = 60_000;

type Line = Readonly<
  { device: string; station: string; sent: number | null; counted: number; countedAt?: string; note?: string }
>;

/** Writes the statements, counts and notes of which the view is made. */
async function stateInTables({ query }: Database, line: Line): Promise<void> {
  const { device, station, sent, counted, countedAt = RECOUNTED, note } = line;
  if (sent !== null) {
    await query(
      `INSERT INTO office.device_statements (election, device, key_version, station, kind, stated_at, sent, answered, statement,
         proof, received_at)
       VALUES ($1, $2, 1, $3, 'closing', $4::timestamptz, $5::bigint, 0, '', decode(repeat('00', 32), 'hex'), $4::timestamptz)`,
      [ELECTION, device, station, CLOSED, sent],
    );
  }
  await query(
    `INSERT INTO office.device_counts (election, device, station, received, counted, counted_at)
     VALUES ($1, $2, $3, $4::bigint, $4::bigint, $5::timestamptz)`,
    [ELECTION, device, station, counted, countedAt],
  );
  if (note === undefined) return;
  await query(
    `INSERT INTO office.device_notes (election, device, sent, counted, note, noted_by, noted_at)
     VALUES ($1, $2, $3::bigint, $4::bigint, $5, 'ann', now())`,
    [ELECTION, device, sent, counted, note],
  );
}

Deno.test("DeviceCounts sum up by station what devices state and what was counted, where the two differ", async () => {
  await withElection(async (db) => {
    await db.query(
      "INSERT INTO office.accounts (account, name, created_at) VALUES ('ann', 'Ann', now())",
      [],
    );
    const state = (line: Line) => stateInTables(db, line);
    const counts = new DeviceCounts();
    let nowMs = 0;
    const read = () => counts.read(db.query, ELECTION, nowMs += MINUTE_MS);
    assert.deepEqual(await read(), [], "nothing was stated");
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
