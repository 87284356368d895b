/**
 * Where counting stands on each partition: takes a partition over, and holds the log against what the database remembers
 * of it.
 *
 * @module
 */
import { lengthPrefixed } from "../../shared/bytes.ts";
import { sha256 } from "../../shared/keys.ts";
import {
  deletedFront,
  LogFault,
  logStarts,
  type StoredRecord,
  type VoteLog,
} from "../../shared/log/vote_log.ts";
import type { Database } from "../database/database.ts";
import { refuseOldFormat } from "./log_format.ts";
import { rebuildWork } from "./rebuild_lease.ts";
import { SequenceTracker } from "./sequences.ts";

/** The consumer group that counts an election. */
export function countGroup(election: string): string {
  return `count.${election}`;
}

/** Another process has taken the partition. Nothing was written; stop counting it. */
export class Fenced extends Error {
  override name = "Fenced";
}

/** The log's settings would delete votes. Trying again helps once someone has changed them. */
export class RetentionFault extends Error {
  override name = "RetentionFault";
}

/** The database, the log, and the name of what is counted. */
export type CountedLog = Readonly<{ db: Database; log: VoteLog; history: Readonly<{ election: string }> }>;

/** A partition that this process owns, as it was taken. */
export type TakenPartition = Readonly<{
  epoch: number;
  nextOffset: number;
  /** Rejections by reason whose details are kept and that no gateway signed. */
  forgeries: Map<string, number>;
  sequences: SequenceTracker;
}>;

/** A digest that differs for every two records of a log. */
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
  { db, log, history: { election } }: CountedLog,
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
export async function checkGaps(
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

/** Takes a partition from the process that had it, and makes sure that the log is the one the database knows. */
export async function takePartition(
  { db, log, history, rebuilding }: CountedLog & Readonly<{ rebuilding?: boolean }>,
  partition: number,
): Promise<TakenPartition> {
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
    throw new Fenced(`Cannot count election ${election}: it is being rebuilt; counting continues after that`);
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
