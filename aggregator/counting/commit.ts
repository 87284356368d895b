/**
 * Commits a counting transaction, also through failures that pass: when only the answer to COMMIT was lost, each
 * partition's position says whether its batch was counted.
 *
 * @module
 */
import type { Database } from "../database/database.ts";
import { countBatches, type Counted, type CountedBatch, type Verdict } from "./count_batch.ts";
import type { OutcomeDelta } from "./count_records.ts";
import { type RetryOptions, retryPassing } from "./retry.ts";

/** What a commit needs. */
export type CommitOptions =
  & RetryOptions
  & Readonly<{
    db: Database;
    /** Called with what was committed. */
    onCounted?(outcomes: readonly OutcomeDelta[], records: number): void;
    /** A clock that only goes forward, in milliseconds, for {@link CommitOptions.onCommitted}. */
    clockMs?(): number;
    /** Called with how long a counting transaction took, in milliseconds. */
    onCommitted?(tookMs: number): void;
  }>;

/** Counts batches of different partitions in one transaction, and says what became of each. */
export async function commitBatches<B extends CountedBatch>(
  options: CommitOptions,
  election: string,
  batches: readonly B[],
): Promise<ReadonlyMap<B, Verdict>> {
  const { db, onCounted, onCommitted, clockMs = () => performance.now() } = options;
  const verdicts = new Map<B, Verdict>();
  let left = batches;
  let isUnsure = false;
  let tried: Counted<B> | undefined;
  await retryPassing(async () => {
    if (isUnsure) {
      const known = await readVerdicts(db, election, left);
      for (const [batch, verdict] of known) verdicts.set(batch, verdict);
      const isCommitted = known.values().some((verdict) => verdict === "counted");
      if (isCommitted && tried !== undefined) onCounted?.(tried.outcomes, tried.records);
      left = left.filter((batch) => !known.has(batch));
      if (left.length === 0) return;
    }
    tried = undefined;
    isUnsure = true;
    const fromMs = clockMs();
    const counted = await db.transaction(async (query) => tried = await countBatches(query, election, left));
    onCommitted?.(clockMs() - fromMs);
    for (const [batch, verdict] of counted.verdicts) verdicts.set(batch, verdict);
    if (counted.records > 0) onCounted?.(counted.outcomes, counted.records);
  }, options);
  return verdicts;
}

/** What is certain of batches whose transaction may have been committed; a batch that is to be counted has no entry. */
async function readVerdicts<B extends CountedBatch>(
  db: Database,
  election: string,
  batches: readonly B[],
): Promise<Map<B, Verdict>> {
  const rows = await db.query<{ partition: number; epoch: string; next_offset: string }>(
    "SELECT partition, epoch::text, next_offset::text FROM counting.log_positions WHERE election = $1",
    [election],
  );
  const positions = new Map(rows.map((row) => [row.partition, row]));
  const verdicts = new Map<B, Verdict>();
  for (const batch of batches) {
    const position = positions.get(batch.partition);
    if (position === undefined || Number(position.epoch) !== batch.epoch) verdicts.set(batch, "fenced");
    else if (Number(position.next_offset) === batch.nextOffset) verdicts.set(batch, "counted");
  }
  return verdicts;
}
