/**
 * Results of checks as they are kept, and officials' waivers of checks that fail.
 *
 * @module
 */
import { appendAudit } from "../../audit/events.ts";
import { isoTime, type Query, queryOne } from "../../database/database.ts";
import { OfficeError } from "../../registry/office_error.ts";
import { type CheckCode, type CheckResult } from "./result.ts";

/** Runs that are kept of an election, the newest. */
export const MAX_RUNS = 50;
/** Key of the advisory lock that numbers runs; any number, the same in every process. */
const RUN_LOCK = 7_026_414;

/** The checks of an election at one time. `logCheckedAt`: when the log was last counted again. */
export type QualityRun = Readonly<{
  run: number;
  checkedAt: string;
  logCheckedAt: string | null;
  checks: readonly CheckResult[];
}>;

/** Two officials' word that a check which fails need not hold up certification. */
export type Waiver = Readonly<{ reason: string; proposedBy: string; approvedBy: string; waivedAt: string }>;

/** Keeps a run, and drops the oldest. */
export async function writeRun(
  query: Query,
  election: string,
  { checkedAt, logCheckedAt, checks }: Omit<QualityRun, "run">,
): Promise<QualityRun> {
  await query("SELECT pg_advisory_xact_lock($1::bigint)", [RUN_LOCK]);
  const { run } = await queryOne<{ run: number }>(
    query,
    `INSERT INTO office.quality_runs (election, run, checked_at, log_checked_at, result)
     SELECT $1::text, coalesce(max(run), 0) + 1, $2::timestamptz, $3::timestamptz, $4 FROM office.quality_runs
     WHERE election = $1::text RETURNING run::float8 AS run`,
    [election, checkedAt, logCheckedAt, JSON.stringify(checks)],
  );
  await query("DELETE FROM office.quality_runs WHERE election = $1 AND run <= $2::bigint", [
    election,
    run - MAX_RUNS,
  ]);
  return { run, checkedAt, logCheckedAt, checks };
}

/** The newest run; `undefined` when nothing was checked yet. */
export async function newestRun(query: Query, election: string): Promise<QualityRun | undefined> {
  const [row] = await query<Omit<QualityRun, "checks"> & { result: string }>(
    `SELECT run::float8 AS run, ${isoTime("checked_at")} AS "checkedAt", ${
      isoTime("log_checked_at")
    } AS "logCheckedAt", result
     FROM office.quality_runs WHERE election = $1 ORDER BY run DESC LIMIT 1`,
    [election],
  );
  if (row === undefined) return undefined;
  const { result, ...run } = row;
  return { ...run, checks: JSON.parse(result) };
}

/** Waivers of an election, by code and what was found. */
export async function readWaivers(query: Query, election: string): Promise<Map<string, Waiver>> {
  const rows = await query<Waiver & { key: string }>(
    `SELECT check_code || '/' || encode(found, 'hex') AS key, reason, proposed_by AS "proposedBy",
       approved_by AS "approvedBy", ${isoTime("waived_at")} AS "waivedAt"
     FROM office.quality_waivers WHERE election = $1`,
    [election],
  );
  return new Map(rows.map(({ key, ...waiver }) => [key, waiver]));
}

/** The waiver of a check that failed with exactly this finding. */
export function waiverOf(
  waivers: ReadonlyMap<string, Waiver>,
  { code, digest, result }: CheckResult,
): Waiver | undefined {
  return result === "failed" ? waivers.get(`${code}/${digest}`) : undefined;
}

/** Codes of what holds up certification: checks that fail and are not waived, or could not be made. A recount is asked for by itself. */
export function failingChecks(
  checks: readonly CheckResult[],
  waivers: ReadonlyMap<string, Waiver>,
): CheckCode[] {
  return checks.filter((check) =>
    check.code !== "log_against_tables" && check.result !== "passed" && waiverOf(waivers, check) === undefined
  ).map(({ code }) => code);
}

/** What the newest run says that holds up certification; nothing when nobody has checked. */
export async function newestFailing(query: Query, election: string): Promise<CheckCode[]> {
  const run = await newestRun(query, election);
  return run === undefined ? [] : failingChecks(run.checks, await readWaivers(query, election));
}

/** What a waiver takes: the check, and the digest of its result, so that officials waive what they were shown. */
export type WaivedCheck = Readonly<{ check: CheckCode; found: string }>;

/**
 * Waives a check, in the caller's transaction.
 *
 * @throws {OfficeError} when the newest run of the checks does not say what is to be waived.
 */
export async function waiveCheck(
  query: Query,
  election: string,
  { check: code, found }: WaivedCheck,
  { reason, proposedBy, approvedBy }: Readonly<{ reason: string; proposedBy: string; approvedBy: string }>,
  now: Date,
): Promise<{ check: string; found: string }> {
  const check = (await newestRun(query, election))?.checks.find((each) => each.code === code);
  if (check?.result !== "failed") {
    throw new OfficeError(`Cannot waive ${code}: it did not fail when the data was last checked`);
  }
  if (check.digest !== found) {
    throw new OfficeError(
      `Cannot waive ${code}: it found something else when the data was last checked; look at it again, its digest is ${check.digest}`,
    );
  }
  await query(
    `INSERT INTO office.quality_waivers (election, check_code, found, reason, proposed_by, approved_by, waived_at)
     VALUES ($1, $2, decode($3, 'hex'), $4, $5, $6, $7::timestamptz) ON CONFLICT DO NOTHING`,
    [election, code, found, reason, proposedBy, approvedBy, now.toISOString()],
  );
  await appendAudit(query, now, "check_waived", election, { check: code, found });
  return { check: code, found };
}

/** What the newest run says of each check, in a line without a figure of votes: for alerts. A waived check has passed. */
export type CheckSummary = Readonly<{ check: CheckCode; hasPassed: boolean; detail: string }>;

/** Reads it; nothing when nobody has checked. A check that was not made says nothing. */
export async function readCheckSummaries(query: Query, election: string): Promise<CheckSummary[]> {
  const run = await newestRun(query, election);
  if (run === undefined) return [];
  const waivers = await readWaivers(query, election);
  return run.checks.filter(({ result, fault }) =>
    result !== "not_checked" || fault?.startsWith("it broke off")
  ).map((
    check,
  ) => ({
    check: check.code,
    hasPassed: check.result === "passed" || waiverOf(waivers, check) !== undefined,
    detail: check.fault ?? `${check.found} of ${check.expected} are right (${check.compared})`,
  }));
}
