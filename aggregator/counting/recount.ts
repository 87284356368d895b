/**
 * Counts an election's log again, from the log alone, with the pure fold, and compares what comes out with the
 * tables line by line. One partition at a time, so memory holds one partition's voters and the totals.
 *
 * @module
 */
import { type Decision, formatPosition, type HeldRecord, selects } from "../../shared/decision.ts";
import type { Judgement } from "../../shared/judge.ts";
import { sha256 } from "../../shared/keys.ts";
import { logStarts, type VoteLog } from "../../shared/log/vote_log.ts";
import type { Outcome } from "../../shared/outcome.ts";
import {
  type Count,
  countDecision,
  countRecord,
  type DecidedFate,
  emptyCount,
  type Participations,
  type RollEntry,
} from "../../shared/tally.ts";
import { arrayLiteral, type Database, type Query, queryOne } from "../database/database.ts";
import { readDecisions } from "../registry/decisions.ts";
import type { GrowingHistory } from "./count.ts";
import { type DeviceCount, DeviceFold } from "./device_counts.ts";
import { readHeld } from "./held.ts";
import { type JudgedRecord, judgeEntries } from "./judged.ts";
import { type DeletedFront, findDeletedFronts } from "./losses.ts";
import { addNumber, bitsToBytes, BLOCK_NUMBERS, blockOf, hasNumber } from "./sequences.ts";
import { readOutcomes, readPositions, readStationVoters, readTotals } from "./tables.ts";

/** Entries that are read from the log at once, and voters that are looked up on the roll at once. */
const READ_ENTRIES = 1_000;
const READ_VOTERS = 1_000;
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
  /** Sequence numbers that a counted vote had and an earlier record too: an alert, and no difference. */
  reused: number;
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
  /** Votes of each device. No table has them, so there is nothing to compare. */
  devices: readonly DeviceCount[];
}>;

/**
 * Recounts what the tables say was read: each partition up to its position. All of the tables are of one moment: while nothing is
 * counted or decided they stay as they are, and no transaction is needed, so that others may use an embedded database meanwhile.
 * When something is counted, it begins again in a transaction that sees one moment. An aggregator may continue to count then,
 * unless its database is embedded.
 *
 * @param onProgress Called with the number of entries that were read since the last call; below 0 when they are read again.
 */
export async function recount(
  db: Database,
  log: VoteLog,
  history: GrowingHistory,
  onProgress: (entries: number) => void = () => {},
): Promise<Recount> {
  const stateBefore = await tablesState(db.query, history.election);
  const isStill = async () => await tablesState(db.query, history.election) === stateBefore;
  await history.reload(db.query);
  let entries = 0;
  const found = await recountIn(db.query, log, history, (read) => {
    entries += read;
    onProgress(read);
  }, isStill);
  if (found !== undefined) return found;
  onProgress(-entries);
  return await db.transaction(async (query) => {
    await history.reload(query);
    return (await recountIn(query, log, history, onProgress, () => Promise.resolve(true)))!;
  }, "snapshot");
}

/** Changes with everything that changes what is counted of an election: counting, rebuilding, decisions, the roll. */
async function tablesState(query: Query, election: string): Promise<string> {
  const { state } = await queryOne<{ state: string }>(
    query,
    `SELECT coalesce((SELECT revision FROM registry.revisions WHERE election = $1), 0) || ' ' || coalesce(
       string_agg(concat_ws('/', partition, epoch, next_offset, records_read), ' ' ORDER BY partition), ''
     ) AS state FROM counting.log_positions WHERE election = $1`,
    [election],
  );
  return state;
}

/** Recounts with one query. Returns nothing once `isStill` says that the tables have changed meanwhile. */
async function recountIn(
  query: Query,
  log: VoteLog,
  history: GrowingHistory,
  onProgress: (entries: number) => void,
  isStill: () => Promise<boolean>,
): Promise<Recount | undefined> {
  const { election } = history;
  const deleted = await findDeletedFronts(query, election, await logStarts(log));
  if (deleted.some(({ isAccepted }) => !isAccepted)) return notWhole(deleted);
  const comparison = new Comparison();
  const totals = emptyCount();
  const outcomes = new Map<string, number>();
  const positions = await readPositions(query, election);
  const decisions = await readDecisions(query, election);
  const sequences = new SequenceFold();
  const devices = new DeviceFold();
  // A partition of which nothing was read must have left nothing in the tables either.
  const partitions = new Set([...Array(log.partitions).keys(), ...positions.keys()]);
  let records = 0;
  let altered = 0;
  for (const partition of partitions) {
    const { next, read } = positions.get(partition) ?? { next: 0, read: 0 };
    const nextOffset = partition < log.partitions ? next : 0;
    const roll = new Roll(query, election);
    const fold = new PartitionFold(
      partition,
      { ...totals, outcomes: new Map() },
      decisions,
      (key) => roll.entriesOf(key),
    );
    for (let from = 0; from < nextOffset;) {
      const batch = (await log.read(partition, from, READ_ENTRIES)).filter(({ offset }) =>
        offset < nextOffset
      );
      if (batch.length === 0) break;
      const judged = judgeEntries(batch, history);
      await roll.lookUp(judged);
      for (const record of judged) {
        sequences.add(record, fold.add(record));
        devices.add(record.judgement);
      }
      from = batch.at(-1)!.offset + 1;
      onProgress(batch.length);
    }
    fold.decideUpTo(nextOffset);
    devices.endPartition(fold.participations);
    records += fold.records;
    altered += fold.altered;
    comparison.line(`partition ${partition} records read`, read, fold.records);
    for (const [name, n] of fold.count.outcomes) outcomes.set(`${partition}/${name}`, n);
    comparison.sets(
      `held records of partition ${partition}`,
      (await readHeld(query, election, partition)).map(formatPosition),
      fold.heldPositions(),
    );
    await compareParticipations(query, election, partition, log.partitions, fold.participations, comparison);
    if (!await isStill()) return undefined;
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
  comparison.maps("sequence numbers of", await readSequences(query, election), sequences.digests());
  if (!await isStill()) return undefined;
  let counted = 0;
  for (const [name, n] of outcomes) if (name.endsWith("/counted")) counted += n;
  return {
    records,
    counted,
    altered,
    reused: sequences.reused,
    deleted,
    devices: devices.counts(),
    ...comparison.result(),
  };
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
    reused: 0,
    lines: shown.length,
    differences: shown.length,
    shown,
    deleted,
    devices: [],
  };
}

