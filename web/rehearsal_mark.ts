/**
 * The watermark of rehearsals: every answer about one has a header, and JSON says it in its first field. It looks at the id in the
 * address alone, so that no route can forget it.
 *
 * @module
 */
import type { Context, MiddlewareHandler } from "hono";
import { isRehearsal, REHEARSAL_HEADER } from "../shared/rehearsal.ts";

/** What the name of a file of a rehearsal begins with. */
const FILE_PREFIX = "REHEARSAL-";

/** The election that a request is about; `undefined` when its address names none. */
function electionOf(c: Context): string | undefined {
  const inPath = /^\/(?:v1\/elections|embed)\/([^/]+)/.exec(c.req.path)?.[1];
  if (inPath !== undefined) return inPath;
  const named = c.req.query("election");
  if (named !== undefined) return named;
  const shown = c.req.path === "/oembed" ? c.req.query("url") : undefined;
  return shown === undefined
    ? undefined
    : /\/embed\/([a-z0-9-]+)/.exec(shown)?.[1] ?? /[?&]election=([a-z0-9-]+)/.exec(shown)?.[1];
}

/** Marks answers about rehearsals. Idempotent. */
export const markRehearsals: MiddlewareHandler = async (c, next) => {
  await next();
  const election = electionOf(c);
  if (election === undefined || !isRehearsal(election) || c.res.headers.has(REHEARSAL_HEADER)) return;
  const { status, headers } = c.res;
  const marked = new Headers(headers);
  marked.set(REHEARSAL_HEADER, "true");
  const disposition = headers.get("content-disposition");
  if (disposition !== null) {
    marked.set("content-disposition", disposition.replace('filename="', `filename="${FILE_PREFIX}`));
  }
  // Hono joins the headers of an answer with those of the one that replaces it.
  const answer = await markBody(c, marked);
  c.res = undefined;
  c.res = new Response(answer, { status, headers: marked });
};

/** Files that leave the house say it themselves: their bytes are signed. */
async function markBody(c: Context, headers: Headers): Promise<BodyInit | null> {
  const { body } = c.res;
  const isJson = /^application\/(?:problem\+)?json\b/.test(headers.get("content-type") ?? "");
  if (body === null || !isJson || /\/exports\//.test(c.req.path)) return body;
  const text = await new Response(body).text();
  headers.delete("content-length");
  if (!text.startsWith("{") || text.startsWith(`{"rehearsal":true`)) return text;
  return text === "{}" ? `{"rehearsal":true}` : `{"rehearsal":true,${text.slice(1)}`;
}

type JsonSchema = { $ref?: string; type?: unknown; properties?: Record<string, unknown>; [key: string]: any };
type OpenApiDocument = { paths?: Record<string, any>; components?: { schemas?: Record<string, any> } };

const MARK_SCHEMA = {
  type: "boolean",
  enum: [true],
  description: "Its votes are test votes: docs/office.md, Rehearsal",
};
const MARK_HEADER = {
  description: "`true` where it is about a rehearsal",
  schema: { type: "string", enum: ["true"] },
};

/** Data of the stream's events. */
const STREAM_EVENTS = ["Release", "Progress", "Tick"];

/** Adds the mark to the description of every answer about an election. */
export function describeMarks<Described extends object>(described: Described): Described {
  const document = structuredClone(described) as OpenApiDocument;
  for (const [path, methods] of Object.entries(document.paths ?? {})) {
    if (!path.includes("{election}") && path !== "/oembed") continue;
    for (const { responses = {} } of Object.values(methods) as { responses?: Record<string, any> }[]) {
      for (const answer of Object.values(responses)) {
        answer.headers = { ...answer.headers, [REHEARSAL_HEADER]: MARK_HEADER };
        for (const [type, { schema }] of Object.entries((answer.content ?? {}) as Record<string, any>)) {
          if (/json$/.test(type) && !/\/exports\//.test(path)) addMark(schema, document);
        }
      }
    }
  }
  for (const event of STREAM_EVENTS) addMark(document.components?.schemas?.[event], document);
  return document as Described;
}

function addMark(schema: JsonSchema | undefined, document: OpenApiDocument): void {
  if (schema === undefined) return;
  if (schema.$ref !== undefined) {
    return addMark(document.components?.schemas?.[schema.$ref.split("/").at(-1)!], document);
  }
  for (const member of [...schema.oneOf ?? [], ...schema.anyOf ?? []]) addMark(member, document);
  if (schema.type === "object") schema.properties = { rehearsal: MARK_SCHEMA, ...schema.properties };
}
