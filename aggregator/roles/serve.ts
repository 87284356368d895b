/**
 * The role `serve`: page, API and event streams. It has no keys and opens no log: counting stores where the log ends.
 *
 * @module
 */
import type { Registry } from "prom-client";
import { readLogEnds } from "../counting/log_ends.ts";
import type { Database } from "../database/database.ts";
import { createPublicApp, type PublicApp, type PublicAppOptions } from "../public/app.ts";
import { votesFromIndex, votesFromResults } from "../results/candidate_votes.ts";
import type { TallyIndex } from "../results/index/tally_index.ts";

/** What serving needs. */
export type ServeOptions =
  & Pick<PublicAppOptions, "elections" | "streamLimits" | "addressLimits">
  & Readonly<{
    db: Database;
    /** Asked for the votes of one candidate; the results tables are when left out. */
    index?: TallyIndex;
    /** Where each partition of an election's log ends, in a process that has it open; from the database when left out. */
    logEnds?: PublicAppOptions["logEnds"];
    metrics: Registry;
    signal: AbortSignal;
    onError: PublicAppOptions["onError"];
  }>;

/** Makes the routes. */
export function servePublic(options: ServeOptions): PublicApp {
  const { db, index, logEnds, onError } = options;
  const results = votesFromResults(db.query);
  return createPublicApp({
    ...options,
    now: Date.now,
    logEnds: logEnds ?? ((election) => readLogEnds(db.query, election, new Date())),
    votesOf: index === undefined ? results : votesFromIndex(index, results, onError),
  });
}
