/**
 * Files of a page as they are served: its own and those of its libraries, read once, from fixed lists.
 *
 * @module
 */
import type { Hono } from "hono";
import { sha256 } from "../shared/keys.ts";
import { hasTag } from "./etag.ts";

const TYPES = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
} as const;

/** A file of a page, ready to be answered with. */
export type Page = Readonly<
  { path: string; body: Uint8Array<ArrayBuffer>; headers: Record<string, string> & { etag: string } }
>;

/** Files of a library, by its package: as the browser asks for them, below the package's folder `from`. */
export type Library = Readonly<{ name: string; from: string; files: readonly string[] }>;

/** Files that more than one page has: how officials sign in, and the watermark of rehearsals. */
const SHARED = ["official.js", "rehearsal.css"] as const;

/** Reads a file, to be served at a path. */
export function readPage(path: string, file: URL, headers: Record<string, string>): Page {
  const body = Deno.readFileSync(file);
  const type = TYPES[file.pathname.split(".").at(-1) as keyof typeof TYPES];
  const etag = `"${sha256(body).subarray(0, 12).toHex()}"`;
  return { path, body, headers: { ...headers, "content-type": type, etag } };
}

/** Reads the files that more than one page has, to be served at `<below><file>`. */
export function readShared(below: string, headers: Record<string, string>): Page[] {
  return SHARED.map((name) =>
    readPage(`${below}${name}`, new URL(`./page/${name}`, import.meta.url), headers)
  );
}

/**
 * Reads the files of libraries, to be served at `<below><package>/<file>`.
 *
 * @param entries Where the packages are: `import.meta.resolve` of each name.
 */
export function readLibraries(
  below: string,
  libraries: readonly Library[],
  resolve: (name: string) => string,
  headers: Record<string, string>,
): Page[] {
  return libraries.flatMap(({ name, from, files }) => {
    const root = packageRoot(name, resolve(name));
    return files.map((file) => readPage(`${below}${name}/${file}`, new URL(from + file, root), headers));
  });
}

/** Answers with the pages, and with 304 to who has them. */
export function addPages(app: Pick<Hono, "get">, pages: readonly Page[]): void {
  for (const { path, body, headers } of pages) {
    app.get(path, (c) => hasTag(c, headers.etag) ? c.body(null, 304, headers) : c.body(body, 200, headers));
  }
}

/** The folder of a package in the cache: the nearest one above its entry that has a package.json. */
function packageRoot(name: string, entry: string): URL {
  let folder = new URL("./", entry);
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
