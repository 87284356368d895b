/**
 * Waits for the aggregator to catch up, for as long as it makes progress.
 *
 * @module
 */
import { type Aggregator, AggregatorAway, type Reconciliation } from "./aggregator.ts";
import type { Clock } from "../../device/clock.ts";

/** Bounds of waiting, in milliseconds. */
export const WAIT_LIMITS = {
  pollMs: 200,
  /** How old the aggregator's answer may be: it keeps answers for a moment. */
  answerAgeMs: 1_000,
  /** How long nothing may change before the wait is over. A killed process takes seconds to come back. */
  stalledMs: 120_000,
  /** How long the aggregator may be away when a command begins: its database may have a failover just then. */
  startMs: 60_000,
} as const;

type ReconciliationSource = Pick<Aggregator, "reconciliation">;

/**
 * Reads the reconciliation until `isDone` is content with it, or until it has not changed for too long. An answer that may
 * be from before the call does not end the wait.
 *
 * @param onRead Told how many records were read since it was last told.
 * @returns the reconciliation, and whether `isDone` was content.
 * @throws {AggregatorAway} when the aggregator never answered in all that time: its last reason.
 */
export async function waitForReconciliation(
  aggregator: ReconciliationSource,
  election: string,
  isDone: (reconciliation: Reconciliation) => boolean,
  { clock, onRead = () => {}, stalledMs = WAIT_LIMITS.stalledMs }: {
    clock: Clock;
    onRead?: (records: number) => void;
    stalledMs?: number;
  },
): Promise<{ reconciliation: Reconciliation; done: boolean }> {
  let newest: Reconciliation | undefined;
  const startedMs = clock.now();
  let changedMs = startedMs;
  for (;;) {
    const isFresh = clock.now() - startedMs >= WAIT_LIMITS.answerAgeMs;
    const reconciliation = await aggregator.reconciliation(election).catch(awayIsReturned);
    if (!(reconciliation instanceof AggregatorAway)) {
      if (JSON.stringify(reconciliation) !== JSON.stringify(newest)) {
        onRead(reconciliation.total.read - (newest?.total.read ?? 0));
        changedMs = clock.now();
        newest = reconciliation;
      }
      if (isFresh && isDone(reconciliation)) return { reconciliation, done: true };
    }
    if (clock.now() - changedMs > stalledMs) {
      if (newest !== undefined) return { reconciliation: newest, done: false };
      if (reconciliation instanceof AggregatorAway) throw reconciliation;
    }
    await clock.sleep(WAIT_LIMITS.pollMs);
  }
}

/**
 * Asks until the aggregator answers.
 *
 * @param onAway Told its reason, once, before it is asked again.
 * @throws {AggregatorAway} when it has been away for too long: its last reason.
 */
export async function untilAnswered<T>(
  ask: () => Promise<T>,
  clock: Clock,
  onAway: (reason: AggregatorAway) => void,
  limitMs: number = WAIT_LIMITS.startMs,
): Promise<T> {
  const deadlineMs = clock.now() + limitMs;
  for (let isTold = false;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof AggregatorAway) || clock.now() >= deadlineMs) throw error;
      if (!isTold) onAway(error);
      isTold = true;
    }
    await clock.sleep(WAIT_LIMITS.pollMs);
  }
}

/** Whether everything on the log has been read. */
export function isReadThrough({ partitions }: Reconciliation): boolean {
  return partitions.every(({ nextOffset, logEnd }) => logEnd !== null && nextOffset >= logEnd);
}

/**
 * Compares repeatedly until nothing differs, or until the number of differences has not changed for too long:
 * counted votes are shown a moment later.
 */
export async function settleDifferences(
  compare: () => Promise<{ count: number; named: readonly string[] }>,
  clock: Clock,
  stalledMs: number,
): Promise<{ count: number; named: readonly string[] }> {
  let newest: { count: number; named: readonly string[] } | undefined;
  let changedMs = clock.now();
  for (;;) {
    const found = await compare().catch(awayIsReturned);
    if (!(found instanceof AggregatorAway)) {
      if (found.count === 0) return found;
      if (found.count !== newest?.count) changedMs = clock.now();
      newest = found;
    }
    if (clock.now() - changedMs > stalledMs) {
      if (newest !== undefined) return newest;
      if (found instanceof AggregatorAway) return { count: 1, named: [found.message] };
    }
    await clock.sleep(WAIT_LIMITS.pollMs);
  }
}

function awayIsReturned(error: unknown): AggregatorAway {
  if (error instanceof AggregatorAway) return error;
  throw error;
}
