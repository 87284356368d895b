/**
 * An endpoint of the office's API: who may ask, what it takes, what it does. One declaration gives the check of the token and the
 * roles, the validation, and its description in OpenAPI. An endpoint without roles cannot be declared.
 *
 * @module
 */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { idSchema } from "../../../shared/election.ts";
import { readJson } from "../../../shared/json.ts";
import {
  fieldErrors,
  type Problem,
  problem,
  problemResponse,
  PROBLEMS,
  problemSchema,
  type ProblemType,
} from "../../../shared/problem.ts";
import { BODY_PROBLEMS, BodyReader, drain } from "../../../web/body.ts";
import { isOfType } from "../../../web/content_type.ts";
import type { ConnectionInfo } from "../../../web/serve.ts";
import { actAs } from "../../audit/actor.ts";
import { OfficeError } from "../../registry/office_error.ts";
import { isRefusal, type Refusal } from "../access/accounts.ts";
import { readAccess } from "../access/authorise.ts";
import type { OfficeRole } from "../access/roles.ts";
import { accountOf } from "../access/identities.ts";
import { checkToken, type Identity, isRecent, RECENT_LOGIN_S } from "../access/tokens.ts";
import type { OfficeSources } from "../sources.ts";

/** Largest body of a request to the office, in bytes. */
export const MAX_OFFICE_BODY_BYTES = 256 * 1024;

/** Who may ask. `anyone` needs no token; `member` is any account; roles are of the office, or of the election in the path. */
export type AskedBy = "anyone" | "member" | readonly OfficeRole[];

/** What an endpoint's work is given. */
export type Asked<Params, Query, Body> = Readonly<{
  params: Params;
  query: Query;
  body: Body;
  /** Who asks; of an endpoint for anyone, nobody. */
  identity: Identity;
  roles: readonly OfficeRole[];
  now: Date;
  headers: Headers;
}>;

/** An answer: JSON, or a text of a type of its own. */
export type OfficeAnswer =
  & Readonly<{ status?: 200 | 201; headers?: Record<string, string> }>
  & (Readonly<{ json: unknown }> | Readonly<{ text: string; type: string }>);

/** See {@link addEndpoint}. */
export type Endpoint<Params extends z.ZodType, Query extends z.ZodType, Body extends z.ZodType> = Readonly<{
  method: "get" | "post" | "put" | "delete";
  path: string;
  summary: string;
  askedBy: AskedBy;
  /** Takes a token of a sign-in of the last minutes. */
  recentLogin?: boolean;
  params?: Params;
  query?: Query;
  body?: Body;
  /** Forms are read into an object of texts. */
  form?: boolean;
  /** The body is bytes, at most so many; `body` is then `bytesSchema`. */
  maxBytes?: number;
  answer: z.ZodType | string;
  /** Problems beside those that every endpoint has. */
  problems?: readonly ProblemType[];
  work(
    asked: Asked<z.infer<Params>, z.infer<Query>, z.infer<Body>>,
  ): Promise<OfficeAnswer | Refusal | Problem>;
}>;

/** A body of bytes: see {@link Endpoint.maxBytes}. */
export const bytesSchema = z.instanceof(Uint8Array).openapi({ type: "string", format: "binary" });

/** Why an official does something: one line, which the audit trail keeps. */
export const reasonSchema = z.string().trim().min(1).max(2_000).regex(
  /^\P{Cc}*$/u,
  "must be one line of text",
);

/** The text of a file; `undefined` when it is not UTF-8. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

export const electionParams = z.object({ election: idSchema });

const REFUSALS = {
  "not-found": "not-found",
  conflict: "state-conflict",
  invalid: "invalid-request",
} as const;

const TEXT_PROBLEMS = ["unsupported-media-type", "not-utf8", "not-json", "duplicate-key"] as const;

const BYTES_TYPE = "application/octet-stream";

const noSchema = z.object({});
const problemContent = { "application/problem+json": { schema: z.object(problemSchema.shape) } };

/** Adds an endpoint to the app and to its OpenAPI document. */
export function addEndpoint<
  Params extends z.ZodType = typeof noSchema,
  Query extends z.ZodType = typeof noSchema,
  Body extends z.ZodType = typeof noSchema,
>(app: OpenAPIHono, sources: OfficeSources, endpoint: Endpoint<Params, Query, Body>): void {
  const route = routeOf(endpoint);
  app.openAPIRegistry.registerPath(route);
  const bodies = new BodyReader();
  app.on(endpoint.method.toUpperCase(), route.getRoutingPath(), async (c) => {
    const { now } = sources;
    const at = new Date(now());
    const granted = await grant(sources, endpoint, c, at);
    if ("type" in granted) return await refuse(c, granted);
    const asked = await readAsked(endpoint, bodies, c);
    if ("type" in asked) return await refuse(c, asked);
    const { address } = (c.env ?? {}) as Partial<ConnectionInfo>;
    const actor = { actor: `official:${granted.identity.account}`, address };
    return await actAs(
      actor,
      async () =>
        answer(
          c,
          await endpoint.work({ ...asked, ...granted, now: at, headers: c.req.raw.headers }).catch(
            refuseExpected,
          ),
        ),
    );
  });
}

