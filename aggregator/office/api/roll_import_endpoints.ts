/**
 * Endpoints of roll imports: a file is announced, sent in parts, checked, and committed. Its check writes nothing to the roll.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { hexKeySchema } from "../../../shared/election.ts";
import { isRefusal, type Refusal } from "../access/accounts.ts";
import { MAX_KEPT, readKept, RollImportJobs } from "../accreditation/roll_import_jobs.ts";
import {
  addPart,
  beginImport,
  discardImport,
  IMPORT_LIMITS,
  IMPORT_STATUSES,
  ImportKey,
  readImport,
  readImports,
  readReport,
  type RollImport,
} from "../accreditation/roll_imports.ts";
import { FINDING_KINDS, findingsCsv } from "../roll_file.ts";
import type { OfficeSources } from "../sources.ts";
import { addEndpoint, bytesSchema, electionParams, type OfficeAnswer } from "./endpoint.ts";

const importSchema = z.object({
  import: z.int(),
  name: z.string(),
  bytes: z.int(),
  sha256: z.string(),
  status: z.enum(IMPORT_STATUSES),
  begunAt: z.string(),
  begunBy: z.string(),
  changedAt: z.string(),
  uploaded: z.int().describe("Bytes that are here: send the next part from there"),
  rows: z.int().nullable().describe("Rows of the file, once it was checked"),
  done: z.int().describe("Rows that the work of this status has gone through"),
  added: z.int(),
  known: z.int().describe("Rows of voters who were on the roll already"),
  kept: z.int().describe("Voters whom a revert left on the roll, because they have voted"),
  isRunning: z.boolean().describe("Whether a process works on it, or died less than 20 s ago"),
  fault: z.string().optional().describe("What its last work failed with; ask for it again to go on"),
});
const reportSchema = z.object({
  rows: z.int(),
  voters: z.int().describe("Rows without a bad value"),
  fresh: z.int().describe("Voters who would be put on the roll"),
  known: z.int(),
  total: z.record(z.enum(FINDING_KINDS), z.int()),
  notes: z.array(z.string()),
  fault: z.string().optional().describe("Why the file cannot be read as a roll at all"),
  findings: z.array(z.object({
    kind: z.enum(FINDING_KINDS),
    line: z.int(),
    column: z.string(),
    value: z.string(),
    problem: z.string(),
  })),
});
const importParams = electionParams.extend({
  import: z.string().regex(/^[1-9]\d{0,8}$/, "must be a number").transform(Number),
});
const fileSchema = z.strictObject({
  name: z.string().min(1).max(200).regex(/^[^\p{Cc}/\\]*$/u, "must be a file's name, without a path"),
  bytes: z.int().min(1).max(IMPORT_LIMITS.fileBytes),
  sha256: hexKeySchema,
});

/** Adds them. */
export function addRollImportEndpoints(app: OpenAPIHono, sources: OfficeSources): void {
  const jobs = new RollImportJobs(sources);
  const json = async (election: string, found: RollImport) => ({
    ...found,
    ...await jobs.state(election, found.import),
  });
  const answer: Answer = async (election, found, status) =>
    isRefusal(found) ? found : { ...status && { status }, json: await json(election, found) };
  addFiles(app, sources, json, answer);
  addWork(app, sources, jobs, answer);
  addReports(app, sources);
}

type Answer = (
  election: string,
  found: RollImport | Refusal,
  status?: 200 | 201,
) => Promise<OfficeAnswer | Refusal>;

