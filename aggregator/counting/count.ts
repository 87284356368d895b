/**
 * Counts an election's log into the database, every voter once: judges what partitions deliver, gathers it, and counts
 * the batches of several partitions in one transaction with their positions.
 *
 * @module
 */
import type { ElectionHistory } from "../../shared/history.ts";
import type { LogConsumer, StoredRecord, VoteLog } from "../../shared/log/vote_log.ts";
import { entryRecords } from "../../shared/record.ts";
import type { Database, Query } from "../database/database.ts";
import { commitBatches } from "./commit.ts";
import type { CountedBatch, Verdict } from "./count_batch.ts";
import type { OutcomeDelta } from "./count_records.ts";
import { Gathering, type GatherOptions } from "./gather.ts";
import { boundDetails, type JudgedRecord, judgeEntries } from "./judged.ts";
import { checkGaps, digestOf, Fenced, takePartition } from "./positions.ts";
import { finishWithin, type RetryOptions, retryPassing } from "./retry.ts";
import type { SequenceTracker, SequenceUpdate } from "./sequences.ts";

/**
 * Maximum records in a batch, unless one entry has more; and maximum entries of a delivery. A larger batch is hardly
 * faster, and delays other work.
 */
export const COUNT_BATCH_RECORDS = 2_000;
/** How long a batch may still take once counting is to end, in milliseconds. */
const FINISH_BATCH_MS = 3_000;

/**
 * Counting was to end, and the database has not said what became of a batch. Nothing is lost: the process that takes the
 * partition next finds out.
 */
export class BatchAbandoned extends Error {
  override name = "BatchAbandoned";
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
    /** Whether a rebuild is under way, so that the tables are known to be behind what was counted before. */
    rebuilding?: boolean;
    /** How batches are gathered for a transaction; when left out, each is counted as soon as no other is. */
    gather?: GatherOptions;
    /** How long a batch may still take once the signal has aborted, in milliseconds. */
    finishMs?: number;
    /** Called with what was committed. */
    onCounted?(outcomes: readonly OutcomeDelta[], records: number): void;
    /** A clock that only goes forward, in milliseconds, for `onCommitted`. */
    clockMs?(): number;
    /** Called with how long a counting transaction took, in milliseconds. */
    onCommitted?(tookMs: number): void;
    /** Called with the judgements of the committed records, and how many sequence numbers came a second time. */
    onJudged?(records: readonly JudgedRecord[], repeated: number): void;
  }>;

/** A partition that this process has taken. */
type Owned = {
  readonly partition: number;
  readonly epoch: number;
  nextOffset: number;
  forgeries: Map<string, number>;
  readonly sequences: SequenceTracker;
  /** Entries that were delivered and are not counted. */
  waiting?: Waiting;
  /** The first of them, judged. */
  judged?: JudgedBatch;
  /** The transaction that counts them, if one is under way. Never rejects. */
  counting?: Promise<void>;
  /** The revision with which records were judged whose position names a newer one. */
  staleRevision?: number;
};

type Waiting = Readonly<{ entries: readonly StoredRecord[]; sinceMs: number }>;

type JudgedBatch =
  & CountedBatch
  & Readonly<{
    own: Owned;
    votes: number;
    sinceMs: number;
    forgeries: Map<string, number>;
    update: SequenceUpdate;
  }>;

/**
 * Makes the consumer that counts. Its calls reject with {@link Fenced}, or a LogFault when counting must stop. Partitions
 * may be delivered at the same time.
 */
export function createCounter(options: CounterOptions): LogConsumer {
  return new Counter(options);
}

class Counter implements LogConsumer {
  readonly #options: CounterOptions;
  readonly #owned = new Map<number, Owned>();
  readonly #gathering: Gathering<JudgedBatch, Verdict>;

  constructor(options: CounterOptions) {
    this.#options = options;
    const { signal, gather } = options;
    this.#gathering = new Gathering((batches) => this.#countTogether(batches), signal, gather);
  }

  async take(partition: number): Promise<number> {
    const taken = await this.#finish(
      partition,
      retryPassing(() => takePartition(this.#options, partition), this.#options),
    );
    this.#gathering.withdraw(partition);
    this.#owned.set(partition, { partition, ...taken });
    return taken.nextOffset;
  }

  async batch(partition: number, delivered: readonly StoredRecord[]): Promise<"again" | void> {
    const own = this.#owned.get(partition);
    if (own === undefined) throw fenced(partition);
    try {
      return await this.#finish(partition, this.#count(own, delivered));
    } catch (error) {
      this.#giveUp(own);
      throw error;
    }
  }

  async #count(own: Owned, delivered: readonly StoredRecord[]): Promise<"again" | void> {
    const { partition } = own;
    await own.counting;
    if (this.#owned.get(partition) !== own) throw fenced(partition);
    // From here on nobody else counts what waits.
    this.#gathering.withdraw(partition);
    await this.#add(own, delivered);
    while (own.waiting !== undefined) {
      const judging = own.judged === undefined ? this.#judge(own, own.waiting) : Promise.resolve(own.judged);
      const verdict = await this.#gathering.join(judging);
      if (verdict === "later") return "again";
      if (verdict === "fenced") throw fenced(partition);
    }
  }

  /** Adds what was not delivered before. */
  async #add(own: Owned, delivered: readonly StoredRecord[]): Promise<void> {
    const { log, history, gather } = this.#options;
    const before = own.waiting?.entries ?? [];
    const nextOffset = before.length === 0 ? own.nextOffset : before.at(-1)!.offset + 1;
    const news = delivered.filter(({ offset }) => offset >= nextOffset);
    if (news.length === 0) return;
    await checkGaps(log, history.election, own.partition, nextOffset, news);
    own.waiting = {
      entries: [...before, ...news],
      sinceMs: own.waiting?.sinceMs ?? gather?.nowMs() ?? 0,
    };
    own.judged = undefined;
  }

