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
import { Senders, type SequenceBlock } from "./sequences.ts";

/** How many records had one outcome; `reason` is empty for `counted`. */
export type OutcomeDelta = Readonly<{ fate: Fate; reason: string; records: number }>;

/** What is counted of one partition: its records in their order, and the sequence numbers that they add. */
export type CountedPart = Readonly<{
  partition: number;
  records: readonly JudgedRecord[];
  sequences: readonly SequenceBlock[];
}>;

/** A time from milliseconds since 1970, which may be of any year: a product with one factor would be rounded. */
const timeOf = (ms: string) =>
  `(timestamptz 'epoch' + ${ms} / 60000 * interval '1 minute' + ${ms} % 60000 * interval '1 ms')`;

/** More than the options of a layout. Two columns as one number: a join by both would be made by the first of them. */
const MAX_OPTIONS = "1000000::bigint";

/**
 * In order: the roll as it applies at each record's position, and what the voter voted before; each voter's first
 * acceptable record, which is counted unless there was one before; the participations; what follows from those that are
 * counted; what became of the others. A held record takes no participation. Participations are written in the order of
 * voter keys, so that their storage order does not show in which order the votes of a transaction came.
 *
 * The caller holds the positions, and all records of a voter are in one partition: so nobody else writes these
 * participations, and the statement sees all that are there. Were it otherwise, the table's key would refuse the second.
 *
 * It takes the same shape whatever the planner knows, for an embedded database never gathers statistics and a new
 * one has none yet. Roll and participations are asked voter by voter (LATERAL, subquery): a join might read the
 * whole roll for every batch; in the order of voter keys, which is that of the indexes. `is_first` is a boolean because half the rows is then the guess, not one in two hundred.
 * What many records have in common comes once, and is named by its number: stations with their modes (places), tallies
 * with their layouts, minutes of a tally (cells), ballots, and where records come from (origins). Voter keys come one after
 * another in one text, which is decoded once. The votes of a tally come summed over all acceptable records; what the database does not count is taken
 * off again. Few are: so almost nothing is summed here.
 */