/** What officials asked for and cannot be done is an answer; everything else is an error of the server. */
function refuseExpected(error: unknown): Refusal {
  if (error instanceof OfficeError) return { refused: "conflict", detail: error.message };
  throw error;
}

function routeOf<Params extends z.ZodType, Query extends z.ZodType, Body extends z.ZodType>(
  { method, path, summary, askedBy, answer, params, query, body, form, maxBytes, problems = [] }: Endpoint<
    Params,
    Query,
    Body
  >,
) {
  const type = form
    ? "application/x-www-form-urlencoded"
    : maxBytes === undefined
    ? "application/json"
    : BYTES_TYPE;
  const reasons = new Set<ProblemType>([
    ...problems,
    ...askedBy === "anyone" ? [] : ["token-missing", "token-invalid"] as const,
    ...Array.isArray(askedBy) ? ["not-allowed"] as const : [],
    ...path.includes("{election}") ? ["unknown-election"] as const : [],
    ...body === undefined
      ? []
      : [...BODY_PROBLEMS, ...maxBytes === undefined ? TEXT_PROBLEMS : TEXT_PROBLEMS.slice(0, 1)],
    ...body === undefined && query === undefined && params === undefined ? [] : ["invalid-request"] as const,
    "address-rate",
    "not-ready",
    "internal",
  ]);
  const responses: Record<number, { description: string; content: typeof problemContent }> = {};
  for (const reason of reasons) {
    const [status, title] = PROBLEMS[reason];
    const before = responses[status] === undefined ? "" : `${responses[status].description}; `;
    responses[status] = { description: `${before}${title} (\`${reason}\`)`, content: problemContent };
  }
  return createRoute(
    {
      method,
      path,
      summary,
      tags: ["office"],
      ...askedBy === "anyone" ? {} : { security: [{ officeToken: [] }] },
      "x-pollwire-asked-by": askedBy,
      request: {
        ...params === undefined ? {} : { params: params as never },
        ...query === undefined ? {} : { query: query as never },
        ...body === undefined
          ? {}
          : { body: { required: true, content: { [type]: { schema: body as never } } } },
      },
      responses: {
        200: typeof answer === "string"
          ? { description: answer, content: textContent(path) }
          : { description: "Done", content: { "application/json": { schema: answer as never } } },
        ...responses,
      },
    } as Parameters<typeof createRoute>[0],
  );
}

/** How an answer that is a text is described: by the name of the file that it is. */
function textContent(path: string) {
  if (path.endsWith(".json")) return { "application/json": { schema: z.looseObject({}) } };
  return { [path.endsWith(".csv") ? "text/csv" : "text/plain"]: { schema: z.string() } };
}

const NOBODY: Identity = { account: "", keyId: "", signedInAtMs: 0, tokenId: "" };

/** Who asks, and with which roles. No access to an election looks as if there were no such election. */
async function grant(
  sources: OfficeSources,
  { askedBy, recentLogin, path }: Pick<
    Endpoint<z.ZodType, z.ZodType, z.ZodType>,
    "askedBy" | "recentLogin" | "path"
  >,
  c: Context,
  now: Date,
): Promise<Readonly<{ identity: Identity; roles: readonly OfficeRole[] }> | Problem> {
  if (askedBy === "anyone") return { identity: NOBODY, roles: [] };
  const token = /^Bearer +(\S+)$/i.exec(c.req.header("authorization") ?? "")?.[1];
  if (token === undefined) {
    return problem("token-missing", "send Authorization: Bearer and a token of POST /v1/office/token");
  }
  const identity = await identify(sources, token, now);
  if ("type" in identity) return identity;
  const election = path.includes("{election}") ? c.req.param("election") : undefined;
  const access = await readAccess(sources.db.query, identity, election);
  if (access === undefined) return problem("token-invalid", "the key that signed in was revoked");
  const { roles } = access;
  const isTooOld = recentLogin && !isRecent(identity, now);
  if (askedBy === "member") return isTooOld ? loginTooOld() : { identity, roles };
  if (election !== undefined && roles.length === 0) return unknownElection();
  if (!roles.some((role) => askedBy.includes(role))) {
    return problem("not-allowed", `this takes the role ${askedBy.join(" or ")}`);
  }
  if (isTooOld) return loginTooOld();
  return { identity, roles };
}

function loginTooOld(): Problem {
  return problem("login-too-old", `sign in again: this takes a sign-in of the last ${RECENT_LOGIN_S} s`);
}

