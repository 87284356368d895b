/**
 * The page at `/docs`, which shows `/openapi.json`. This server has all its files, so it works without the Internet.
 *
 * @module
 */
import type { Env, Hono } from "hono";
import { pathToFileURL } from "node:url";
import packagePath from "swagger-ui-dist/absolute-path.js";
import { sha256 } from "../shared/keys.ts";

const OWN = new URL("./docs/", import.meta.url);
const PACKAGE = pathToFileURL(`${packagePath()}/`);

/** Paths of the page's files on the server, and where they are on the disk. */
const FILES: readonly Readonly<{ path: string; file: URL; type: string }>[] = [
  { path: "/docs", file: new URL("index.html", OWN), type: "text/html; charset=utf-8" },
  { path: "/docs/main.js", file: new URL("main.js", OWN), type: "text/javascript; charset=utf-8" },
  {
    path: "/docs/swagger-ui-bundle.js",
    file: new URL("swagger-ui-bundle.js", PACKAGE),
    type: "text/javascript; charset=utf-8",
  },
  { path: "/docs/swagger-ui.css", file: new URL("swagger-ui.css", PACKAGE), type: "text/css; charset=utf-8" },
];

/** Paths that {@link addApiDocs} adds. */
export const API_DOCS_PATHS: readonly string[] = FILES.map(({ path }) => path);

/** Nothing from other servers, and no inline script. Swagger UI needs inline styles and images from data URLs. */
const HEADERS = {
  "cache-control": "no-cache",
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** Adds the page to an app. Its files are read for each request. */
export function addApiDocs<E extends Env>(app: Hono<E>): void {
  for (const { path, file, type } of FILES) {
    app.get(path, async (c) => {
      const body = await Deno.readFile(file);
      const headers = { ...HEADERS, "content-type": type, etag: `"${sha256(body).subarray(0, 12).toHex()}"` };
      return c.req.header("if-none-match") === headers.etag
        ? c.body(null, 304, headers)
        : c.body(body, 200, headers);
    });
  }
}
