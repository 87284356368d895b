/**
 * Endpoints of signing in, accounts and roles.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { idSchema } from "../../../shared/election.ts";
import { problem } from "../../../shared/problem.ts";
import {
  addKey,
  approveKey,
  approveRole,
  createAccount,
  isRefusal,
  readAccounts,
  requestRole,
  revokeKey,
  revokeRole,
} from "../access/accounts.ts";
import { readAccess, readOwnElections } from "../access/authorise.ts";
import { publicJwkSchema, publicKeyOf } from "../access/keys.ts";
import { roleSchema } from "../access/roles.ts";
import { MAX_TOKEN_CHARS, takeAssertion, TOKEN_LIFETIME_S } from "../access/tokens.ts";
import type { OfficeSources } from "../sources.ts";
import { addEndpoint } from "./endpoint.ts";

const instant = z.string();
const accountId = idSchema;
const grantSchema = z.object({
  grant: z.int(),
  account: accountId,
  role: roleSchema,
  election: z.string().nullable(),
  requestedBy: z.string(),
  requestedAt: instant,
  approvedBy: z.string().nullable(),
  grantedAt: instant.nullable(),
});
const keySchema = z.object({
  keyId: z.string(),
  addedAt: instant,
  requestedBy: z.string().nullable(),
  approvedBy: z.string().nullable(),
  grantedAt: instant.nullable(),
  revokedAt: instant.nullable(),
});
const keyParams = z.object({ account: accountId, key: z.string().max(64) });
const accountSchema = z.object({
  account: accountId,
  name: z.string(),
  createdAt: instant,
  keys: z.array(keySchema),
  roles: z.array(grantSchema),
});
const grantParams = z.object({
  grant: z.string().regex(/^[1-9]\d{0,14}$/, "must be a number").transform(Number),
});

/** Adds them. */
export function addAccessEndpoints(app: OpenAPIHono, sources: OfficeSources): void {
  addSignIn(app, sources);
  addAccounts(app, sources);
  addRoles(app, sources);
}

function addSignIn(app: OpenAPIHono, sources: OfficeSources): void {
  const { db, keys } = sources;
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/office/token",
    summary: "An access token for an assertion that is signed with the account's key (RFC 7523)",
    askedBy: "anyone",
    form: true,
    body: z.object({
      grant_type: z.literal("urn:ietf:params:oauth:grant-type:jwt-bearer"),
      assertion: z.string().max(MAX_TOKEN_CHARS),
    }),
    answer: z.object({ access_token: z.string(), token_type: z.literal("Bearer"), expires_in: z.int() }),
    problems: ["token-invalid"],
    async work({ body, now }) {
      const taken = await db.transaction((query) => takeAssertion(query, body.assertion, keys, now));
      if ("fault" in taken) return problem("token-invalid", taken.fault);
      return { json: { access_token: taken.token, token_type: "Bearer", expires_in: TOKEN_LIFETIME_S } };
    },
  });
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/office/me",
    summary: "Who asks, and with which roles",
    askedBy: "member",
    answer: z.object({
      account: accountId,
      isAdmin: z.boolean(),
      elections: z.array(z.object({ election: idSchema, roles: z.array(roleSchema) })),
    }),
    async work({ identity }) {
      const access = await readAccess(db.query, identity, undefined);
      const elections = await readOwnElections(db.query, identity.account);
      return {
        json: { account: identity.account, isAdmin: access?.roles.includes("admin") ?? false, elections },
      };
    },
  });
}

function addAccounts(app: OpenAPIHono, sources: OfficeSources): void {
  const { db } = sources;
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/office/accounts",
    summary: "All accounts, with keys and roles",
    askedBy: ["admin"],
    answer: z.object({ accounts: z.array(accountSchema) }),
    work: async () => ({ json: { accounts: await readAccounts(db.query) } }),
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/office/accounts",
    summary: "Creates an account with its first key",
    askedBy: ["admin"],
    body: z.strictObject({
      account: accountId,
      name: z.string().trim().min(1).max(200),
      key: publicJwkSchema,
    }),
    answer: z.object({ account: accountId }),
    problems: ["state-conflict"],
    async work({ body: { account, name, key }, now }) {
      const created = await createAccount(db, account, name, await publicKeyOf(key), now);
      return isRefusal(created) ? created : { status: 201, json: created };
    },
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/office/accounts/{account}/keys",
    summary: "Gives an account a further key; that of an official or administrator waits for a second one",
    askedBy: ["admin"],
    params: z.object({ account: accountId }),
    body: z.strictObject({ key: publicJwkSchema }),
    answer: keySchema,
    problems: ["not-found", "state-conflict"],
    async work({ params, body, identity, now }) {
      const added = await addKey(db, params.account, await publicKeyOf(body.key), identity.account, now);
      return isRefusal(added) ? added : { status: 201, json: added };
    },
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/office/accounts/{account}/keys/{key}/approve",
    summary: "A second administrator approves a key of an official or administrator",
    askedBy: ["admin"],
    recentLogin: true,
    params: keyParams,
    answer: keySchema,
    problems: ["not-found", "state-conflict", "login-too-old"],
    async work({ params, identity, now }) {
      const approved = await approveKey(db, params.account, params.key, identity.account, now);
      return isRefusal(approved) ? approved : { json: approved };
    },
  });
  addEndpoint(app, sources, {
    method: "delete",
    path: "/v1/office/accounts/{account}/keys/{key}",
    summary: "Revokes a key, or takes a request for one back: its tokens are refused from now on",
    askedBy: ["admin"],
    params: keyParams,
    answer: z.object({ keyId: z.string() }),
    problems: ["not-found"],
    async work({ params, now }) {
      const revoked = await revokeKey(db, params.account, params.key, now);
      return isRefusal(revoked) ? revoked : { json: revoked };
    },
  });
}

function addRoles(app: OpenAPIHono, sources: OfficeSources): void {
  const { db } = sources;
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/office/grants",
    summary: "Gives an account a role; official and admin wait for a second administrator",
    askedBy: ["admin"],
    body: z.strictObject({ account: accountId, role: roleSchema, election: idSchema.optional() }),
    answer: grantSchema,
    problems: ["not-found", "state-conflict"],
    async work({ body: { account, role, election }, identity, now }) {
      const grant = await requestRole(db, account, role, election ?? null, identity.account, now);
      return isRefusal(grant) ? grant : { status: 201, json: grant };
    },
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/office/grants/{grant}/approve",
    summary: "A second administrator approves a role",
    askedBy: ["admin"],
    recentLogin: true,
    params: grantParams,
    answer: grantSchema,
    problems: ["not-found", "state-conflict", "login-too-old"],
    async work({ params, identity, now }) {
      const grant = await approveRole(db, params.grant, identity.account, now);
      return isRefusal(grant) ? grant : { json: grant };
    },
  });
  addEndpoint(app, sources, {
    method: "delete",
    path: "/v1/office/grants/{grant}",
    summary: "Takes a role away, or a request for one back",
    askedBy: ["admin"],
    params: grantParams,
    answer: grantSchema,
    problems: ["not-found", "state-conflict"],
    async work({ params, now }) {
      const grant = await revokeRole(db, params.grant, now);
      return isRefusal(grant) ? grant : { json: grant };
    },
  });
}
