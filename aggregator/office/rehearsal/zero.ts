/**
 * The proof of zero: before the first vote nothing is on the log of a rehearsal, nothing is counted and nothing is published.
 *
 * @module
 */
import { logEnds } from "../../../shared/log/vote_log.ts";
import { type Query, queryOne } from "../../database/database.ts";
import { newestManifest } from "../../registry/manifests.ts";
import type { OfficeSources } from "../sources.ts";
import { type Difference, type Rehearsal, type RehearsalReport, writeReport } from "./store.ts";

/** What must be 0, by what people call it. */
const COUNTED: Readonly<Record<string, string>> = {
  "records read": "SELECT coalesce(sum(records_read), 0) FROM counting.log_positions WHERE election = $1",
  "records with an outcome":
    "SELECT coalesce(sum(records), 0) FROM counting.outcome_counts WHERE election = $1",
  "held records": "SELECT count(*) FROM counting.held WHERE election = $1",
  "voters who have voted": "SELECT count(*) FROM counting.participations WHERE election = $1",
  "voters in tallies": "SELECT coalesce(sum(voters), 0) FROM counting.tallies WHERE election = $1",
  "releases": "SELECT count(*) FROM results.releases WHERE election = $1",
};

/** Makes and signs the proof. */
export async function proveZero(
  { db, keys, openLog }: OfficeSources,
  election: string,
  { rehearsal, deckSha256 }: Rehearsal,
  account: string,
  now: Date,
): Promise<RehearsalReport> {
  const { partitions, stations, contests, gateways } = (await newestManifest(db.query, rehearsal))!;
  const ends = await logEnds(await openLog(rehearsal, partitions));
  return await db.transaction(async (query) => {
    const found: Record<string, number> = {};
    for (const [what, sql] of Object.entries(COUNTED)) found[what] = await numberOf(query, sql, rehearsal);
    found["entries on the log"] = ends.reduce((sum, end) => sum + end, 0);
    const differences = Object.entries(found).filter(([, number]) => number !== 0)
      .map(([what, number]): Difference => ({ what, expected: 0, found: number }));
    return await writeReport(query, {
      rehearsal,
      kind: "zero",
      differences,
      facts: {
        of: election,
        deckSha256,
        found,
        devices: await numberOf(
          query,
          "SELECT count(DISTINCT device) FROM registry.device_keys WHERE election = $1",
          rehearsal,
        ),
        stations: stations.length,
        contests: contests.length,
        gateways: gateways.length,
      },
      account,
      now,
      notes: keys.notes,
    });
  });
}

async function numberOf(query: Query, sql: string, election: string): Promise<number> {
  return (await queryOne<{ number: number }>(query, `SELECT (${sql})::float8 AS number`, [election])).number;
}
