/**
 * The role `index`: writes what is released to Elasticsearch and to the topics beside the log. It has no keys.
 *
 * @module
 */
import type { Logger } from "@logtape/logtape";
import type { Registry } from "prom-client";
import type { Databases } from "../database/database.ts";
import type { Elections } from "../registry/election_names.ts";
import { runIndexing } from "../results/index/indexing.ts";
import type { TallyIndex } from "../results/index/tally_index.ts";
import { runViews } from "../results/topics.ts";
import type { Views } from "../results/views.ts";

/** What indexing needs. */
export type IndexOptions = Readonly<{
  /** Manifests and names, kept once in a process. */
  elections: Elections;
  databases: Pick<Databases, "publishing" | "reading">;
  /** Where releases are indexed; nowhere when left out. */
  index?: TallyIndex;
  /** Where views are written to, if anywhere. */
  views?: Views;
  metrics: Registry;
  log: Logger;
  signal: AbortSignal;
  onFault(what: string, error: unknown): void;
}>;

/** Writes until the signal aborts. What fails is tried again. */
export async function runIndex(
  { databases, elections, index, views, metrics, log, signal, onFault }: IndexOptions,
): Promise<void> {
  const running: Promise<void>[] = [];
  if (index !== undefined) running.push(runIndexing({ databases, elections, index, metrics, log, signal }));
  if (views !== undefined) {
    running.push(runViews({ views, databases, signal, onFault }));
    // What is read of brokers that are away is given up.
    signal.addEventListener("abort", () => void views.close().catch(() => {}), { once: true });
  }
  await Promise.all(running);
}
