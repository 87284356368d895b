/**
 * When a counting transaction begins, and with which batches. The rows that one transaction changes appear together to
 * someone who reads the tables repeatedly, so a transaction should not hold a single vote.
 *
 * @module
 */

/** How long a transaction waits for the other batches of the same fetch, in milliseconds. */
export const GATHER_MS = 3;
/** Votes that a transaction never waits for more of, whatever k is. */
export const GATHER_MAX_VOTES = 10;
/** How long the oldest record waits for others, in milliseconds. */
export const GATHER_MAX_WAIT_MS = 2_000;
/** Records of a transaction that is full: it begins at once. A batch that is larger is counted by itself. */
export const TRANSACTION_RECORDS = 4_000;

/** Votes that a transaction waits for: `min(k, 10)`. With k = 1 results are no secret, and it waits for none. */
export function gatheredVotes(k: number): number {
  return Math.min(k, GATHER_MAX_VOTES);
}

/** How to gather. */
export type GatherOptions = Readonly<{
  /** Votes that a transaction waits for: see {@link gatheredVotes}. */
  leastVotes(): number;
  /** Milliseconds that never go back. */
  nowMs(): number;
  /** Waits, and rejects when the signal aborts. */
  wait(ms: number): Promise<unknown>;
  /** How long the oldest record waits for others, in milliseconds; {@link GATHER_MAX_WAIT_MS} when left out. */
  maxWaitMs?: number;
}>;

/** Records of one partition that are ready to be counted. */
export type GatheredBatch = Readonly<{
  partition: number;
  records: readonly unknown[];
  /** Records that may be counted. A transaction without any shows nobody's vote, so it need not wait for others. */
  votes: number;
  /** When the oldest record was delivered, in milliseconds. */
  sinceMs: number;
}>;

/** Whether batches are to be counted now. */
export function isDue(
  batches: readonly GatheredBatch[],
  leastVotes: number,
  nowMs: number,
  maxWaitMs: number = GATHER_MAX_WAIT_MS,
): boolean {
  let [votes, records, oldestMs] = [0, 0, Infinity];
  for (const batch of batches) {
    votes += batch.votes;
    records += batch.records.length;
    oldestMs = Math.min(oldestMs, batch.sinceMs);
  }
  return votes === 0 || votes >= leastVotes || records >= TRANSACTION_RECORDS ||
    nowMs - oldestMs >= maxWaitMs;
}

type Waiting<B, V> = Readonly<
  { batch: B; resolve(verdict: V | "later"): void; reject(error: unknown): void }
>;

/** Gathers batches of different partitions, and counts them together: one transaction at a time. */
export class Gathering<B extends GatheredBatch, V> {
  readonly #count: (batches: readonly B[]) => Promise<ReadonlyMap<B, V>>;
  readonly #signal: AbortSignal;
  readonly #options?: GatherOptions;
  /** Batches that somebody waits for. */
  #waiting: Waiting<B, V>[] = [];
  /** Batches that were left until later, by partition. */
  readonly #left = new Map<number, B>();
  #isCounting = false;
  #isGathering = false;
  /** Batches that were added and are not ready yet. */
  #arriving = 0;

  /** @param options When left out, a batch is counted as soon as no other is being counted. */
  constructor(
    count: (batches: readonly B[]) => Promise<ReadonlyMap<B, V>>,
    signal: AbortSignal,
    options?: GatherOptions,
  ) {
    this.#count = count;
    this.#signal = signal;
    this.#options = options;
  }

  /**
   * Adds a batch to the next transaction, which waits until all are ready that were added within {@link GATHER_MS}.
   * Resolves to its verdict; or to `later` when the transaction must wait for more votes: then the batch is counted with
   * others, unless it is withdrawn.
   */
  async join(ready: Promise<B>): Promise<V | "later"> {
    this.#arriving++;
    this.#gather();
    const { promise, resolve, reject } = Promise.withResolvers<V | "later">();
    try {
      this.#waiting.push({ batch: await ready, resolve, reject });
    } finally {
      this.#arriving--;
      this.#begin();
    }
    return await promise;
  }

  /** Takes back the batch of a partition that was left until later, if there is one. */
  withdraw(partition: number): void {
    this.#left.delete(partition);
  }

  #gather(): void {
    if (this.#options === undefined || this.#isGathering || this.#isCounting) return;
    this.#isGathering = true;
    const done = () => {
      this.#isGathering = false;
      this.#begin();
    };
    this.#options.wait(GATHER_MS).then(done, done);
  }

  /** Begins a transaction, unless there is something that it waits for. */
  #begin(): void {
    if (this.#isCounting) return;
    const isFull = recordsOf(this.#waiting) >= TRANSACTION_RECORDS;
    if (this.#options !== undefined && !isFull && (this.#isGathering || this.#arriving > 0)) return;
    void this.#flush();
  }

  /** Counts what waits, if it is due. Never rejects. */
  async #flush(): Promise<void> {
    if (this.#waiting.length === 0) return;
    if (!this.#mayCount()) {
      for (const { batch, resolve } of this.#waiting.splice(0)) {
        this.#left.set(batch.partition, batch);
        resolve("later");
      }
      return;
    }
    this.#isCounting = true;
    const taken = this.#takeWaiting();
    const batches = [...taken.map(({ batch }) => batch), ...this.#takeLeft(recordsOf(taken))];
    try {
      const verdicts = await this.#count(batches);
      for (const { batch, resolve } of taken) resolve(verdicts.get(batch)!);
    } catch (error) {
      for (const { reject } of taken) reject(error);
    } finally {
      this.#isCounting = false;
    }
    // What came meanwhile has waited long enough.
    this.#begin();
  }

  #mayCount(): boolean {
    if (this.#options === undefined) return true;
    const { leastVotes, nowMs, maxWaitMs } = this.#options;
    const batches = [...this.#waiting.map(({ batch }) => batch), ...this.#left.values()];
    return !this.#signal.aborted && isDue(batches, leastVotes(), nowMs(), maxWaitMs);
  }

  /** Takes as many as a transaction may hold, and at least one. */
  #takeWaiting(): Waiting<B, V>[] {
    let records = 0;
    const fitting = this.#waiting.findIndex(({ batch }, i) =>
      (records += batch.records.length) > TRANSACTION_RECORDS && i > 0
    );
    return this.#waiting.splice(0, fitting < 0 ? Infinity : fitting);
  }

  #takeLeft(records: number): B[] {
    const taken: B[] = [];
    for (const [partition, batch] of this.#left) {
      if ((records += batch.records.length) > TRANSACTION_RECORDS) break;
      this.#left.delete(partition);
      taken.push(batch);
    }
    return taken;
  }
}

function recordsOf(waiting: readonly { batch: GatheredBatch }[]): number {
  return waiting.reduce((sum, { batch }) => sum + batch.records.length, 0);
}
