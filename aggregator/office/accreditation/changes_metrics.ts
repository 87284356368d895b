/**
 * How far the topics of changes are behind the outbox, for Prometheus.
 *
 * @module
 */
import { Gauge, type Registry } from "prom-client";
import type { Query } from "../../database/database.ts";
import { readOldestWaiting } from "../../registry/outbox.ts";

/** Adds the gauge. It asks the database once a scrape; without an answer there is no figure. */
export function addChangesLag(metrics: Registry, query: Query, now: () => number): void {
  new Gauge({
    name: "pollwire_changes_lag_seconds",
    help:
      "Age of the oldest change of voters, candidates or parties that is not on its topic; 0 when none waits",
    labelNames: ["election"],
    registers: [metrics],
    async collect() {
      const waiting = await readOldestWaiting(query).catch(() => []);
      this.reset();
      for (const { election, atMs } of waiting) {
        // The clock of the process that made the change may be ahead.
        this.set({ election }, atMs === null ? 0 : Math.max(0, now() - atMs) / 1_000);
      }
    },
  });
}
