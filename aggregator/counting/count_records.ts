/**
 * The counting statement: counts judged records of several partitions, whose positions were moved before. It checks the roll and
 * decides which record of a voter counts and which is a duplicate.
 *
 * @module
 */
import type { Fate } from "../../shared/outcome.ts";
import type { Selection } from "../../shared/vote.ts";
import { arrayLiteral, arraysLiteral, type Query } from "../database/database.ts";
import type { JudgedRecord } from "./judged.ts";
import type { Layout } from "./layouts.ts";
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
 * Participations are written in the order of voter keys, so that their storage order does not show in which
 * order the votes of a transaction came.
 *
 * It takes the same shape whatever the planner knows, for an embedded database never gathers statistics and a new
 * one has none yet. Roll and participations are asked voter by voter (LATERAL, subquery): a join might read the
 * whole roll for every batch. `IN (…) IS TRUE` stays a hashed look-up, where a join might hold every row of the batch
 * against every other. `is_first` is a boolean because half the rows is then the guess, not one in two hundred.
 * Stations with their modes, and tallies with their layouts, come once each, and are named by their number. The votes of
 * a tally come summed over all acceptable records; what the database does not count is taken off again. Few are: so
 * almost nothing is summed here.
 */
const COUNT = `
WITH places AS MATERIALIZED (
  SELECT * FROM unnest($15::text[], $16::text[], $17::text[]) WITH ORDINALITY AS p (station, mode, region, place)
),
tallies AS MATERIALIZED (
  SELECT t.tally, p.station, p.mode, t.layout, t.votes::int[] AS votes
  FROM unnest($20::int[], $21::bigint[], $22::text[]) WITH ORDINALITY AS t (place, layout, votes, tally)
  JOIN places p USING (place)
),
known AS MATERIALIZED (
  SELECT v.*, refusal IS NULL AND held IS NULL AND row_number() OVER voter = 1 AS is_first,
    first_value(vote_id) OVER voter AS first_vote_id
  FROM (
    SELECT i.ord, i.partition, i.voter_key, i.vote_id, i.accepted_at, i.place, i.tally, i.station, i.held, r.region,
      r.age_group, r.gender,
      CASE
        WHEN r.region IS NULL THEN 'unknown_voter'
        WHEN r.station <> i.station THEN 'wrong_station'
        WHEN r.station IS NULL AND r.region <> i.station_region THEN 'wrong_region'
      END AS refusal
    FROM (
      SELECT ord, partition, decode(voter_key, 'hex') AS voter_key, vote_id, accepted_at, revision, held, place, tally,
        station, region AS station_region
      FROM unnest($3::text[], $4::uuid[], $5::timestamptz[], $6::int[], $7::bigint[], $8::text[], $9::int[], $18::int[])
        WITH ORDINALITY AS t (voter_key, vote_id, accepted_at, place, revision, held, partition, tally, ord)
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
  SELECT ord, partition, place, tally, date_bin('1 minute', accepted_at, timestamptz 'epoch') AS minute, region, age_group,
    gender
  FROM known WHERE is_first AND (voter_key IN (SELECT voter_key FROM inserted)) IS TRUE
),
cells AS MATERIALIZED (
  SELECT station, mode, minute, sum(voters)::int AS voters
  FROM (SELECT place, minute, count(*) AS voters FROM counted GROUP BY place, minute) c JOIN places USING (place)
  GROUP BY station, mode, minute
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
  SELECT ord, partition, tally, station, vote_id, accepted_at,
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
  SELECT * FROM unnest($10::bigint[], $11::int[], $12::bigint[], $13::text[], $14::text[], $19::text[])
    WITH ORDINALITY AS p (log_offset, record_index, appended_ms, gateway, sender_key, options, ord)
),
uncounted AS MATERIALIZED (
  SELECT o.tally, m.option, count(*)::int AS votes
  FROM others o JOIN positions p USING (ord) CROSS JOIN LATERAL unnest(p.options::int[]) AS m (option)
  GROUP BY o.tally, m.option
),
corrected AS MATERIALIZED (
  SELECT t.tally, array_agg(v.votes - coalesce(u.votes, 0) ORDER BY v.option) AS votes
  FROM tallies t CROSS JOIN LATERAL unnest(t.votes) WITH ORDINALITY AS v (votes, option)
  LEFT JOIN uncounted u ON u.tally = t.tally AND u.option = v.option
  WHERE t.tally IN (SELECT tally FROM uncounted)
  GROUP BY t.tally
),
votes AS (
  INSERT INTO counting.tallies AS total (election, station, mode, layout, lane, voters, votes)
  SELECT $1::text, t.station, t.mode, t.layout, $2::smallint, c.voters, coalesce(x.votes, t.votes)
  FROM (SELECT tally, count(*) AS voters FROM counted GROUP BY tally) c
  JOIN tallies t USING (tally) LEFT JOIN corrected x USING (tally)
  ON CONFLICT (election, station, mode, layout, lane) DO UPDATE SET voters = total.voters + excluded.voters,
    votes = ARRAY(SELECT a + b FROM unnest(total.votes, excluded.votes) AS v (a, b))
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
  FROM unnest($23::int[], $24::bigint[], $25::int[], $26::text[], $27::bigint[], $28::text[], $29::text[], $30::uuid[])
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
  FROM unnest($35::int[], $36::text[], $37::bigint[], $38::text[]) AS n (partition, sender_key, block, numbers)
  ON CONFLICT (election, sender_key, block, partition) DO UPDATE SET numbers = s.numbers | excluded.numbers
),
deltas AS MATERIALIZED (
  SELECT partition, 'counted' AS fate, '' AS reason, count(*) AS records FROM counted GROUP BY partition
  UNION ALL SELECT partition, fate, reason, count(*) FROM others GROUP BY partition, fate, reason
  UNION ALL SELECT partition, fate, reason, records
    FROM unnest($31::int[], $32::text[], $33::text[], $34::bigint[]) AS r (partition, fate, reason, records)
),
outcomes AS (
  INSERT INTO counting.outcome_counts AS total (election, partition, fate, reason, records)
  SELECT $1::text, partition, fate, reason, sum(records) FROM deltas GROUP BY partition, fate, reason
  ON CONFLICT (election, partition, fate, reason) DO UPDATE SET records = total.records + excluded.records
)
SELECT fate, reason, sum(records)::float8 AS records FROM deltas GROUP BY fate, reason`;

