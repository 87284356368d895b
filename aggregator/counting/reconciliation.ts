/**
 * Whether the reconciliation balances: for each partition, records read = counted + duplicate + rejected + held +
 * statements. Both sides are
 * counters of their own; neither is worked out from offsets.
 *
 * @module
 */
import type { Fate } from "../../shared/outcome.ts";
import type { Balance, CountReconciliation, Progress, Rejections } from "./schemas.ts";
import { type Database, type Query, queryOne } from "../database/database.ts";
import { readPositions } from "./tables.ts";

/** Maximum gaps of the log that one answer lists. */
const MAX_GAPS = 1_000;

type PartitionBalance = CountReconciliation["partitions"][number];
type OutcomeRow = CountReconciliation["outcomes"][number];
type Gap = CountReconciliation["gaps"][number];
type RejectionRow = Rejections["rows"][number];

/**
 * Reads the reconciliation.
 *
 * @param partitions How many the election's log has, by the manifest.
 * @param logEnds Where each partition of the log ends; asked after the database, so that no lag is negative.
 */
export async function readReconciliation(
  db: Database,
  election: string,
  partitions: number,
  logEnds: () => Promise<number[] | undefined>,
): Promise<CountReconciliation> {
  const { places, counts, gaps } = await db.transaction(async (query) => ({
    places: await readPositions(query, election),
    counts: await outcomeCounts(query, election),
    gaps: await logGaps(query, election),
  }), "snapshot");
  const ends = await logEnds();
  const rows = Array.from({ length: partitions }, (_, partition): PartitionBalance => {
    const place = places.get(partition);
    const nextOffset = place?.next ?? 0;
    const logEnd = ends?.[partition] ?? null;
    const sums = balance(place?.read ?? 0, counts.get(partition) ?? []);
    return { partition, ...sums, nextOffset, logEnd, lag: logEnd === null ? null : logEnd - nextOffset };
  });
  const lag = rows.reduce<number | null>(
    (sum, { lag }) => sum === null || lag === null ? null : sum + lag,
    0,
  );
  const total = { ...totalBalance(places, counts), lag };
  return { election, total, partitions: rows, outcomes: sumOutcomes(counts), gaps };
}

/** Records that are held, but for those whose mode the manifest holds. */
export function unexpectedlyHeld({ outcomes }: Pick<CountReconciliation, "outcomes">): number {
  return outcomes.reduce(
    (sum, { fate, reason, records }) => fate === "held" && reason !== "mode" ? sum + records : sum,
    0,
  );
}

const FIELDS = ["read", "counted", "duplicate", "rejected", "held", "statements"] as const;

function balance(read: number, outcomes: readonly OutcomeRow[]): Balance {
  const of = (fate: Fate) => outcomes.reduce((sum, row) => row.fate === fate ? sum + row.records : sum, 0);
  const fates = {
    counted: of("counted"),
    duplicate: of("duplicate"),
    rejected: of("rejected"),
    held: of("held"),
    statements: of("statement"),
  };
  return {
    read,
    ...fates,
    balanced: read === Object.values(fates).reduce((sum, records) => sum + records, 0),
  };
}

/** The reconciliation of all partitions: balanced when each of them is, so that no two faults make up for one another. */
function totalBalance(
  places: ReadonlyMap<number, { read: number }>,
  counts: ReadonlyMap<number, readonly OutcomeRow[]>,
): Balance {
  const total = balance(0, []);
  for (const partition of new Set([...places.keys(), ...counts.keys()])) {
    const sums = balance(places.get(partition)?.read ?? 0, counts.get(partition) ?? []);
    for (const field of FIELDS) total[field] += sums[field];
    total.balanced &&= sums.balanced;
  }
  return total;
}

function sumOutcomes(counts: ReadonlyMap<number, readonly OutcomeRow[]>): OutcomeRow[] {
  const sums = new Map<string, OutcomeRow>();
  for (const { fate, reason, records } of [...counts.values()].flat()) {
    const key = `${fate}/${reason}`;
    const sum = sums.get(key);
    if (sum === undefined) sums.set(key, { fate, reason, records });
    else sum.records += records;
  }
  return [...sums.entries()].sort(([a], [b]) => a < b ? -1 : 1).map(([, row]) => row);
}

async function outcomeCounts(query: Query, election: string): Promise<Map<number, OutcomeRow[]>> {
  const rows = await query<OutcomeRow & { partition: number }>(
    "SELECT partition, fate, reason, records::float8 AS records FROM counting.outcome_counts WHERE election = $1 AND records <> 0",
    [election],
  );
  return Map.groupBy(rows, ({ partition }) => partition);
}

async function logGaps(query: Query, election: string): Promise<Gap[]> {
  return await query(
    `SELECT partition, from_offset::float8 AS "from", until_offset::float8 AS until
     FROM counting.gaps WHERE election = $1 ORDER BY partition, from_offset LIMIT ${MAX_GAPS}`,
    [election],
  );
}

/** How many have voted so far. */
export async function totalVoters(query: Query, election: string): Promise<number> {
  const { voters } = await queryOne<{ voters: number }>(
    query,
    "SELECT coalesce(sum(voters), 0)::float8 AS voters FROM counting.tallies WHERE election = $1",
    [election],
  );
  return voters;
}

/** Reads the totals of the reconciliation and of turnout, at one moment; cheap enough for once a second. */
export async function readProgress(db: Database, election: string): Promise<Progress> {
  return await db.transaction(async (query) => {
    const counts = await outcomeCounts(query, election);
    const sums = totalBalance(await readPositions(query, election), counts);
    return { ...sums, voters: await totalVoters(query, election), outcomes: sumOutcomes(counts) };
  }, "snapshot");
}

/** How many entries are on the log and not yet counted, as far as `ends` knows it. */
export async function readLag(query: Query, election: string, ends: readonly number[]): Promise<number> {
  const places = await readPositions(query, election);
  return ends.reduce(
    (sum, end, partition) => sum + Math.max(0, end - (places.get(partition)?.next ?? 0)),
    0,
  );
}

/** Reads the newest rejections and double votes, at most `limit`. */
export async function readRejections(db: Database, election: string, limit: number): Promise<Rejections> {
  return await db.transaction(async (query) => {
    const outcomes = [...(await outcomeCounts(query, election)).values()].flat();
    const count = (wanted: (row: OutcomeRow) => boolean) =>
      outcomes.filter(wanted).reduce((sum, { records }) => sum + records, 0);
    return {
      election,
      doubleVotes: count(({ reason }) => reason === "double_vote"),
      rejected: count(({ fate }) => fate === "rejected"),
      rows: await newestRejections(query, election, limit),
    };
  }, "snapshot");
}

/** Takes the newest of each partition by the primary key, and of those the newest: no table of any size is sorted. */
async function newestRejections(query: Query, election: string, limit: number): Promise<RejectionRow[]> {
  return await query(
    `SELECT p.partition, r.log_offset::float8 AS offset, r.record_index AS index, r.fate, r.reason, r.gateway, r.station,
       to_char(r.appended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') AS minute
     FROM counting.log_positions p
     CROSS JOIN LATERAL (
       SELECT log_offset, record_index, fate, reason, gateway, station, appended_at
       FROM counting.rejections r WHERE r.election = p.election AND r.partition = p.partition
       ORDER BY r.log_offset DESC, r.record_index DESC LIMIT $2::int
     ) r
     WHERE p.election = $1
     ORDER BY r.appended_at DESC, p.partition, r.log_offset DESC, r.record_index DESC LIMIT $2::int`,
    [election, limit],
  );
}
