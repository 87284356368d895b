/**
 * A database with an election in it, and rows of any kind, for tests of what reads them.
 *
 * @module
 */
import { type Database, type Query, queryOne } from "../aggregator/database/database.ts";
import { createElection } from "../aggregator/registry/elections.ts";
import type { ReleaseKind } from "../aggregator/results/write_releases.ts";
import type { ElectionDefinition } from "../shared/election.ts";
import { MARK } from "../shared/marks.ts";
import type { VotingMode } from "../shared/mode.ts";
import { MASTER, NOON_MS, testDefinition } from "./fixture.ts";
import { addTally } from "./tallies.ts";
import { withDatabase } from "./test_database.ts";

/** Opens a database with an election that publishes with k = 1, works, and closes it. */
export async function withElection(
  work: (db: Database) => Promise<void>,
  definition: ElectionDefinition = testDefinition({ releaseThreshold: 1 }),
): Promise<void> {
  await withDatabase(async (db) => {
    await createElection(db, definition, MASTER, new Date(NOON_MS));
    await db.query("INSERT INTO results.elections VALUES ($1, $2)", [
      definition.election,
      definition.releaseThreshold,
    ]);
    await work(db);
  });
}

/** A release to write. `votes` is by `contest/candidate`: the total, and what was added. */
export type SeededRelease = {
  election?: string;
  station: string;
  mode?: VotingMode;
  at?: string;
  voters: number;
  addedVoters?: number;
  kind?: ReleaseKind;
  votes: Record<string, [votes: number, added: number]>;
};

/** Writes a release as the publisher does, and returns its revision. */
export async function writeRelease(db: Database, release: SeededRelease): Promise<number> {
  const { election = "test-2026", station, mode = "in_person", at = "2026-11-03T12:00:10.000Z" } = release;
  const { voters, addedVoters = voters, kind = "interim" } = release;
  const votes = Object.entries(release.votes).map(([key, [votes, added]]) => {
    const [contest, candidate] = key.split("/");
    return { contest, candidate, votes, added };
  });
  const contests = [...new Set(votes.map(({ contest }) => contest))];
  const unit = `${station}/${mode}`;
  return await db.transaction(async (query) => {
    const before = await query<{ contest: string }>(
      `SELECT v.contest FROM results.current c JOIN results.releases r USING (revision)
       CROSS JOIN jsonb_to_recordset(r.marks) AS v (contest text, candidate text)
       WHERE c.election = $1 AND c.unit = $2 AND v.candidate = '${MARK.blank}'`,
      [election, unit],
    );
    const hasBlank = new Set(before.map(({ contest }) => contest));
    const marks = contests.flatMap((contest) => [
      { contest, candidate: MARK.ballots, votes: voters, added: addedVoters },
      { contest, candidate: MARK.blank, votes: 1, added: hasBlank.has(contest!) ? 0 : 1 },
    ]);
    const { revision } = await queryOne<{ revision: number }>(
      query,
      `INSERT INTO results.releases
         (revision, election, unit, station, mode, released_at, voters, added_voters, kind, votes, marks)
       VALUES (nextval('results.revisions'), $1, $2, $3, $4, $5::timestamptz, $6, $7, $8, $9::text::jsonb, $10::text::jsonb)
       RETURNING revision::float8 AS revision`,
      [
        election,
        unit,
        station,
        mode,
        at,
        voters,
        addedVoters,
        kind,
        JSON.stringify(votes),
        JSON.stringify(marks),
      ],
    );
    await query(
      `INSERT INTO results.current (election, unit, station, mode, revision, voters) VALUES ($1, $2, $3, $4, $5, $6)
       ON CONFLICT (election, unit) DO UPDATE SET revision = excluded.revision, voters = excluded.voters`,
      [election, unit, station, mode, revision, voters],
    );
    return revision;
  });
}

/** Puts voters of one kind on the roll. Voter keys begin with the kind's `first` and go up. */
export async function enrol(
  query: Query,
  first: number,
  voters: number,
  { region = "north", ageGroup = "25-34", gender = "female" } = {},
): Promise<void> {
  await query(
    `INSERT INTO counting.roll (election, voter_key, region, age_group, gender)
     SELECT 'test-2026', decode(lpad(to_hex(n), 64, '0'), 'hex'), $3, $4, $5
     FROM generate_series($1::int, $1::int + $2::int - 1) AS n`,
    [first, voters, region, ageGroup, gender],
  );
}

