/**
 * Endpoints of what stations say of themselves: poll-book sign-ins, and statements of devices.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { signedDeviceStatementSchema } from "../../../shared/device_statement.ts";
import { idSchema } from "../../../shared/election.ts";
import { newestManifest } from "../../registry/manifests.ts";
import { isRefusal } from "../access/accounts.ts";
import type { OfficeSources } from "../sources.ts";
import { enterSignIns, MAX_SIGN_INS, readSignIns } from "../stations/sign_ins.ts";
import { noteDifference, readDeviceReconciliation, takeStatement } from "../stations/statements.ts";
import { addEndpoint, electionParams } from "./endpoint.ts";

const count = z.int().min(0);
const signInsSchema = z.strictObject({
  station: idSchema,
  hour: z.iso.datetime({ offset: true }).describe("The first moment of the hour"),
  voters: count.max(1_000_000),
});
const deviceSchema = z.object({
  device: idSchema,
  station: idSchema,
  sent: count.nullable().describe("Of the newest closing statement"),
  answered: count.nullable(),
  lastCast: z.string().nullable(),
  closedAt: z.string().nullable(),
  openedAt: z.string().nullable(),
  openedWith: count.nullable(),
  received: count.describe("Votes on the log, when it was last counted again"),
  counted: count,
  countedAt: z.string().nullable(),
  note: z.string().nullable(),
  notedBy: z.string().nullable(),
  differences: z.array(z.string()),
});

/** Adds them. */
export function addStationEndpoints(app: OpenAPIHono, sources: OfficeSources): void {
  const { db } = sources;
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/sign-ins",
    summary:
      `Enters poll-book sign-ins by station and hour, at most ${MAX_SIGN_INS} rows; those entered before are replaced`,
    askedBy: ["registrar", "official"],
    params: electionParams,
    body: z.strictObject({ rows: z.array(signInsSchema).min(1).max(MAX_SIGN_INS) }),
    answer: z.object({ entered: count }),
    problems: ["state-conflict"],
    async work({ params: { election }, body: { rows }, identity, now }) {
      const entered = await enterSignIns(sources, election, rows, identity.account, now);
      return isRefusal(entered) ? entered : { json: entered };
    },
  });
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/sign-ins",
    summary: "Poll-book sign-ins beside voters counted, absentee votes left out",
    askedBy: ["registrar", "official", "auditor"],
    params: electionParams,
    answer: z.object({
      stations: z.array(
        z.object({ station: idSchema, signIns: count, voters: count, hours: z.array(signInsSchema) }),
      ),
    }),
    work: async ({ params: { election } }) => ({
      json: { stations: await readSignIns(db.query, election) },
    }),
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/office/device-statements",
    summary: "A device states, signed with its proof key, what it has cast when it opens or closes",
    askedBy: "anyone",
    body: signedDeviceStatementSchema,
    answer: z.object({ device: idSchema, kind: z.string(), statedAt: z.string() }),
    problems: ["not-found", "state-conflict"],
    async work({ body, now }) {
      const taken = await takeStatement(sources, body, now);
      return isRefusal(taken) ? taken : { json: taken };
    },
  });
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/device-statements",
    summary: "What each device stated, with what was counted of it",
    askedBy: ["official", "auditor"],
    params: electionParams,
    answer: z.object({ devices: z.array(deviceSchema) }),
    async work({ params: { election }, now }) {
      const { acceptsUntil } = (await newestManifest(db.query, election))!;
      const isOver = now.getTime() > Date.parse(acceptsUntil);
      return { json: { devices: await readDeviceReconciliation(db.query, election, isOver) } };
    },
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/device-notes",
    summary:
      "Explains why a device's statement differs from what was counted; asked for before certification, and again when a figure changes",
    askedBy: ["official"],
    params: electionParams,
    body: z.strictObject({
      device: idSchema,
      note: z.string().trim().min(3).max(1_000).refine(
        (text) => text.isWellFormed() && !text.includes("\0"),
        "must be text without NUL characters",
      ),
    }),
    answer: deviceSchema,
    problems: ["not-found", "state-conflict"],
    async work({ params: { election }, body: { device, note }, identity, now }) {
      const noted = await noteDifference(sources, election, device, note, identity.account, now);
      return isRefusal(noted) ? noted : { status: 201, json: noted };
    },
  });
}
