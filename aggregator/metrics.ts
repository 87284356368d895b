/**
 * The centre's metrics, for Prometheus. No label ever names a voter or a device.
 *
 * @module
 */
import { Counter, Gauge, Registry } from "prom-client";

/** Metrics of one aggregator process. */
export type CentreMetrics = Readonly<{
  registry: Registry;
  /** Records counted, by election, fate and cause. */
  outcomes: Counter<"election" | "fate" | "cause">;
  releases: Counter<"election">;
  faults: Counter<"election">;
}>;

/**
 * Makes the metrics.
 *
 * @param elections Asked when scraped: each election's lag in records, the partitions
 *   whose books do not balance, and whether it is being counted.
 */
export function centreMetrics(
  elections: () => Promise<{ election: string; lag: number; unbalanced: number; counting: boolean }[]>,
): CentreMetrics {
  const registry = new Registry();
  const registers = [registry];
  const counting = new Gauge({
    name: "pollwire_aggregator_counting",
    help: "1 while an election is counted, 0 when counting has stopped",
    labelNames: ["election"],
    registers,
  });
  const unbalanced = new Gauge({
    name: "pollwire_aggregator_unbalanced_partitions",
    help: "Partitions where records read are not counted + duplicate + rejected: must be 0",
    labelNames: ["election"],
    registers,
  });
  new Gauge({
    name: "pollwire_aggregator_lag_records",
    help: "Records on the log that have not been counted",
    labelNames: ["election"],
    registers,
    async collect() {
      for (const { election, lag, unbalanced: partitions, counting: counts } of await elections()) {
        this.set({ election }, lag);
        unbalanced.set({ election }, partitions);
        counting.set({ election }, counts ? 1 : 0);
      }
    },
  });
  return {
    registry,
    outcomes: new Counter({
      name: "pollwire_aggregator_records_total",
      help: "Records read from the log, by fate and cause",
      labelNames: ["election", "fate", "cause"],
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
  };
}
