/**
 * The counting transaction: moves the position, then counts a batch in one statement. Whatever fails, either all
 * of it is in the database or none.
 *
 * @module
 */
import type { Fate } from "../../shared/outcome.ts";
import { arrayLiteral, type Query, queryOne } from "../database/database.ts";
import type { JudgedRecord } from "./judged.ts";
import { type SenderKeyNews, type SequenceBlock, writeSenderKeys } from "./sequences.ts";

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
  /** The change of history that the records were judged with: a newer one makes the batch stale. */
  revision: number;
  /** Offsets of the batch's entries, rising. */
  offsets: readonly number[];
  records: readonly JudgedRecord[];
  /** Sequence numbers that the batch adds, and what it says of sender keys. */
  sequences: readonly SequenceBlock[];
  news: SenderKeyNews;
}>;

/** How many of a batch's records had one outcome; `reason` is empty for `counted`. */
export type OutcomeDelta = Readonly<{ fate: Fate; reason: string; records: number }>;

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
  if (batch.news.size > 0) await writeSenderKeys(query, batch.election, batch.news);
  return await countRecords(query, batch, lane);
}

/**
 * Counts records whose position was moved before, inside the caller's transaction: held ones that officials admitted.
 * The caller holds the partition's position.
 */
export async function countAdmitted(
  query: Query,
  election: string,
  partition: number,
  records: readonly JudgedRecord[],
): Promise<OutcomeDelta[]> {
  const { lane } = await queryOne<{ lane: number }>(query, `SELECT ${FREE_LANE} AS lane`, [
    partition,
    LANE_LOCK,
    LANES,
  ]);
  return await countRecords(query, { election, partition, records, sequences: [] }, lane);
}

/** The first lane that no other transaction has, until this one ends. Parameters: partition, {@link LANE_LOCK}, {@link LANES}. */
const FREE_LANE = `coalesce(
  (SELECT lane FROM generate_series(0, $3::int - 1) AS lane WHERE pg_try_advisory_xact_lock($2::int, lane) LIMIT 1),
  $1::int % $3::int
)`;

/**
 * Moves the position, and takes the first lane that no other transaction has, until this one ends.
 *
 * @returns the lane, or `undefined` when the partition is another process's.
 */
async function movePosition(query: Query, batch: CountedBatch): Promise<number | undefined> {
  const [row] = await query<{ lane: number }>(
    `UPDATE counting.log_positions
     SET next_offset = $7::bigint, records_read = records_read + $8::bigint, last_offset = $7::bigint - 1, last_digest = decode($9, 'hex')
     WHERE election = $4 AND partition = $1 AND next_offset = $5 AND epoch = $6 AND revision = $10
     RETURNING ${FREE_LANE} AS lane`,
    [
      batch.partition,
      LANE_LOCK,
      LANES,
      batch.election,
      batch.fromOffset,
      batch.epoch,
      batch.nextOffset,
      batch.records.length,
      batch.lastDigest,
      batch.revision,
    ],
  );
  return row?.lane;
}

