/**
 * Counts an election's log into the database, every voter once: takes a batch of one partition, judges its records
 * and hands what is left to one statement, in one transaction with the position.
 *
 * @module
 */
import { lengthPrefixed } from "../../shared/bytes.ts";
import type { ElectionHistory } from "../../shared/history.ts";
import { sha256 } from "../../shared/keys.ts";
import {
  deletedFront,
  type LogConsumer,
  LogFault,
  logStarts,
  type StoredRecord,
  type VoteLog,
} from "../../shared/log/vote_log.ts";
import { countBatch, type CountedBatch, type OutcomeDelta } from "./count_batch.ts";
import type { Database, Query } from "../database/database.ts";
import { boundDetails, type JudgedRecord, judgeEntries } from "./judged.ts";
import { refuseOldFormat } from "./log_format.ts";
import { rebuildWork } from "./rebuild_lease.ts";
import { finishWithin, type RetryOptions, retryPassing } from "./retry.ts";
import { SequenceTracker } from "./sequences.ts";

/** Records a batch, at most: more is hardly faster, and holds everything else up for longer. */
export const COUNT_BATCH_RECORDS = 2_000;
/** How long a batch may still take once counting is to end, in milliseconds. */
const FINISH_BATCH_MS = 3_000;

/** The consumer group that counts an election. */
export function countGroup(election: string): string {
  return `count.${election}`;
}

/** Another process has taken the partition. Let go of it; nothing was written. */
export class Fenced extends Error {
  override name = "Fenced";
}

/**
 * Counting was to end, and the database has not said what became of a batch. Nothing is lost: whoever takes the
 * partition next finds out.
 */
export class BatchAbandoned extends Error {
  override name = "BatchAbandoned";
}

/** The log's settings would delete votes. Trying again helps once someone has changed them. */
export class RetentionFault extends Error {
  override name = "RetentionFault";
}

/** The history of an election that runs: it can be read again when the registry has a newer revision. */
export type GrowingHistory =
  & ElectionHistory
  & Readonly<{ revision: number; reload(query: Query): Promise<unknown> }>;

/** What a counter is made of. */
export type CounterOptions =
  & RetryOptions
  & Readonly<{
    db: Database;
    log: VoteLog;
    history: GrowingHistory;
    /** Whether the tables are being made anew, and so are known to be behind what was once counted. */
    rebuilding?: boolean;
    /** How long a batch may still take once the signal has aborted, in milliseconds. */
    finishMs?: number;
    /** Told what was committed. */
    onCounted?(outcomes: readonly OutcomeDelta[], records: number): void;
    /** Told how the committed records were judged, and how many sequence numbers came a second time. */
    onJudged?(records: readonly JudgedRecord[], repeated: number): void;
  }>;

type Owned = {
  epoch: number;
  nextOffset: number;
  forgeries: Map<string, number>;
  sequences: SequenceTracker;
};

/** The history changed since a batch was judged: judge it again. */
class Stale extends Error {
  override name = "Stale";
}

/** Makes the consumer that counts. Its calls reject with {@link Fenced}, or a LogFault when counting must stop. */
export function createCounter(options: CounterOptions): LogConsumer {
  const { db, log, history, signal, finishMs = FINISH_BATCH_MS } = options;
  const owned = new Map<number, Owned>();

  /** Counts entries of one partition, judged with the history that is known. @throws {Stale} */
  async function countOnce(partition: number, entries: readonly StoredRecord[], own: Owned): Promise<void> {
    // Before anything is waited for: another partition may reload the history meanwhile.
    const { revision } = history;
    const judged = judgeEntries(entries, history);
    const forgeries = new Map(own.forgeries);
    const update = await retryPassing(() => own.sequences.update(db.query, judged), options);
    const last = entries.at(-1)!;
    const batch: CountedBatch = {
      election: history.election,
      partition,
      epoch: own.epoch,
      fromOffset: own.nextOffset,
      nextOffset: last.offset + 1,
      lastDigest: digestOf(last),
      revision,
      offsets: entries.map(({ offset }) => offset),
      records: boundDetails(judged, forgeries),
      sequences: update.blocks,
      news: update.news,
    };
    await commit(batch, own);
    own.nextOffset = batch.nextOffset;
    own.forgeries = forgeries;
    own.sequences.keep(update);
    options.onJudged?.(judged, update.repeated);
  }

  async function commit(batch: CountedBatch, own: Owned): Promise<void> {
    let isUnsure = false;
    await retryPassing(async () => {
      if (isUnsure && await isCommitted(db, batch, own)) return; // Only COMMIT's answer was lost.
      isUnsure = true;
      const outcomes = await db.transaction(async (query) => {
        const counted = await countBatch(query, batch);
        if (counted === undefined) throw await whyNotMoved(query, batch);
        return counted;
      });
      options.onCounted?.(outcomes, batch.records.length);
    }, options);
  }

  async function count(partition: number, entries: readonly StoredRecord[], own: Owned): Promise<void> {
    await checkGaps(log, history.election, partition, own.nextOffset, entries);
    for (;;) {
      const judgedWith = history.revision;
      try {
        return await countOnce(partition, entries, own);
      } catch (error) {
        if (!(error instanceof Stale)) throw error;
        await retryPassing(() => history.reload(db.query), options);
        if (history.revision === judgedWith) {
          throw new Error(
            `Cannot count partition ${partition}: its position names a revision that the registry lacks, after ${judgedWith}`,
          );
        }
      }
    }
  }

  /** A database that does not answer must not keep this from ending, and its partitions from others. */
  async function finish<T>(partition: number, work: Promise<T>): Promise<T> {
    return await finishWithin(work, signal, finishMs, () =>
      new BatchAbandoned(
        `Cannot finish with partition ${partition}: the database has not answered within ${finishMs} ms; another process may count its partition`,
      ));
  }

  return {
    async take(partition) {
      const own = await finish(partition, retryPassing(() => takePartition(options, partition), options));
      owned.set(partition, own);
      return own.nextOffset;
    },

    async batch(partition, delivered) {
      const own = owned.get(partition);
      if (own === undefined) throw fenced(partition);
      const records = delivered.filter(({ offset }) => offset >= own.nextOffset);
      if (records.length === 0) return;
      try {
        await finish(partition, count(partition, records, own));
      } catch (error) {
        owned.delete(partition);
        throw error;
      }
    },
  };
}