/** Adds voters to the count: to station, minute and group. */
export async function countVoters(
  query: Query,
  voters: number,
  place: {
    station: string;
    minute: string;
    region: string;
    ageGroup?: string;
    gender?: string;
    lane?: number;
  },
): Promise<void> {
  const { station, minute, region, ageGroup = "25-34", gender = "female", lane = 0 } = place;
  await addTally(query, { election: "test-2026", station, mode: "in_person", lane, voters });
  await query(
    `INSERT INTO counting.turnout_counts AS t VALUES ('test-2026', $1, 'in_person', $2::timestamptz, $3, $4)
     ON CONFLICT (election, station, mode, minute, lane) DO UPDATE SET voters = t.voters + excluded.voters`,
    [station, minute, lane, voters],
  );
  await query(
    `INSERT INTO counting.minute_voters AS t VALUES ('test-2026', $1::timestamptz, $2, $3)
     ON CONFLICT (election, minute, lane) DO UPDATE SET voters = t.voters + excluded.voters`,
    [minute, lane, voters],
  );
  await query(
    `INSERT INTO counting.turnout_groups AS t VALUES ('test-2026', $1, $2, $3, $4, $5)
     ON CONFLICT (election, region, age_group, gender, lane) DO UPDATE SET voters = t.voters + excluded.voters`,
    [region, ageGroup, gender, lane, voters],
  );
}

/** Writes where counting stands on a partition, and what became of its records. */
export async function writeReconciliation(
  query: Query,
  partition: number,
  read: number,
  nextOffset: number,
  outcomes: Record<string, number>,
): Promise<void> {
  await query(
    `INSERT INTO counting.log_positions (election, partition, next_offset, records_read)
     VALUES ('test-2026', $1, $2, $3)
     ON CONFLICT (election, partition)
     DO UPDATE SET next_offset = excluded.next_offset, records_read = excluded.records_read`,
    [partition, nextOffset, read],
  );
  for (const [outcome, records] of Object.entries(outcomes)) {
    const [fate = "", reason = ""] = outcome.split("/");
    await query(
      `INSERT INTO counting.outcome_counts VALUES ('test-2026', $1, $2, $3, $4)
       ON CONFLICT (election, partition, fate, reason) DO UPDATE SET records = excluded.records`,
      [partition, fate, reason, records],
    );
  }
}

/** Writes a rejection's details. */
export async function writeRejection(
  query: Query,
  partition: number,
  offset: number,
  reason: string,
  more: {
    fate?: string;
    at?: string;
    gateway?: string | null;
    station?: string | null;
    voteId?: string | null;
    index?: number;
  } = {},
): Promise<void> {
  const {
    fate = "rejected",
    index = 0,
    at = "2026-11-03T12:00:30.000Z",
    gateway = "g-1",
    station = "n-1",
    voteId = null,
  } = more;
  await query(
    `INSERT INTO counting.rejections
       (election, partition, log_offset, record_index, fate, reason, appended_at, gateway, station, vote_id)
     VALUES ('test-2026', $1, $2, $9, $3, $4, $5::timestamptz, $6, $7, $8::uuid)`,
    [partition, offset, fate, reason, at, gateway, station, voteId, index],
  );
}

/** Writes a held record. */
export async function writeHeld(
  query: Query,
  partition: number,
  offset: number,
  reason: string,
  more: { gateway?: string; station?: string; voteId?: string; senderKey?: string; acceptedAt?: string } = {},
): Promise<void> {
  const { gateway = "g-1", station = "n-1", voteId = crypto.randomUUID(), senderKey = "ab".repeat(32) } =
    more;
  const { acceptedAt = "2026-11-03T12:00:00.000Z" } = more;
  await query(
    `INSERT INTO counting.held (election, partition, log_offset, record_index, reason, appended_at, accepted_at, gateway,
       sender_key, station, vote_id)
     VALUES ('test-2026', $1, $2, 0, $3, $4::timestamptz, $4::timestamptz, $5, decode($6, 'hex'), $7, $8::uuid)`,
    [partition, offset, reason, acceptedAt, gateway, senderKey, station, voteId],
  );
}

/** Writes that a voter has voted. */
export async function writeParticipation(query: Query, voterKey: string, voteId: string): Promise<void> {
  await query(
    `INSERT INTO counting.participations VALUES ('test-2026', decode($1, 'hex'), $2::uuid)`,
    [voterKey, voteId],
  );
}
