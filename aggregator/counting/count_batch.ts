/**
 * The counting transaction: moves the position, then counts a batch in one statement. Whatever fails, either all
 * of it is in the database or none.
 *
 * @module
 */
import type { Judgement } from "../../shared/judge.ts";
import type { StoredRecord } from "../../shared/log/vote_log.ts";
import { arrayLiteral, type Query } from "../database/database.ts";

/** A batch of one partition, judged. */
export type CountedBatch = Readonly<{
  election: string;
  partition: number;
  epoch: number;
  /** What the position must be now. */
  fromOffset: number;
  /** What the position becomes: the batch's last offset + 1. */
  nextOffset: number;
  /** What tells the batch's last record from every other, in hex. */
  lastDigest: string;
  records: readonly StoredRecord[];
  /** One a record. */
  judgements: readonly Judgement[];
  /** One a record: whether its details are to be kept if it is rejected. */
  keepDetails: readonly boolean[];
}>;

/** How many of a batch's records had one outcome; `reason` is empty for `counted`. */
export type OutcomeDelta = Readonly<
  { fate: "counted" | "duplicate" | "rejected"; reason: string; records: number }
>;

/** Lanes of the shared counters. Where more transactions count at once, some of them wait for another's rows. */
const LANES = 64;
/** Key of the advisory locks that lanes are taken with, beside the lane's number; the same in every process. */
const LANE_LOCK = 7_026;

/**
 * Counts a batch, inside the caller's transaction.
 *
 * @returns what was counted, or `undefined` when the partition is another process's: roll back.
 */
export async function countBatch(query: Query, batch: CountedBatch): Promise<OutcomeDelta[] | undefined> {
  const lane = await movePosition(query, batch);
  if (lane === undefined) return undefined;
  const gaps = gapsOf(batch);
  if (gaps.length > 0) await noteGaps(query, batch, gaps);
  return await countRecords(query, batch, lane);
}

/**
 * Moves the position, and takes the first lane that no other transaction has, until this one ends.
 *
 * @returns the lane, or `undefined` when the partition is another process's.
 */
async function movePosition(query: Query, batch: CountedBatch): Promise<number | undefined> {
  const [row] = await query<{ lane: number }>(
    `UPDATE counting.log_positions
     SET next_offset = $5::bigint, records_read = records_read + $6::bigint, last_offset = $5::bigint - 1, last_digest = decode($7, 'hex')
     WHERE election = $1 AND partition = $2 AND next_offset = $3 AND epoch = $4
     RETURNING coalesce(
       (SELECT lane FROM generate_series(0, $9::int - 1) AS lane WHERE pg_try_advisory_xact_lock($8::int, lane) LIMIT 1),
       partition % $9::int
     ) AS lane`,
    [
      batch.election,
      batch.partition,
      batch.fromOffset,
      batch.epoch,
      batch.nextOffset,
      batch.records.length,
      batch.lastDigest,
      LANE_LOCK,
      LANES,
    ],
  );
  return row?.lane;
}

/** Ranges of offsets that were not delivered: from the first missing one until the next delivered one. */
function gapsOf({ fromOffset, records }: CountedBatch): { from: number; until: number }[] {
  const gaps: { from: number; until: number }[] = [];
  let expected = fromOffset;
  for (const { offset } of records) {
    if (offset > expected) gaps.push({ from: expected, until: offset });
    expected = offset + 1;
  }
  return gaps;
}

async function noteGaps(
  query: Query,
  batch: CountedBatch,
  gaps: { from: number; until: number }[],
): Promise<void> {
  await query(
    `INSERT INTO counting.gaps SELECT $1::text, $2::int, * FROM unnest($3::bigint[], $4::bigint[])`,
    [
      batch.election,
      batch.partition,
      arrayLiteral(gaps.map(({ from }) => from)),
      arrayLiteral(gaps.map(({ until }) => until)),
    ],
  );
}

/**
 * In order: the roll as it was when the gateway accepted each vote; each voter's first acceptable record;
 * the participations, which decide; what follows from those that were new; what became of the others, whose
 * `earlier` reads the participations as they were ahead of this statement.
 *
 * It takes the same shape whatever the planner knows, for an embedded database never gathers statistics and a new
 * one has none yet. Roll and participations are asked voter by voter (LATERAL, subquery): a join might read the
 * whole roll for every batch. `IN (…) IS TRUE` stays a hashed look-up, where a join might hold every row of the batch
 * against every other. `is_first` is a boolean because half the rows is then the guess, not one in two hundred.
 * Stations with their modes, and contests with their candidates, come once each, and are named by their number.
 */
