/**
 * Endpoints of an election's alerts: what is wrong, and who has seen it.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { SEVERITIES } from "../../alerts/rules.ts";
import { acknowledge, MAX_LISTED_RESOLVED, readActive, readResolved } from "../../alerts/store.ts";
import type { OfficeSources } from "../sources.ts";
import { addEndpoint, electionParams, reasonSchema } from "./endpoint.ts";

/** How far back resolved alerts are listed, in milliseconds. */
const LIST_RESOLVED_MS = 7 * 86_400_000;

const alertSchema = z.object({
  alert: z.int(),
  rule: z.string(),
  subject: z.string().describe("A station, a gateway, a partition or a check; empty for the whole election"),
  severity: z.enum(SEVERITIES),
  summary: z.string(),
  raisedAt: z.string(),
  acknowledgedAt: z.string().nullable(),
  acknowledgedBy: z.string().nullable(),
  acknowledgement: z.string().nullable().describe("What the official said"),
  resolvedAt: z.string().nullable(),
});
const alertParams = electionParams.extend({
  alert: z.string().regex(/^[1-9]\d{0,14}$/, "must be an alert's number").transform(Number),
});
const acknowledgementSchema = z.strictObject({
  reason: reasonSchema,
});

/** Adds them. */
export function addAlertEndpoints(app: OpenAPIHono, sources: OfficeSources): void {
  const { db } = sources;
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/alerts",
    summary:
      `Alerts: all that are active, and those resolved in the last 7 days, at most ${MAX_LISTED_RESOLVED}`,
    askedBy: ["official", "auditor", "observer"],
    params: electionParams,
    answer: z.object({ active: z.array(alertSchema), resolved: z.array(alertSchema) }),
    async work({ params: { election }, now }) {
      const active = await readActive(db.query, election);
      const since = new Date(now.getTime() - LIST_RESOLVED_MS);
      return { json: { active, resolved: await readResolved(db.query, election, since) } };
    },
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/alerts/{alert}/acknowledge",
    summary: "Notes that you have seen an active alert, and what is done about it. Once for each alert",
    askedBy: ["official"],
    params: alertParams,
    body: acknowledgementSchema,
    answer: alertSchema,
    problems: ["not-found", "state-conflict"],
    async work({ params: { election, alert }, body, identity, now }) {
      const done = await acknowledge(db, election, alert, identity.account, body.reason, now);
      return "refused" in done ? done : { json: done };
    },
  });
}
