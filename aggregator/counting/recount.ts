/**
 * Counts an election's log again, from the log alone, with the pure fold, and compares what comes out with the
 * tables line by line. One partition at a time, so memory holds one partition's voters and the totals.
 *
 * @module
 */
import { judge } from "../../shared/judge.ts";
import { logStarts, type VoteLog } from "../../shared/log/vote_log.ts";
import {
  type Count,
  countRecord,
  emptyCount,
  type Participations,
  type RollEntry,
} from "../../shared/tally.ts";
import type { Database, Query } from "../database/database.ts";
import type { GrowingHistory } from "./count.ts";
import { type DeletedFront, findDeletedFronts } from "./losses.ts";
import { readOutcomes, readStationVoters, readTotals } from "./tables.ts";

/** Records that are read from the log at once. */
const READ_RECORDS = 4_000;
/** Rows that are read from the database at once. */
const READ_ROWS = 20_000;
/** Differences that are kept to be shown; the number is of all. */
const MAX_DIFFERENCES = 100;

/** Where tables and log differ: which line, what the tables say, what the recount says. */
export type Difference = Readonly<{ line: string; tables: string; recount: string }>;

/** What a recount found. */
export type Recount = Readonly<{
  records: number;
  counted: number;
  /** Vote ids that came again with other contents: an alert, and no difference. */
  altered: number;
  /** How many lines were compared. */
  lines: number;
  differences: number;
  /**
   * Partitions that do not start at 0. Where one of them is no accepted loss, nothing was compared: the log is not
   * whole, and each such partition is one difference.
   */
  deleted: readonly DeletedFront[];
  /** The first of them. */
  shown: readonly Difference[];
}>;

/**
 * Recounts what the tables say was read: each partition up to its position. All of the tables are read in one
 * moment, so an aggregator may go on counting meanwhile.
 *
 * @param onProgress Told how many more records were read.
 */
export async function recount(
  db: Database,
  log: VoteLog,
  history: GrowingHistory,
  onProgress: (records: number) => void = () => {},
): Promise<Recount> {
  return await db.transaction(async (query) => {
    await history.reload(query);
    return await recountIn(query, log, history, onProgress);
  }, "snapshot");
}

async function recountIn(
  query: Query,
  log: VoteLog,
  history: GrowingHistory,
  onProgress: (records: number) => void,
): Promise<Recount> {
  const { election } = history;
  const deleted = await findDeletedFronts(query, election, await logStarts(log));
  if (deleted.some(({ isAccepted }) => !isAccepted)) return notWhole(deleted);
  const comparison = new Comparison();
  const totals = emptyCount();
  const outcomes = new Map<string, number>();
  const positions = await readPositions(query, election);
  // A partition of which nothing was read must have left nothing in the tables either.
  const partitions = new Set([...Array(log.partitions).keys(), ...positions.keys()]);
  let records = 0;
  let altered = 0;
  for (const partition of partitions) {
    const { next, read } = positions.get(partition) ?? { next: 0, read: 0 };
    const nextOffset = partition < log.partitions ? next : 0;
    const seen: Participations = new Map();
    const own: Count = { ...totals, outcomes: new Map() };
    const roll = nextOffset === 0 ? new Map() : await readRoll(query, election, partition, log.partitions);
    let folded = 0;
    for (let from = 0; from < nextOffset;) {
      const batch = (await log.read(partition, from, READ_RECORDS)).filter(({ offset }) =>
        offset < nextOffset
      );
      if (batch.length === 0) break;
      for (const stored of batch) {
        const { altered: differs } = countRecord(
          own,
          seen,
          judge(stored, history),
          (key) => roll.get(key) ?? [],
        );
        if (differs) altered++;
      }
      folded += batch.length;
      from = batch.at(-1)!.offset + 1;
      onProgress(batch.length);
    }
    records += folded;
    comparison.line(`partition ${partition} records read`, read, folded);
    for (const [name, n] of own.outcomes) outcomes.set(`${partition}/${name}`, n);
    await compareParticipations(query, election, partition, log.partitions, seen, comparison);
  }
  // It may have been deleted while it was read.
  const deletedSince = await findDeletedFronts(query, election, await logStarts(log));
  if (deletedSince.some(({ isAccepted }) => !isAccepted)) return notWhole(deletedSince);
  const tables = await readTotals(query, election);
  comparison.maps("outcomes", await readOutcomes(query, election), outcomes);
  comparison.maps("votes", tables.votes, totals.votes);
  comparison.maps("turnout", tables.turnout, totals.turnout);
  comparison.maps("groups", tables.groups, totals.groups);
  comparison.maps(
    "voters at stations",
    await readStationVoters(query, election),
    stationVoters(totals.turnout),
  );
  let counted = 0;
  for (const [name, n] of outcomes) if (name.endsWith("/counted")) counted += n;
  return { records, counted, altered, deleted, ...comparison.result() };
}

/** What is found of a log whose front was deleted: that, and not the thousand lines that follow from it. */
function notWhole(deleted: readonly DeletedFront[]): Recount {
  const shown = deleted.filter(({ isAccepted }) => !isAccepted).map(({ partition, start }) => ({
    line: `partition ${partition} first offset`,
    tables: "0",
    recount: `${start}`,
  }));
  return {
    records: 0,
    counted: 0,
    altered: 0,
    lines: shown.length,
    differences: shown.length,
    shown,
    deleted,
  };
}

