/**
 * Endpoints of the audit trail: events of a chain, and its signed head.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { newestHead, readHead, signHead } from "../../audit/heads.ts";
import { readEvents, readNewestEvents } from "../../audit/verify.ts";
import type { Query } from "../../database/database.ts";
import type { OfficeSources } from "../sources.ts";
import { addEndpoint, electionParams } from "./endpoint.ts";

/** Most events of one answer. */
const MAX_EVENTS = 1_000;

const eventSchema = z.object({
  election: z.string().nullable(),
  number: z.int(),
  at: z.string(),
  event: z.string(),
  actor: z.string(),
  address: z.string().nullable(),
  reason: z.string().nullable(),
  before: z.unknown(),
  after: z.unknown(),
  details: z.unknown(),
  previous: z.string(),
  hash: z.string(),
});
const pageSchema = z.object({
  after: z.string().regex(/^\d{1,15}$/, "must be an event's number").transform(Number).default(0),
  newest: z.string().regex(/^[1-9]\d{0,3}$/, "must be a number of events").transform(Number)
    .refine((newest) => newest <= MAX_EVENTS, `must be ${MAX_EVENTS} at most`).optional()
    .describe("The newest so many instead, oldest first"),
});

/** Adds them. */
export function addAuditEndpoints(app: OpenAPIHono, sources: OfficeSources): void {
  const { db, keys } = sources;
  const answer = z.object({ events: z.array(eventSchema) });
  const head = (query: Query, election: string | null, now: Date) =>
    currentHead(query, election, keys.notes, now);
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/office/audit",
    summary: `Events of the office's chain, oldest first, at most ${MAX_EVENTS}`,
    askedBy: ["admin"],
    query: pageSchema,
    answer,
    work: async ({ query }) => ({ json: { events: await page(db.query, null, query) } }),
  });
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/office/audit/head",
    summary: "The signed head of the office's chain (a C2SP note): keep it outside of this server",
    askedBy: ["admin"],
    answer: "A signed note",
    work: async ({ now }) => ({ text: await head(db.query, null, now), type: "text/plain; charset=utf-8" }),
  });
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/audit",
    summary: `Events of an election's chain, oldest first, at most ${MAX_EVENTS}`,
    askedBy: ["official", "auditor"],
    params: electionParams,
    query: pageSchema,
    answer,
    work: async ({ params, query }) => ({ json: { events: await page(db.query, params.election, query) } }),
  });
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/audit/head",
    summary: "The signed head of an election's chain (a C2SP note): keep it outside of this server",
    askedBy: ["official", "auditor", "observer"],
    params: electionParams,
    answer: "A signed note",
    work: async ({ params, now }) => ({
      text: await head(db.query, params.election, now),
      type: "text/plain; charset=utf-8",
    }),
  });
}

async function page(
  query: Query,
  election: string | null,
  { after, newest }: z.infer<typeof pageSchema>,
): Promise<z.infer<typeof eventSchema>[]> {
  return newest === undefined
    ? await readEvents(query, election, after, MAX_EVENTS)
    : await readNewestEvents(query, election, newest);
}

/** The newest signed head, signed now if the chain has grown since. */
export async function currentHead(
  query: Query,
  election: string | null,
  key: OfficeSources["keys"]["notes"],
  now: Date,
): Promise<string> {
  const kept = await newestHead(query, election);
  const { number } = await readHead(query, election, now);
  return kept !== undefined && kept.number === number ? kept.note : await signHead(query, election, key, now);
}
