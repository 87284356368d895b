/**
 * Checks an election's data, and keeps the result.
 *
 * Each check is a statement of its own, and so of one moment: counting goes on between them. A recount is of one moment, too: while
 * counting goes on it is one long transaction, which keeps an embedded database from everything else.
 *
 * @module
 */
import type { Manifest } from "../../../shared/election.ts";
import type { VoteLog } from "../../../shared/log/vote_log.ts";
import { openHistory } from "../../counting/history.ts";
import { isBeingRebuilt } from "../../counting/rebuild_lease.ts";
import { recount } from "../../counting/recount.ts";
import { type Database, isDatabaseAway, queryOne } from "../../database/database.ts";
import { newestManifest } from "../../registry/manifests.ts";
import { OfficeError } from "../../registry/office_error.ts";
import type { OfficeSources } from "../sources.ts";
import { blankShare, identicalStations, stationDifferences } from "./plausibility.ts";
import {
  candidatesExist,
  definitionComplete,
  layoutsFit,
  participationsOnRoll,
  rollComplete,
  rollPlaces,
  stationsExist,
} from "./references.ts";
import {
  CHECK_CODES,
  type CheckCode,
  type CheckResult,
  type Finding,
  notChecked,
  resultOf,
} from "./result.ts";
import { storeDeviceCounts } from "../stations/statements.ts";
import { deviceStatements, signIns } from "./stations.ts";
import { newestRun, type QualityRun, writeRun } from "./store.ts";
import {
  gapsExplained,
  outcomesBalance,
  releasesAddUp,
  releasesWithinCounts,
  sequenceNumbers,
  sums,
  sumsReleased,
  turnoutStations,
  turnoutWays,
  votesWithinRoll,
} from "./sums.ts";

type CheckInput = Readonly<{ db: Database; manifest: Manifest; now: Date }>;

/** How each check is made, but the one that takes the log. */
const CHECK_BY_CODE: Record<
  Exclude<CheckCode, "log_against_tables">,
  (input: CheckInput) => Promise<Finding>
> = {
  participations_on_roll: ({ db, manifest }) => participationsOnRoll(db.query, manifest.election),
  stations_exist: ({ db, manifest }) => stationsExist(db.query, manifest.election),
  candidates_exist: ({ db, manifest }) => candidatesExist(db.query, manifest.election),
  roll_places: ({ db, manifest }) => rollPlaces(db.query, manifest.election),
  layouts_fit: ({ db, manifest }) => layoutsFit(db.query, manifest.election),
  definition_complete: ({ db, manifest }) => definitionComplete(db.query, manifest),
  roll_complete: ({ db, manifest }) => rollComplete(db.query, manifest.election),
  votes_within_roll: ({ db, manifest }) => votesWithinRoll(db.query, manifest.election),
  sums: ({ db, manifest }) => sums(db.query, manifest.election),
  sums_released: ({ db, manifest }) => sumsReleased(db.query, manifest.election),
  turnout_ways: ({ db, manifest }) => turnoutWays(db.query, manifest.election),
  turnout_stations: ({ db, manifest }) => turnoutStations(db.query, manifest.election),
  releases_within_counts: ({ db, manifest }) => releasesWithinCounts(db.query, manifest.election),
  releases_add_up: ({ db, manifest }) => releasesAddUp(db.query, manifest.election),
  outcomes_balance: ({ db, manifest }) => outcomesBalance(db.query, manifest.election),
  gaps_explained: ({ db, manifest }) => gapsExplained(db.query, manifest.election),
  sequence_numbers: ({ db, manifest, now }) => sequenceNumbers(db, manifest.election, isOver(manifest, now)),
  blank_share: ({ db, manifest }) => blankShare(db.query, manifest.election),
  identical_stations: ({ db, manifest }) => identicalStations(db.query, manifest.election),
  station_differences: ({ db, manifest }) => stationDifferences(db.query, manifest.election),
  sign_ins: ({ db, manifest, now }) => signIns(db.query, manifest.election, isOver(manifest, now)),
  device_statements: ({ db, manifest, now }) =>
    deviceStatements(db.query, manifest.election, isOver(manifest, now)),
};

