import assert from "assert";
import { MASTER, NOON_MS, testDefinition } from "../../../tests/fixture.ts";
import { testDatabase } from "../../../tests/test_database.ts";
import { openTestOffice } from "../../../tests/test_office.ts";
import { createElection } from "../../registry/elections.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTION = "mine";
const PATH = `/v1/elections/${ELECTION}/pipeline`;

const db = await testDatabase();
const office = openTestOffice(db);
await createElection(db, testDefinition({ election: ELECTION }), MASTER, new Date(NOON_MS - 86_400_000));
const auditor = await office.enrol("aud", ["auditor", ELECTION]);

Deno.test("an auditor sees when each gateway asked last, with spool and clock, and those that have not asked", async () => {
  await db.query(
    `INSERT INTO counting.gateway_syncs (election, gateway, seen_at, spool_records, clock_ahead_ms)
     VALUES ($1, 'g-2', '2026-11-03T12:00:05.250Z', 7, -1200), ($1, 'gone', '2026-11-03T12:00:00Z', 1, 0)`,
    [ELECTION],
  );
  assert.deepEqual((await auditor("GET", PATH)).body.gateways, [
    { gateway: "g-1", seenAt: null, spoolRecords: null, clockAheadMs: null },
    { gateway: "g-2", seenAt: "2026-11-03T12:00:05.250Z", spoolRecords: 7, clockAheadMs: -1_200 },
  ]);
});

Deno.test("an auditor sees the oldest held records and how many there are, to the minute and without a vote id", async () => {
  const held = async (count: number, from: number) =>
    await db.query(
      `INSERT INTO counting.held (election, partition, log_offset, record_index, reason, appended_at, accepted_at, gateway,
         sender_key, station, vote_id)
       SELECT $1, 1, n, 0, 'device_revoked', now(), '2026-11-03T12:00:30Z'::timestamptz + n * interval '1 minute', 'g-1', '\\x00',
         'n-1', gen_random_uuid()
       FROM generate_series($2::int, $3::int) n`,
      [ELECTION, from, from + count - 1],
    );
  await held(1, 5);
  const { heldRecords, held: [record, ...others] } = (await auditor("GET", PATH)).body;
  assert.deepEqual([heldRecords, others], [1, []]);
  assert.deepEqual(record, {
    position: "1/5/0",
    reason: "device_revoked",
    gateway: "g-1",
    station: "n-1",
    minute: "2026-11-03T12:05Z",
  });
  await held(120, 10);
  const many = (await auditor("GET", PATH)).body;
  assert.deepEqual([many.heldRecords, many.held.length, many.held[0].position], [121, 100, "1/5/0"]);
});
