import assert from "assert";
import { openBallotBox, testVoter } from "../../tests/ballot_box.ts";
import { NOON_MS, testVoterKey } from "../../tests/fixture.ts";
import { withDatabase } from "../../tests/test_database.ts";
import { arrayLiteral, type Database } from "../database/database.ts";
import { DeviceCounts } from "./device_counts.ts";
import { NumberCounts, readFacts, RollCounts } from "./read_facts.ts";
import { newState } from "./state.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTION = "facts";

Deno.test("readFacts() reads counts, rejections, gateways and the reconciliation of what was really counted", async () => {
  await withDatabase(async (db) => {
    const box = await openBallotBox(db, ELECTION);
    await box.enrol([
      ...["u-1", "u-2", "u-3", "u-4"].map((id) => testVoter(id)),
      testVoter("n1-only", { station: "n-1" }),
      testVoter("southern", { region: "south" }),
    ]);
    const roll = new RollCounts();
    const asked: string[] = [];
    const watched: Database = {
      ...db,
      query: (sql, params) => (asked.push(sql), db.query(sql, params)),
      transaction: (work, isolation) =>
        db.transaction((query) => work((sql, params) => (asked.push(sql), query(sql, params))), isolation),
    };
    const read = async (arrivals = {}, nowMs = NOON_MS) =>
      await readFacts(
        {
          db: watched,
          election: ELECTION,
          index: box.history.newest,
          logEnds: () => Promise.resolve([5, 5, 5]),
          readChecks: (election) =>
            Promise.resolve([{ check: "named", hasPassed: false, detail: `of ${election}` }]),
          roll,
          numbers: new NumberCounts(),
          deviceCounts: new DeviceCounts(),
        },
        { ...newState(nowMs), arrivals },
        nowMs,
      );
    await box.cast("u-1");
    await box.cast("u-2", { mode: "absentee" });
    await box.cast("u-3", { station: "n-2" });
    await box.count();
    const before = await read();
    assert.deepEqual(before.facts.rejected, []);
    const stations = Object.fromEntries(before.facts.stations.map(({ station, ...rest }) => [station, rest]));
    assert.deepEqual(stations["n-1"], { gateway: "g-1", voters: 2, present: 1, roll: 5, isPaused: false });
    assert.deepEqual(stations["n-2"], { gateway: "g-1", voters: 1, present: 1, roll: 4, isPaused: false });
    assert.deepEqual(stations["s-1"]!.roll, 1);
    assert.deepEqual(before.facts.unbalanced, []);
    assert.equal(before.facts.lag, 15 - 3);
    assert.deepEqual(before.facts.checks, [{ check: "named", hasPassed: false, detail: `of ${ELECTION}` }]);
    assert.deepEqual(before.facts.gateways.map(({ gateway, seenAtMs }) => [gateway, seenAtMs]), [[
      "g-1",
      null,
    ], ["g-2", null]]);

    await box.cast("u-1", { voteId: crypto.randomUUID() });
    await box.cast("u-4", { proof: new Uint8Array(32) });
    await box.count();
    const after = await read(before.arrivals);
    assert.deepEqual(
      after.facts.rejected.toSorted((a, b) => a.reason < b.reason ? -1 : 1).map((
        { reason, gateway, records },
      ) => [reason, gateway, records]),
      [["bad_proof", "g-1", 1], ["double_vote", "g-1", 1]],
    );
    assert.equal(after.facts.rejected.find(({ reason }) => reason === "double_vote")!.station, "n-1");
    assert.deepEqual((await read(after.arrivals)).facts.rejected, [], "each is told once");
    const secrets = ["ann", "bob", "dan", "mayor", "n-1-a", testVoterKey("u-1", ELECTION), "u-1"];
    const told = JSON.stringify(after);
    assert.deepEqual(
      secrets.filter((secret) => told.includes(`"${secret}`)),
      [],
      "no candidate, device or voter",
    );
    const reading = asked.filter((sql) => /participations|layouts|\bvotes\b|vote_id|results\./.test(sql));
    assert.deepEqual(reading, [], "and none of it is read");

    await db.query(
      "UPDATE counting.log_positions SET records_read = records_read + 3 WHERE election = $1 AND partition = 0",
      [ELECTION],
    );
    await db.query("INSERT INTO counting.gateway_syncs VALUES ($1, 'g-2', $2::timestamptz, 7, -1500)", [
      ELECTION,
      new Date(NOON_MS).toISOString(),
    ]);
    await db.query("INSERT INTO counting.clocks_ahead VALUES ($1, 'g-2', 4)", [ELECTION]);
    const { facts } = await read();
    assert.deepEqual(facts.unbalanced, [{ partition: 0, difference: 3 }]);
    assert.deepEqual(facts.gateways[1], {
      gateway: "g-2",
      seenAtMs: NOON_MS,
      spoolRecords: 7,
      clockAheadMs: -1_500,
      recordsAhead: 4,
      missingNumbers: 0,
      aboveStated: 0,
    });

    await box.enrol([testVoter("late")]);
    const rolls = async (nowMs: number) => (await read({}, nowMs)).facts.stations[0]!.roll;
    assert.equal(await rolls(NOON_MS + 59_000), null, "a roll that changed is not known until it is counted");
    assert.equal(await rolls(NOON_MS + 60_000), 6);
  });
});

