/**
 * Reads the facts of an election that alerts are judged by: the one place that asks the database for them. A few statements for each evaluation,
 * each of which costs as much as there are stations, gateways and open sender keys, and none as much as there are votes.
 *
 * @module
 */
import type { ElectionIndex } from "../../shared/election.ts";
import { readReconciliation } from "../counting/reconciliation.ts";
import { BLOCK_NUMBERS } from "../counting/sequences.ts";
import { arrayLiteral, type Database, type Query } from "../database/database.ts";
import type { DeviceCounts } from "./device_counts.ts";
import type { Facts, GatewayFacts, ReadChecks, RejectedFacts, StationFacts } from "./facts.ts";
import type { AlertState } from "./state.ts";

/** Maximum rejections of one partition that are read at once; the others follow with the next evaluation. */
const MAX_REJECTIONS_AT_ONCE = 10_000;
/** How often the roll is counted again at most, in milliseconds: it is counted whole. */
const COUNT_ROLL_EVERY_MS = 60_000;
/** How often the sequence numbers are counted, in milliseconds. */
const READ_NUMBERS_EVERY_MS = 15_000;

/** Where facts come from. */
export type FactSources = Readonly<{
  db: Database;
  election: string;
  /** The newest manifest. */
  index: ElectionIndex;
  /** Where each partition of the log ends; `undefined` while it cannot be asked. */
  logEnds(): Promise<number[] | undefined>;
  readChecks: ReadChecks;
  roll: RollCounts;
  numbers: NumberCounts;
  deviceCounts: DeviceCounts;
}>;

/** Facts, and the newest rejection of each partition that they include. */
export type ReadFacts = Readonly<{ facts: Facts; arrivals: AlertState["arrivals"] }>;

/** Reads them. @param state What was read before. */
export async function readFacts(sources: FactSources, state: AlertState, nowMs: number): Promise<ReadFacts> {
  const { db, election, index, logEnds, readChecks, roll, numbers, deviceCounts } = sources;
  const { query } = db;
  const reconciliation = await readReconciliation(db, election, index.manifest.partitions, logEnds);
  const rejections = await readRejected(query, election, state.arrivals);
  const counts = await readStations(query, election);
  const rollOf = await roll.read(query, election, index, nowMs);
  const badSignatures = reconciliation.outcomes.find(({ fate, reason }) =>
    fate === "rejected" && reason === "bad_signature"
  );
  const facts: Facts = {
    opensAtMs: index.opensAtMs,
    closesAtMs: index.closesAtMs,
    acceptsUntilMs: index.acceptsUntilMs,
    stations: stationFacts(index, counts, rollOf),
    gateways: await readGateways(query, election, index, await numbers.read(query, election, nowMs)),
    rejected: rejections.rejected,
    badSignatures: badSignatures?.records ?? 0,
    lag: reconciliation.total.lag,
    unbalanced: reconciliation.partitions.filter(({ balanced }) => !balanced).map((row) => ({
      partition: row.partition,
      difference: Math.abs(row.read - row.counted - row.duplicate - row.rejected - row.held - row.statements),
    })),
    deviceCounts: await deviceCounts.read(query, election, nowMs),
    checks: await readChecks(election),
  };
  return { facts, arrivals: rejections.arrivals };
}

type StationCounts = ReadonlyMap<string, Readonly<{ voters: number; present: number }>>;

function stationFacts(
  { manifest, paused }: ElectionIndex,
  counts: StationCounts,
  rollOf: ((station: string) => number) | undefined,
): StationFacts[] {
  const gatewayOf = new Map(
    manifest.gateways.flatMap(({ id, stations }) => stations.map((station) => [station, id])),
  );
  return manifest.stations.map(({ id }) => ({
    station: id,
    gateway: gatewayOf.get(id)!,
    voters: counts.get(id)?.voters ?? 0,
    present: counts.get(id)?.present ?? 0,
    roll: rollOf?.(id) ?? null,
    isPaused: paused === "all" || paused.has(id),
  }));
}

async function readStations(query: Query, election: string): Promise<StationCounts> {
  const rows = await query<{ station: string; voters: number; present: number }>(
    `SELECT station, sum(voters)::float8 AS voters,
       coalesce(sum(voters) FILTER (WHERE mode <> 'absentee'), 0)::float8 AS present
     FROM counting.tallies WHERE election = $1 GROUP BY station`,
    [election],
  );
  return new Map(rows.map(({ station, voters, present }) => [station, { voters, present }]));
}

/** Rejections that came since, by reason, gateway and station. */
async function readRejected(
  query: Query,
  election: string,
  before: AlertState["arrivals"],
): Promise<{ rejected: RejectedFacts[]; arrivals: AlertState["arrivals"] }> {
  const partitions = Object.entries(before);
  const rows = await query<RejectedFacts & { partition: number; newest: number }>(
    `SELECT p.partition, r.reason, r.gateway, r.station, count(*)::float8 AS records, max(r.arrival)::float8 AS newest
     FROM counting.log_positions p
     LEFT JOIN unnest($2::text::int[], $3::text::bigint[]) AS b (partition, arrival) ON b.partition = p.partition
     CROSS JOIN LATERAL (
       SELECT reason, gateway, station, arrival FROM counting.rejections r
       WHERE r.election = p.election AND r.partition = p.partition AND r.arrival > coalesce(b.arrival, 0)
       ORDER BY r.arrival LIMIT ${MAX_REJECTIONS_AT_ONCE}
     ) r
     WHERE p.election = $1 GROUP BY 1, 2, 3, 4`,
    [
      election,
      arrayLiteral(partitions.map(([partition]) => partition)),
      arrayLiteral(partitions.map(([, arrival]) => arrival)),
    ],
  );
  const arrivals = { ...before };
  for (const { partition, newest } of rows) {
    arrivals[partition] = Math.max(arrivals[partition] ?? 0, newest);
  }
  return {
    rejected: rows.map(({ reason, gateway, station, records }) => ({ reason, gateway, station, records })),
    arrivals,
  };
}