const COUNT = `
WITH places AS MATERIALIZED (
  SELECT * FROM unnest($8::text[], $9::text[]) WITH ORDINALITY AS p (station, mode, place)
),
known AS MATERIALIZED (
  SELECT v.*, refusal IS NULL AND row_number() OVER voter = 1 AS is_first, first_value(vote_id) OVER voter AS first_vote_id
  FROM (
    SELECT i.*, r.region, r.age_group, r.gender,
      CASE WHEN r.region IS NULL THEN 'unknown_voter' WHEN r.station <> i.station THEN 'wrong_station' END AS refusal
    FROM (
      SELECT ord, decode(voter_key, 'hex') AS voter_key, vote_id, accepted_at, place, station
      FROM unnest($4::text[], $5::uuid[], $6::timestamptz[], $7::int[])
        WITH ORDINALITY AS t (voter_key, vote_id, accepted_at, place, ord)
      JOIN places USING (place)
      OFFSET 0
    ) i
    LEFT JOIN LATERAL (
      SELECT region, station, age_group, gender FROM counting.roll
      WHERE election = $1::text AND voter_key = i.voter_key
        AND effective_at <= i.accepted_at AND (struck_at IS NULL OR i.accepted_at < struck_at)
      ORDER BY effective_at DESC LIMIT 1
    ) r ON true
  ) v
  WINDOW voter AS (PARTITION BY voter_key, refusal ORDER BY ord)
),
inserted AS (
  INSERT INTO counting.participations (election, voter_key, vote_id)
  SELECT $1::text, voter_key, vote_id FROM known WHERE is_first
  ON CONFLICT DO NOTHING
  RETURNING voter_key
),
counted AS MATERIALIZED (
  SELECT ord, place, date_bin('1 minute', accepted_at, timestamptz 'epoch') AS minute, region, age_group, gender
  FROM known WHERE is_first AND (voter_key IN (SELECT voter_key FROM inserted)) IS TRUE
),
cells AS MATERIALIZED (
  SELECT station, mode, minute, voters
  FROM (SELECT place, minute, count(*)::int AS voters FROM counted GROUP BY place, minute) c JOIN places USING (place)
),
votes AS (
  INSERT INTO counting.station_counts AS total (election, station, contest, candidate, mode, lane, votes)
  SELECT $1::text, p.station, o.contest, o.candidate, p.mode, $3::smallint, s.votes
  FROM (
    SELECT c.place, s.option, count(*) AS votes
    FROM counted c JOIN unnest($10::int[], $11::int[]) AS s (ord, option) ON s.ord = c.ord
    GROUP BY c.place, s.option
  ) s
  JOIN places p USING (place)
  JOIN unnest($12::text[], $13::text[]) WITH ORDINALITY AS o (contest, candidate, option) USING (option)
  ON CONFLICT (election, station, contest, candidate, mode, lane) DO UPDATE SET votes = total.votes + excluded.votes
),
voters AS (
  INSERT INTO counting.station_voters AS total (election, station, mode, lane, voters)
  SELECT $1::text, station, mode, $3::smallint, sum(voters) FROM cells GROUP BY station, mode
  ON CONFLICT (election, station, mode, lane) DO UPDATE SET voters = total.voters + excluded.voters
),
turnout AS (
  INSERT INTO counting.turnout_counts AS total (election, station, mode, minute, lane, voters)
  SELECT $1::text, station, mode, minute, $3::smallint, voters FROM cells
  ON CONFLICT (election, station, mode, minute, lane) DO UPDATE SET voters = total.voters + excluded.voters
),
groups AS (
  INSERT INTO counting.turnout_groups AS total (election, region, age_group, gender, lane, voters)
  SELECT $1::text, region, age_group, gender, $3::smallint, count(*) FROM counted GROUP BY region, age_group, gender
  ON CONFLICT (election, region, age_group, gender, lane) DO UPDATE SET voters = total.voters + excluded.voters
),
changed AS (
  INSERT INTO counting.changes (election, station) SELECT DISTINCT $1::text, station FROM cells
),
others AS MATERIALIZED (
  SELECT ord, station, vote_id, CASE WHEN refusal IS NULL THEN 'duplicate' ELSE 'rejected' END AS fate,
    CASE
      WHEN refusal IS NOT NULL THEN refusal
      WHEN coalesce((
        SELECT earlier.vote_id FROM counting.participations earlier
        WHERE earlier.election = $1::text AND earlier.voter_key = k.voter_key
      ), first_vote_id) = vote_id THEN 'retransmission'
      ELSE 'double_vote'
    END AS reason
  FROM known k
  WHERE (ord IN (SELECT ord FROM counted)) IS NOT TRUE
),
details AS (
  INSERT INTO counting.rejections
    (election, partition, log_offset, fate, reason, appended_at, gateway, station, vote_id)
  SELECT $1::text, $2::int, p.log_offset, o.fate, o.reason, timestamptz 'epoch' + p.appended_ms * interval '1 ms',
    p.gateway, o.station, o.vote_id
  FROM others o
  JOIN unnest($14::bigint[], $15::bigint[], $16::text[])
    WITH ORDINALITY AS p (log_offset, appended_ms, gateway, ord) ON p.ord = o.ord
  WHERE o.reason <> 'retransmission'
  UNION ALL
  SELECT $1::text, $2::int, log_offset, 'rejected', reason, timestamptz 'epoch' + appended_ms * interval '1 ms',
    gateway, station, vote_id
  FROM unnest($17::bigint[], $18::text[], $19::bigint[], $20::text[], $21::text[], $22::uuid[])
    AS r (log_offset, reason, appended_ms, gateway, station, vote_id)
),
deltas AS MATERIALIZED (
  SELECT 'counted' AS fate, '' AS reason, count(*) AS records FROM counted HAVING count(*) > 0
  UNION ALL SELECT fate, reason, count(*) FROM others GROUP BY fate, reason
  UNION ALL SELECT 'rejected', reason, records FROM unnest($23::text[], $24::bigint[]) AS r (reason, records)
),
outcomes AS (
  INSERT INTO counting.outcome_counts AS total (election, partition, fate, reason, records)
  SELECT $1::text, $2::int, fate, reason, sum(records) FROM deltas GROUP BY fate, reason
  ON CONFLICT (election, partition, fate, reason) DO UPDATE SET records = total.records + excluded.records
)
SELECT fate, reason, sum(records)::float8 AS records FROM deltas GROUP BY fate, reason`;

