/**
 * The counting transaction: moves the position, then counts a batch in one statement. Whatever fails, either all
 * of it is in the database or none.
 *
 * @module
 */
import type { Judgement } from "../shared/judge.ts";
import type { StoredRecord } from "../shared/log/vote_log.ts";
import { arrayLiteral, type Query } from "./database/database.ts";

/** A batch of one partition, judged. */
export type CountedBatch = Readonly<{
  election: string;
  partition: number;
  lane: number;
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

/** How many of a batch's records had one outcome; `cause` is empty for `counted`. */
export type OutcomeDelta = Readonly<
  { fate: "counted" | "duplicate" | "rejected"; cause: string; records: number }
>;

/**
 * Counts a batch, inside the caller's transaction.
 *
 * @returns what was counted, or `undefined` when the partition is another process's: roll back.
 */
export async function countBatch(query: Query, batch: CountedBatch): Promise<OutcomeDelta[] | undefined> {
  if (!await movePosition(query, batch)) return undefined;
  const gaps = gapsOf(batch);
  if (gaps.length > 0) await noteGaps(query, batch, gaps);
  return await countRecords(query, batch);
}

async function movePosition(query: Query, batch: CountedBatch): Promise<boolean> {
  const rows = await query(
    `UPDATE counting.log_positions
     SET next_offset = $5::bigint, records_read = records_read + $6::bigint, last_offset = $5::bigint - 1, last_digest = decode($7, 'hex')
     WHERE election = $1 AND partition = $2 AND next_offset = $3 AND epoch = $4
     RETURNING 1`,
    [
      batch.election,
      batch.partition,
      batch.fromOffset,
      batch.epoch,
      batch.nextOffset,
      batch.records.length,
      batch.lastDigest,
    ],
  );
  return rows.length === 1;
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
    `INSERT INTO counting.gaps SELECT $1::text, $2::int, * FROM unnest($3::text::bigint[], $4::text::bigint[])`,
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
 * the participations, which decide; what follows from those that were new; what became of the others.
 * `before` reads the participations as they were ahead of this statement. Roll and participations are asked voter
 * by voter, through their keys: a join would be planned from statistics, and without them reads the tables whole.
 */
const COUNT = `
WITH incoming AS (
  SELECT ord, decode(voter_key, 'hex') AS voter_key, vote_id, accepted_at, station, mode
  FROM unnest($4::text::text[], $5::text::uuid[], $6::text::timestamptz[], $7::text::text[], $8::text::text[])
    WITH ORDINALITY AS t (voter_key, vote_id, accepted_at, station, mode, ord)
),
known AS MATERIALIZED (
  SELECT i.*, r.region, r.age_group, r.gender,
    CASE WHEN r.voter_key IS NULL THEN 'unknown_voter' WHEN r.station <> i.station THEN 'wrong_station' END AS refusal
  FROM incoming i
  LEFT JOIN LATERAL (
    SELECT * FROM counting.roll e
    WHERE e.election = $1::text AND e.voter_key = i.voter_key
      AND e.effective_at <= i.accepted_at AND (e.struck_at IS NULL OR i.accepted_at < e.struck_at)
    ORDER BY e.effective_at DESC LIMIT 1
  ) r ON true
),
firsts AS MATERIALIZED (
  SELECT DISTINCT ON (voter_key) * FROM known WHERE refusal IS NULL ORDER BY voter_key, ord
),
inserted AS (
  INSERT INTO counting.participations (election, voter_key, vote_id)
  SELECT $1::text, voter_key, vote_id FROM firsts
  ON CONFLICT DO NOTHING
  RETURNING voter_key
),
counted AS MATERIALIZED (
  SELECT f.* FROM firsts f JOIN inserted USING (voter_key)
),
votes AS (
  INSERT INTO counting.station_counts AS total (election, station, contest, candidate, mode, lane, votes)
  SELECT $1::text, c.station, s.contest, s.candidate, c.mode, $3::smallint, count(*)
  FROM counted c
  JOIN unnest($9::text::int[], $10::text::text[], $11::text::text[]) AS s (ord, contest, candidate) ON s.ord = c.ord
  GROUP BY c.station, s.contest, s.candidate, c.mode
  ON CONFLICT (election, station, contest, candidate, mode, lane) DO UPDATE SET votes = total.votes + excluded.votes
),
voters AS (
  INSERT INTO counting.station_voters AS total (election, station, mode, lane, voters)
  SELECT $1::text, station, mode, $3::smallint, count(*) FROM counted GROUP BY station, mode
  ON CONFLICT (election, station, mode, lane) DO UPDATE SET voters = total.voters + excluded.voters
),
turnout AS (
  INSERT INTO counting.turnout_counts AS total (election, station, mode, minute, lane, voters)
  SELECT $1::text, station, mode, date_trunc('minute', accepted_at), $3::smallint, count(*) FROM counted GROUP BY 2, 3, 4
  ON CONFLICT (election, station, mode, minute, lane) DO UPDATE SET voters = total.voters + excluded.voters
),
groups AS (
  INSERT INTO counting.turnout_groups AS total (election, region, age_group, gender, lane, voters)
  SELECT $1::text, region, age_group, gender, $3::smallint, count(*) FROM counted GROUP BY region, age_group, gender
  ON CONFLICT (election, region, age_group, gender, lane) DO UPDATE SET voters = total.voters + excluded.voters
),
changed AS (
  INSERT INTO counting.changes (election, station) SELECT DISTINCT $1::text, station FROM counted
),
others AS MATERIALIZED (
  SELECT k.ord, k.station, k.vote_id, CASE WHEN k.refusal IS NULL THEN 'duplicate' ELSE 'rejected' END AS fate,
    CASE
      WHEN k.refusal IS NOT NULL THEN k.refusal
      WHEN coalesce((
        SELECT before.vote_id FROM counting.participations before
        WHERE before.election = $1::text AND before.voter_key = k.voter_key
      ), f.vote_id) = k.vote_id THEN 'retransmission'
      ELSE 'double_vote'
    END AS cause
  FROM known k
  LEFT JOIN firsts f ON f.voter_key = k.voter_key
  WHERE NOT EXISTS (SELECT FROM counted c WHERE c.ord = k.ord)
),
details AS (
  INSERT INTO counting.rejections
    (election, partition, log_offset, fate, cause, appended_at, gateway, station, vote_id)
  SELECT $1::text, $2::int, p.log_offset, o.fate, o.cause, p.appended_at, p.gateway, o.station, o.vote_id
  FROM others o
  JOIN unnest($12::text::bigint[], $13::text::timestamptz[], $14::text::text[])
    WITH ORDINALITY AS p (log_offset, appended_at, gateway, ord) ON p.ord = o.ord
  WHERE o.cause <> 'retransmission'
  UNION ALL
  SELECT $1::text, $2::int, log_offset, 'rejected', cause, appended_at, gateway, station, vote_id
  FROM unnest($15::text::bigint[], $16::text::text[], $17::text::timestamptz[], $18::text::text[], $19::text::text[],
    $20::text::uuid[]) AS r (log_offset, cause, appended_at, gateway, station, vote_id)
),
deltas AS MATERIALIZED (
  SELECT 'counted' AS fate, '' AS cause, count(*) AS records FROM counted HAVING count(*) > 0
  UNION ALL SELECT fate, cause, count(*) FROM others GROUP BY fate, cause
  UNION ALL SELECT 'rejected', cause, records FROM unnest($21::text::text[], $22::text::bigint[]) AS r (cause, records)
),
outcomes AS (
  INSERT INTO counting.outcome_counts AS total (election, partition, fate, cause, records)
  SELECT $1::text, $2::int, fate, cause, sum(records) FROM deltas GROUP BY fate, cause
  ON CONFLICT (election, partition, fate, cause) DO UPDATE SET records = total.records + excluded.records
)
SELECT fate, cause, sum(records)::float8 AS records FROM deltas GROUP BY fate, cause`;

async function countRecords(query: Query, batch: CountedBatch): Promise<OutcomeDelta[]> {
  const accepted: AcceptedColumns = {
    voterKey: [],
    voteId: [],
    acceptedAt: [],
    station: [],
    mode: [],
    offset: [],
    appendedAt: [],
    gateway: [],
  };
  const selected = { ord: [] as number[], contest: [] as string[], candidate: [] as string[] };
  const refused: RefusedColumns = {
    offset: [],
    cause: [],
    appendedAt: [],
    gateway: [],
    station: [],
    voteId: [],
  };
  const refusals = new Map<string, number>();
  batch.judgements.forEach((judgement, index) => {
    const { offset, appendedAtMs } = batch.records[index];
    if (judgement.fate === "rejected") {
      refusals.set(judgement.cause, (refusals.get(judgement.cause) ?? 0) + 1);
      if (!batch.keepDetails[index]) return;
      refused.offset.push(offset);
      refused.cause.push(judgement.cause);
      refused.appendedAt.push(isoTime(appendedAtMs));
      refused.gateway.push(judgement.gateway ?? null);
      refused.station.push(judgement.record?.station ?? null);
      refused.voteId.push(judgement.record?.voteId ?? null);
      return;
    }
    const { record, gateway } = judgement;
    accepted.voterKey.push(record.voterKey);
    accepted.voteId.push(record.voteId);
    accepted.acceptedAt.push(record.acceptedAt);
    accepted.station.push(record.station);
    accepted.mode.push(record.mode);
    accepted.offset.push(offset);
    accepted.appendedAt.push(isoTime(appendedAtMs));
    accepted.gateway.push(gateway);
    for (const { contest, candidate } of record.selections) {
      selected.ord.push(accepted.voterKey.length);
      selected.contest.push(contest);
      selected.candidate.push(candidate);
    }
  });
  return await query<OutcomeDelta>(COUNT, [
    batch.election,
    batch.partition,
    batch.lane,
    ...[
      accepted.voterKey,
      accepted.voteId,
      accepted.acceptedAt,
      accepted.station,
      accepted.mode,
      selected.ord,
      selected.contest,
      selected.candidate,
      accepted.offset,
      accepted.appendedAt,
      accepted.gateway,
      refused.offset,
      refused.cause,
      refused.appendedAt,
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
  station: string[];
  mode: string[];
  offset: number[];
  appendedAt: string[];
  gateway: string[];
};

type RefusedColumns = {
  offset: number[];
  cause: string[];
  appendedAt: string[];
  gateway: (string | null)[];
  station: (string | null)[];
  voteId: (string | null)[];
};

/** A log's time as PostgreSQL reads it; a log may hold any number. */
function isoTime(ms: number): string {
  const time = new Date(ms);
  return Number.isNaN(time.getTime()) ? "1970-01-01T00:00:00.000Z" : time.toISOString();
}
