/**
 * Endpoints of rehearsals: below the election that is rehearsed, with its roles.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { idSchema } from "../../../shared/election.ts";
import { type Problem, problem } from "../../../shared/problem.ts";
import { isRefusal, type Refusal } from "../access/accounts.ts";
import { compareRehearsal } from "../rehearsal/compare.ts";
import { DECK_LIMITS } from "../rehearsal/deck.ts";
import { closeRehearsal, resetRehearsal } from "../rehearsal/end.ts";
import { deckOf, REHEARSAL_MINUTES, startRehearsal } from "../rehearsal/start.ts";
import { readRehearsal, readRehearsals, readReports, type Rehearsal } from "../rehearsal/store.ts";
import { proveZero } from "../rehearsal/zero.ts";
import type { OfficeSources } from "../sources.ts";
import {
  addEndpoint,
  bytesSchema,
  electionParams,
  type OfficeAnswer,
  reasonSchema,
  textOf,
} from "./endpoint.ts";

const rehearsalParams = electionParams.extend({
  number: z.string().regex(/^[1-9]\d{0,2}$/, "must be a rehearsal's number").transform(Number),
});
const rehearsalSchema = z.object({
  number: z.int(),
  rehearsal: idSchema.describe("The election that is voted in"),
  deckSha256: z.string(),
  isPublished: z.boolean().describe(
    "Whether its final release is made, so that a comparison has published totals",
  ),
  startedBy: z.string(),
  startedAt: z.string(),
  resetBy: z.string().nullable(),
  resetAt: z.string().nullable(),
  resetReason: z.string().nullable(),
});
const reportSchema = z.object({
  number: z.int(),
  kind: z.enum(["zero", "comparison"]),
  differences: z.int(),
  report: z.string().describe("JSON, the exact text whose SHA-256 the note has"),
  note: z.string().describe("A C2SP signed note"),
  madeBy: z.string(),
  madeAt: z.string(),
});

/** Adds them. */
export function addRehearsalEndpoints(app: OpenAPIHono, sources: OfficeSources): void {
  addReading(app, sources);
  addStart(app, sources);
  addSteps(app, sources);
}

function addReading(app: OpenAPIHono, sources: OfficeSources): void {
  const { db } = sources;
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/rehearsals",
    summary: "Rehearsals of the election, the newest first",
    askedBy: ["official", "auditor"],
    params: electionParams,
    answer: z.object({ rehearsals: z.array(rehearsalSchema) }),
    work: async ({ params: { election } }) => ({
      json: { rehearsals: await readRehearsals(db.query, election) },
    }),
  });
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/rehearsals/{number}/reports",
    summary: "Proofs of zero and comparisons of a rehearsal, signed. They stay after a reset",
    askedBy: ["official", "auditor"],
    params: rehearsalParams,
    answer: z.object({ reports: z.array(reportSchema) }),
    problems: ["not-found"],
    work: ({ params }) =>
      withRehearsal(sources, params, async ({ rehearsal }) => ({
        json: { reports: await readReports(db.query, rehearsal) },
      })),
  });
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/rehearsal-deck.yaml",
    summary:
      "A test deck of the election: every candidate gets another total, every station and device is used",
    askedBy: ["official", "auditor"],
    params: electionParams,
    answer: "A deck, YAML",
    work: async ({ params: { election } }) => ({
      text: await deckOf(db.query, election),
      type: "text/plain; charset=utf-8",
    }),
  });
}

