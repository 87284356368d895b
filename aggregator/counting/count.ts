/**
 * Counts an election's log into the database, every voter once: takes a batch of one partition, judges its records
 * and hands what is left to one statement, in one transaction with the position.
 *
 * @module
 */
import { lengthPrefixed } from "../../shared/bytes.ts";
import { type ElectionHistory, judge, type Judgement } from "../../shared/judge.ts";
import { sha256 } from "../../shared/keys.ts";
import { type LogConsumer, LogFault, type StoredRecord, type VoteLog } from "../../shared/log/vote_log.ts";
import { countBatch, type CountedBatch, type OutcomeDelta } from "./count_batch.ts";
import { type Database, isPassing, type Query } from "../database/database.ts";
import { rebuildWork } from "./rebuild_lease.ts";

/** Records a batch, at most: more is hardly faster, and holds everything else up for longer. */
export const COUNT_BATCH_RECORDS = 2_000;
/** Details of records that no gateway signed are kept up to so many for each partition and reason. */
const MAX_FORGERY_DETAILS = 1_000;
/** Waits between tries of a transaction that failed, in milliseconds: doubled from the first up to the last. */
const RETRY_FIRST_MS = 100;
const RETRY_LAST_MS = 5_000;

/** The consumer group that counts an election. */
export function countGroup(election: string): string {
  return `count.${election}`;
}

/** Another process has taken the partition. Let go of it; nothing was written. */
export class Fenced extends Error {
  override name = "Fenced";
}

/** The history of an election that runs: it can be read again when a record names what it does not know yet. */
export type GrowingHistory = ElectionHistory & Readonly<{ reload(query: Query): Promise<unknown> }>;

/** What a counter is made of. */
export type CounterOptions = Readonly<{
  db: Database;
  log: VoteLog;
  history: GrowingHistory;
  signal: AbortSignal;
  /** Whether the tables are being made anew, and so are known to be behind what was once counted. */
  rebuilding?: boolean;
  /** Waits so many milliseconds, and rejects when the signal aborts. */
  wait(ms: number): Promise<unknown>;
  /** Told what was committed. */
  onCounted?(outcomes: readonly OutcomeDelta[], records: number): void;
  /** Told of a transaction that failed and is tried again. */
  onRetry?(error: unknown): void;
}>;

type Owned = { epoch: number; nextOffset: number; forgeries: Map<string, number> };

/** Makes the consumer that counts. Its calls reject with {@link Fenced}, or a LogFault when counting must stop. */
export function createCounter(options: CounterOptions): LogConsumer {
  const { db, history, signal } = options;
  const owned = new Map<number, Owned>();

  async function judgeAll(records: readonly StoredRecord[]): Promise<Judgement[]> {
    const judgements = records.map((record) => judge(record, history));
    const stale = judgements.some(({ fate, ...rest }) =>
      fate === "rejected" && "reason" in rest &&
      (rest.reason === "unknown_manifest" || rest.reason === "unknown_gateway")
    );
    if (!stale) return judgements;
    await history.reload(db.query);
    return records.map((record) => judge(record, history));
  }

  async function commit(batch: CountedBatch, own: Owned): Promise<void> {
    for (let waitMs = RETRY_FIRST_MS;; waitMs = Math.min(waitMs * 2, RETRY_LAST_MS)) {
      try {
        const outcomes = await db.transaction((query) => countBatch(query, batch));
        if (outcomes === undefined) throw fenced(batch.partition);
        options.onCounted?.(outcomes, batch.records.length);
        return;
      } catch (error) {
        if (error instanceof Fenced || signal.aborted || !isPassing(error)) throw error;
        options.onRetry?.(error);
        await options.wait(waitMs);
        if (await isCommitted(db, batch, own)) return; // Only COMMIT's answer was lost.
      }
    }
  }

  return {
    async take(partition) {
      const own = await takePartition(options, partition);
      owned.set(partition, own);
      return own.nextOffset;
    },

    async batch(partition, delivered) {
      const own = owned.get(partition);
      if (own === undefined) throw fenced(partition);
      const records = delivered.filter(({ offset }) => offset >= own.nextOffset);
      if (records.length === 0) return;
      const judgements = await judgeAll(records);
      const nextOffset = records.at(-1)!.offset + 1;
      const batch: CountedBatch = {
        election: history.election,
        partition,
        epoch: own.epoch,
        fromOffset: own.nextOffset,
        nextOffset,
        lastDigest: digestOf(records.at(-1)!),
        records,
        judgements,
        keepDetails: judgements.map((judgement) => keepsDetails(judgement, own.forgeries)),
      };
      try {
        await commit(batch, own);
        own.nextOffset = nextOffset;
      } catch (error) {
        owned.delete(partition);
        throw error;
      }
    },
  };
}

function fenced(partition: number): Fenced {
  return new Fenced(`Cannot count partition ${partition}: another process has taken it`);
}

/** Whether a record's details are kept: always when a gateway signed it, else up to a limit. */
function keepsDetails(judgement: Judgement, forgeries: Map<string, number>): boolean {
  if (judgement.fate === "acceptable" || judgement.gateway !== undefined) return true;
  const kept = forgeries.get(judgement.reason) ?? 0;
  if (kept >= MAX_FORGERY_DETAILS) return false;
  forgeries.set(judgement.reason, kept + 1);
  return true;
}