type Held = Readonly<{ record: HeldRecord; judgement: Judgement & { fate: "held" } }>;

/** Records of one partition may have been rejected in another order than that of the log. */
function inLogOrder([, { record: a }]: [string, Held], [, { record: b }]: [string, Held]): number {
  return a.offset - b.offset || a.index - b.index;
}

/** The fold of one partition: its records in log order, with decisions at the offsets where they were made. */
class PartitionFold {
  readonly participations: Participations = new Map();
  readonly #held = new Map<string, Held>();
  /** Those that decisions rejected. */
  readonly #rejected = new Map<string, Held>();
  readonly #partition: number;
  readonly #roll: (voterKey: string) => readonly RollEntry[];
  /** Decisions that are still to come, in the order in which they were made. */
  #pending: readonly Decision[];
  records = 0;
  altered = 0;

  constructor(
    partition: number,
    readonly count: Count,
    decisions: readonly Decision[],
    roll: (voterKey: string) => readonly RollEntry[],
  ) {
    this.#partition = partition;
    this.#pending = decisions;
    this.#roll = roll;
  }

  /** Counts a record, and says what became of it. */
  add({ offset, index, judgement, senderKey }: JudgedRecord): Outcome {
    this.decideUpTo(offset);
    this.records++;
    const { outcome, altered } = countRecord(this.count, this.participations, judgement, this.#roll);
    if (altered) this.altered++;
    if (outcome.fate !== "held" || judgement.fate !== "held") return outcome;
    const record: HeldRecord = {
      partition: this.#partition,
      offset,
      index,
      reason: judgement.reason,
      gateway: judgement.gateway,
      senderKey: senderKey.toHex(),
      acceptedAtMs: Date.parse(judgement.record.acceptedAt),
    };
    this.#held.set(formatPosition(record), { record, judgement });
    return outcome;
  }

  /** Applies the decisions that were made when an offset was to be read next, or earlier. */
  decideUpTo(offset: number): void {
    while (this.#pending.length > 0 && (this.#pending[0]!.positions[this.#partition] ?? 0) <= offset) {
      const { action, selector } = this.#pending[0]!;
      this.#pending = this.#pending.slice(1);
      if (action === "admit" || action === "reject") this.#decide(action, selects(selector), this.#held);
      if (action === "readmit") this.#decide(action, selects(selector), this.#rejected);
    }
  }

  heldPositions(): string[] {
    return [...this.#held.keys()];
  }

  #decide(action: DecidedFate, isMeant: (held: HeldRecord) => boolean, from: Map<string, Held>): void {
    for (const [position, held] of [...from].sort(inLogOrder)) {
      if (!isMeant(held.record)) continue;
      from.delete(position);
      if (action === "reject") this.#rejected.set(position, held);
      countDecision(this.count, this.participations, held.judgement, action, this.#roll);
    }
  }
}

/** Which numbers were read under each sender key, from the log alone. Memory: one bit a number, and one entry a block. */
class SequenceFold {
  readonly #blocks = new Map<string, Uint8Array>();
  /** Counted votes whose number an earlier record had. */
  reused = 0;

  add({ judgement, senderKey }: JudgedRecord, outcome: Outcome): void {
    if (!("sequence" in judgement) || judgement.sequence === undefined) return;
    const key = `${senderKey.toHex()}/${blockOf(judgement.sequence)}`;
    let numbers = this.#blocks.get(key);
    if (numbers === undefined) this.#blocks.set(key, numbers = new Uint8Array(BLOCK_NUMBERS / 8));
    // An identical repeat of a counted vote is a retransmission, so this one had other contents.
    if (outcome.fate === "counted" && hasNumber(numbers, judgement.sequence)) this.reused++;
    addNumber(numbers, judgement.sequence);
  }

  /** What was read, by the beginning of the sender key, and block. */
  digests(): Map<string, string> {
    return new Map([...this.#blocks].map(([key, numbers]) => [shortKey(key), summaryOf(numbers)]));
  }
}

async function readSequences(query: Query, election: string): Promise<Map<string, string>> {
  const rows = await query<{ key: string; numbers: string }>(
    `SELECT encode(sender_key, 'hex') || '/' || block AS key, bit_or(numbers)::text AS numbers
     FROM counting.sequences WHERE election = $1 GROUP BY sender_key, block`,
    [election],
  );
  return new Map(rows.map(({ key, numbers }) => [shortKey(key), summaryOf(bitsToBytes(numbers))]));
}

/** A short digest of a set of numbers, to be shown. */
function summaryOf(numbers: Uint8Array): string {
  return sha256(numbers).subarray(0, 8).toHex();
}

/** Names a sender key by its first 8 bytes: a line is for people. */
function shortKey(key: string): string {
  const [senderKey, block] = key.split("/");
  return `${senderKey!.slice(0, 16)}/${block}`;
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

  maps<Value extends string | number>(
    what: string,
    tables: ReadonlyMap<string, Value>,
    recount: ReadonlyMap<string, Value>,
  ): void {
    for (const [key, value] of recount) this.line(`${what} ${key}`, tables.get(key), value);
    for (const [key, value] of tables) if (!recount.has(key)) this.line(`${what} ${key}`, value, undefined);
  }

  sets(what: string, tables: readonly string[], recount: readonly string[]): void {
    this.line(what, tables.toSorted().join(" "), recount.toSorted().join(" "));
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

/** A voter key's partition, in SQL: see partition.ts. */
const PARTITION_OF_KEY =
  `(((get_byte(voter_key, 0)::bigint << 24) + (get_byte(voter_key, 1) << 16) + (get_byte(voter_key, 2) << 8) + get_byte(voter_key, 3)) % $2)`;

/**
 * Entries of the roll of the voters whose records are read: of a roll many times longer than the log, the others cost nothing.
 */
class Roll {
  readonly #query: Query;
  readonly #election: string;
  readonly #entries = new Map<string, RollEntry[]>();

  constructor(query: Query, election: string) {
    this.#query = query;
    this.#election = election;
  }

  /** Reads the entries of the records' voters, but of those that it has. */
  async lookUp(records: readonly JudgedRecord[]): Promise<void> {
    const keys = new Set<string>();
    for (const { judgement } of records) {
      const key = "record" in judgement ? judgement.record?.voterKey : undefined;
      if (key !== undefined && !this.#entries.has(key)) keys.add(key);
    }
    // In their order, as the index has them.
    const sorted = [...keys].sort();
    for (let at = 0; at < sorted.length; at += READ_VOTERS) {
      await this.#read(sorted.slice(at, at + READ_VOTERS));
    }
  }

  /** Those of a voter who was looked up. */
  entriesOf(voterKey: string): readonly RollEntry[] {
    const entries = this.#entries.get(voterKey);
    if (entries === undefined) throw new Error("Cannot recount: a voter was not looked up");
    return entries;
  }

  async #read(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#entries.set(key, []);
    const rows = await this.#query<Omit<RollEntry, "ageGroup"> & { age_group: string }>(
      `SELECT encode(voter_key, 'hex') AS "voterKey", revision::float8 AS revision,
         struck_revision::float8 AS "struckRevision",
         (extract(epoch FROM struck_at) * 1000)::float8 AS "struckAtMs", region, station, age_group, gender
       FROM counting.roll WHERE election = $1 AND voter_key = ANY($2::text[]::bytea[]) ORDER BY voter_key, roll.revision`,
      [this.#election, arrayLiteral(keys.map((key) => `"\\\\x${key}"`))],
    );
    for (const { age_group, ...entry } of rows) {
      this.#entries.get(entry.voterKey)!.push({ ...entry, ageGroup: age_group });
    }
  }
}

async function compareParticipations(
  query: Query,
  election: string,
  partition: number,
  partitions: number,
  seen: Participations,
  comparison: Comparison,
): Promise<void> {
  const rows = eachRow<{ key: string; revision: number; vote_id: string }>(
    query,
    `SELECT encode(voter_key, 'hex') AS key, 0::float8 AS revision, vote_id::text
     FROM counting.participations
     WHERE election = $1 AND ${PARTITION_OF_KEY} = $3 AND voter_key >= decode($4, 'hex')
       AND encode(voter_key, 'hex') > $4 AND $5::bigint IS NOT NULL
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

/** Reads rows page by page, in the order of voter key and revision. Parameters 4, 5 and 6 are the page's. */
async function* eachRow<Row extends { key: string; revision: number }>(
  query: Query,
  sql: string,
  params: readonly (string | number)[],
): AsyncGenerator<Row> {
  for (let after = { key: "", revision: -1 };;) {
    const rows = await query<Row>(sql, [...params, after.key, after.revision, READ_ROWS]);
    yield* rows;
    if (rows.length < READ_ROWS) return;
    const { key, revision } = rows.at(-1)!;
    after = { key, revision };
  }
}