/**
 * Counts records, inside the caller's transaction. A voter's records must all be of one partition, and the database must
 * have their layouts.
 *
 * @param lane Of the shared counters; no other transaction may have it.
 */
export async function countRecords(
  query: Query,
  election: string,
  parts: readonly CountedPart[],
  lane: number,
): Promise<OutcomeDelta[]> {
  const { places, tallies, accepted, refused, decided } = columnsOf(parts);
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
      accepted.tally,
    ].map(arrayLiteral),
    arraysLiteral(accepted.options),
    arrayLiteral(tallies.map(({ place }) => place)),
    arrayLiteral(tallies.map(({ layout }) => layout)),
    arraysLiteral(tallies.map(({ votes }) => votes)),
    ...[
      refused.partition,
      refused.offset,
      refused.index,
      refused.reason,
      refused.appendedMs,
      refused.gateway,
      refused.station,
      refused.voteId,
      decided.partition,
      decided.fate,
      decided.reason,
      decided.records,
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
  const accepted = {
    voterKey: [] as string[],
    voteId: [] as string[],
    acceptedAt: [] as string[],
    place: [] as number[],
    tally: [] as number[],
    options: [] as (number[] | null)[],
    revision: [] as number[],
    held: [] as (string | null)[],
    partition: [] as number[],
    offset: [] as number[],
    index: [] as number[],
    appendedMs: [] as number[],
    gateway: [] as string[],
    senderKey: [] as string[],
  };
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
  const tallies = new TallySums();
  const decided = new OutcomeSums();
  for (const { partition, records } of parts) {
    for (const { judgement, offset, index, appendedAtMs, senderKey, keepsDetails, layout } of records) {
      if (judgement.fate === "statement") {
        decided.add(partition, "statement", "");
        continue;
      }
      if (judgement.fate === "rejected") {
        decided.add(partition, "rejected", judgement.reason);
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
      const place = places.numberOf(record.station, record.mode, region);
      const tally = tallies.of(record.station, record.mode, layout!, place);
      accepted.place.push(place);
      accepted.tally.push(tally.number);
      // A held record counts nothing, so nothing of it is summed, or taken off.
      accepted.options.push(judgement.fate === "held" ? null : tally.add(marks));
      accepted.revision.push(revision);
      accepted.held.push(judgement.fate === "held" ? judgement.reason : null);
      accepted.partition.push(partition);
      accepted.offset.push(offset);
      accepted.index.push(index);
      accepted.appendedMs.push(keptMs(appendedAtMs));
      accepted.gateway.push(gateway);
      accepted.senderKey.push(senderKey.toHex());
    }
  }
  return { places, tallies: tallies.all, accepted, refused, decided: decided.columns() };
}

/** Votes of one station, mode and layout: summed over acceptable records. */
class TallySum {
  readonly votes: number[];
  readonly #layout: Layout;

  constructor(readonly number: number, readonly place: number, layout: Layout) {
    this.#layout = layout;
    this.votes = Array(layout.contests.length).fill(0);
  }

  get layout(): string {
    return this.#layout.id;
  }

  /** Adds a ballot's marks, and says which options they are, from 1 on. */
  add(marks: readonly Selection[]): number[] {
    return marks.map(({ contest, candidate }) => {
      const at = this.#layout.indexOf.get(`${contest}/${candidate}`)!;
      this.votes[at]!++;
      return at + 1;
    });
  }
}

/** Numbers tallies from 1 on. A station that moved to another region has one tally, and any of its places. */
class TallySums {
  readonly all: TallySum[] = [];
  readonly #tallies = new Map<string, TallySum>();

  of(station: string, mode: string, layout: Layout, place: number): TallySum {
    const key = `${station}/${mode}/${layout.id}`;
    let tally = this.#tallies.get(key);
    if (tally === undefined) {
      this.#tallies.set(key, tally = new TallySum(this.all.length + 1, place, layout));
      this.all.push(tally);
    }
    return tally;
  }
}

/** Counts records whose fate needs no look at the database, by partition, fate and reason. */
class OutcomeSums {
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
