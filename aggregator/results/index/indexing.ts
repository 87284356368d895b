/**
 * The indexer as a part of the running aggregator, with its metrics.
 *
 * @module
 */
import type { Logger } from "@logtape/logtape";
import { Counter, Gauge, type Registry } from "prom-client";
import type { Databases } from "../../database/database.ts";
import { Lease } from "../../database/lease.ts";
import type { Elections } from "../../registry/election_names.ts";
import { Indexer } from "./indexer.ts";
import { readBehind } from "./sources.ts";
import type { TallyIndex } from "./tally_index.ts";

/**
 * How long nobody indexes when the aggregator that did has died, in milliseconds. Several at once would do no harm, but
 * the same work several times.
 */
const LEASE_MS = 6_000;

/** What following needs. */
export type IndexingOptions = Readonly<{
  databases: Pick<Databases, "publishing" | "reading">;
  index: TallyIndex;
  metrics: Registry;
  log: Logger;
  signal: AbortSignal;
  /** Shared with the other parts of the process; its own when left out. */
  elections?: Elections;
}>;

/**
 * Keeps the index up until the signal aborts, one aggregator at a time. Its faults are logged and counted, and never
 * thrown.
 */
export async function runIndexing(
  { databases, index, metrics, log, signal, elections }: IndexingOptions,
): Promise<void> {
  const { reading: db } = databases;
  const registers = [metrics];
  const documents = new Counter({
    name: "pollwire_index_documents_total",
    help: "Documents sent to the index, by what became of them",
    labelNames: ["index", "result"],
    registers,
  });
  const faults = new Counter({
    name: "pollwire_index_faults_total",
    help: "Times that the index could not be brought up, and was tried again",
    registers,
  });
  const rebuilds = new Counter({
    name: "pollwire_index_rebuilds_total",
    help: "Times that an index was rebuilt because its contents were wrong",
    labelNames: ["index"],
    registers,
  });
  const onFault = (what: string, error: unknown) => {
    faults.inc();
    log.error("{what}: {error}", { what, error: error instanceof Error ? error.message : String(error) });
  };
  let indexer: Indexer | undefined;
  addLag(metrics, async () => {
    // A process that does not index does not know how far the index is.
    return indexer && await readBehind(db.query, indexer.indexed, new Date()).catch(() => undefined);
  });
  const lease = new Lease(databases.publishing.query, "index", LEASE_MS);
  await lease.runInTurn(signal, async (turn) => {
    indexer = new Indexer({
      db,
      index,
      now: Date.now,
      signal: turn,
      elections,
      onUpserted(name, { written, alreadyThere, refused, refusals }) {
        documents.inc({ index: name, result: "written" }, written);
        documents.inc({ index: name, result: "already_there" }, alreadyThere);
        documents.inc({ index: name, result: "refused" }, refused);
        if (refused > 0) log.error("{refused} documents of {name} were refused", { refused, name, refusals });
      },
      onRebuilt(names, why) {
        for (const index of names) rebuilds.inc({ index });
        log.warn("{names} rebuilt: {why}", { names, why });
      },
      onFault,
    });
    await indexer.run();
    indexer = undefined;
  }, (error) => onFault("it is not known whose turn it is to index", error));
}

type Behind = Awaited<ReturnType<typeof readBehind>> | undefined;

/** Two gauges of one answer: a scrape collects both at once. Without an answer of the database there is no figure. */
function addLag(metrics: Registry, ask: () => Promise<Behind>): void {
  let asked: Promise<Behind> | undefined;
  const behind = () => asked ??= ask().finally(() => asked = undefined);
  const gauge = (name: string, help: string, valueOf: (behind: NonNullable<Behind>) => number) =>
    new Gauge({
      name,
      help,
      registers: [metrics],
      async collect() {
        const found = await behind();
        if (found === undefined) this.remove(); // Reset, it would tell of 0.
        else this.set(valueOf(found));
      },
    });
  gauge(
    "pollwire_index_lag_revisions",
    "Releases that are not in the index",
    ({ releases }) => releases,
  );
  gauge(
    "pollwire_index_lag_seconds",
    "Age of the oldest release that is not in the index",
    ({ seconds }) => seconds,
  );
}