/** What tells one record of a log from every other, whatever it holds. */
export function digestOf({ version, keyId, senderKey, signature, value }: StoredRecord): string {
  return sha256(lengthPrefixed(version, keyId, senderKey, signature, value)).toHex();
}

type Position = {
  epoch: string;
  next_offset: string;
  log_identity: string | null;
  last_offset: string | null;
  last_digest: string | null;
};

const POSITION_COLUMNS =
  "epoch::text, next_offset::text, log_identity, last_offset::text, encode(last_digest, 'hex') AS last_digest";

/**
 * Holds the log against every position that the database has. Taking a partition does so too, but a partition is taken
 * when records come of it, and of one that was emptied none may ever come.
 *
 * @throws {LogFault}
 */
export async function checkLog(
  { db, log, history: { election } }: Pick<CounterOptions, "db" | "log" | "history">,
): Promise<void> {
  const identity = await log.identity();
  const positions = await db.query<Position & { partition: number }>(
    `SELECT partition, ${POSITION_COLUMNS} FROM counting.log_positions
     WHERE election = $1 AND log_identity IS NOT NULL ORDER BY partition`,
    [election],
  );
  for (const position of positions) {
    await checkPosition(log, election, position.partition, identity, position);
  }
}

/** Takes a partition from whoever had it, and makes sure that the log is the one the database knows. */
async function takePartition(
  { db, log, history, rebuilding }: CounterOptions,
  partition: number,
): Promise<Owned> {
  const { election } = history;
  const identity = await log.identity();
  const position = await db.transaction(async (query): Promise<Position | undefined> => {
    await query(
      "INSERT INTO counting.log_positions (election, partition) VALUES ($1, $2) ON CONFLICT DO NOTHING",
      [election, partition],
    );
    const [row] = await query<Position>(
      `UPDATE counting.log_positions SET epoch = epoch + 1, log_identity = coalesce(log_identity, $3)
       WHERE election = $1 AND partition = $2 AND ($4::boolean OR NOT EXISTS (
         SELECT FROM counting.leases WHERE work = $5 AND until > now()
       ))
       RETURNING ${POSITION_COLUMNS}`,
      [election, partition, identity, rebuilding === true, rebuildWork(election)],
    );
    return row;
  });
  if (position === undefined) {
    throw new Fenced(`Cannot count election ${election}: it is being rebuilt, and is counted on from there`);
  }
  await checkPosition(log, election, partition, identity, position);
  if (!rebuilding) await checkCommitted(log, election, partition, Number(position.next_offset));
  const forgeries = await db.query<{ reason: string; kept: string }>(
    `SELECT reason, count(*)::text AS kept FROM counting.rejections
     WHERE election = $1 AND partition = $2 AND gateway IS NULL GROUP BY reason`,
    [election, partition],
  );
  return {
    epoch: Number(position.epoch),
    nextOffset: Number(position.next_offset),
    forgeries: new Map(forgeries.map(({ reason, kept }) => [reason, Number(kept)])),
  };
}

/**
 * Holds the log against what the database remembers of it. A wrong count is worse than none, so each difference
 * stops the counting and says what to do.
 *
 * @throws {LogFault}
 */
async function checkPosition(
  log: VoteLog,
  election: string,
  partition: number,
  identity: string,
  position: Position,
): Promise<void> {
  const where = `election ${election}, partition ${partition}`;
  const nextOffset = Number(position.next_offset);
  if (position.log_identity !== identity) {
    throw new LogFault(
      `Cannot count ${where}: the log is another one (${identity}) than the one counted so far (${position.log_identity}); bring the first log back, or run the rebuild task to count this one from its start`,
    );
  }
  const end = await log.end(partition);
  if (end < nextOffset) {
    throw new LogFault(
      `Cannot count ${where}: the log was truncated: it ends at offset ${end}, and ${nextOffset} records had been read; bring the log back from its copies`,
    );
  }
  if (position.last_offset === null) return;
  const [last] = await log.read(partition, Number(position.last_offset), 1);
  if (last?.offset !== Number(position.last_offset) || digestOf(last) !== position.last_digest) {
    throw new LogFault(
      `Cannot count ${where}: the log has other contents: the record at offset ${position.last_offset} is not the one that was counted; bring the first log back, or run the rebuild task to count this one from its start`,
    );
  }
}

/** The log remembers how far counting had come; a database that has come less far was restored from a backup. */
async function checkCommitted(
  log: VoteLog,
  election: string,
  partition: number,
  nextOffset: number,
): Promise<void> {
  const committed = await log.committed(countGroup(election), partition);
  if (committed > nextOffset) {
    throw new LogFault(
      `Cannot count election ${election}, partition ${partition}: the database is older than the log: it stands at offset ${nextOffset}, and counting had come to ${committed}, so it was restored from an earlier backup; run the rebuild task to count the log again`,
    );
  }
}

async function isCommitted(db: Database, batch: CountedBatch, own: Owned): Promise<boolean> {
  const [row] = await db.query<{ epoch: string; next_offset: string }>(
    "SELECT epoch::text, next_offset::text FROM counting.log_positions WHERE election = $1 AND partition = $2",
    [batch.election, batch.partition],
  );
  if (row === undefined || Number(row.epoch) !== own.epoch) throw fenced(batch.partition);
  return Number(row.next_offset) === batch.nextOffset;
}
