/**
 * The live page's files, as they are served: its own and those of its libraries, read once, from fixed lists.
 *
 * @module
 */
// Nothing of these runs here. The imports put the packages into the lock file and the cache, and say where they are.
import "d3-delaunay";
import "lit-html";
import "uplot";
import { sha256 } from "../../shared/keys.ts";

const TYPES = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
} as const;

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
  "icon.svg",
] as const;

/** Files of libraries, by package: as the browser asks for them under `/lib/`, below the package's folder `from`. */
const LIBRARIES = [
  {
    name: "lit-html",
    from: "",
    files: ["lit-html.js", "directive.js", "directive-helpers.js", "directives/repeat.js"],
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

/** A file of the page, ready to be answered with. */
export type Page = Readonly<
  { path: string; body: Uint8Array<ArrayBuffer>; headers: Record<string, string> & { etag: string } }
>;

/** Reads the page's files; `index.html` is at `/`, and, to be shown in other pages, at `/embed/:election`. */
export function readPages(directory: URL = new URL("./page/", import.meta.url)): Page[] {
  const own = OWN.map((name) => readPage(name === "index.html" ? "/" : `/${name}`, new URL(name, directory)));
  const libraries = LIBRARIES.flatMap(({ name, from, files }) => {
    const root = packageRoot(name);
    return files.map((file) => readPage(`/lib/${name}/${file}`, new URL(from + file, root)));
  });
  const [index] = own;
  const headers = { ...index!.headers, "content-security-policy": policy("*") };
  return [...own, { path: "/embed/:election", body: index!.body, headers }, ...libraries];
}

function readPage(path: string, file: URL): Page {
  const body = Deno.readFileSync(file);
  const type = TYPES[file.pathname.split(".").at(-1) as keyof typeof TYPES];
  const etag = `"${sha256(body).subarray(0, 12).toHex()}"`;
  return { path, body, headers: { ...PAGE_HEADERS, "content-type": type, etag } };
}

/** The folder of a package in the cache: the nearest one above its entry that has a package.json. */
function packageRoot(name: string): URL {
  let folder = new URL("./", import.meta.resolve(name));
  while (!isFile(new URL("package.json", folder))) {
    const above = new URL("../", folder);
    if (above.href === folder.href) throw new Error(`Cannot find the package ${name} of the page`);
    folder = above;
  }
  return folder;
}

function isFile(url: URL): boolean {
  try {
    return Deno.statSync(url).isFile;
  } catch {
    return false;
  }
}