function addStart(app: OpenAPIHono, sources: OfficeSources): void {
  const { min, max, default: minutes } = REHEARSAL_MINUTES;
  const wrong = `must be a whole number from ${min} to ${max}`;
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/rehearsals",
    summary:
      "Starts a rehearsal with a test deck: another election with keys, log and roll of its own, open at once. The body is the deck",
    askedBy: ["official"],
    params: electionParams,
    query: z.object({
      minutes: z.coerce.number({ error: wrong }).int(wrong).min(min, wrong).max(max, wrong).default(minutes)
        .describe("How long it is open"),
      aggregator: z.url().default("http://127.0.0.1:8000").describe(
        "Where gateways find the aggregator, for a gateway's file that is not there yet",
      ),
    }),
    body: bytesSchema,
    maxBytes: DECK_LIMITS.bytes,
    answer: z.object({
      rehearsal: rehearsalSchema,
      closesAt: z.string(),
      files: z.array(z.string()).describe("Where the office wrote keys of gateways, devices and roles"),
    }),
    problems: ["state-conflict"],
    async work({ params: { election }, query: { minutes, aggregator }, body, identity, now }) {
      const deck = textOf(body);
      if (deck === undefined) return { refused: "invalid", detail: "the deck must be UTF-8" };
      const asked = { deck, minutes, aggregators: [aggregator] };
      const started = await startRehearsal(sources, election, asked, identity.account, now);
      return isRefusal(started) ? started : { status: 201, json: started };
    },
  });
}

function addSteps(app: OpenAPIHono, sources: OfficeSources): void {
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/rehearsals/{number}/zero",
    summary: "Proves, signed, that nothing is on the rehearsal's log, counted or published",
    askedBy: ["official"],
    params: rehearsalParams,
    answer: reportSchema,
    problems: ["not-found", "state-conflict"],
    work: ({ params, identity, now }) =>
      whileLive(sources, params, async (rehearsal) => ({
        status: 201,
        json: await proveZero(sources, params.election, rehearsal, identity.account, now),
      })),
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/rehearsals/{number}/close",
    summary: "Closes voting in the rehearsal now",
    askedBy: ["official"],
    params: rehearsalParams,
    answer: z.object({ closesAt: z.string(), acceptsUntil: z.string() }),
    problems: ["not-found", "state-conflict"],
    work: ({ params, identity, now }) =>
      whileLive(sources, params, async (rehearsal) => {
        const closed = await closeRehearsal(sources, params.election, rehearsal, identity.account, now);
        return isRefusal(closed) ? closed : { json: closed };
      }),
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/rehearsals/{number}/comparison",
    summary:
      "Compares, signed, what was counted and published with the deck: every cell that differs is named. Published totals once the final release is made",
    askedBy: ["official", "auditor"],
    params: rehearsalParams,
    answer: reportSchema.extend({
      isPublished: z.boolean().describe("Whether published totals were compared"),
    }),
    problems: ["not-found", "state-conflict"],
    work: ({ params, identity, now }) =>
      whileLive(sources, params, async (rehearsal) => ({
        status: 201,
        json: await compareRehearsal(sources, params.election, rehearsal, identity.account, now),
      })),
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/rehearsals/{number}/reset",
    summary:
      "Resets the rehearsal: its votes, log, keys and voters are destroyed. The real election is not touched",
    askedBy: ["official"],
    params: rehearsalParams,
    body: z.strictObject({
      reason: reasonSchema,
    }),
    answer: rehearsalSchema,
    problems: ["not-found", "state-conflict"],
    work: ({ params, body: { reason }, identity, now }) =>
      withRehearsal(sources, params, async (rehearsal) => {
        const done = await resetRehearsal(sources, params.election, rehearsal, reason, identity.account, now);
        return isRefusal(done) ? done : { json: done };
      }),
  });
}

type Work = (rehearsal: Rehearsal) => Promise<OfficeAnswer | Refusal>;
type Named = Readonly<{ election: string; number: number }>;

async function withRehearsal(
  { db }: OfficeSources,
  { election, number }: Named,
  work: Work,
): Promise<OfficeAnswer | Refusal | Problem> {
  const rehearsal = await readRehearsal(db.query, election, number);
  if (rehearsal !== undefined) return await work(rehearsal);
  return problem("not-found", `there is no rehearsal ${number}; GET …/rehearsals lists them`);
}

async function whileLive(
  sources: OfficeSources,
  named: Named,
  work: Work,
): Promise<OfficeAnswer | Refusal | Problem> {
  return await withRehearsal(sources, named, async (rehearsal) => {
    if (rehearsal.resetAt === null) return await work(rehearsal);
    return { refused: "conflict", detail: `the rehearsal was reset at ${rehearsal.resetAt}` };
  });
}