function addFiles(
  app: OpenAPIHono,
  sources: OfficeSources,
  json: (election: string, found: RollImport) => Promise<object>,
  answer: Answer,
): void {
  const { db } = sources;
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/roll-imports",
    summary: `Imports of rolls, newest first, at most ${IMPORT_LIMITS.listed}`,
    askedBy: ["registrar", "official", "auditor"],
    params: electionParams,
    answer: z.object({ imports: z.array(importSchema) }),
    async work({ params: { election } }) {
      const imports = await readImports(db.query, election);
      return { json: { imports: await Promise.all(imports.map((each) => json(election, each))) } };
    },
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/roll-imports",
    summary: "Announces a roll file. The same file goes on where its import stands",
    askedBy: ["registrar"],
    params: electionParams,
    body: fileSchema,
    answer: importSchema,
    problems: ["state-conflict"],
    async work({ params: { election }, body, identity, now }) {
      return await answer(election, await beginImport(db, election, body, identity.account, now), 201);
    },
  });
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/roll-imports/{import}",
    summary: "Where an import stands",
    askedBy: ["registrar", "official", "auditor"],
    params: importParams,
    answer: importSchema,
    problems: ["not-found"],
    work: async ({ params: { election, import: number } }) =>
      await answer(election, await readImport(db.query, election, number)),
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/roll-imports/{import}/parts",
    summary: `Sends a part of the file, at most ${IMPORT_LIMITS.partBytes} bytes, from an offset on`,
    askedBy: ["registrar"],
    params: importParams,
    query: z.object({ from: z.string().regex(/^\d{1,10}$/, "must be an offset in bytes").transform(Number) }),
    body: bytesSchema,
    maxBytes: IMPORT_LIMITS.partBytes,
    answer: z.object({ uploaded: z.int() }),
    problems: ["not-found", "state-conflict"],
    async work({ params: { election, import: number }, query: { from }, body, now }) {
      const key = new ImportKey(election, sources.keyring.master(election));
      const added = await addPart(db, election, number, from, body, key, now);
      return isRefusal(added) ? added : { json: added };
    },
  });
  addEndpoint(app, sources, {
    method: "delete",
    path: "/v1/elections/{election}/roll-imports/{import}",
    summary: "Ends an import that has put nobody on the roll",
    askedBy: ["registrar"],
    params: importParams,
    answer: importSchema,
    problems: ["not-found", "state-conflict"],
    work: async ({ params: { election, import: number }, now }) =>
      await answer(election, await discardImport(db, election, number, now)),
  });
}

function addWork(app: OpenAPIHono, sources: OfficeSources, jobs: RollImportJobs, answer: Answer): void {
  for (
    const [work, summary] of [
      ["check", "Checks the file: a dry run, which writes nothing to the roll"],
      ["commit", "Puts the file's voters on the roll, or goes on with it after a fault"],
      ["revert", "Strikes the import's voters who have not voted"],
    ] as const
  ) {
    addEndpoint(app, sources, {
      method: "post",
      path: `/v1/elections/{election}/roll-imports/{import}/${work}`,
      summary: `${summary}. It goes on behind the answer`,
      askedBy: ["registrar"],
      params: importParams,
      answer: importSchema,
      problems: ["not-found", "state-conflict"],
      work: async ({ params: { election, import: number }, now }) =>
        await answer(election, await jobs.start(work, election, number, now)),
    });
  }
}

function addReports(app: OpenAPIHono, sources: OfficeSources): void {
  const { db, keyring } = sources;
  const report = (election: string, number: number) =>
    readReport(db.query, election, number, new ImportKey(election, keyring.master(election)));
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/roll-imports/{import}/report",
    summary: "What the check found: line, column, value, and what would be right",
    askedBy: ["registrar", "auditor"],
    params: importParams,
    answer: reportSchema,
    problems: ["not-found", "state-conflict"],
    async work({ params: { election, import: number } }) {
      const found = await report(election, number);
      return isRefusal(found) ? found : { json: found };
    },
  });
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/roll-imports/{import}/report.csv",
    summary: "What the check found, as CSV",
    askedBy: ["registrar", "auditor"],
    params: importParams,
    answer: "CSV: kind, line, column, value, problem",
    problems: ["not-found", "state-conflict"],
    async work({ params: { election, import: number } }) {
      const found = await report(election, number);
      if (isRefusal(found)) return found;
      return { text: findingsCsv(found.findings), type: "text/csv; charset=utf-8" };
    },
  });
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/roll-imports/{import}/voted",
    summary: `The import's voters who have voted, whom a revert leaves on the roll; at most ${MAX_KEPT}`,
    askedBy: ["registrar", "auditor"],
    params: importParams,
    answer: z.object({ voters: z.array(z.string()), isAll: z.boolean() }),
    problems: ["not-found"],
    async work({ params: { election, import: number } }) {
      const kept = await readKept(sources, election, number);
      return isRefusal(kept) ? kept : { json: kept };
    },
  });
}