/** A position that did not move: the history changed, or the partition is another process's. */
async function whyNotMoved(query: Query, batch: CountedBatch): Promise<Error> {
  const [row] = await query<{ epoch: number; revision: number }>(
    `SELECT epoch::float8 AS epoch, revision::float8 AS revision FROM counting.log_positions
     WHERE election = $1 AND partition = $2`,
    [batch.election, batch.partition],
  );
  const isStale = row !== undefined && row.epoch === batch.epoch && row.revision !== batch.revision;
  return isStale ? new Stale("The history changed while a batch was judged") : fenced(batch.partition);
}

function fenced(partition: number): Fenced {
  return new Fenced(`Cannot count partition ${partition}: another process has taken it`);
}

/** What tells one record of a log from every other, whatever it holds. */
export function digestOf(entry: StoredRecord): string {
  const { version, kind, keyId, senderKey, sequence, signature, value } = entry;
  return sha256(lengthPrefixed(version, kind, keyId, senderKey, String(sequence), signature, value)).toHex();
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
 * Checks the log's settings, and holds the log against every position that the database has. Taking a partition does so
 * too, but a partition is taken when records come of it, and of one that was emptied none may ever come.
 *
 * @throws {LogFault}
 * @throws {RetentionFault}
 */
export async function checkLog(
  { db, log, history: { election } }: Pick<CounterOptions, "db" | "log" | "history">,
): Promise<void> {
  await refuseOldFormat(log, election);
  const identity = await log.identity();
  const faults = await log.retentionFaults();
  if (faults.length > 0) {
    throw new RetentionFault(
      `Cannot count election ${election}: ${
        faults.join("; ")
      }; a vote that is counted is on the log alone, which must never delete it`,
    );
  }
  const positions = await db.query<Position & { partition: number }>(
    `SELECT partition, ${POSITION_COLUMNS} FROM counting.log_positions
     WHERE election = $1 AND log_identity IS NOT NULL ORDER BY partition`,
    [election],
  );
  for (const position of positions) {
    await checkPosition(log, election, position.partition, identity, position);
  }
  const known = new Set(positions.map(({ partition }) => partition));
  for (const [partition, start] of (await logStarts(log)).entries()) {
    if (!known.has(partition)) checkFront(election, partition, start, 0);
  }
}

/** Whether everything that is still to be read is there. @throws {LogFault} */
export function checkFront(election: string, partition: number, start: number, nextOffset: number): void {
  if (start <= nextOffset) return;
  throw new LogFault(
    `Cannot count election ${election}, partition ${partition}: ${
      deletedFront(start)
    }; ${nextOffset} is the first offset that had not been read; bring the log back from its copies, or accept the loss for good with the rebuild task and --accept-loss`,
  );
}

/**
 * Offsets may be left out: a log keeps some for itself. Those that were left out because the log's front was deleted
 * are votes that nobody has read.
 *
 * @throws {LogFault}
 */
async function checkGaps(
  log: VoteLog,
  election: string,
  partition: number,
  nextOffset: number,
  records: readonly StoredRecord[],
): Promise<void> {
  let expected = nextOffset;
  for (const { offset } of records) {
    if (offset > expected) return checkFront(election, partition, await log.start(partition), expected);
    expected = offset + 1;
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
      `INSERT INTO counting.log_positions (election, partition, revision)
       VALUES ($1, $2, coalesce((SELECT revision FROM registry.revisions WHERE election = $1), 0))
       ON CONFLICT DO NOTHING`,
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
    sequences: new SequenceTracker(election, partition),
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
  const start = await log.start(partition);
  checkFront(election, partition, start, nextOffset);
  // Nothing can be compared when it was deleted; but nothing that is still to be counted is missing.
  if (position.last_offset === null || start > Number(position.last_offset)) return;
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