/** Gathers the lines that differ. */
class Comparison {
  #lines = 0;
  #differences = 0;
  readonly #shown: Difference[] = [];

  line(line: string, tables: string | number | undefined, recount: string | number | undefined): void {
    this.#lines++;
    if (tables === recount) return;
    this.#differences++;
    if (this.#shown.length < MAX_DIFFERENCES) {
      this.#shown.push({ line, tables: String(tables ?? "nothing"), recount: String(recount ?? "nothing") });
    }
  }

  maps(what: string, tables: ReadonlyMap<string, number>, recount: ReadonlyMap<string, number>): void {
    for (const [key, value] of recount) this.line(`${what} ${key}`, tables.get(key), value);
    for (const [key, value] of tables) if (!recount.has(key)) this.line(`${what} ${key}`, value, undefined);
  }

  result(): Pick<Recount, "lines" | "differences" | "shown"> {
    return { lines: this.#lines, differences: this.#differences, shown: this.#shown };
  }
}

function stationVoters(turnout: ReadonlyMap<string, number>): Map<string, number> {
  const voters = new Map<string, number>();
  for (const [key, n] of turnout) {
    const place = key.slice(0, key.lastIndexOf("/"));
    voters.set(place, (voters.get(place) ?? 0) + n);
  }
  return voters;
}

async function readPositions(
  query: Query,
  election: string,
): Promise<Map<number, { next: number; read: number }>> {
  const rows = await query<{ partition: number; next: number; read: number }>(
    `SELECT partition, next_offset::float8 AS next, records_read::float8 AS read
     FROM counting.log_positions WHERE election = $1 ORDER BY partition`,
    [election],
  );
  return new Map(rows.map(({ partition, next, read }) => [partition, { next, read }]));
}

/** A voter key's partition, in SQL: see partition.ts. */
const PARTITION_OF_KEY =
  `(((get_byte(voter_key, 0)::bigint << 24) + (get_byte(voter_key, 1) << 16) + (get_byte(voter_key, 2) << 8) + get_byte(voter_key, 3)) % $2)`;

/** The roll of one partition's voters. */
async function readRoll(
  query: Query,
  election: string,
  partition: number,
  partitions: number,
): Promise<Map<string, RollEntry[]>> {
  const roll = new Map<string, RollEntry[]>();
  const rows = eachRow<Omit<RollEntry, "ageGroup"> & { key: string; age_group: string }>(
    query,
    `SELECT encode(voter_key, 'hex') AS key, encode(voter_key, 'hex') AS "voterKey",
       (extract(epoch FROM effective_at) * 1000)::float8 AS "effectiveAtMs",
       (extract(epoch FROM struck_at) * 1000)::float8 AS "struckAtMs", region, station, age_group, gender
     FROM counting.roll
     WHERE election = $1 AND ${PARTITION_OF_KEY} = $3 AND voter_key >= decode($4, 'hex')
       AND (encode(voter_key, 'hex'), effective_at) > ($4, $5::timestamptz)
     ORDER BY voter_key, effective_at LIMIT $6`,
    [election, partitions, partition],
  );
  for await (const { key: _, age_group, ...entry } of rows) {
    const entries = roll.get(entry.voterKey);
    if (entries === undefined) roll.set(entry.voterKey, [{ ...entry, ageGroup: age_group }]);
    else entries.push({ ...entry, ageGroup: age_group });
  }
  return roll;
}

async function compareParticipations(
  query: Query,
  election: string,
  partition: number,
  partitions: number,
  seen: Participations,
  comparison: Comparison,
): Promise<void> {
  const rows = eachRow<{ key: string; effectiveAtMs: number; vote_id: string }>(
    query,
    `SELECT encode(voter_key, 'hex') AS key, 0::float8 AS "effectiveAtMs", vote_id::text
     FROM counting.participations
     WHERE election = $1 AND ${PARTITION_OF_KEY} = $3 AND voter_key >= decode($4, 'hex')
       AND encode(voter_key, 'hex') > $4 AND $5::timestamptz IS NOT NULL
     ORDER BY voter_key LIMIT $6`,
    [election, partitions, partition],
  );
  let found = 0;
  for await (const { key, vote_id } of rows) {
    // A line may be shown, and who voted is not for showing: it is named by its place only.
    comparison.line(`participation ${++found} of partition ${partition}`, vote_id, seen.get(key)?.voteId);
  }
  comparison.line(`participations of partition ${partition}`, found, seen.size);
}

/** Reads rows page by page, in the order of voter key and time. Parameters 4, 5 and 6 are the page's. */
async function* eachRow<Row extends { key: string; effectiveAtMs: number }>(
  query: Query,
  sql: string,
  params: readonly (string | number)[],
): AsyncGenerator<Row> {
  for (let after = { key: "", at: "-infinity" };;) {
    const rows = await query<Row>(sql, [...params, after.key, after.at, READ_ROWS]);
    yield* rows;
    if (rows.length < READ_ROWS) return;
    const last = rows.at(-1)!;
    after = { key: last.key, at: new Date(last.effectiveAtMs).toISOString() };
  }
}
