/**
 * Endpoints of identities at OpenID providers. A person joins one to their own account, with a token of each.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { idSchema } from "../../../shared/election.ts";
import { problem } from "../../../shared/problem.ts";
import { isRefusal } from "../access/accounts.ts";
import { addIdentity, identitiesOf, revokeIdentity } from "../access/identities.ts";
import { MAX_TOKEN_CHARS } from "../access/tokens.ts";
import type { OfficeSources } from "../sources.ts";
import { addEndpoint } from "./endpoint.ts";

const identitySchema = z.object({
  identity: z.int(),
  issuer: z.string(),
  subject: z.string(),
  addedAt: z.string(),
});
const identityParams = z.object({
  identity: z.string().regex(/^[1-9]\d{0,14}$/, "must be a number").transform(Number),
});

/** Adds them. */
export function addIdentityEndpoints(app: OpenAPIHono, sources: OfficeSources): void {
  const { db, issuers } = sources;
  addEndpoint(app, sources, {
    method: "get",
    path: "/v1/office/identities",
    summary: "Your identities at OpenID providers",
    askedBy: "member",
    answer: z.object({ identities: z.array(identitySchema) }),
    work: async ({ identity }) => ({ json: { identities: await identitiesOf(db.query, identity.account) } }),
  });
  addEndpoint(app, sources, {
    method: "post",
    path: "/v1/office/identities",
    summary:
      "Joins an identity to your account: the request has a token of your key, its body one of the provider",
    askedBy: "member",
    recentLogin: true,
    body: z.strictObject({ accessToken: z.string().max(MAX_TOKEN_CHARS) }),
    answer: identitySchema,
    problems: ["state-conflict", "login-too-old"],
    async work({ identity, body: { accessToken }, now }) {
      if (identity.keyId === undefined) {
        return problem("not-allowed", "sign in with your key file: an identity cannot join another one");
      }
      const found = await issuers?.check(accessToken, now) ??
        { fault: "the office takes no tokens of OpenID providers" };
      if ("away" in found) return problem("not-ready", found.away);
      if ("fault" in found) return { refused: "invalid", detail: `accessToken: ${found.fault}` };
      const added = await addIdentity(db, identity.account, found, now);
      return isRefusal(added) ? added : { status: 201, json: added };
    },
  });
  addEndpoint(app, sources, {
    method: "delete",
    path: "/v1/office/identities/{identity}",
    summary: "Takes an identity of yours away: its tokens are refused from now on",
    askedBy: "member",
    params: identityParams,
    answer: identitySchema,
    problems: ["not-found"],
    async work({ identity: { account }, params, now }) {
      const revoked = await revokeIdentity(db, account, params.identity, now);
      return isRefusal(revoked) ? revoked : { json: revoked };
    },
  });
  addEndpoint(app, sources, {
    method: "delete",
    path: "/v1/office/accounts/{account}/identities/{identity}",
    summary: "Takes an identity of an account away",
    askedBy: ["admin"],
    params: identityParams.extend({ account: idSchema }),
    answer: identitySchema,
    problems: ["not-found"],
    async work({ params: { account, identity }, now }) {
      const revoked = await revokeIdentity(db, account, identity, now);
      return isRefusal(revoked) ? revoked : { json: revoked };
    },
  });
}
