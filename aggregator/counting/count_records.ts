/**
 * The counting statement: counts judged records of several partitions, whose positions were moved before.
 *
 * @module
 */
import type { Fate } from "../../shared/outcome.ts";
import { arrayLiteral, type Query } from "../database/database.ts";
import type { JudgedRecord } from "./judged.ts";
import type { SequenceBlock } from "./sequences.ts";

/** How many records had one outcome; `reason` is empty for `counted`. */
export type OutcomeDelta = Readonly<{ fate: Fate; reason: string; records: number }>;

/** What is counted of one partition: its records in their order, and the sequence numbers that they add. */
export type CountedPart = Readonly<{
  partition: number;
  records: readonly JudgedRecord[];
  sequences: readonly SequenceBlock[];
}>;

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
  SELECT * FROM unnest($15::text[], $16::text[], $17::text[]) WITH ORDINALITY AS p (station, mode, region, place)
),
known AS MATERIALIZED (
  SELECT v.*, refusal IS NULL AND held IS NULL AND row_number() OVER voter = 1 AS is_first,
    first_value(vote_id) OVER voter AS first_vote_id
  FROM (
    SELECT i.ord, i.partition, i.voter_key, i.vote_id, i.accepted_at, i.place, i.station, i.held, r.region, r.age_group,
      r.gender,
      CASE
        WHEN r.region IS NULL THEN 'unknown_voter'
        WHEN r.station <> i.station THEN 'wrong_station'
        WHEN r.station IS NULL AND r.region <> i.station_region THEN 'wrong_region'
      END AS refusal
    FROM (
      SELECT ord, partition, decode(voter_key, 'hex') AS voter_key, vote_id, accepted_at, revision, held, place, station,
        region AS station_region
      FROM unnest($3::text[], $4::uuid[], $5::timestamptz[], $6::int[], $7::bigint[], $8::text[], $9::int[])
        WITH ORDINALITY AS t (voter_key, vote_id, accepted_at, place, revision, held, partition, ord)
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
  SELECT ord, partition, place, date_bin('1 minute', accepted_at, timestamptz 'epoch') AS minute, region, age_group,
    gender
  FROM known WHERE is_first AND (voter_key IN (SELECT voter_key FROM inserted)) IS TRUE
),
cells AS MATERIALIZED (
  SELECT station, mode, minute, voters
  FROM (SELECT place, minute, count(*)::int AS voters FROM counted GROUP BY place, minute) c JOIN places USING (place)
),
votes AS (
  INSERT INTO counting.station_counts AS total (election, station, contest, candidate, mode, lane, votes)
  SELECT $1::text, p.station, o.contest, o.candidate, p.mode, $2::smallint, s.votes
  FROM (
    SELECT c.place, s.option, count(*) AS votes
    FROM counted c JOIN unnest($18::int[], $19::int[]) AS s (ord, option) ON s.ord = c.ord
    GROUP BY c.place, s.option
  ) s
  JOIN places p USING (place)
  JOIN unnest($20::text[], $21::text[]) WITH ORDINALITY AS o (contest, candidate, option) USING (option)
  ON CONFLICT (election, station, contest, candidate, mode, lane) DO UPDATE SET votes = total.votes + excluded.votes
),
voters AS (
  INSERT INTO counting.station_voters AS total (election, station, mode, lane, voters)
  SELECT $1::text, station, mode, $2::smallint, sum(voters) FROM cells GROUP BY station, mode
  ON CONFLICT (election, station, mode, lane) DO UPDATE SET voters = total.voters + excluded.voters
),
turnout AS (
  INSERT INTO counting.turnout_counts AS total (election, station, mode, minute, lane, voters)
  SELECT $1::text, station, mode, minute, $2::smallint, voters FROM cells
  ON CONFLICT (election, station, mode, minute, lane) DO UPDATE SET voters = total.voters + excluded.voters
),
minutes AS (
  INSERT INTO counting.minute_voters AS total (election, minute, lane, voters)
  SELECT $1::text, minute, $2::smallint, sum(voters) FROM cells GROUP BY minute
  ON CONFLICT (election, minute, lane) DO UPDATE SET voters = total.voters + excluded.voters
),
groups AS (
  INSERT INTO counting.turnout_groups AS total (election, region, age_group, gender, lane, voters)
  SELECT $1::text, region, age_group, gender, $2::smallint, count(*) FROM counted GROUP BY region, age_group, gender
  ON CONFLICT (election, region, age_group, gender, lane) DO UPDATE SET voters = total.voters + excluded.voters
),
changed AS (
  INSERT INTO counting.changes (election, station) SELECT DISTINCT $1::text, station FROM cells
),
others AS MATERIALIZED (
  SELECT ord, partition, station, vote_id, accepted_at,
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
  SELECT * FROM unnest($10::bigint[], $11::int[], $12::bigint[], $13::text[], $14::text[])
    WITH ORDINALITY AS p (log_offset, record_index, appended_ms, gateway, sender_key, ord)
),
details AS (
  INSERT INTO counting.rejections
    (election, partition, log_offset, record_index, fate, reason, appended_at, gateway, station, vote_id)
  SELECT $1::text, o.partition, p.log_offset, p.record_index, o.fate, o.reason,
    timestamptz 'epoch' + p.appended_ms * interval '1 ms', p.gateway, o.station, o.vote_id
  FROM others o JOIN positions p USING (ord)
  WHERE o.reason <> 'retransmission' AND o.fate <> 'held'
  UNION ALL
  SELECT $1::text, partition, log_offset, record_index, 'rejected', reason,
    timestamptz 'epoch' + appended_ms * interval '1 ms', gateway, station, vote_id
  FROM unnest($22::int[], $23::bigint[], $24::int[], $25::text[], $26::bigint[], $27::text[], $28::text[], $29::uuid[])
    AS r (partition, log_offset, record_index, reason, appended_ms, gateway, station, vote_id)
),
kept AS (
  INSERT INTO counting.held (election, partition, log_offset, record_index, reason, appended_at, accepted_at, gateway,
    sender_key, station, vote_id)
  SELECT $1::text, o.partition, p.log_offset, p.record_index, o.reason,
    timestamptz 'epoch' + p.appended_ms * interval '1 ms', o.accepted_at, p.gateway, decode(p.sender_key, 'hex'),
    o.station, o.vote_id
  FROM others o JOIN positions p USING (ord)
  WHERE o.fate = 'held'
),
numbered AS (
  INSERT INTO counting.sequences AS s (election, sender_key, partition, block, numbers)
  SELECT $1::text, decode(sender_key, 'hex'), partition, block, numbers::bit(1024)
  FROM unnest($34::int[], $35::text[], $36::bigint[], $37::text[]) AS n (partition, sender_key, block, numbers)
  ON CONFLICT (election, sender_key, block, partition) DO UPDATE SET numbers = s.numbers | excluded.numbers
),
deltas AS MATERIALIZED (
  SELECT partition, 'counted' AS fate, '' AS reason, count(*) AS records FROM counted GROUP BY partition
  UNION ALL SELECT partition, fate, reason, count(*) FROM others GROUP BY partition, fate, reason
  UNION ALL SELECT partition, fate, reason, records
    FROM unnest($30::int[], $31::text[], $32::text[], $33::bigint[]) AS r (partition, fate, reason, records)
),
outcomes AS (
  INSERT INTO counting.outcome_counts AS total (election, partition, fate, reason, records)
  SELECT $1::text, partition, fate, reason, sum(records) FROM deltas GROUP BY partition, fate, reason
  ON CONFLICT (election, partition, fate, reason) DO UPDATE SET records = total.records + excluded.records
)
SELECT fate, reason, sum(records)::float8 AS records FROM deltas GROUP BY fate, reason`;

/**
 * Counts records, inside the caller's transaction. A voter's records must all be of one partition.
 *
 * @param lane Of the shared counters; no other transaction may have it.
 */
export async function countRecords(
  query: Query,
  election: string,
  parts: readonly CountedPart[],
  lane: number,
): Promise<OutcomeDelta[]> {
  const { places, options, accepted, selected, refused, tallied } = columnsOf(parts);
  const numbered = parts.flatMap(({ partition, sequences }) =>
    sequences.map((block) => ({ partition, ...block }))
  );
  return await query<OutcomeDelta>(COUNT, [
    election,
    lane,
    ...[
      accepted.voterKey,
      accepted.voteId,
      accepted.acceptedAt,
      accepted.place,
      accepted.revision,
      accepted.held,
      accepted.partition,
      accepted.offset,
      accepted.index,
      accepted.appendedMs,
      accepted.gateway,
      accepted.senderKey,
      places.column(0),
      places.column(1),
      places.column(2),
      selected.ord,
      selected.option,
      options.column(0),
      options.column(1),
      refused.partition,
      refused.offset,
      refused.index,
      refused.reason,
      refused.appendedMs,
      refused.gateway,
      refused.station,
      refused.voteId,
      tallied.partition,
      tallied.fate,
      tallied.reason,
      tallied.records,
      numbered.map(({ partition }) => partition),
      numbered.map(({ senderKey }) => senderKey),
      numbered.map(({ block }) => block),
      numbered.map(({ numbers }) => `x${numbers.toHex()}`),
    ].map(arrayLiteral),
  ]);
}

/** Batches as the columns that {@link COUNT} takes. */
function columnsOf(parts: readonly CountedPart[]) {
  const places = new Interner(3);
  const options = new Interner(2);
  const accepted = {
    voterKey: [] as string[],
    voteId: [] as string[],
    acceptedAt: [] as string[],
    place: [] as number[],
    revision: [] as number[],
    held: [] as (string | null)[],
    partition: [] as number[],
    offset: [] as number[],
    index: [] as number[],
    appendedMs: [] as number[],
    gateway: [] as string[],
    senderKey: [] as string[],
  };
  const selected = { ord: [] as number[], option: [] as number[] };
  const refused = {
    partition: [] as number[],
    offset: [] as number[],
    index: [] as number[],
    reason: [] as string[],
    appendedMs: [] as number[],
    gateway: [] as (string | null)[],
    station: [] as (string | null)[],
    voteId: [] as (string | null)[],
  };
  const tallies = new Tallies();
  for (const { partition, records } of parts) {
    for (const { judgement, offset, index, appendedAtMs, senderKey, keepsDetails } of records) {
      if (judgement.fate === "statement") {
        tallies.add(partition, "statement", "");
        continue;
      }
      if (judgement.fate === "rejected") {
        tallies.add(partition, "rejected", judgement.reason);
        if (!keepsDetails) continue;
        refused.partition.push(partition);
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
      accepted.partition.push(partition);
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
  }
  return { places, options, accepted, selected, refused, tallied: tallies.columns() };
}

/** Counts records whose fate needs no look at the database, by partition, fate and reason. */
class Tallies {
  readonly #tallies = new Map<string, { partition: number; fate: Fate; reason: string; records: number }>();

  add(partition: number, fate: Fate, reason: string): void {
    const key = `${partition}/${fate}/${reason}`;
    const tally = this.#tallies.get(key);
    if (tally !== undefined) tally.records++;
    else this.#tallies.set(key, { partition, fate, reason, records: 1 });
  }

  columns() {
    const tallies = [...this.#tallies.values()];
    return {
      partition: tallies.map(({ partition }) => partition),
      fate: tallies.map(({ fate }) => fate),
      reason: tallies.map(({ reason }) => reason),
      records: tallies.map(({ records }) => records),
    };
  }
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
