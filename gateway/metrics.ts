/**
 * A gateway's metrics, for Prometheus. No label ever names a voter or a device.
 *
 * @module
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { SpoolState } from "./spool.ts";

/** Metrics of one gateway process. */
export type GatewayMetrics = Readonly<{
  registry: Registry;
  /** Answered votes, by result: `accepted`, `repeated`, or the problem's reason. */
  answers: Counter<"endpoint" | "answer">;
  /** How far devices' clocks are behind, in seconds. */
  skew: Histogram;
  /** From a request's arrival to its answer, in seconds. */
  latency: Histogram<"endpoint">;
  /** A transaction of the spool with its fsync, and an append to the log until it was acknowledged, in seconds. */
  storing: Histogram;
  appending: Histogram;
  numbered: Counter;
  forwarded: Counter;
  logFaults: Counter;
  syncFaults: Counter;
}>;

/** Values that are read when metrics are scraped. */
export type MetricSources = Readonly<{
  /** How full the spool is. */
  spool(): SpoolState;
  /** Statements that the log or the aggregator does not have yet; none when left out. */
  statementsDue?(): number;
  /** How far this gateway's clock is ahead of the aggregator's, in milliseconds; `undefined` before it is known. */
  clockDifferenceMs?(): number | undefined;
}>;

/** Makes the metrics. */
export function gatewayMetrics(
  { spool, statementsDue = () => 0, clockDifferenceMs = () => undefined }: MetricSources,
): GatewayMetrics {
  const registry = new Registry();
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  gauge(
    "pollwire_gateway_spool_records",
    "Records in the spool, not yet on the log",
    () => spool().records,
  );
  gauge("pollwire_gateway_spool_bytes", "Bytes of records in the spool", () => spool().bytes);
  gauge(
    "pollwire_gateway_spool_damaged_records",
    "Records that were damaged on the disk, and are set aside",
    () => spool().damagedRecords,
  );
  gauge(
    "pollwire_gateway_statements_due",
    "Statements of ended sender keys that the log or the aggregator does not have yet",
    statementsDue,
  );
  gauge(
    "pollwire_gateway_clock_difference_seconds",
    "How far this gateway's clock is ahead of the aggregator's; NaN before it is known",
    () => (clockDifferenceMs() ?? NaN) / 1_000,
  );
  return {
    registry,
    answers: new Counter({
      name: "pollwire_gateway_votes_total",
      help: "Votes answered, by endpoint and answer",
      labelNames: ["endpoint", "answer"],
      registers,
    }),
    skew: new Histogram({
      name: "pollwire_gateway_device_clock_skew_seconds",
      help: "How far devices' clocks are behind the gateway's",
      buckets: [-300, -60, -10, -2, 2, 10, 60, 300],
      registers,
    }),
    latency: new Histogram({
      name: "pollwire_gateway_request_seconds",
      help: "From a request's arrival to its answer",
      labelNames: ["endpoint"],
      buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5],
      registers,
    }),
    storing: new Histogram({
      name: "pollwire_gateway_store_seconds",
      help: "Time to make a batch of records durable in the spool: a transaction and its fsync",
      buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1],
      registers,
    }),
    appending: new Histogram({
      name: "pollwire_gateway_append_seconds",
      help: "Time from an append until the log has acknowledged it",
      buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5],
      registers,
    }),
    numbered: new Counter({
      name: "pollwire_gateway_numbered_records_total",
      help: "Records that were numbered and made durable",
      registers,
    }),
    forwarded: new Counter({
      name: "pollwire_gateway_forwarded_records_total",
      help: "Records that the log has acknowledged",
      registers,
    }),
    logFaults: new Counter({
      name: "pollwire_gateway_log_faults_total",
      help: "Appends that failed",
      registers,
    }),
    syncFaults: new Counter({
      name: "pollwire_gateway_sync_faults_total",
      help: "Times the aggregator could not be asked",
      registers,
    }),
  };
}
