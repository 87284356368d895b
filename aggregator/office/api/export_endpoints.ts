/**
 * Endpoints of results that leave the house.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { type Problem, problem } from "../../../shared/problem.ts";
import { COMPARISON_FILE, eventLogOf, ExportFiles, PUBLIC_FILES, type PublicFile } from "../exports/files.ts";
import type { ExportFault } from "../exports/published.ts";
import { recountReport } from "../exports/recount_report.ts";
import type { OfficeSources } from "../sources.ts";
import { addEndpoint, electionParams, type OfficeAnswer } from "./endpoint.ts";

const formatSchema = z.object({
  format: z.enum(["exact", "spreadsheet"]).default("exact").describe(
    "spreadsheet: texts that a spreadsheet would run as formulas begin with an apostrophe. SHA256SUMS has the exact file",
  ),
});
const versionSchema = z.object({
  version: z.string().regex(/^[1-9]\d{0,8}$/, "must be the number of a certified version").transform(Number)
    .optional().describe("A certified version; what is published now when left out"),
});
const csvSchema = versionSchema.extend(formatSchema.shape);

const SUMMARIES: Record<PublicFile, string> = {
  "openelections.csv": "Published votes by station, candidate and mode, as OpenElections writes them",
  "err-v2.json": "Published results as NIST SP 1500-100 version 2",
  "turnout.csv": "Voters whose votes are published, by station and mode",
};

function answerOf(made: string | ExportFault, name: string): OfficeAnswer | Problem {
  if (typeof made === "string") {
    const type = name.endsWith(".csv")
      ? "text/csv"
      : name.endsWith(".json")
      ? "application/json"
      : "text/plain";
    return {
      text: made,
      type: `${type}; charset=utf-8`,
      headers: { "content-disposition": `attachment; filename="${name}"` },
    };
  }
  switch (made.fault) {
    case "unknown-election":
      return problem("unknown-election", "GET /v1/elections lists those that there are");
    case "no-such-version":
      return problem("not-found", "there is no such certified version; GET …/certified lists them");
    case "no-comparison":
      return problem(
        "not-found",
        "no contest is compared with an earlier election; comparisons are there after the final release",
      );
    case "too-large":
      return problem("state-conflict", "the file would be too large: read the results by the API, in parts");
  }
}

/** Adds them. */
export function addExportEndpoints(app: OpenAPIHono, sources: OfficeSources): void {
  const { db, keys } = sources;
  const files = new ExportFiles(db, keys.notes, sources.now);
  for (const name of PUBLIC_FILES) {
    addEndpoint(app, sources, {
      method: "get",
      path: `/v1/elections/{election}/exports/${name}`,
      summary: SUMMARIES[name],
      askedBy: "anyone",
      params: electionParams,
      query: name.endsWith(".csv") ? csvSchema : versionSchema,
      answer: "The file",
      problems: ["not-found", "state-conflict"],
      work: async ({ params: { election }, query }) => {
        const { version, format } = query as z.infer<typeof csvSchema>;
        return answerOf(await files.file(election, name, version, format), name);
      },
    });
  }
  addEndpoint(app, sources, {
    method: "get",
    path: `/v1/elections/{election}/exports/${COMPARISON_FILE}`,
    summary:
      "Results beside those of earlier elections, by region and station; after the final release, and of no version",
    askedBy: "anyone",
    params: electionParams,
    query: formatSchema,
    answer: "The file",
    problems: ["not-found", "state-conflict"],
    work: async ({ params: { election }, query: { format } }) =>
      answerOf(await files.comparison(election, format), COMPARISON_FILE),
  });
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/exports/SHA256SUMS",
    summary: "The SHA-256 of each file, as sha256sum writes it, signed by the office (a C2SP note)",
    askedBy: "anyone",
    params: electionParams,
    query: versionSchema,
    answer: "A signed note",
    problems: ["not-found", "state-conflict"],
    work: async ({ params: { election }, query: { version } }) =>
      answerOf(await files.sums(election, version), "SHA256SUMS"),
  });
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/exports/event-log.json",
    summary: "The audit trail as NIST SP 1500-101; of a certified version, up to its certification",
    askedBy: ["official", "auditor"],
    params: electionParams,
    query: versionSchema,
    answer: "The file",
    problems: ["not-found", "state-conflict"],
    work: async ({ params: { election }, query: { version } }) =>
      answerOf(
        await db.transaction((query) => eventLogOf(query, election, version), "snapshot"),
        "event-log.json",
      ),
  });
  addWithoutFile(app, sources);
  addRecount(app, sources);
}

/** Ballots one by one: there are none to give. */
function addWithoutFile(app: OpenAPIHono, sources: OfficeSources): void {
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/exports/cvr-v1.json",
    summary: "Cast vote records (NIST SP 1500-103): not made, see docs/exports.md",
    askedBy: ["official"],
    params: electionParams,
    query: versionSchema,
    answer: "Never",
    problems: ["not-found"],
    work: () =>
      Promise.resolve(problem(
        "not-found",
        "cast vote records are not made: no ballot is stored, and a list of ballots could tell who voted for whom; " +
          "err-v2.json has the results of every published unit",
      )),
  });
}

function addRecount(app: OpenAPIHono, sources: OfficeSources): void {
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/recount",
    summary:
      "Counts the log again and reports, signed: the same log gives the same bytes. It takes as long as counting did",
    askedBy: ["official", "auditor"],
    params: electionParams,
    answer: z.object({
      report: z.string().describe("JSON, the exact text whose SHA-256 the note has"),
      note: z.string().describe("A C2SP signed note"),
      differences: z.int(),
    }),
    problems: ["state-conflict"],
    work: async ({ params: { election } }) => ({ json: await recountReport(sources, election) }),
  });
}