const COUNT = `
WITH places AS MATERIALIZED (
  SELECT * FROM unnest($12::text[], $13::text[], $14::text[]) WITH ORDINALITY AS p (station, mode, region, place)
),
tallies AS MATERIALIZED (
  SELECT t.tally, p.station, p.mode, t.layout, t.votes::int[] AS votes
  FROM unnest($15::int[], $16::bigint[], $17::text[]) WITH ORDINALITY AS t (place, layout, votes, tally)
  JOIN places p USING (place)
),
cells AS MATERIALIZED (
  SELECT c.cell, c.tally, p.station, p.mode, p.region, timestamptz 'epoch' + c.minute * interval '1 minute' AS minute
  FROM unnest($18::int[], $19::int[], $20::bigint[]) WITH ORDINALITY AS c (place, tally, minute, cell)
  JOIN places p USING (place)
),
origins AS MATERIALIZED (
  SELECT * FROM unnest($21::int[], $22::bigint[], $23::text[], $24::text[], $25::text[])
    WITH ORDINALITY AS o (partition, revision, held, gateway, sender_key, origin)
),
known AS MATERIALIZED (
  SELECT e.*, refusal IS NULL AND held IS NULL AND earlier IS NULL AND number = 1 AS is_first
  FROM (
    SELECT w.*, (
      SELECT p.vote_id FROM counting.participations p
      WHERE p.election = $1::text AND p.voter_key = w.voter_key
    ) AS earlier
    FROM (
      SELECT v.*, row_number() OVER voter AS number, first_value(vote_id) OVER voter AS first_vote_id
      FROM (
        SELECT i.ord, i.partition, i.voter_key, i.vote_id, i.accepted_ms, i.cell, i.tally, i.station, i.origin, i.held,
          r.region, r.age_group, r.gender,
          CASE
            WHEN r.region IS NULL THEN 'unknown_voter'
            WHEN r.station <> i.station THEN 'wrong_station'
            WHEN r.station IS NULL AND r.region <> i.station_region THEN 'wrong_region'
          END AS refusal
        FROM (
          SELECT ord, o.partition, substring((SELECT decode($3::text, 'hex')), (32 * ord - 31)::int, 32) AS voter_key,
            vote_id, accepted_ms, revision, held, cell, tally, origin, station, region AS station_region
          FROM unnest($4::uuid[], $5::bigint[], $6::int[], $7::int[])
            WITH ORDINALITY AS t (vote_id, accepted_ms, cell, origin, ord)
          JOIN cells USING (cell) JOIN origins o USING (origin)
          ORDER BY voter_key, ord
        ) i
        LEFT JOIN LATERAL (
          SELECT region, station, age_group, gender FROM counting.roll
          WHERE election = $1::text AND voter_key = i.voter_key AND revision <= i.revision
            AND NOT CASE WHEN struck_revision <= i.revision THEN struck_at <= ${
  timeOf("i.accepted_ms")
} ELSE false END
          ORDER BY revision DESC LIMIT 1
        ) r ON true
      ) v
      WINDOW voter AS (PARTITION BY voter_key, refusal, held ORDER BY ord)
    ) w
    OFFSET 0
  ) e
),
inserted AS (
  INSERT INTO counting.participations (election, voter_key, vote_id)
  SELECT $1::text, voter_key, vote_id FROM known WHERE is_first ORDER BY voter_key
),
counted AS MATERIALIZED (
  SELECT partition, cell, tally, region, age_group, gender FROM known WHERE is_first
),
minutes_of_stations AS MATERIALIZED (
  SELECT station, mode, minute, sum(voters)::int AS voters
  FROM (SELECT cell, count(*) AS voters FROM counted GROUP BY cell) c JOIN cells USING (cell)
  GROUP BY station, mode, minute
),
turnout AS (
  INSERT INTO counting.turnout_counts AS total (election, station, mode, minute, lane, voters)
  SELECT $1::text, station, mode, minute, $2::smallint, voters FROM minutes_of_stations
  ON CONFLICT (election, station, mode, minute, lane) DO UPDATE SET voters = total.voters + excluded.voters
),
minutes AS (
  INSERT INTO counting.minute_voters AS total (election, minute, lane, voters)
  SELECT $1::text, minute, $2::smallint, sum(voters) FROM minutes_of_stations GROUP BY minute
  ON CONFLICT (election, minute, lane) DO UPDATE SET voters = total.voters + excluded.voters
),
groups AS (
  INSERT INTO counting.turnout_groups AS total (election, region, age_group, gender, lane, voters)
  SELECT $1::text, region, age_group, gender, $2::smallint, count(*) FROM counted GROUP BY region, age_group, gender
  ON CONFLICT (election, region, age_group, gender, lane) DO UPDATE SET voters = total.voters + excluded.voters
),
changed AS (
  INSERT INTO counting.changes (election, station) SELECT DISTINCT $1::text, station FROM minutes_of_stations
),
others AS MATERIALIZED (
  SELECT ord, partition, tally, station, origin, vote_id, accepted_ms,
    CASE WHEN refusal IS NOT NULL THEN 'rejected' WHEN held IS NOT NULL THEN 'held' ELSE 'duplicate' END AS fate,
    CASE
      WHEN refusal IS NOT NULL THEN refusal
      WHEN held IS NOT NULL THEN held
      WHEN coalesce(earlier, first_vote_id) = vote_id THEN 'retransmission'
      ELSE 'double_vote'
    END AS reason
  FROM known WHERE NOT is_first
),
positions AS MATERIALIZED (
  SELECT * FROM unnest($8::bigint[], $9::int[], $10::bigint[], $11::int[])
    WITH ORDINALITY AS p (log_offset, record_index, appended_ms, ballot, ord)
),
uncounted AS MATERIALIZED (
  SELECT tally, option, tally * ${MAX_OPTIONS} + option AS tally_option, count(*)::int AS votes
  FROM others o JOIN positions p USING (ord)
  JOIN unnest($26::text[]) WITH ORDINALITY AS b (options, ballot) USING (ballot)
  CROSS JOIN LATERAL unnest(b.options::int[]) AS m (option)
  GROUP BY tally, option
),
corrected AS MATERIALIZED (
  SELECT t.tally, array_agg(v.votes - coalesce(u.votes, 0) ORDER BY v.option) AS votes
  FROM tallies t CROSS JOIN LATERAL unnest(t.votes) WITH ORDINALITY AS v (votes, option)
  LEFT JOIN uncounted u ON u.tally_option = t.tally * ${MAX_OPTIONS} + v.option
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
    timestamptz 'epoch' + p.appended_ms * interval '1 ms', g.gateway, o.station, o.vote_id
  FROM others o JOIN positions p USING (ord) JOIN origins g USING (origin)
  WHERE o.reason <> 'retransmission' AND o.fate <> 'held'
  UNION ALL
  SELECT $1::text, partition, log_offset, record_index, 'rejected', reason,
    timestamptz 'epoch' + appended_ms * interval '1 ms', gateway, station, vote_id
  FROM unnest($27::int[], $28::bigint[], $29::int[], $30::text[], $31::bigint[], $32::text[], $33::text[], $34::uuid[])
    AS r (partition, log_offset, record_index, reason, appended_ms, gateway, station, vote_id)
),
kept AS (
  INSERT INTO counting.held (election, partition, log_offset, record_index, reason, appended_at, accepted_at, gateway,
    sender_key, station, vote_id)
  SELECT $1::text, o.partition, p.log_offset, p.record_index, o.reason,
    timestamptz 'epoch' + p.appended_ms * interval '1 ms', ${timeOf("o.accepted_ms")}, g.gateway,
    decode(g.sender_key, 'hex'), o.station, o.vote_id
  FROM others o JOIN positions p USING (ord) JOIN origins g USING (origin)
  WHERE o.fate = 'held'
),
numbered AS (
  INSERT INTO counting.sequences AS s (election, sender_key, partition, block, numbers)
  SELECT $1::text, decode(sender_key, 'hex'), partition, block, numbers::bit(1024)
  FROM unnest($39::int[], $40::text[], $41::bigint[], $42::text[]) AS n (partition, sender_key, block, numbers)
  ON CONFLICT (election, sender_key, block, partition) DO UPDATE SET numbers = s.numbers | excluded.numbers
),
deltas AS MATERIALIZED (
  SELECT partition, 'counted' AS fate, '' AS reason, count(*) AS records FROM counted GROUP BY partition
  UNION ALL SELECT partition, fate, reason, count(*) FROM others GROUP BY partition, fate, reason
  UNION ALL SELECT partition, fate, reason, records
    FROM unnest($35::int[], $36::text[], $37::text[], $38::bigint[]) AS r (partition, fate, reason, records)
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
  const { places, tallies, cells, origins, ballots, accepted, refused, decided } = columnsOf(parts);
  const numbered = parts.flatMap(({ partition, sequences }) =>
    sequences.map((block) => ({ partition, ...block }))
  );
  return await query<OutcomeDelta>(COUNT, [
    election,
    lane,
    accepted.voterKey.join(""),
    ...[
      accepted.voteId,
      accepted.acceptedMs,
      accepted.cell,
      accepted.origin,
      accepted.offset,
      accepted.index,
      accepted.appendedMs,
    ].map(plainLiteral),
    arrayLiteral(accepted.ballot),
    ...places.columns.map(arrayLiteral),
    arrayLiteral(tallies.map(({ place }) => place)),
    arrayLiteral(tallies.map(({ layout }) => layout.id)),
    arraysLiteral(tallies.map(({ votes }) => votes)),
    ...cells.columns.map(arrayLiteral),
    ...origins.columns.map(arrayLiteral),
    arraysLiteral(ballots),
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

/** An array parameter of values none of which is null or an id: numbers and UUIDs. */
function plainLiteral(values: readonly (number | string)[]): string {
  return `{${values.join(",")}}`;
}

const MINUTE_MS = 60_000;

/** Batches as the columns that {@link COUNT} takes. */
function columnsOf(parts: readonly CountedPart[]) {
  const places = new Interner<string>(3);
  const cells = new Interner<number>(3);
  const origins = new Interner<number | string | null>(5);
  const ballots = new Ballots();
  const tallies = new TallySums();
  const accepted = {
    voterKey: [] as string[],
    voteId: [] as string[],
    acceptedMs: [] as number[],
    cell: [] as number[],
    origin: [] as number[],
    offset: [] as number[],
    index: [] as number[],
    appendedMs: [] as number[],
    ballot: [] as (number | null)[],
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
  const decided = new OutcomeSums();
  const senders = new Senders();
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
      const held = judgement.fate === "held" ? judgement.reason : null;
      const acceptedMs = Date.parse(record.acceptedAt);
      const place = places.numberOf(record.station, record.mode, region);
      const tally = tallies.of(record.station, record.mode, layout!, place);
      accepted.voterKey.push(record.voterKey);
      accepted.voteId.push(record.voteId);
      accepted.acceptedMs.push(acceptedMs);
      accepted.cell.push(cells.numberOf(place, tally.number, Math.floor(acceptedMs / MINUTE_MS)));
      accepted.origin.push(origins.numberOf(partition, revision, held, gateway, senders.hexOf(senderKey)));
      accepted.offset.push(offset);
      accepted.index.push(index);
      accepted.appendedMs.push(keptMs(appendedAtMs));
      // A held record counts nothing, so nothing of it is summed, or taken off.
      accepted.ballot.push(held === null ? ballots.add(tally, marks) : null);
    }
  }
  const { all } = ballots;
  return {
    places,
    tallies: tallies.all,
    cells,
    origins,
    ballots: all,
    accepted,
    refused,
    decided: decided.columns(),
  };
}

/** Which options ballots chose, from 1 on: numbered, and once for ballots that share their marks. */
class Ballots {
  readonly all: number[][] = [];
  readonly #numbers = new Map<Layout, Map<readonly Selection[], number>>();

  /** Adds a ballot to its tally. Returns the number of its options. */
  add(tally: TallySum, marks: readonly Selection[]): number {
    let numbers = this.#numbers.get(tally.layout);
    if (numbers === undefined) this.#numbers.set(tally.layout, numbers = new Map());
    let number = numbers.get(marks);
    if (number === undefined) {
      const { indexOf } = tally.layout;
      const options = marks.map(({ contest, candidate }) => indexOf.get(`${contest}/${candidate}`)! + 1);
      numbers.set(marks, number = this.all.push(options));
    }
    for (const option of this.all[number - 1]!) tally.votes[option - 1]!++;
    return number;
  }
}

/** Votes of one station, mode and layout: summed over acceptable records. */
class TallySum {
  readonly votes: number[];

  constructor(readonly number: number, readonly place: number, readonly layout: Layout) {
    this.votes = Array(layout.contests.length).fill(0);
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

/** Numbers tuples of ids and numbers from 1 on, in the order in which they come. */
class Interner<Value extends string | number | null> {
  readonly columns: Value[][];
  readonly #numbers = new Map<string, number>();

  constructor(width: number) {
    this.columns = Array.from({ length: width }, () => []);
  }

  numberOf(...values: Value[]): number {
    const key = values.join("/"); // No id holds a slash.
    let number = this.#numbers.get(key);
    if (number === undefined) {
      values.forEach((value, i) => this.columns[i]!.push(value));
      this.#numbers.set(key, number = this.#numbers.size + 1);
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
