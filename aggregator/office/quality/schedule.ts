/**
 * Checks elections by themselves: those that run every ten minutes, those that are certified once a day.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { isDatabaseAway } from "../../database/database.ts";
import { Lease } from "../../database/lease.ts";
import { electionIds } from "../../registry/elections.ts";
import { readState } from "../lifecycle/state.ts";
import type { Phase } from "../lifecycle/transition.ts";
import type { OfficeSources } from "../sources.ts";
import { runChecks } from "./run.ts";
import { newestRun, type QualityRun } from "./store.ts";

/** How often an election is checked, in milliseconds, by where it stands. Those that are not here are not checked. */
export const CHECK_EVERY_MS: Readonly<Partial<Record<Phase, number>>> = {
  open: 600_000,
  paused: 600_000,
  closed: 600_000,
  canvass: 600_000,
  certified: 86_400_000,
};
/**
 * How often the log is counted again without being asked for, in milliseconds. Not before the canvass: while votes come in, an embedded
 * database does nothing else meanwhile.
 */
export const RECOUNT_EVERY_MS = 86_400_000;
/** How often elections are looked at, in milliseconds. */
const LOOK_EVERY_MS = 10_000;
/** How long a process that says nothing keeps the others from checking, in milliseconds: longer than one election takes. */
const LEASE_MS = 60_000;

/** Called after each run of the checks. */
export type OnQuality = (election: string, run: QualityRun) => void;

/** What {@link checkDue} may be given. */
export type DueOptions = Readonly<{
  onChecked?: OnQuality;
  /** Called when an election cannot be checked. When left out, the error is thrown. */
  onError?: (error: unknown) => void;
  /** When each election was last tried, milliseconds since 1970: what fails is not tried again at once. */
  tried?: Map<string, number>;
}>;

/** Checks every election that is due. Returns those that were checked. */
export async function checkDue(
  sources: OfficeSources,
  now: Date,
  { onChecked, onError, tried = new Map() }: DueOptions = {},
): Promise<string[]> {
  const checked: string[] = [];
  const report = (error: unknown) => {
    if (isDatabaseAway(error) || onError === undefined) throw error;
    onError(error);
  };
  for (const election of await electionIds(sources.db.query)) {
    try {
      const { phase } = await readState(sources.db.query, election, now);
      const everyMs = CHECK_EVERY_MS[phase];
      if (everyMs === undefined || now.getTime() - (tried.get(election) ?? -Infinity) < everyMs) continue;
      const before = await newestRun(sources.db.query, election);
      const sinceMs = (time: string | null | undefined) =>
        time == null ? Infinity : now.getTime() - Date.parse(time);
      if (sinceMs(before?.checkedAt) < everyMs) continue;
      tried.set(election, now.getTime());
      const log = ["canvass", "certified"].includes(phase) &&
        sinceMs(before?.logCheckedAt) >= RECOUNT_EVERY_MS;
      const run = await (log ? runChecks(sources, election, now, { log }).catch(report) : undefined) ??
        await runChecks(sources, election, now, { log: false });
      onChecked?.(election, run);
      checked.push(election);
    } catch (error) {
      // One election that cannot be checked keeps none of the others from it.
      report(error);
    }
  }
  return checked;
}

/** Checks elections that are due, in one process at a time, until the signal aborts. */
export async function keepChecking(
  sources: OfficeSources,
  signal: AbortSignal,
  onError: (error: unknown) => void,
  onChecked?: OnQuality,
): Promise<void> {
  const tried = new Map<string, number>();
  const report = (error: unknown) => {
    // While the database is away its watch says so.
    if (!signal.aborted && !isDatabaseAway(error)) onError(error);
  };
  await new Lease(sources.db.query, "quality", LEASE_MS).runInTurn(signal, async (turn) => {
    while (!turn.aborted) {
      const now = new Date(sources.now());
      await checkDue(sources, now, { onChecked, onError: report, tried }).catch(report);
      await delay(LOOK_EVERY_MS, undefined, { signal: turn }).catch(() => {});
    }
  }, report);
}
