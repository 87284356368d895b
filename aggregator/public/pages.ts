/**
 * The live page's files, as they are served: its own and those of its libraries, read once, from fixed lists.
 *
 * @module
 */
// Nothing of these runs here. The imports put the packages into the lock file and the cache, and say where they are.
import "d3-delaunay";
import "lit-html";
import "uplot";
import { type Page, readLibraries, readPage, readShared } from "../../web/page_files.ts";

/** The page's own files. */
const OWN = [
  "index.html",
  "style.css",
  "main.js",
  "address.js",
  "alerts.js",
  "board.js",
  "comparison.js",
  "feed.js",
  "format.js",
  "html.js",
  "map.js",
  "questions.js",
  "shapes.js",
  "state.js",
  "story.js",
  "text_de.js",
  "text_en.js",
  "texts.js",
  "view_adjustments.js",
  "view_alerts.js",
  "view_analytics.js",
  "view_comparison.js",
  "view_count.js",
  "view_first.js",
  "view_modes.js",
  "view_page.js",
  "view_places.js",
  "view_projection.js",
  "view_shapes.js",
  "view_time.js",
  "view_uncontested.js",
  "icon.svg",
] as const;

/** Files of libraries; the browser asks for them under `/lib/`. */
const LIBRARIES = [
  {
    name: "lit-html",
    from: "",
    files: [
      "lit-html.js",
      "directive.js",
      "directive-helpers.js",
      "directives/keyed.js",
      "directives/repeat.js",
    ],
  },
  { name: "uplot", from: "dist/", files: ["uPlot.esm.js", "uPlot.min.css"] },
  { name: "d3-delaunay", from: "dist/", files: ["d3-delaunay.min.js"] },
] as const;

/** Nothing from elsewhere, nothing inline. `frame-ancestors` says who may show the page inside another. */
function policy(frameAncestors: string): string {
  return `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors ${frameAncestors}`;
}

const PAGE_HEADERS = {
  // A proxy or CDN asks six times a minute for each file, however many visitors it has.
  "cache-control": "public, max-age=10, stale-while-revalidate=50",
  "content-security-policy": policy("'none'"),
  "cross-origin-opener-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
};

/** Reads the page's files; `index.html` is at `/`, and, to be shown in other pages, at `/embed/:election`. */
export function readPages(directory: URL = new URL("./page/", import.meta.url)): Page[] {
  const own = OWN.map((name) =>
    readPage(name === "index.html" ? "/" : `/${name}`, new URL(name, directory), PAGE_HEADERS)
  );
  const libraries = readLibraries("/lib/", LIBRARIES, (name) => import.meta.resolve(name), PAGE_HEADERS);
  const [index] = own;
  const headers = { ...index!.headers, "content-security-policy": policy("*") };
  return [
    ...own,
    { path: "/embed/:election", body: index!.body, headers },
    ...readShared("/lib/", PAGE_HEADERS),
    ...libraries,
  ];
}
