/**
 * The office page at `/office`: its files, those of its library, and the headers that they have.
 *
 * @module
 */
// Nothing of it runs here. The import puts the package into the lock file and the cache, and says where it is.
import "lit-html";
import { OpenAPIHono } from "@hono/zod-openapi";
import { addPages, type Page, readLibraries, readPage, readShared } from "../../web/page_files.ts";

/** The page's own files. */
const OWN = [
  "index.html",
  "style.css",
  "main.js",
  "format.js",
  "forms.js",
  "html.js",
  "parts.js",
  "reading.js",
  "roll.js",
  "session.js",
  "state.js",
  "text_de.js",
  "text_en.js",
  "texts.js",
  "view_alerts.js",
  "view_audit.js",
  "view_checks.js",
  "view_elections.js",
  "view_page.js",
  "view_proposals.js",
  "view_rehearsal.js",
  "view_roll.js",
  "view_roles.js",
  "view_sign_in.js",
  "view_state.js",
  "icon.svg",
] as const;

/** Files of the library; the browser asks for them under `/office/lib/`. */
const LIBRARIES = [
  {
    name: "lit-html",
    from: "",
    files: ["lit-html.js", "directive.js", "directive-helpers.js", "directives/repeat.js"],
  },
] as const;

/** Nothing from elsewhere, nothing inline, no text becomes markup or script, and nobody may show the page inside another. */
const HEADERS = {
  // It asks each time: a page with a fault in it must not stay in a browser.
  "cache-control": "no-cache",
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; " +
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types lit-html",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
};

/** Reads the page's files; `index.html` is at `/office`. */
export function readOfficePages(directory: URL = new URL("./page/", import.meta.url)): Page[] {
  const own = OWN.map((name) => {
    const path = name === "index.html" ? "/office" : `/office/${name}`;
    return readPage(path, new URL(name, directory), HEADERS);
  });
  const libraries = readLibraries("/office/lib/", LIBRARIES, (name) => import.meta.resolve(name), HEADERS);
  return [...own, ...readShared("/office/lib/", HEADERS), ...libraries];
}

/** The page, to be served beside the office's API. */
export function createOfficePage(): OpenAPIHono {
  const app = new OpenAPIHono();
  addPages(app, readOfficePages());
  return app;
}