/** What is known of the gateways of the newest manifest. */
async function readGateways(
  query: Query,
  election: string,
  { manifest }: ElectionIndex,
  numbers: ReadonlyMap<string, Numbers>,
): Promise<GatewayFacts[]> {
  const rows = await query<Omit<GatewayFacts, keyof Numbers>>(
    `SELECT g.gateway, (extract(epoch FROM y.seen_at) * 1000)::float8 AS "seenAtMs",
       y.spool_records::float8 AS "spoolRecords", y.clock_ahead_ms::float8 AS "clockAheadMs",
       coalesce(a.records, 0)::float8 AS "recordsAhead"
     FROM unnest($2::text::text[]) AS g (gateway)
     LEFT JOIN counting.gateway_syncs y ON y.election = $1 AND y.gateway = g.gateway
     LEFT JOIN counting.clocks_ahead a ON a.election = $1 AND a.gateway = g.gateway
     ORDER BY g.gateway`,
    [election, arrayLiteral(manifest.gateways.map(({ id }) => id))],
  );
  return rows.map((row) => ({
    ...row,
    ...numbers.get(row.gateway) ?? { missingNumbers: 0, aboveStated: 0 },
  }));
}

type Numbers = Pick<GatewayFacts, "missingNumbers" | "aboveStated">;

/** Numbers up to the one stated that a block has; `k` is the sender key and `s` the block, whose first number is 1. */
const WITHIN_STATED = `bit_count(substring(s.numbers FROM 1 FOR
  greatest(0, least(${BLOCK_NUMBERS}, k.stated - s.block * ${BLOCK_NUMBERS}))::int))`;

const STATED_NUMBERS = `
WITH stated AS (
  SELECT k.gateway, k.stated, coalesce(sum(${WITHIN_STATED}), 0) AS within, coalesce(sum(bit_count(s.numbers)), 0) AS read
  FROM counting.sender_keys k
  LEFT JOIN (
    SELECT sender_key, block, bit_or(numbers) AS numbers FROM counting.sequences
    WHERE election = $1 GROUP BY sender_key, block
  ) s ON s.sender_key = k.sender_key
  WHERE k.election = $1 AND k.stated IS NOT NULL AND k.waived_revision IS NULL
  GROUP BY k.gateway, k.sender_key, k.stated
)
SELECT gateway, sum(stated - within)::float8 AS "missingNumbers", sum(read - within)::float8 AS "aboveStated"
FROM stated GROUP BY gateway`;

/** What gateways state, held against the numbers that were read. Kept for some seconds: it is read whole. */
export class NumberCounts {
  #known: ReadonlyMap<string, Numbers> = new Map();
  #readAtMs = -Infinity;

  /** By gateway; those of which nothing is stated are left out. */
  async read(query: Query, election: string, nowMs: number): Promise<ReadonlyMap<string, Numbers>> {
    if (Math.abs(nowMs - this.#readAtMs) < READ_NUMBERS_EVERY_MS) return this.#known;
    const rows = await query<Numbers & { gateway: string }>(STATED_NUMBERS, [election]);
    this.#readAtMs = nowMs;
    return this.#known = new Map(rows.map(({ gateway, ...numbers }) => [gateway, numbers]));
  }
}

/** Voters on the roll by station, and of each region those who may vote at any of its stations. Kept until the roll changes. */
export class RollCounts {
  #known:
    | Readonly<{ revision: number; stations: Map<string, number>; regions: Map<string, number> }>
    | undefined;
  #countedAtMs = -Infinity;

  /** How many may vote at a station; `undefined` while the roll has changed and was not counted again. */
  async read(
    query: Query,
    election: string,
    index: ElectionIndex,
    nowMs: number,
  ): Promise<((station: string) => number) | undefined> {
    const revision = await readRevision(query, election);
    if (this.#known?.revision !== revision) {
      if (Math.abs(nowMs - this.#countedAtMs) < COUNT_ROLL_EVERY_MS) return undefined;
      this.#countedAtMs = nowMs;
      this.#known = { revision, ...await countRoll(query, election) };
    }
    const { stations, regions } = this.#known!;
    return (station) =>
      (stations.get(station) ?? 0) + (regions.get(index.stations.get(station)!.region) ?? 0);
  }
}

async function readRevision(query: Query, election: string): Promise<number> {
  const [row] = await query<{ revision: number }>(
    "SELECT revision::float8 AS revision FROM registry.revisions WHERE election = $1",
    [election],
  );
  return row?.revision ?? 0;
}

/**
 * Entries of the roll. Those who were struck are counted too: they may have voted before. A voter who was entered again counts twice: finding
 * that would sort the whole roll.
 */
async function countRoll(query: Query, election: string) {
  const rows = await query<{ region: string; station: string | null; voters: number }>(
    `SELECT region, station, count(*)::float8 AS voters
     FROM counting.roll WHERE election = $1 GROUP BY region, station`,
    [election],
  );
  const stations = new Map<string, number>();
  const regions = new Map<string, number>();
  for (const { region, station, voters } of rows) {
    const [counts, key] = station === null || station === "" ? [regions, region] : [stations, station];
    counts.set(key, (counts.get(key) ?? 0) + voters);
  }
  return { stations, regions };
}