/** Whether all votes are in. */
function isOver({ acceptsUntil }: Manifest, now: Date): boolean {
  return now.getTime() > Date.parse(acceptsUntil);
}

/** Whether what was counted may be shown: k is 1, so all of it is published, and publishing has begun. */
export async function showsCounts(
  db: Database,
  { election, releaseThreshold, resultsBeforeClosing }: Manifest,
): Promise<boolean> {
  const { k, final } = await queryOne<{ k: number; final: boolean }>(
    db.query,
    `SELECT coalesce(max(release_threshold), 1)::float8 AS k, coalesce(bool_or(final_at IS NOT NULL), false) AS final
     FROM results.elections WHERE election = $1`,
    [election],
  );
  return Math.max(k, releaseThreshold) === 1 && (resultsBeforeClosing || final);
}

/** What is checked: `log` counts the log again, which takes as long as counting it did. */
export type RunOptions = Readonly<{ log: boolean }>;

/**
 * Checks an election, and keeps the result. Without the log, the result of the last recount stays beside the others.
 *
 * @throws {OfficeError} when there is no such election, or its tables are being rebuilt.
 */
export async function runChecks(
  sources: OfficeSources,
  election: string,
  now: Date,
  { log }: RunOptions,
): Promise<QualityRun & Readonly<{ recountDifferences?: number }>> {
  const { db } = sources;
  const manifest = await newestManifest(db.query, election);
  if (manifest === undefined) throw new OfficeError(`Cannot find election ${election}`);
  if (await isBeingRebuilt(db.query, election)) {
    throw new OfficeError(
      `Cannot check election ${election}: its tables are being rebuilt; wait until that has ended`,
    );
  }
  const before = await newestRun(db.query, election);
  const isShown = await showsCounts(db, manifest);
  const at = now.toISOString();
  const recounted = log ? await recountFinding(sources, manifest, now) : undefined;
  const checks: CheckResult[] = [];
  for (const code of CHECK_CODES) {
    if (code !== "log_against_tables") {
      checks.push(await check(code, () => CHECK_BY_CODE[code]({ db, manifest, now }), at, isShown));
    } else if (recounted !== undefined) {
      checks.push(resultOf(code, recounted, at, isShown));
    } else {
      const last = before?.checks.find((each) => each.code === code);
      checks.push(last ?? notChecked(code, at, "the log was not counted again yet"));
    }
  }
  const logCheckedAt = log ? at : before?.logCheckedAt ?? null;
  const run = await db.transaction((query) =>
    writeRun(query, election, { checkedAt: at, logCheckedAt, checks })
  );
  return recounted === undefined ? run : { ...run, recountDifferences: recounted.expected - recounted.found };
}

/** A check that breaks says so, and the others go on. */
async function check(
  code: CheckCode,
  find: () => Promise<Finding>,
  at: string,
  isShown: boolean,
): Promise<CheckResult> {
  try {
    return resultOf(code, await find(), at, isShown);
  } catch (error) {
    if (isDatabaseAway(error)) throw error;
    return notChecked(code, at, `it broke off: ${(error as Error).message}`);
  }
}

async function recountFinding(
  { db, keyring, openLog }: OfficeSources,
  manifest: Manifest,
  now: Date,
): Promise<Finding> {
  const { election, partitions } = manifest;
  const log: VoteLog = await openLog(election, partitions);
  const history = (await openHistory(db.query, election, keyring.master(election)))!;
  const { lines, differences, shown, devices } = await recount(db, log, history);
  await db.transaction((query) => storeDeviceCounts(query, election, devices, now));
  return {
    expected: lines,
    found: lines - differences,
    // The figures of a participation are vote ids, which are for receipts alone.
    rows: shown.map(({ line, tables, recount }) =>
      /^participation \d/.test(line)
        ? { what: line, expected: null, found: null }
        : { what: line, expected: recount, found: tables }
    ),
  };
}