/** Ranges of offsets that were not delivered: from the first missing one until the next delivered one. */
function gapsOf({ fromOffset, offsets }: CountedBatch): { from: number; until: number }[] {
  const gaps: { from: number; until: number }[] = [];
  let expected = fromOffset;
  for (const offset of offsets) {
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
 * In order: the roll as it applies at each record's position; each voter's first acceptable record; the
 * participations, which decide; what follows from those that were new; what became of the others, whose
 * `earlier` reads the participations as they were ahead of this statement. A held record takes no participation.
 * Participations are written in the order of voter keys, so that how they are stored does not tell in which order the
 * votes of a transaction came.
 *
 * It takes the same shape whatever the planner knows, for an embedded database never gathers statistics and a new
 * one has none yet. Roll and participations are asked voter by voter (LATERAL, subquery): a join might read the
 * whole roll for every batch. `IN (…) IS TRUE` stays a hashed look-up, where a join might hold every row of the batch
 * against every other. `is_first` is a boolean because half the rows is then the guess, not one in two hundred.
 * Stations with their modes, and contests with their candidates, come once each, and are named by their number.
 */
const COUNT = `
WITH places AS MATERIALIZED (
  SELECT * FROM unnest($8::text[], $9::text[], $25::text[]) WITH ORDINALITY AS p (station, mode, region, place)
),
known AS MATERIALIZED (
  SELECT v.*, refusal IS NULL AND held IS NULL AND row_number() OVER voter = 1 AS is_first,
    first_value(vote_id) OVER voter AS first_vote_id
  FROM (
    SELECT i.ord, i.voter_key, i.vote_id, i.accepted_at, i.place, i.station, i.held, r.region, r.age_group, r.gender,
      CASE
        WHEN r.region IS NULL THEN 'unknown_voter'
        WHEN r.station <> i.station THEN 'wrong_station'
        WHEN r.station IS NULL AND r.region <> i.station_region THEN 'wrong_region'
      END AS refusal
    FROM (
      SELECT ord, decode(voter_key, 'hex') AS voter_key, vote_id, accepted_at, revision, held, place, station,
        region AS station_region
      FROM unnest($4::text[], $5::uuid[], $6::timestamptz[], $7::int[], $26::bigint[], $27::text[])
        WITH ORDINALITY AS t (voter_key, vote_id, accepted_at, place, revision, held, ord)
      JOIN places USING (place)
      OFFSET 0
    ) i
    LEFT JOIN LATERAL (
      SELECT region, station, age_group, gender FROM counting.roll
      WHERE election = $1::text AND voter_key = i.voter_key AND revision <= i.revision
        AND NOT coalesce(struck_revision <= i.revision AND struck_at <= i.accepted_at, false)
      ORDER BY revision DESC LIMIT 1
    ) r ON true
  ) v
  WINDOW voter AS (PARTITION BY voter_key, refusal, held ORDER BY ord)
),
inserted AS (
  INSERT INTO counting.participations (election, voter_key, vote_id)
  SELECT $1::text, voter_key, vote_id FROM known WHERE is_first ORDER BY voter_key
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
minutes AS (
  INSERT INTO counting.minute_voters AS total (election, minute, lane, voters)
  SELECT $1::text, minute, $3::smallint, sum(voters) FROM cells GROUP BY minute
  ON CONFLICT (election, minute, lane) DO UPDATE SET voters = total.voters + excluded.voters
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
  SELECT ord, station, vote_id, accepted_at,
    CASE WHEN refusal IS NOT NULL THEN 'rejected' WHEN held IS NOT NULL THEN 'held' ELSE 'duplicate' END AS fate,
    CASE
      WHEN refusal IS NOT NULL THEN refusal
      WHEN held IS NOT NULL THEN held
      WHEN coalesce((
        SELECT earlier.vote_id FROM counting.participations earlier
        WHERE earlier.election = $1::text AND earlier.voter_key = k.voter_key
      ), first_vote_id) = vote_id THEN 'retransmission'
      ELSE 'double_vote'
    END AS reason
  FROM known k
  WHERE (ord IN (SELECT ord FROM counted)) IS NOT TRUE
),
positions AS MATERIALIZED (
  SELECT * FROM unnest($14::bigint[], $15::bigint[], $16::text[], $28::int[], $29::text[])
    WITH ORDINALITY AS p (log_offset, appended_ms, gateway, record_index, sender_key, ord)
),
details AS (
  INSERT INTO counting.rejections
    (election, partition, log_offset, record_index, fate, reason, appended_at, gateway, station, vote_id)
  SELECT $1::text, $2::int, p.log_offset, p.record_index, o.fate, o.reason,
    timestamptz 'epoch' + p.appended_ms * interval '1 ms', p.gateway, o.station, o.vote_id
  FROM others o JOIN positions p USING (ord)
  WHERE o.reason <> 'retransmission' AND o.fate <> 'held'
  UNION ALL
  SELECT $1::text, $2::int, log_offset, record_index, 'rejected', reason, timestamptz 'epoch' + appended_ms * interval '1 ms',
    gateway, station, vote_id
  FROM unnest($17::bigint[], $18::text[], $19::bigint[], $20::text[], $21::text[], $22::uuid[], $30::int[])
    AS r (log_offset, reason, appended_ms, gateway, station, vote_id, record_index)
),
kept AS (
  INSERT INTO counting.held (election, partition, log_offset, record_index, reason, appended_at, accepted_at, gateway,
    sender_key, station, vote_id)
  SELECT $1::text, $2::int, p.log_offset, p.record_index, o.reason, timestamptz 'epoch' + p.appended_ms * interval '1 ms',
    o.accepted_at, p.gateway, decode(p.sender_key, 'hex'), o.station, o.vote_id
  FROM others o JOIN positions p USING (ord)
  WHERE o.fate = 'held'
),
numbered AS (
  INSERT INTO counting.sequences AS s (election, sender_key, partition, block, numbers)
  SELECT $1::text, decode(sender_key, 'hex'), $2::int, block, numbers::bit(1024)
  FROM unnest($32::text[], $33::bigint[], $34::text[]) AS n (sender_key, block, numbers)
  ON CONFLICT (election, sender_key, block, partition) DO UPDATE SET numbers = s.numbers | excluded.numbers
),
deltas AS MATERIALIZED (
  SELECT 'counted' AS fate, '' AS reason, count(*) AS records FROM counted HAVING count(*) > 0
  UNION ALL SELECT fate, reason, count(*) FROM others GROUP BY fate, reason
  UNION ALL SELECT 'rejected', reason, records FROM unnest($23::text[], $24::bigint[]) AS r (reason, records)
  UNION ALL SELECT 'statement', '', $31::bigint WHERE $31::bigint > 0
),
outcomes AS (
  INSERT INTO counting.outcome_counts AS total (election, partition, fate, reason, records)
  SELECT $1::text, $2::int, fate, reason, sum(records) FROM deltas GROUP BY fate, reason
  ON CONFLICT (election, partition, fate, reason) DO UPDATE SET records = total.records + excluded.records
)
SELECT fate, reason, sum(records)::float8 AS records FROM deltas GROUP BY fate, reason`;

async function countRecords(
  query: Query,
  batch: Pick<CountedBatch, "election" | "partition" | "records" | "sequences">,
  lane: number,
): Promise<OutcomeDelta[]> {
  const { places, options, accepted, selected, refused, refusals, statements } = columnsOf(batch.records);
  return await query<OutcomeDelta>(COUNT, [
    batch.election,
    batch.partition,
    lane,
    ...[
      accepted.voterKey,
      accepted.voteId,
      accepted.acceptedAt,
      accepted.place,
      places.column(0),
      places.column(1),
      selected.ord,
      selected.option,
      options.column(0),
      options.column(1),
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
      places.column(2),
      accepted.revision,
      accepted.held,
      accepted.index,
      accepted.senderKey,
      refused.index,
    ].map(arrayLiteral),
    statements,
    arrayLiteral(batch.sequences.map(({ senderKey }) => senderKey)),
    arrayLiteral(batch.sequences.map(({ block }) => block)),
    arrayLiteral(batch.sequences.map(({ numbers }) => `x${numbers.toHex()}`)),
  ]);
}

/** A batch's records as the columns that {@link COUNT} takes. */
function columnsOf(records: readonly JudgedRecord[]) {
  const places = new Interner(3);
  const options = new Interner(2);
  const accepted = {
    voterKey: [] as string[],
    voteId: [] as string[],
    acceptedAt: [] as string[],
    place: [] as number[],
    revision: [] as number[],
    held: [] as (string | null)[],
    offset: [] as number[],
    index: [] as number[],
    appendedMs: [] as number[],
    gateway: [] as string[],
    senderKey: [] as string[],
  };
  const selected = { ord: [] as number[], option: [] as number[] };
  const refused = {
    offset: [] as number[],
    index: [] as number[],
    reason: [] as string[],
    appendedMs: [] as number[],
    gateway: [] as (string | null)[],
    station: [] as (string | null)[],
    voteId: [] as (string | null)[],
  };
  const refusals = new Map<string, number>();
  let statements = 0;
  for (const { judgement, offset, index, appendedAtMs, senderKey, keepsDetails } of records) {
    if (judgement.fate === "statement") {
      statements++;
      continue;
    }
    if (judgement.fate === "rejected") {
      refusals.set(judgement.reason, (refusals.get(judgement.reason) ?? 0) + 1);
      if (!keepsDetails) continue;
      refused.offset.push(offset);
      refused.index.push(index);
      refused.reason.push(judgement.reason);
      refused.appendedMs.push(keptMs(appendedAtMs));
      refused.gateway.push(judgement.gateway ?? null);
      refused.station.push(judgement.record?.station ?? null);
      refused.voteId.push(judgement.record?.voteId ?? null);
      continue;
    }
    const { record, marks, gateway, region, revision } = judgement;
    accepted.voterKey.push(record.voterKey);
    accepted.voteId.push(record.voteId);
    accepted.acceptedAt.push(record.acceptedAt);
    accepted.place.push(places.numberOf(record.station, record.mode, region));
    accepted.revision.push(revision);
    accepted.held.push(judgement.fate === "held" ? judgement.reason : null);
    accepted.offset.push(offset);
    accepted.index.push(index);
    accepted.appendedMs.push(keptMs(appendedAtMs));
    accepted.gateway.push(gateway);
    accepted.senderKey.push(senderKey.toHex());
    for (const { contest, candidate } of marks) {
      selected.ord.push(accepted.voterKey.length);
      selected.option.push(options.numberOf(contest, candidate));
    }
  }
  return { places, options, accepted, selected, refused, refusals, statements };
}

/** Numbers tuples of ids from 1 on, in the order in which they come. */
class Interner {
  readonly #columns: string[][];
  readonly #numbers = new Map<string, number>();

  constructor(width: number) {
    this.#columns = Array.from({ length: width }, () => []);
  }

  numberOf(...ids: string[]): number {
    const key = ids.join("/"); // No id holds a slash.
    let number = this.#numbers.get(key);
    if (number === undefined) {
      ids.forEach((id, i) => this.#columns[i]!.push(id));
      this.#numbers.set(key, number = this.#numbers.size + 1);
    }
    return number;
  }

  column(i: number): string[] {
    return this.#columns[i]!;
  }
}

/** The last millisecond of the year 9999. */
const LATEST_MS = 253_402_300_799_999;

/** A log's time as PostgreSQL can keep it, in whole milliseconds since 1970; a log may hold any number. */
function keptMs(ms: number): number {
  return ms >= 0 && ms <= LATEST_MS ? Math.trunc(ms) : 0;
}
