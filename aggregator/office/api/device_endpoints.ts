/**
 * Endpoints of devices: the registrar's, and the one at which a device fetches its keys.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { idSchema } from "../../../shared/election.ts";
import { isRefusal } from "../access/accounts.ts";
import {
  enrolDevice,
  issueCode,
  listDevices,
  redeemCode,
  revokeDevice,
  rotateDevice,
} from "../accreditation/devices.ts";
import type { OfficeSources } from "../sources.ts";
import { addEndpoint, electionParams, reasonSchema } from "./endpoint.ts";

/** How long a rotated key may stay good, in seconds: a day. */
const MAX_OVERLAP_S = 86_400;

const deviceParams = electionParams.extend({ device: idSchema });
const codeSchema = z.object({
  device: idSchema,
  version: z.int(),
  station: idSchema,
  code: z.string().describe("Told once, and good once, for 24 hours"),
  expiresAt: z.string(),
});

/** Adds them. */
export function addDeviceEndpoints(app: OpenAPIHono, sources: OfficeSources): void {
  addKeys(app, sources);
  addCodes(app, sources);
}

function addKeys(app: OpenAPIHono, sources: OfficeSources): void {
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/elections/{election}/devices",
    summary: "All device keys, with their codes and revocations",
    askedBy: ["registrar", "official", "auditor"],
    params: electionParams,
    answer: z.object({
      devices: z.array(z.object({
        device: idSchema,
        version: z.int(),
        station: idSchema,
        validUntil: z.string().nullable(),
        isRevoked: z.boolean(),
        codeExpiresAt: z.string().nullable().describe("Of a code that was not used yet"),
        enrolledAt: z.string().nullable(),
      })),
    }),
    work: async ({ params }) => ({ json: { devices: await listDevices(sources, params.election) } }),
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/devices/{device}/rotate",
    summary: "Gives a device its next key, and a code to fetch it with",
    askedBy: ["registrar"],
    params: deviceParams,
    body: z.strictObject({ overlapS: z.int().min(0).max(MAX_OVERLAP_S).default(600) }),
    answer: codeSchema,
    problems: ["not-found", "state-conflict"],
    async work({ params: { election, device }, body, identity, now }) {
      const issued = await rotateDevice(sources, election, device, body.overlapS, identity.account, now);
      return isRefusal(issued) ? issued : { json: issued };
    },
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/devices/{device}/revoke",
    summary: "Revokes a version of a device's key: gateways refuse it within seconds",
    askedBy: ["registrar", "official"],
    params: deviceParams,
    body: z.strictObject({
      version: z.int().min(1).max(999_999),
      reason: reasonSchema,
    }),
    answer: z.object({ manifestVersion: z.int() }),
    problems: ["not-found", "state-conflict"],
    async work({ params: { election, device }, body: { version, reason }, now }) {
      const revoked = await revokeDevice(sources, election, device, version, reason, now);
      return isRefusal(revoked) ? revoked : { json: revoked };
    },
  });
}

function addCodes(app: OpenAPIHono, sources: OfficeSources): void {
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/devices",
    summary: "Adds a device, with a one-time code",
    askedBy: ["registrar"],
    params: electionParams,
    body: z.strictObject({ device: idSchema, station: idSchema }),
    answer: codeSchema,
    problems: ["state-conflict"],
    async work({ params: { election }, body: { device, station }, identity, now }) {
      const issued = await enrolDevice(sources, election, device, station, identity.account, now);
      return isRefusal(issued) ? issued : { status: 201, json: issued };
    },
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/elections/{election}/devices/{device}/codes",
    summary: "Issues another code for a device's newest key; an earlier one is good no longer",
    askedBy: ["registrar"],
    params: deviceParams,
    answer: codeSchema,
    problems: ["not-found", "state-conflict"],
    async work({ params: { election, device }, identity, now }) {
      const issued = await issueCode(sources, election, device, identity.account, now);
      return isRefusal(issued) ? issued : { status: 201, json: issued };
    },
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/office/enrolments",
    summary: "A device fetches its keys with its one-time code",
    askedBy: "anyone",
    body: z.strictObject({ code: z.string().min(1).max(64) }),
    answer: z.object({
      election: idSchema,
      device: idSchema,
      version: z.int(),
      station: idSchema,
      key: z.string(),
      proofKey: z.string(),
      answerKey: z.string(),
    }),
    problems: ["not-found", "state-conflict"],
    async work({ body: { code }, now }) {
      const identity = await redeemCode(sources, code, now);
      return isRefusal(identity) ? identity : { json: identity };
    },
  });
}