  /** Judges as much of what waits as a batch may hold, with the newest history that is known. */
  async #judge(own: Owned, { entries: waiting, sinceMs }: Waiting): Promise<JudgedBatch> {
    const { db, history } = this.#options;
    if (own.staleRevision !== undefined) await this.#reload(own.partition, own.staleRevision);
    own.staleRevision = undefined;
    // Before anything is waited for: another partition may reload the history meanwhile.
    const { revision } = history;
    const entries = firstEntries(waiting, history.voteBytes);
    const judged = judgeEntries(entries, history);
    const forgeries = new Map(own.forgeries);
    const update = await retryPassing(() => own.sequences.update(db.query, judged), this.#options);
    const last = entries.at(-1)!;
    return own.judged = {
      own,
      partition: own.partition,
      epoch: own.epoch,
      fromOffset: own.nextOffset,
      nextOffset: last.offset + 1,
      lastDigest: digestOf(last),
      revision,
      offsets: entries.map(({ offset }) => offset),
      records: boundDetails(judged, forgeries),
      sequences: update.blocks,
      news: update.news,
      votes: judged.filter(({ judgement }) => judgement.fate === "acceptable").length,
      sinceMs,
      forgeries,
      update,
    };
  }

  async #reload(partition: number, judgedWith: number): Promise<void> {
    const { db, history } = this.#options;
    await retryPassing(() => history.reload(db.query), this.#options);
    if (history.revision === judgedWith) {
      throw new Error(
        `Cannot count partition ${partition}: its position names a revision that the registry lacks, after ${judgedWith}`,
      );
    }
  }

  /** Counts batches in one transaction. A partition that cannot be counted keeps none of the others from it. */
  #countTogether(batches: readonly JudgedBatch[]): Promise<ReadonlyMap<JudgedBatch, Verdict>> {
    const { history: { election } } = this.#options;
    const committed = commitBatches(this.#options, election, batches).then((verdicts) => {
      for (const [batch, verdict] of verdicts) this.#conclude(batch, verdict);
      return verdicts;
    }).catch((error) => {
      for (const { own } of batches) this.#giveUp(own);
      throw error;
    }).finally(() => {
      for (const { own } of batches) own.counting = undefined;
    });
    const ended = committed.then(() => {}, () => {});
    for (const { own } of batches) own.counting = ended;
    return committed;
  }

  #conclude(batch: JudgedBatch, verdict: Verdict): void {
    const { own, update } = batch;
    own.judged = undefined;
    switch (verdict) {
      case "counted":
        own.waiting = entriesFrom(own.waiting, batch.nextOffset);
        own.nextOffset = batch.nextOffset;
        own.forgeries = batch.forgeries;
        own.sequences.keep(update);
        this.#options.onJudged?.(batch.records, update.repeated);
        break;
      case "stale":
        own.staleRevision = batch.revision;
        break;
      case "fenced":
        this.#giveUp(own);
    }
  }

  /** Stops counting a partition, unless it was taken again in the meantime. */
  #giveUp(own: Owned): void {
    if (this.#owned.get(own.partition) !== own) return;
    this.#owned.delete(own.partition);
    this.#gathering.withdraw(own.partition);
  }

  /** A database that does not answer must not keep this from ending, and its partitions from others. */
  async #finish<T>(partition: number, work: Promise<T>): Promise<T> {
    const { signal, finishMs = FINISH_BATCH_MS } = this.#options;
    return await finishWithin(work, signal, finishMs, () =>
      new BatchAbandoned(
        `Cannot finish with partition ${partition}: the database has not answered within ${finishMs} ms; another process may count its partition`,
      ));
  }
}

/** The first entries, with no more records than {@link COUNT_BATCH_RECORDS}; at least one. */
function firstEntries(entries: readonly StoredRecord[], voteBytes: number): readonly StoredRecord[] {
  let records = 0;
  const end = entries.findIndex((entry, i) =>
    (records += entryRecords(entry, voteBytes) ?? 1) > COUNT_BATCH_RECORDS && i > 0
  );
  return end < 0 ? entries : entries.slice(0, end);
}

/** What is left of waiting entries once those before an offset are counted. */
function entriesFrom(waiting: Waiting | undefined, offset: number): Waiting | undefined {
  const entries = waiting?.entries.filter((entry) => entry.offset >= offset) ?? [];
  return entries.length === 0 ? undefined : { ...waiting!, entries };
}

function fenced(partition: number): Fenced {
  return new Fenced(`Cannot count partition ${partition}: another process has taken it`);
}
