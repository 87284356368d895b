/**
 * The aggregator's metrics, for Prometheus. No label ever names a voter or a device.
 *
 * @module
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { type AlertMetrics, alertMetrics } from "./alerts/metrics.ts";

/** Metrics of one aggregator process. */
export type AggregatorMetrics = Readonly<{
  registry: Registry;
  /** Records counted, by election, fate and reason. */
  outcomes: Counter<"election" | "fate" | "reason">;
  releases: Counter<"election">;
  /** Counting transactions, what they count from the log's time on, and publishings, in seconds. */
  committing: Histogram<"election">;
  countDelay: Histogram<"election">;
  publishing: Histogram<"election">;
  /** Records whose gateway altered a vote or made it up, by gateway. */
  badProofs: Counter<"election" | "gateway">;
  /** Records whose gateway's clock was ahead of the log's by more than is allowed, by gateway. */
  clocksAhead: Counter<"election" | "gateway">;
  /** Sequence numbers that came again. */
  repeatedNumbers: Counter<"election">;
  faults: Counter<"election">;
  /** Claims of gateways about their sender keys that were ignored, by election and kind. */
  ignoredClaims: Counter<"election" | "kind">;
  alerts: AlertMetrics;
}>;

/**
 * How an election stands: `lag` in records, `unbalanced` in partitions, `gaps` and `deleted` in offsets. They are `null`
 * while they are not known.
 */
export type ElectionState = Readonly<{
  election: string;
  counting: boolean;
  lag: number | null;
  unbalanced: number | null;
  gaps: number | null;
  deleted: number | null;
  /** Records that are held for another reason than their mode. */
  held: number | null;
  /** Sender keys without a statement or waiver, and stated numbers that were not read. */
  openKeys: number | null;
  missingNumbers: number | null;
}>;

/**
 * Makes the metrics.
 *
 * @param elections Asked once a scrape: every election, also those that cannot be counted.
 */
export function aggregatorMetrics(elections: () => Promise<readonly ElectionState[]>): AggregatorMetrics {
  const registry = new Registry();
  const registers = [registry];
  let asked: Promise<readonly ElectionState[]> | undefined;
  // A scrape collects all gauges at once and waits for none before the next: they share one answer.
  const ask = () => asked ??= elections().finally(() => asked = undefined);
  const gauge = (name: string, help: string, valueOf: (state: ElectionState) => number | null) =>
    new Gauge({
      name,
      help,
      labelNames: ["election"],
      registers,
      async collect() {
        for (const state of await ask()) {
          const value = valueOf(state);
          if (value === null) this.remove({ election: state.election });
          else this.set({ election: state.election }, value);
        }
      },
    });
  gauge(
    "pollwire_aggregator_counting",
    "1 while an election is counted, 0 when counting has stopped",
    ({ counting }) => counting ? 1 : 0,
  );
  gauge(
    "pollwire_aggregator_unbalanced_partitions",
    "Partitions where records read are not counted + duplicate + rejected + held + statements: must be 0",
    ({ unbalanced }) => unbalanced,
  );
  gauge(
    "pollwire_aggregator_lag_entries",
    "Entries of the log, each of one or more records, in all of its partitions, that no aggregator has counted",
    ({ lag }) => lag,
  );
  gauge(
    "pollwire_aggregator_log_gap_offsets",
    "Offsets that the log has left out: its own records, or a loss that was accepted",
    ({ gaps }) => gaps,
  );
  gauge(
    "pollwire_aggregator_log_deleted_offsets",
    "Offsets that were deleted from the front of the log: must be 0",
    ({ deleted }) => deleted,
  );
  gauge(
    "pollwire_aggregator_held_records",
    "Records that wait for officials, but for those whose mode the manifest holds",
    ({ held }) => held,
  );
  gauge(
    "pollwire_aggregator_open_sender_keys",
    "Sender keys without a statement or a waiver",
    ({ openKeys }) => openKeys,
  );
  gauge(
    "pollwire_aggregator_missing_numbers",
    "Sequence numbers that gateways state and that were not read, without a waiver",
    ({ missingNumbers }) => missingNumbers,
  );
  return {
    registry,
    alerts: alertMetrics(registry),
    badProofs: new Counter({
      name: "pollwire_aggregator_bad_proofs_total",
      help: "Records with a wrong proof: their gateway altered a vote or made it up",
      labelNames: ["election", "gateway"],
      registers,
    }),
    clocksAhead: new Counter({
      name: "pollwire_aggregator_clocks_ahead_total",
      help:
        "Records accepted later than the log took them, by more than is allowed: their gateway's clock is ahead",
      labelNames: ["election", "gateway"],
      registers,
    }),
    repeatedNumbers: new Counter({
      name: "pollwire_aggregator_repeated_numbers_total",
      help: "Records whose sequence number was read before: sent again, or numbered twice",
      labelNames: ["election"],
      registers,
    }),
    outcomes: new Counter({
      name: "pollwire_aggregator_records_total",
      help: "Records read from the log, by fate and reason",
      labelNames: ["election", "fate", "reason"],
      registers,
    }),
    committing: new Histogram({
      name: "pollwire_aggregator_commit_seconds",
      help: "Time of a transaction that counts records",
      labelNames: ["election"],
      buckets: [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30],
      registers,
    }),
    countDelay: new Histogram({
      name: "pollwire_aggregator_count_delay_seconds",
      help:
        "From the log's time of the oldest record of a partition's batch until the batch was counted; a negative difference of clocks is 0",
      labelNames: ["election"],
      buckets: [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 3_600],
      registers,
    }),
    publishing: new Histogram({
      name: "pollwire_aggregator_publish_seconds",
      help: "Time to publish what has changed in an election",
      labelNames: ["election"],
      buckets: [0.005, 0.01, 0.05, 0.1, 0.2, 0.5, 1, 5, 30],
      registers,
    }),
    releases: new Counter({
      name: "pollwire_aggregator_releases_total",
      help: "Releases written",
      labelNames: ["election"],
      registers,
    }),
    faults: new Counter({
      name: "pollwire_aggregator_faults_total",
      help: "Things that failed and were tried again",
      labelNames: ["election"],
      registers,
    }),
    ignoredClaims: new Counter({
      name: "pollwire_aggregator_ignored_claims_total",
      help:
        "Sender keys beyond a gateway's limit or too late, and statements that prove nothing: maybe a thief's",
      labelNames: ["election", "kind"],
      registers,
    }),
  };
}