async function countRecords(query: Query, batch: CountedBatch, lane: number): Promise<OutcomeDelta[]> {
  const places = new Numbering();
  const options = new Numbering();
  const accepted: AcceptedColumns = {
    voterKey: [],
    voteId: [],
    acceptedAt: [],
    place: [],
    offset: [],
    appendedMs: [],
    gateway: [],
  };
  const selected = { ord: [] as number[], option: [] as number[] };
  const refused: RefusedColumns = {
    offset: [],
    reason: [],
    appendedMs: [],
    gateway: [],
    station: [],
    voteId: [],
  };
  const refusals = new Map<string, number>();
  batch.judgements.forEach((judgement, index) => {
    const { offset, appendedAtMs } = batch.records[index];
    if (judgement.fate === "rejected") {
      refusals.set(judgement.reason, (refusals.get(judgement.reason) ?? 0) + 1);
      if (!batch.keepDetails[index]) return;
      refused.offset.push(offset);
      refused.reason.push(judgement.reason);
      refused.appendedMs.push(keptMs(appendedAtMs));
      refused.gateway.push(judgement.gateway ?? null);
      refused.station.push(judgement.record?.station ?? null);
      refused.voteId.push(judgement.record?.voteId ?? null);
      return;
    }
    const { record, marks, gateway } = judgement;
    accepted.voterKey.push(record.voterKey);
    accepted.voteId.push(record.voteId);
    accepted.acceptedAt.push(record.acceptedAt);
    accepted.place.push(places.numberOf(record.station, record.mode));
    accepted.offset.push(offset);
    accepted.appendedMs.push(keptMs(appendedAtMs));
    accepted.gateway.push(gateway);
    for (const { contest, candidate } of marks) {
      selected.ord.push(accepted.voterKey.length);
      selected.option.push(options.numberOf(contest, candidate));
    }
  });
  return await query<OutcomeDelta>(COUNT, [
    batch.election,
    batch.partition,
    lane,
    ...[
      accepted.voterKey,
      accepted.voteId,
      accepted.acceptedAt,
      accepted.place,
      places.firsts,
      places.seconds,
      selected.ord,
      selected.option,
      options.firsts,
      options.seconds,
      accepted.offset,
      accepted.appendedMs,
      accepted.gateway,
      refused.offset,
      refused.reason,
      refused.appendedMs,
      refused.gateway,
      refused.station,
      refused.voteId,
      [...refusals.keys()],
      [...refusals.values()],
    ].map(arrayLiteral),
  ]);
}

type AcceptedColumns = {
  voterKey: string[];
  voteId: string[];
  acceptedAt: string[];
  place: number[];
  offset: number[];
  appendedMs: number[];
  gateway: string[];
};

type RefusedColumns = {
  offset: number[];
  reason: string[];
  appendedMs: number[];
  gateway: (string | null)[];
  station: (string | null)[];
  voteId: (string | null)[];
};

/** Numbers pairs of ids from 1 on, in the order in which they come. */
class Numbering {
  readonly firsts: string[] = [];
  readonly seconds: string[] = [];
  readonly #numbers = new Map<string, Map<string, number>>();

  numberOf(first: string, second: string): number {
    let numbers = this.#numbers.get(first);
    if (numbers === undefined) this.#numbers.set(first, numbers = new Map());
    let number = numbers.get(second);
    if (number === undefined) {
      this.firsts.push(first);
      this.seconds.push(second);
      numbers.set(second, number = this.firsts.length);
    }
    return number;
  }
}

/** The last millisecond of the year 9999. */
const LATEST_MS = 253_402_300_799_999;

/** A log's time as PostgreSQL can keep it, in whole milliseconds since 1970; a log may hold any number. */
function keptMs(ms: number): number {
  return ms >= 0 && ms <= LATEST_MS ? Math.trunc(ms) : 0;
}
