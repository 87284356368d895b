/**
 * The port of the log: an election's partitioned, durable, ordered store of records. It is the ballot box.
 *
 * @module
 */
import type { LogRecord } from "../record.ts";

/** A record to append, and the partition it belongs on. */
export type PlacedRecord = LogRecord & Readonly<{ partition: number }>;

/**
 * A record as it stands on the log. Offsets of a partition rise and may have gaps. `appendedAtMs` is the log's own
 * clock, in milliseconds since 1970.
 */
export type StoredRecord = PlacedRecord & Readonly<{ offset: number; appendedAtMs: number }>;

/** The callbacks of a consumer. */
export type LogConsumer = Readonly<{
  /**
   * Takes over a partition, before its first batch is delivered. Returns the offset to begin at: no
   * record below it is delivered.
   */
  take(partition: number): Promise<number>;
  /**
   * Counts one batch of one partition, in order, at most {@link ConsumeOptions.batchRecords} long. Resolves to `again`
   * when the records wait for others: they are delivered again, together with what has come since.
   */
  batch(partition: number, records: readonly StoredRecord[]): Promise<"again" | void>;
}>;

/** Options of a consumption. */
export type ConsumeOptions = Readonly<{
  /** Consumers of the same group share the partitions. */
  group: string;
  batchRecords: number;
  /** Maximum partitions processed concurrently. Default: 1. A partition never has two batches at once. */
  partitionsAtOnce?: number;
  /**
   * Whether records are wanted as soon as they come, although each costs more then. Otherwise, and when left out, they may come
   * a tenth of a second later, several together.
   */
  isUrgent?(): boolean;
  /** Ends the consumption after the current batch. */
  signal: AbortSignal;
}>;

/** An election's log. Every call rejects when the log cannot be reached, with {@link LogFault} when a retry is useless. */
export interface VoteLog {
  readonly partitions: number;

  /** Distinguishes this log from another one with the same name. Made with the log, never reused. */
  identity(): Promise<string>;

  /** Appends in order and returns when every record is durable. After an error any of them may be on the log. */
  append(records: readonly PlacedRecord[]): Promise<void>;

  /**
   * Delivers batches until the signal aborts, waiting for more when there are none. When a batch is done its
   * position is noted on the log (see {@link committed}). Rejects with what the consumer throws.
   */
  consume(consumer: LogConsumer, options: ConsumeOptions): Promise<void>;

  /** Reads up to `limit` records of a partition from an offset; an empty list at the end. */
  read(partition: number, fromOffset: number, limit: number): Promise<StoredRecord[]>;

  /**
   * The offset of the first record that a partition still holds, or its end when it holds none. Above 0, records were
   * deleted from its front: records that are merely left out, as a broker's own are, do not move it.
   */
  start(partition: number): Promise<number>;

  /** What is wrong with the log's settings: those by which it would delete records. Empty when it keeps everything. */
  retentionFaults(): Promise<string[]>;

  /** The minimum offset of a partition's next record. */
  end(partition: number): Promise<number>;

  /** A group's committed offset; 0 when there is none. Only a hint: the database decides. */
  committed(group: string, partition: number): Promise<number>;

  /** Closes the log. Idempotent. Abort consumptions first. */
  close(): Promise<void>;
}

/** Another process consumes the log, and only one may. Retry when that process has ended. */
export class LogInUse extends Error {
  override name = "LogInUse";
}

/** The log cannot be reached, or refuses this process. A retry helps once the cause is removed. */
export class LogUnavailable extends Error {
  override name = "LogUnavailable";
}

/** The log has wrong contents or settings. A retry does not help. */
export class LogFault extends Error {
  override name = "LogFault";
}

/** Where each partition of a log ends. */
export async function logEnds(log: VoteLog): Promise<number[]> {
  return await Promise.all(Array.from({ length: log.partitions }, (_, partition) => log.end(partition)));
}

/** Where each partition of a log starts: see {@link VoteLog.start}. */
export async function logStarts(log: VoteLog): Promise<number[]> {
  return await Promise.all(Array.from({ length: log.partitions }, (_, partition) => log.start(partition)));
}

/** The message about a partition whose first records were deleted. */
export function deletedFront(start: number): string {
  return `records were deleted from the front of the log (it starts at ${start}): check the topic's retention`;
}
