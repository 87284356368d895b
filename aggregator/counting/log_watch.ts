/**
 * Repeatedly compares a running election's log with its positions. The consumer alone does not notice records that were
 * deleted before it read them, nor a log that does not answer.
 *
 * @module
 */
import { logEnds, logStarts, type VoteLog } from "../../shared/log/vote_log.ts";
import type { Query } from "../database/database.ts";
import { findDeletedFronts } from "./losses.ts";
import { readPositions } from "./tables.ts";

/** How long the log may take to answer before it is considered away, in milliseconds. */
const ANSWER_WITHIN_MS = 5_000;
/** How long nothing of an election may be counted while there are records, in milliseconds. */
const STALLED_AFTER_MS = 8_000;

/** What a look at the log found. Offsets are counted over all partitions. */
export type LogFindings = Readonly<{
  /** Why nothing is counted; `undefined` when everything is, or seems to be. */
  notCounting?: string;
  /** What else is wrong with the log. */
  warning?: string;
  /** Whether the log may have been replaced, so that it must be checked as at a start. */
  isSuspect: boolean;
  /** Records that wait to be counted; `undefined` when not known. */
  lag?: number;
  /** Offsets that were deleted from the front of partitions; the last known number. */
  deleted: number;
}>;

/** See the module. */
export class LogWatch {
  readonly #log: VoteLog;
  readonly #election: string;
  readonly #now: () => number;
  #deleted = 0;
  /** The positions' sum when it last changed, and when that was. */
  #progress = { sum: -1, atMs: 0 };

  /** @param now Milliseconds that never go back. */
  constructor(log: VoteLog, election: string, now: () => number) {
    this.#log = log;
    this.#election = election;
    this.#now = now;
  }

  /** Looks once. @throws what the database throws. */
  async poll(query: Query): Promise<LogFindings> {
    const log = this.#log;
    try {
      // Starts, positions, ends: in this order none of them is ahead of the next without something being wrong.
      const starts = await within(logStarts(log), ANSWER_WITHIN_MS);
      const places = await readPositions(query, this.#election).catch(asDatabaseFault);
      const positions = Array.from(
        { length: log.partitions },
        (_, partition) => places.get(partition)?.next ?? 0,
      );
      const ends = await within(logEnds(log), ANSWER_WITHIN_MS);
      this.#deleted = starts.reduce((sum, start) => sum + start, 0);
      const isSuspect = positions.some((next, partition) =>
        next < starts[partition]! || ends[partition]! < next
      );
      const lag = ends.reduce((sum, end, partition) => sum + end - positions[partition]!, 0);
      const warning = await this.#findWarning(query, starts).catch(asDatabaseFault);
      const notCounting = await this.#findStall(positions, ends);
      return { isSuspect, lag, deleted: this.#deleted, notCounting, warning };
    } catch (error) {
      if (error instanceof DatabaseFault) throw error.cause;
      const notCounting = `the log does not answer: ${(error as Error).message}`;
      return { isSuspect: false, deleted: this.#deleted, notCounting };
    }
  }

  async #findWarning(query: Query, starts: readonly number[]): Promise<string | undefined> {
    const deleted = await findDeletedFronts(query, this.#election, starts);
    const unknown = deleted.filter(({ isAccepted }) => !isAccepted);
    if (unknown.length === 0) return undefined;
    const names = unknown.map(({ partition, start }) => `partition ${partition} starts at ${start}`);
    return `records that were counted were deleted from the front of the log (${
      names.join(", ")
    }): check the topic's retention; without them nothing can be recounted or rebuilt`;
  }

  /** Whether there are records, and none was counted for a while. */
  async #findStall(positions: readonly number[], ends: readonly number[]): Promise<string | undefined> {
    const sum = positions.reduce((total, next) => total + next, 0);
    const behind = positions.findIndex((next, partition) => next < ends[partition]!);
    if (sum !== this.#progress.sum || behind < 0) {
      this.#progress = { sum, atMs: this.#now() };
      return undefined;
    }
    const stalledMs = this.#now() - this.#progress.atMs;
    if (stalledMs < STALLED_AFTER_MS) return undefined;
    // An end may lie behind offsets that hold no record, which a log keeps for itself.
    for (const [partition, next] of positions.entries()) {
      if (next >= ends[partition]!) continue;
      const [record] = await within(this.#log.read(partition, next, 1), ANSWER_WITHIN_MS);
      if (record === undefined) continue;
      const seconds = Math.round(stalledMs / 1_000);
      return `nothing was counted for ${seconds} s, and partition ${partition} has records from offset ${record.offset} on`;
    }
    return undefined;
  }
}

/** An error of the database's among those of the log. */
class DatabaseFault extends Error {}

function asDatabaseFault(cause: unknown): never {
  throw new DatabaseFault("", { cause });
}

/** Rejects when work takes longer. Work that is not waited for ends by itself. */
async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`no answer within ${ms} ms`)), ms);
  work.catch(() => {});
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
