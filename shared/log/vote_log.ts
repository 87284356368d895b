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

/** What a consumer does with the log. */
export type LogConsumer = Readonly<{
  /**
   * Takes a partition over, when its first batch is about to be delivered. Returns the offset to begin at: no
   * record below it is delivered.
   */
  take(partition: number): Promise<number>;
  /**
   * Counts one batch of one partition, in order, at most {@link ConsumeOptions.batchRecords} long. Resolves to `again`
   * when the records wait for others: they are delivered again, together with what has come since.
   */
  batch(partition: number, records: readonly StoredRecord[]): Promise<"again" | void>;
}>;

/** How to consume. */
export type ConsumeOptions = Readonly<{
  /** Consumers of the same group share the partitions. */
  group: string;
  batchRecords: number;
  /** Maximum partitions whose batches are under way at the same time; 1 when left out. Of one partition it is always one. */
  partitionsAtOnce?: number;
  /** Ends the consumption, after the batch that is under way. */
  signal: AbortSignal;
}>;

/** An election's log. Every call rejects when the log cannot be reached; {@link LogFault} when calling again is no use. */
export interface VoteLog {
  readonly partitions: number;

  /** What tells this log from another of the same name: made with it, never reused. */
  identity(): Promise<string>;

  /** Appends in order and returns when every record is durable. After an error any of them may be on the log. */
  append(records: readonly PlacedRecord[]): Promise<void>;

  /**
   * Delivers batches until the signal aborts, waiting for more when there are none. When a batch is done its
   * position is noted on the log (see {@link committed}). Rejects with what the consumer throws.
   */
  consume(consumer: LogConsumer, options: ConsumeOptions): Promise<void>;

  /** Reads up to `limit` records of a partition from an offset on; an empty list at the end. */
  read(partition: number, fromOffset: number, limit: number): Promise<StoredRecord[]>;

  /**
   * The offset of the first record that a partition still holds, or its end when it holds none. Above 0, records were
   * deleted from its front: records that are merely left out, as a broker's own are, do not move it.
   */
  start(partition: number): Promise<number>;

  /** What is wrong with the log's settings: those by which it would delete records. Empty when it keeps everything. */
  retentionFaults(): Promise<string[]>;

  /** The offset that the next record of a partition will have at the least. */
  end(partition: number): Promise<number>;

  /** Up to which offset a group has said it is done; 0 when it never has. A hint: the database decides. */
  committed(group: string, partition: number): Promise<number>;

  /** Closes the log; closing it again does nothing. Consumptions are to be aborted first. */
  close(): Promise<void>;
}

/** Another process consumes the log, of which only one may. Trying again helps once that one has ended. */
export class LogInUse extends Error {
  override name = "LogInUse";
}

/** The log cannot be reached, or does not let this process in. Trying again helps once someone has seen to it. */
export class LogUnavailable extends Error {
  override name = "LogUnavailable";
}

/** The log is not what it should be, and trying again will not help. */
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

/** What to say of a partition whose front was deleted. */
export function deletedFront(start: number): string {
  return `records were deleted from the front of the log (it starts at ${start}): check the topic's retention`;
}
