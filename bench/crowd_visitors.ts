/**
 * Visitors who reload the page every 5 s, until stdin ends: `crowd_visitors.ts <origin> <election> <visitors>`. A reload is
 * the data that the page asks for as it opens, over one connection, one after the other; it takes from when it was due to
 * its last byte. Every second visitor says which answer it has (If-None-Match). Prints a {@link Crowd} as JSON.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { quantile } from "./measure.ts";

const RELOAD_EVERY_MS = 5_000;
/** Connections that visitors share: with a crowd's thousands the client would be what is measured. */
const CONNECTIONS = 100;
/** Ends a crowd that nobody ends, in milliseconds. */
const LONGEST_MS = 300_000;
const READ_BYTES = 256 * 1024;

/** How visitors fared. */
export type Crowd = Readonly<{
  reloads: number;
  answers: number;
  /** Answered with 304. */
  unchanged: number;
  /** Answered with anything but 200 and 304. */
  refused: number;
  megabytes: number;
  p50Ms: number;
  p99Ms: number;
}>;

const latin1 = new TextDecoder("latin1");

/** One kept-alive connection. Reads answers with a length and in chunks, and of both no more than where they end. */
class Visitor {
  readonly #conn: Deno.Conn;
  readonly #buffer = new Uint8Array(READ_BYTES);
  bytes = 0;

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  async get(path: string, etag: string | undefined): Promise<{ status: number; etag: string | undefined }> {
    const condition = etag === undefined ? "" : `if-none-match: ${etag}\r\n`;
    const request = new TextEncoder().encode(`GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${condition}\r\n`);
    for (let sent = 0; sent < request.length;) sent += await this.#conn.write(request.subarray(sent));
    let head = "";
    let left = Infinity;
    let tail = "";
    for (let filled = 0, total = 0; left > 0;) {
      const read = await this.#conn.read(head === "" ? this.#buffer.subarray(filled) : this.#buffer);
      if (read === null) throw new Error("The server closed the connection");
      this.bytes += read;
      total += read;
      if (head === "") {
        filled += read;
        const text = latin1.decode(this.#buffer.subarray(0, filled));
        const end = text.indexOf("\r\n\r\n");
        if (end === -1) continue;
        head = text.slice(0, end + 4);
        const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
        tail = text.slice(-5);
        if (length !== undefined) left = end + 4 + Number(length) - total;
        else if (/^HTTP\/1\.1 304/.test(head)) left = 0;
      } else {
        left -= read;
        tail = (tail + latin1.decode(this.#buffer.subarray(Math.max(0, read - 5), read))).slice(-5);
      }
      if (left === Infinity && tail === "0\r\n\r\n") left = 0;
    }
    return {
      status: Number(head.slice(9, 12)),
      etag: /\r\netag: (.*)\r\n/i.exec(head)?.[1],
    };
  }

  close(): void {
    this.#conn.close();
  }
}

async function visit(origin: string, election: string, visitors: number): Promise<Crowd> {
  const { hostname, port } = new URL(origin);
  const stop = new AbortController();
  const home = () => stop.abort();
  void Deno.stdin.readable.pipeTo(new WritableStream()).then(home, home);
  const longest = setTimeout(home, LONGEST_MS);
  const base = `/v1/elections/${election}`;
  const paths = ["", "/results?by=candidate", "/turnout?by=region", "/reconciliation", "/turnout?by=minute"]
    .map((path) => base + path);
  const tags: (string | undefined)[][] = Array.from({ length: visitors }, () => []);
  const tookMs: number[] = [];
  const seen = { answers: 0, unchanged: 0, refused: 0 };
  const fromMs = performance.now();
  let next = 0;
  const connections = await Promise.all(
    Array.from(
      { length: CONNECTIONS },
      async () => new Visitor(await Deno.connect({ hostname, port: Number(port) })),
    ),
  );
  await Promise.all(connections.map(async (connection) => {
    while (!stop.signal.aborted) {
      const turn = next++;
      const visitor = turn % visitors;
      const dueMs = fromMs + turn * RELOAD_EVERY_MS / visitors;
      const aheadMs = dueMs - performance.now();
      if (aheadMs > 0) await delay(aheadMs, undefined, { signal: stop.signal }).catch(() => {});
      if (stop.signal.aborted) break;
      const mine = tags[visitor]!;
      for (const [at, path] of paths.entries()) {
        const { status, etag } = await connection.get(path, visitor % 2 === 0 ? mine[at] : undefined);
        mine[at] = etag;
        seen.answers++;
        if (status === 304) seen.unchanged++;
        else if (status !== 200) seen.refused++;
      }
      tookMs.push(performance.now() - dueMs);
    }
  }));
  clearTimeout(longest);
  for (const connection of connections) connection.close();
  return {
    reloads: tookMs.length,
    ...seen,
    megabytes: Math.round(connections.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6),
    p50Ms: quantile(tookMs, 0.5),
    p99Ms: quantile(tookMs, 0.99),
  };
}

if (import.meta.main) {
  const [origin = "", election = "", visitors = "1"] = Deno.args;
  console.log(JSON.stringify(await visit(origin, election, Number(visitors))));
  Deno.exit();
}
