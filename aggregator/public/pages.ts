/**
 * The dashboard's files, as they are served: read once, from a fixed list.
 *
 * @module
 */
import { sha256 } from "../../shared/keys.ts";

const TYPES = {
  "index.html": "text/html; charset=utf-8",
  "style.css": "text/css; charset=utf-8",
  "main.js": "text/javascript; charset=utf-8",
  "state.js": "text/javascript; charset=utf-8",
  "feed.js": "text/javascript; charset=utf-8",
  "views.js": "text/javascript; charset=utf-8",
  "reconciliation.js": "text/javascript; charset=utf-8",
  "chart.js": "text/javascript; charset=utf-8",
  "elements.js": "text/javascript; charset=utf-8",
  "texts.js": "text/javascript; charset=utf-8",
  "icon.svg": "image/svg+xml",
} as const;

/** Nothing from elsewhere, nothing inline, in nobody's frame. */
const PAGE_HEADERS = {
  // A proxy or CDN asks six times a minute for each file, however many visitors it has.
  "cache-control": "public, max-age=10, stale-while-revalidate=50",
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
};

/** A file of the dashboard, ready to be answered with. */
export type Page = Readonly<
  { path: string; body: Uint8Array<ArrayBuffer>; headers: Record<string, string> & { etag: string } }
>;

/** Reads the dashboard's files; `index.html` is at `/`, the others by name beside it. */
export function readPages(directory: URL = new URL("./page/", import.meta.url)): Page[] {
  return Object.entries(TYPES).map(([name, type]) => {
    const body = Deno.readFileSync(new URL(name, directory));
    const etag = `"${sha256(body).subarray(0, 12).toHex()}"`;
    return {
      path: name === "index.html" ? "/" : `/${name}`,
      body,
      headers: { ...PAGE_HEADERS, "content-type": type, etag },
    };
  });
}
