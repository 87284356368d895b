/**
 * Metrics of the alerts, for Prometheus. No label names a station or a gateway.
 *
 * @module
 */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** Metrics of the alerts of one process. */
export type AlertMetrics = Readonly<{
  /** Alerts that are not resolved, of the elections that this process watches. */
  active: Gauge<"election" | "rule" | "severity">;
  raised: Counter<"election" | "rule">;
  resolved: Counter<"election" | "rule">;
  /** How long it takes to evaluate one election. */
  evaluationSeconds: Histogram<"election">;
  deliveries: Counter<"result">;
  queued: Gauge;
}>;

/** Makes them. */
export function alertMetrics(registry: Registry): AlertMetrics {
  const registers = [registry];
  return {
    active: new Gauge({
      name: "pollwire_alerts_active",
      help: "Alerts for officials that are not resolved, reported by the process that watches the election",
      labelNames: ["election", "rule", "severity"],
      registers,
    }),
    raised: new Counter({
      name: "pollwire_alerts_raised_total",
      help: "Alerts for officials that were raised",
      labelNames: ["election", "rule"],
      registers,
    }),
    resolved: new Counter({
      name: "pollwire_alerts_resolved_total",
      help: "Alerts for officials that were resolved",
      labelNames: ["election", "rule"],
      registers,
    }),
    evaluationSeconds: new Histogram({
      name: "pollwire_alerts_evaluation_seconds",
      help: "Time to read the facts of an election and evaluate the rules of the alerts",
      labelNames: ["election"],
      buckets: [0.01, 0.05, 0.1, 0.5, 1, 5],
      registers,
    }),
    deliveries: new Counter({
      name: "pollwire_alerts_deliveries_total",
      help: "Alerts to Alertmanager: sent, failed and tried again, refused, dropped because too many waited",
      labelNames: ["result"],
      registers,
    }),
    queued: new Gauge({
      name: "pollwire_alerts_queued",
      help: "Alerts that wait to be sent to Alertmanager",
      registers,
    }),
  };
}
