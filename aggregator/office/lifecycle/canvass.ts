/**
 * What a canvass has to settle before results can be certified: held records, gaps of the log, statements that do not fit, and other
 * checks that fail.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { type Query, queryOne } from "../../database/database.ts";
import { CHECK_CODES, type CheckCode, type CheckResult } from "../quality/result.ts";
import { failingChecks, newestRun, readWaivers } from "../quality/store.ts";

/** Kinds of work, in the order in which they are shown. */
const KINDS = ["held", "gaps", "statements", "check"] as const;
type Kind = (typeof KINDS)[number];

/** What gaps and statements are found by; every other check is a kind of its own. */
const KIND_OF: Partial<Record<CheckCode, Kind>> = {
  gaps_explained: "gaps",
  sequence_numbers: "statements",
  device_statements: "statements",
};

export const workSchema = z.object({
  kind: z.enum(KINDS),
  check: z.enum(CHECK_CODES).nullable().describe("The check that found it; null for held records"),
  open: z.int().describe("Records that are held, or lines that are wrong; 0: it could not be checked"),
});

/** One thing that is to be settled. */
export type CanvassWork = Readonly<z.infer<typeof workSchema>>;

/** What is to be settled now, by the newest checks. What two officials waived is settled. */
export async function readCanvassWork(query: Query, election: string): Promise<CanvassWork[]> {
  const { held } = await queryOne<{ held: number }>(
    query,
    "SELECT count(*)::float8 AS held FROM counting.held WHERE election = $1",
    [election],
  );
  const checks = (await newestRun(query, election))?.checks ?? [];
  const failing: readonly CheckCode[] = failingChecks(checks, await readWaivers(query, election));
  const holdsUp = ({ code, result }: CheckResult) =>
    failing.includes(code) || code === "log_against_tables" && result === "failed";
  const work: CanvassWork[] = checks.filter(holdsUp).map(({ code, expected, found }) => ({
    kind: KIND_OF[code] ?? "check",
    check: code,
    open: expected - found,
  }));
  if (held > 0) work.push({ kind: "held", check: null, open: held });
  return work.sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind));
}

/** The same in a few numbers, for an answer and the audit trail. */
export function sumOfWork(work: readonly CanvassWork[]): Record<string, string | number> {
  const of = (kind: Kind) => work.filter((each) => each.kind === kind);
  const openOf = (kind: Kind) => of(kind).reduce((sum, { open }) => sum + open, 0);
  return {
    held: openOf("held"),
    gaps: openOf("gaps"),
    statements: openOf("statements"),
    checks: of("check").map(({ check }) => check).join(", ") || "none",
  };
}