/** Stores a sender key and the numbers that were read under it. */
async function putKey(
  db: Database,
  key: string,
  gateway: string,
  stated: number | null,
  numbers: number[],
  waived = false,
) {
  await db.query(
    `INSERT INTO counting.sender_keys (election, sender_key, gateway, registered_at, registered_by, stated, waived_revision)
     VALUES ($1, decode($2, 'hex'), $3, now(), 'log', $4::bigint, $5::bigint)`,
    [ELECTION, key, gateway, stated, waived ? 1 : null],
  );
  for (const [block, own] of Map.groupBy(numbers, (number) => Math.floor((number - 1) / 1_024))) {
    const bits = Array.from({ length: 1_024 }, (_, i) => own.includes(block * 1_024 + i + 1) ? "1" : "0")
      .join("");
    await db.query(
      `INSERT INTO counting.sequences (election, sender_key, partition, block, numbers)
       SELECT $1, decode($2, 'hex'), p, $3, $4::text::bit(1024) FROM unnest($5::text::int[]) AS p`,
      [ELECTION, key, block, bits, arrayLiteral([0, 1])],
    );
  }
}

Deno.test("readFacts() counts numbers that are missing, and numbers above those stated", async () => {
  await withDatabase(async (db) => {
    const box = await openBallotBox(db, ELECTION);
    const upTo = (end: number, without: number[] = []) =>
      Array.from({ length: end }, (_, i) => i + 1).filter((number) => !without.includes(number));
    await putKey(db, "aa", "g-1", 2_000, upTo(2_000, [1, 1_024, 1_025]));
    await putKey(db, "ab", "g-1", 3, []);
    await putKey(db, "ac", "g-1", 5, [], true);
    await putKey(db, "ad", "g-1", null, [7]);
    await putKey(db, "ba", "g-2", 1_024, upTo(1_030));
    await putKey(db, "bb", "g-2", 0, [2]);
    const { facts: { gateways } } = await readFacts(
      {
        db,
        election: ELECTION,
        index: box.history.newest,
        logEnds: () => Promise.resolve(undefined),
        readChecks: () => Promise.resolve([]),
        roll: new RollCounts(),
        numbers: new NumberCounts(),
        deviceCounts: new DeviceCounts(),
      },
      newState(NOON_MS),
      NOON_MS,
    );
    assert.deepEqual(
      gateways.map(({ gateway, missingNumbers, aboveStated }) => [gateway, missingNumbers, aboveStated]),
      [["g-1", 6, 0], ["g-2", 0, 7]],
    );
  });
});
