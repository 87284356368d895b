/**
 * Endpoints of the checks of an election's data.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Query } from "../../database/database.ts";
import { runChecks } from "../quality/run.ts";
import { CHECK_CODES, type CheckCode, SEVERITIES } from "../quality/result.ts";
import { failingChecks, newestRun, type QualityRun, readWaivers, waiverOf } from "../quality/store.ts";
import type { OfficeSources } from "../sources.ts";
import { addEndpoint, electionParams } from "./endpoint.ts";

const figure = z.union([z.number(), z.string()]).nullable();
const checkSchema = z.object({
  code: z.enum(CHECK_CODES),
  severity: z.enum(SEVERITIES),
  result: z.enum(["passed", "failed", "not_checked"]),
  compared: z.string(),
  expected: z.int().describe("Lines that were compared"),
  found: z.int().describe("Lines of them that are right"),
  rows: z.array(
    z.object({
      what: z.string(),
      expected: figure.describe("null: a count that is not published, while k or closing keeps it back"),
      found: figure,
    }),
  ).describe("Lines that are wrong"),
  more: z.int().describe("Wrong lines besides"),
  at: z.string(),
  fault: z.string().optional().describe("Why it could not be checked"),
  digest: z.string().describe("SHA-256 of what was found: a waiver names it"),
  waiver: z.object({
    reason: z.string(),
    proposedBy: z.string(),
    approvedBy: z.string(),
    waivedAt: z.string(),
  }).nullable(),
});
const qualitySchema = z.object({
  checkedAt: z.string().nullable().describe("null: nothing was checked yet"),
  logCheckedAt: z.string().nullable().describe("When the log was last counted again"),
  failing: z.array(z.string()).describe("Checks that hold up certification: failing and not waived"),
  checks: z.array(checkSchema),
});

async function qualityJson(
  query: Query,
  election: string,
  run: QualityRun | undefined,
): Promise<z.infer<typeof qualitySchema>> {
  if (run === undefined) return { checkedAt: null, logCheckedAt: null, failing: [], checks: [] };
  const { checkedAt, logCheckedAt, checks } = run;
  const waivers = await readWaivers(query, election);
  const failing: string[] = failingChecks(checks, waivers);
  const recounted = checks.find(({ code }: { code: CheckCode }) => code === "log_against_tables");
  if (recounted?.result === "failed") failing.push(recounted.code);
  return {
    checkedAt,
    logCheckedAt,
    failing,
    checks: checks.map((check) => ({
      ...check,
      rows: [...check.rows],
      waiver: waiverOf(waivers, check) ?? null,
    })),
  };
}

/** Adds them. */
export function addQualityEndpoints(app: OpenAPIHono, sources: OfficeSources): void {
  const { db } = sources;
  /** Runs that are under way here, by election: who asks meanwhile is answered with the same. */
  const running = new Map<string, Promise<QualityRun>>();
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/quality",
    summary: "The newest result of the checks of the data, with waivers",
    askedBy: ["official", "auditor"],
    params: electionParams,
    answer: qualitySchema,
    work: async ({ params: { election } }) => ({
      json: await qualityJson(db.query, election, await newestRun(db.query, election)),
    }),
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/quality",
    summary: "Checks the data now, and counts the log again: that takes as long as counting did",
    askedBy: ["official", "auditor"],
    params: electionParams,
    answer: qualitySchema,
    problems: ["state-conflict"],
    async work({ params: { election }, now }) {
      let run = running.get(election);
      if (run === undefined) {
        run = runChecks(sources, election, now, { log: true }).finally(() => running.delete(election));
        running.set(election, run);
      }
      return { json: await qualityJson(db.query, election, await run) };
    },
  });
}