/** Who a token is for: one of the office's own, or of an OpenID provider. */
async function identify(
  { db, keys, issuers }: OfficeSources,
  token: string,
  now: Date,
): Promise<Identity | Problem> {
  if (!issuers?.has(token)) {
    const identity = await checkToken(token, keys.tokens, now);
    return "fault" in identity ? problem("token-invalid", identity.fault) : identity;
  }
  const found = await issuers.check(token, now);
  if ("away" in found) return problem("not-ready", found.away);
  if ("fault" in found) return problem("token-invalid", found.fault);
  const { issuer, subject, signedInAtMs, tokenId } = found;
  const account = await accountOf(db.query, issuer, subject);
  if (account === undefined) {
    return problem(
      "token-invalid",
      "no account has this identity: sign in with your key file, and join it by POST /v1/office/identities",
    );
  }
  return { account, keyId: undefined, signedInAtMs, tokenId };
}

function unknownElection(): Problem {
  return problem("unknown-election", "GET /v1/office/elections lists those that you have a role in");
}

type Read = Readonly<{ params: never; query: never; body: never }>;

async function readAsked(
  { params, query, body, form, maxBytes }: Pick<
    Endpoint<z.ZodType, z.ZodType, z.ZodType>,
    "params" | "query" | "body" | "form" | "maxBytes"
  >,
  bodies: BodyReader,
  c: Context,
): Promise<Read | Problem> {
  const path = parse(params, c.req.param());
  if (path !== undefined && "type" in path) {
    return path.errors?.[0]?.path === "election" ? unknownElection() : problem("not-found", path.detail);
  }
  const search = parse(query, c.req.query());
  if (search !== undefined && "type" in search) return search as Problem;
  const content = body === undefined ? undefined : await readBody(bodies, c.req.raw, form === true, maxBytes);
  if (content !== undefined && "type" in content) return content;
  const given = parse(body, content?.value);
  if (given !== undefined && "type" in given) return given as Problem;
  return { params: path?.value as never, query: search?.value as never, body: given?.value as never };
}

function parse(schema: z.ZodType | undefined, value: unknown): { value: unknown } | Problem | undefined {
  if (schema === undefined) return undefined;
  const read = schema.safeParse(value);
  if (read.success) return { value: read.data };
  const errors = fieldErrors(read.error as z.ZodError);
  return problem("invalid-request", `${errors[0]!.path}: ${errors[0]!.message}`, { errors });
}

async function readBody(
  bodies: BodyReader,
  request: Request,
  form: boolean,
  maxBytes: number | undefined,
): Promise<{ value: unknown } | Problem> {
  if (maxBytes !== undefined) return await readBytes(bodies, request, maxBytes);
  const type = form ? "application/x-www-form-urlencoded" : "application/json";
  if (!isOfType(request.headers.get("content-type"), type)) {
    return problem("unsupported-media-type", `the body must be ${type}`);
  }
  const bytes = await bodies.read(request, MAX_OFFICE_BODY_BYTES);
  if (!(bytes instanceof Uint8Array)) return bytes;
  if (form) {
    return { value: Object.fromEntries(new URLSearchParams(new TextDecoder().decode(bytes))) };
  }
  const read = readJson(bytes);
  return "reason" in read ? problem(read.reason, read.detail) : read;
}

async function readBytes(
  bodies: BodyReader,
  request: Request,
  maxBytes: number,
): Promise<{ value: unknown } | Problem> {
  if (!isOfType(request.headers.get("content-type"), BYTES_TYPE)) {
    return problem("unsupported-media-type", `the body must be ${BYTES_TYPE}`);
  }
  const bytes = await bodies.read(request, maxBytes);
  return bytes instanceof Uint8Array ? { value: bytes } : bytes;
}

async function refuse(c: Context, found: Problem): Promise<Response> {
  // Left unread, a body would keep the connection from its next request.
  if (!c.req.raw.bodyUsed) await drain(c.req.raw);
  return problemResponse(found, {
    "cache-control": "no-store",
    // RFC 6750, section 3.
    ...found.status === 401 && { "www-authenticate": `Bearer realm="pollwire-office"` },
    ...found.status === 503 && { "retry-after": "5" },
  });
}

async function answer(c: Context, found: OfficeAnswer | Refusal | Problem): Promise<Response> {
  if (isRefusal(found)) return await refuse(c, problem(REFUSALS[found.refused], found.detail));
  if ("type" in found && "title" in found) return await refuse(c, found);
  const { status = 200, headers = {} } = found;
  const more = { "cache-control": "no-store", ...headers };
  if ("text" in found) {
    return new Response(found.text, { status, headers: { ...more, "content-type": found.type } });
  }
  return new Response(JSON.stringify(found.json), {
    status,
    headers: { ...more, "content-type": "application/json" },
  });
}
