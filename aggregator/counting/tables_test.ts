import assert from "assert";
import { addTally } from "../../tests/tallies.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { readStationVoters, readTables } from "./tables.ts";

const db = await testDatabase();

Deno.test("readTables() reads one election's tables, the lanes summed, in the shape of the fold", async () => {
  const early = { election: "e", station: "n-1", mode: "early" };
  await addTally(db.query, {
    ...early,
    voters: 3,
    votes: { "mayor/#ballots": 3, "mayor/ann": 3, "mayor/bob": 2 ** 31 - 1 },
  });
  await addTally(db.query, { ...early, voters: 3, lane: 7, votes: { "mayor/ann": 4, "mayor/cid": 0 } });
  await addTally(db.query, { ...early, lane: 8, votes: { "mayor/bob": 2 ** 31 - 1 } });
  await addTally(db.query, { ...early, mode: "absentee", votes: { "mayor/ann": 1 } });
  await addTally(db.query, { ...early, election: "other", voters: 1, votes: { "mayor/ann": 100 } });
  await db.query(
    `INSERT INTO counting.turnout_counts VALUES
       ('e', 'n-1', 'early', '2026-11-03T23:59:00Z', 0, 3), ('e', 'n-1', 'early', '2026-11-03T23:59:00Z', 1, 4),
       ('e', 'n-1', 'early', '2026-11-04T00:00:00Z', 0, 1), ('other', 'n-1', 'early', '2026-11-04T00:00:00Z', 0, 9)`,
  );
  await db.query(
    `INSERT INTO counting.turnout_groups VALUES
       ('e', 'north', '75+', 'female', 0, 3), ('e', 'north', '75+', 'female', 1, 4), ('other', 'north', '75+', 'male', 0, 1)`,
  );
  await addTally(db.query, { ...early, lane: 1, voters: 1 });
  await db.query(
    `INSERT INTO counting.outcome_counts VALUES
       ('e', 0, 'counted', '', 7), ('e', 11, 'rejected', 'bad_signature', 2), ('other', 0, 'counted', '', 1)`,
  );
  await db.query(
    `INSERT INTO counting.participations VALUES
       ('e', '\\x00ff', '5f0c1f6e-0b1a-4c3d-8e2f-000000000001'), ('other', '\\x01', '5f0c1f6e-0b1a-4c3d-8e2f-000000000002')`,
  );
  await db.query(
    `INSERT INTO counting.log_positions (election, partition, records_read)
     VALUES ('e', 0, 7), ('e', 1, 0), ('e', 11, 2), ('other', 2, 1)`,
  );
  assert.deepEqual(await readTables(db.query, "e"), {
    votes: new Map([
      ["mayor/ann/n-1/early", 7],
      ["mayor/ann/n-1/absentee", 1],
      ["mayor/#ballots/n-1/early", 3],
      ["mayor/bob/n-1/early", 2 * (2 ** 31 - 1)],
    ]),
    turnout: new Map([["n-1/early/2026-11-03T23:59Z", 7], ["n-1/early/2026-11-04T00:00Z", 1]]),
    groups: new Map([["north/75+/female", 7]]),
    outcomes: new Map([["0/counted", 7], ["11/rejected/bad_signature", 2]]),
    participations: new Map([["00ff", "5f0c1f6e-0b1a-4c3d-8e2f-000000000001"]]),
    read: new Map([[0, 7], [11, 2]]),
  });
  assert.deepEqual(await readStationVoters(db.query, "e"), new Map([["n-1/early", 7]]));
  assert.deepEqual(await readStationVoters(db.query, "nowhere"), new Map());
});
