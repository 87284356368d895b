/**
 * The counting transaction: moves the positions of several partitions, then counts their batches in one statement.
 * Whatever fails, either all of it is in the database or none.
 *
 * @module
 */
import { arrayLiteral, type Query, queryOne } from "../database/database.ts";
import type { JudgedRecord } from "./judged.ts";
import { countRecords, type OutcomeDelta } from "./count_records.ts";
import { type Layout, writeLayouts } from "./layouts.ts";
import { mergeNews, type SenderKeyNews, type SequenceBlock, writeSenderKeys } from "./sequences.ts";

/** A batch of one partition, judged. */
export type CountedBatch = Readonly<{
  partition: number;
  epoch: number;
  /** What the position must be now. */
  fromOffset: number;
  /** What the position becomes: the batch's last offset + 1. */
  nextOffset: number;
  /** Digest of the batch's last record, in hex. */
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

/**
 * What became of a batch. `stale`: the history changed since it was judged. `fenced`: another process has taken the
 * partition. Nothing was written of either.
 */
export type Verdict = "counted" | "stale" | "fenced";

/** What a transaction does. */
export type Counted<B extends CountedBatch> = Readonly<
  { verdicts: ReadonlyMap<B, Verdict>; outcomes: OutcomeDelta[]; records: number }
>;

/** Lanes of the shared counters. Where more transactions count at once, some of them wait for another's rows. */
const LANES = 64;
/** Key of the advisory locks that lanes are taken with, beside the lane's number; the same in every process. */
const LANE_LOCK = 7_026;

/** Counts batches of different partitions, inside the caller's transaction. */
export async function countBatches<B extends CountedBatch>(
  query: Query,
  election: string,
  batches: readonly B[],
): Promise<Counted<B>> {
  const layouts = layoutsOf(batches.flatMap(({ records }) => records));
  const { verdicts, lane, lacking } = await movePositions(query, election, batches, layouts);
  const moved = batches.filter((batch) => verdicts.get(batch) === "counted");
  if (moved.length === 0) return { verdicts, outcomes: [], records: 0 };
  const gaps = moved.flatMap(gapsOf);
  if (gaps.length > 0) await noteGaps(query, election, gaps);
  await writeLacking(query, election, layouts, lacking);
  const news = mergeNews(moved.map((batch) => batch.news));
  if (news.size > 0) await writeSenderKeys(query, election, news);
  const outcomes = await countRecords(query, election, moved, lane);
  return { verdicts, outcomes, records: moved.reduce((sum, { records }) => sum + records.length, 0) };
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
  const layouts = layoutsOf(records);
  const { lane, lacking } = await queryOne<{ lane: number; lacking: string[] }>(
    query,
    `SELECT ${FREE_LANE} AS lane, ${LACKING} AS lacking`,
    [partition, LANE_LOCK, LANES, election, arrayLiteral([...layouts.keys()])],
  );
  await writeLacking(query, election, layouts, lacking);
  return await countRecords(query, election, [{ partition, records, sequences: [] }], lane);
}

/** The first lane that no other transaction has, until this one ends. Parameters: a partition, {@link LANE_LOCK}, {@link LANES}. */
const FREE_LANE = `coalesce(
  (SELECT lane FROM generate_series(0, $3::int - 1) AS lane WHERE pg_try_advisory_xact_lock($2::int, lane) LIMIT 1),
  $1::int % $3::int
)`;

/** Those layouts of a batch that the database has not. Parameters: as {@link FREE_LANE}, the election, the layouts. */
const LACKING = `(
  SELECT coalesce(json_agg(l.layout::text), '[]') FROM unnest($5::text::bigint[]) AS l (layout)
  WHERE NOT EXISTS (SELECT FROM counting.layouts k WHERE k.election = $4::text AND k.layout = l.layout)
)`;

function layoutsOf(records: readonly JudgedRecord[]): Map<string, Layout> {
  const layouts = new Map<string, Layout>();
  for (const { layout } of records) if (layout !== undefined) layouts.set(layout.id, layout);
  return layouts;
}

async function writeLacking(
  query: Query,
  election: string,
  layouts: ReadonlyMap<string, Layout>,
  lacking: readonly string[],
): Promise<void> {
  if (lacking.length > 0) await writeLayouts(query, election, lacking.map((id) => layouts.get(id)!));
}

/**
 * Positions are locked in the order of partitions, as a change of history locks them (registry/changes.ts). The lock is
 * taken in a statement of its own, ahead of counting: so counting sees all that was committed before it.
 */
const MOVE = `
WITH held AS MATERIALIZED (
  SELECT p.partition, m.next_offset, m.records, m.digest, p.epoch = m.epoch AS is_owned,
    p.next_offset = m.from_offset AS is_next, p.revision = m.revision AS is_current
  FROM counting.log_positions p
  JOIN unnest($6::int[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::text[])
    AS m (partition, epoch, from_offset, next_offset, revision, records, digest) ON m.partition = p.partition
  WHERE p.election = $4
  ORDER BY p.partition
  FOR UPDATE OF p
),
moved AS (
  UPDATE counting.log_positions p
  SET next_offset = h.next_offset, records_read = p.records_read + h.records, last_offset = h.next_offset - 1,
    last_digest = decode(h.digest, 'hex')
  FROM held h
  WHERE p.election = $4 AND p.partition = h.partition AND h.is_owned AND h.is_next AND h.is_current
  RETURNING p.partition
)
SELECT h.partition, m.partition IS NOT NULL AS moved, h.is_owned AND NOT h.is_current AS stale, l.lane, l.lacking
FROM held h LEFT JOIN moved m ON m.partition = h.partition, (
  SELECT ${FREE_LANE} AS lane, ${LACKING} AS lacking OFFSET 0
) l`;

/**
 * Moves the positions that still are where the batches begin, and takes a lane until the transaction ends. `lacking`: ids
 * of layouts that the database has not.
 */
async function movePositions<B extends CountedBatch>(
  query: Query,
  election: string,
  batches: readonly B[],
  layouts: ReadonlyMap<string, Layout>,
): Promise<{ verdicts: Map<B, Verdict>; lane: number; lacking: string[] }> {
  const column = (of: (batch: B) => number | string) => arrayLiteral(batches.map(of));
  const rows = await query<
    { partition: number; moved: boolean; stale: boolean; lane: number; lacking: string[] }
  >(MOVE, [
    batches[0]!.partition,
    LANE_LOCK,
    LANES,
    election,
    arrayLiteral([...layouts.keys()]),
    column(({ partition }) => partition),
    column(({ epoch }) => epoch),
    column(({ fromOffset }) => fromOffset),
    column(({ nextOffset }) => nextOffset),
    column(({ revision }) => revision),
    column(({ records }) => records.length),
    column(({ lastDigest }) => lastDigest),
  ]);
  const found = new Map(rows.map((row) => [row.partition, row]));
  const verdictOf = ({ partition }: B): Verdict => {
    const row = found.get(partition);
    return row?.moved ? "counted" : row?.stale ? "stale" : "fenced";
  };
  const { lane = 0, lacking = [] } = rows[0] ?? {};
  return { verdicts: new Map(batches.map((batch) => [batch, verdictOf(batch)])), lane, lacking };
}

type Gap = Readonly<{ partition: number; from: number; until: number }>;

/** Ranges of offsets that were not delivered: from the first missing one until the next delivered one. */
function gapsOf({ partition, fromOffset, offsets }: CountedBatch): Gap[] {
  const gaps: Gap[] = [];
  let expected = fromOffset;
  for (const offset of offsets) {
    if (offset > expected) gaps.push({ partition, from: expected, until: offset });
    expected = offset + 1;
  }
  return gaps;
}

async function noteGaps(query: Query, election: string, gaps: readonly Gap[]): Promise<void> {
  await query(
    "INSERT INTO counting.gaps SELECT $1::text, * FROM unnest($2::int[], $3::bigint[], $4::bigint[])",
    [
      election,
      arrayLiteral(gaps.map(({ partition }) => partition)),
      arrayLiteral(gaps.map(({ from }) => from)),
      arrayLiteral(gaps.map(({ until }) => until)),
    ],
  );
}
