/**
 * The HTTP interface of one process: health, metrics and its OpenAPI document, and the routes of the roles that it runs.
 *
 * @module
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context, MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import { Counter, type Registry } from "prom-client";
import { addApiDocs } from "../../web/api_docs.ts";
import { describeMarks } from "../../web/rehearsal_mark.ts";
import { drain } from "../../web/body.ts";
import { isDatabaseAway } from "../database/database.ts";
import { refuse, refuseInvalid, RETRY_AFTER_S, unknownElection } from "../public/answers.ts";
import type { Readiness } from "../public/readiness.ts";
import * as routes from "../public/routes.ts";

/** What every process answers with. */
export type ProcessAppOptions = Readonly<{
  metrics: Registry;
  /** Whether the process does its work, and each election's part of it, and if not, why. */
  ready(): Readiness;
  /** Called with errors that were answered with `internal`, or with `not-ready` while the database is away. */
  onError(error: unknown, request?: Request): void;
}>;

/** Makes the interface. Paths of roles that this process does not run are not there. */
export function createProcessApp(
  options: ProcessAppOptions,
  roles: readonly OpenAPIHono[],
): OpenAPIHono {
  const app = new OpenAPIHono({ defaultHook: refuseInvalid });
  app.use(secureHeaders);
  app.use(countAnswers(options.metrics));
  app.onError((error, c) => answerError(error, c, options.onError));
  app.notFound(async (c) => {
    // Left unread, a body would keep the connection from its next request.
    await drain(c.req.raw);
    return refuse(c, "not-found", `nothing is at ${c.req.path}; GET /openapi.json lists what there is`);
  });
  for (const role of roles) app.route("/", role);
  addOperations(app, options);
  addApiDocs(app);
  refuseOtherMethods(app);
  return app;
}

const secureHeaders: MiddlewareHandler = async (c, next) => {
  await next();
  const { headers } = c.res;
  headers.set("x-content-type-options", "nosniff");
  headers.set("referrer-policy", "no-referrer");
  if (!headers.has("content-security-policy")) {
    headers.set("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
  }
};

function countAnswers(metrics: Registry): MiddlewareHandler {
  const answers = new Counter({
    name: "pollwire_http_answers_total",
    help: "Answers to HTTP requests",
    labelNames: ["method", "route", "status"],
    registers: [metrics],
  });
  return async (c, next) => {
    await next();
    const route = matchedRoutes(c).findLast(({ method }) => method !== "ALL");
    const method = route === undefined ? "other" : c.req.method;
    answers.inc({ method, route: route?.path ?? "none", status: String(c.res.status) });
  };
}

function answerError(error: Error, c: Context, onError: ProcessAppOptions["onError"]): Response {
  onError(error, c.req.raw);
  if (!isDatabaseAway(error)) return refuse(c, "internal");
  return refuse(c, "not-ready", "the database is away; ask again", {
    headers: { "retry-after": RETRY_AFTER_S },
  });
}

function addOperations(app: OpenAPIHono, { ready, metrics }: ProcessAppOptions): void {
  app.openapi(routes.liveRoute, (c) => c.json({ live: true as const }, 200));
  app.openapi(routes.readyRoute, (c) => {
    const { election } = c.req.valid("query");
    const all = ready();
    const elections = all.elections.filter((each) => election === undefined || each.election === election);
    const { ready: isReady, why } = election === undefined ? all : elections[0] ?? all;
    if (election !== undefined && elections.length === 0 && isReady) return unknownElection(c);
    c.header("cache-control", "no-store");
    return isReady
      ? c.json({ ready: true as const, elections }, 200)
      : refuse(c, "not-ready", why, { elections });
  });
  app.openapi(routes.metricsRoute, async (c) => {
    return c.body(await metrics.metrics(), 200, { "content-type": metrics.contentType }) as never;
  });
  const described = {
    openapi: "3.1.0",
    info: {
      title: "Pollwire aggregator",
      version: "1",
      description:
        "Elections, results, turnout and the reconciliation. Problems are RFC 9457 problem details; " +
        "any address answers methods that it does not take with 405 and `method-not-allowed`. Answers about a rehearsal have " +
        "the header `pollwire-rehearsal: true`, and JSON has `rehearsal: true`.",
    },
  };
  app.get("/openapi.json", (c) => c.json(describeMarks(app.getOpenAPI31Document(described))));
}

/** Every path that is there, with a method that it does not take. Comes after all routes. */
function refuseOtherMethods(app: OpenAPIHono): void {
  const routed = app.routes.filter(({ method }) => method !== "ALL");
  for (const [path, found] of Map.groupBy(routed, ({ path }) => path)) {
    const methods = new Set(found.map(({ method }) => method));
    if (methods.has("GET")) methods.add("HEAD");
    const allow = [...methods].join(", ");
    app.all(path, async (c) => {
      await drain(c.req.raw);
      return refuse(c, "method-not-allowed", `it takes ${allow}`, { headers: { allow } });
    });
  }
}
