/**
 * Serves HTTP to the public: limits the number and the duration of connections before there is a request, and answers
 * invalid HTTP with a problem. Uses `node:http`, because `Deno.serve` has no such limits, and ends the process when file
 * descriptors run out (docs/adr/0007-connections.md).
 *
 * @module
 */
import { parsers } from "node:_http_common";
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { type Problem, problem } from "../shared/problem.ts";
import { networkOf } from "./address.ts";
import { type HandshakeEvents, HandshakeFaults } from "./handshakes.ts";
import { followRequests } from "./follow_requests.ts";
import { type Handler, requestListener } from "./request_listener.ts";
import { Certificates, POLL_EVERY_MS, type TlsEvents, type TlsFiles } from "./tls.ts";

/** Bounds of one connection. */
export const CONNECTION_LIMITS = {
  /** From opening to the end of the TLS handshake. */
  handshakeMs: 10_000,
  /** From opening, or from the previous request, to the end of a request's head. */
  headMs: 10_000,
  /** From a request's first byte to its last; after its answer, from its head's end. The apps time out sooner, with a reason. */
  requestMs: 20_000,
  /** Between two requests. */
  idleMs: 60_000,
  /** Without any byte sent or read: for a client that has stopped reading. */
  stalledMs: 120_000,
  /** How often connections are checked against these limits. */
  checkEveryMs: 1_000,
  headBytes: 16 * 1024,
};

/** File descriptors reserved for everything else: the spool, logs, the database, requests to the aggregator. */
const RESERVED_DESCRIPTORS = 128;

export type { ConnectionInfo } from "./request_listener.ts";

/** Options of a server. */
export type ServeOptions =
  & Handler
  & Readonly<{
    hostname: string;
    /** 0 for any. */
    port: number;
    /** Maximum connections, in all and of one address. More are closed as they open. */
    maxConnections: number;
    maxAddressConnections: number;
    limits?: Partial<typeof CONNECTION_LIMITS>;
    /** With certificates the server speaks TLS only. */
    tls?: Readonly<{ files: TlsFiles } & TlsEvents & HandshakeEvents>;
  }>;

/** A running server. */
export type BoundedServer = Readonly<{
  /** Like `http://127.0.0.1:8001`. */
  origin: string;
  /** Connections open now. */
  connections(): number;
  /** Accepts no more requests, and resolves when the running ones are answered. */
  shutdown(): Promise<void>;
}>;

/** Starts a server. Rejects when it cannot listen on the address, or cannot use the certificates. */
export async function serve(options: ServeOptions): Promise<BoundedServer> {
  // A parser that has failed once fails again on the next connection that reuses it (Deno 2.9.6).
  parsers.max = 0;
  const { hostname, port, tls } = options;
  const limits = { ...CONNECTION_LIMITS, ...options.limits };
  const certificates = tls && new Certificates(tls.files);
  const server = makeServer(options, limits, certificates);
  server.setTimeout(limits.stalledMs);
  const mayAnswer = followRequests(server, limits);
  const faults = tls && new HandshakeFaults(tls);
  const isOpen = followHandshakes(server, faults);
  server.on("clientError", (error: Error & { code?: string }, socket: Socket) => {
    const lost = error.code === "ECONNRESET" || !socket.writable;
    if (lost || !isOpen(socket) || !mayAnswer(socket)) socket.destroy();
    else socket.end(spell(problemOf(error, limits)));
  });
  const connections = boundConnections(server, options);
  await listen(server, hostname, port);
  const { address, family, port: bound } = server.address() as AddressInfo;
  const look = () => {
    certificates!.poll((next) => (server as TlsServer).setSecureContext(next), tls!);
    faults!.poll();
  };
  const looking = tls && setInterval(look, POLL_EVERY_MS);
  return {
    origin: `${tls ? "https" : "http"}://${family === "IPv6" ? `[${address}]` : address}:${bound}`,
    connections,
    shutdown: () => {
      clearInterval(looking);
      return close(server).finally(() => faults?.end());
    },
  };
}

function makeServer(
  { fetch, onError, posted, enter }: ServeOptions,
  limits: typeof CONNECTION_LIMITS,
  certificates: Certificates | undefined,
): Server {
  const answer = requestListener({ fetch, onError, posted, enter });
  const settings = {
    headersTimeout: limits.headMs,
    requestTimeout: limits.requestMs,
    // followRequests() closes idle connections: a timer for each request would cost 8 µs.
    keepAliveTimeout: 0,
    connectionsCheckingInterval: limits.checkEveryMs,
    maxHeaderSize: limits.headBytes,
    // A request without a Host header is answered below, with a problem.
    requireHostHeader: false,
  };
  if (certificates === undefined) return createServer(settings, answer);
  const { options } = certificates;
  return createTlsServer(
    { ...settings, ...options, minVersion: "TLSv1.2", handshakeTimeout: limits.handshakeMs },
    answer,
  );
}

/**
 * Follows TLS handshakes. The returned function says whether a connection's handshake is over: before that it can be
 * neither written to nor ended.
 */
function followHandshakes(server: Server, faults: HandshakeFaults | undefined): (socket: Socket) => boolean {
  if (faults === undefined) return () => true;
  const open = new WeakSet<Socket>();
  server.on("secureConnection", (socket: Socket) => open.add(socket));
  server.on("tlsClientError", (error: Error, socket: Socket) => faults.add(error, socket));
  return (socket) => open.has(socket);
}

/** Closes connections beyond the limits as they open. Returns a function that counts open ones. */
function boundConnections(
  server: Server,
  { maxConnections, maxAddressConnections }: ServeOptions,
): () => number {
  const byAddress = new Map<string, number>();
  const limit = Math.min(maxConnections, descriptorLimit() - RESERVED_DESCRIPTORS);
  let open = 0;
  server.on("connection", (socket: Socket) => {
    const address = networkOf(socket.remoteAddress ?? "");
    const ofAddress = byAddress.get(address) ?? 0;
    if (open >= limit || ofAddress >= maxAddressConnections) {
      socket.destroy();
      return;
    }
    open++;
    byAddress.set(address, ofAddress + 1);
    socket.once("close", () => {
      open--;
      const left = byAddress.get(address)! - 1;
      if (left === 0) byAddress.delete(address);
      else byAddress.set(address, left);
    });
  });
  return () => open;
}

/** Maximum file descriptors of the process, from /proc; infinite where there is no /proc. */
function descriptorLimit(): number {
  try {
    const limits = Deno.readTextFileSync("/proc/self/limits");
    return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Infinity);
  } catch {
    return Infinity;
  }
}

/** The answer, as raw HTTP, to bytes that are not a request. */
function spell(found: Problem): string {
  const body = JSON.stringify(found);
  return `HTTP/1.1 ${found.status} ${
    STATUS_TEXTS[found.status]
  }\r\ncontent-type: application/problem+json\r\n` +
    `content-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`;
}

const STATUS_TEXTS: Record<number, string> = {
  400: "Bad Request",
  408: "Request Timeout",
  431: "Request Header Fields Too Large",
};

function problemOf(
  { code }: { code?: string },
  { headBytes, headMs, requestMs }: typeof CONNECTION_LIMITS,
): Problem {
  if (code === "HPE_HEADER_OVERFLOW") {
    return problem("head-too-large", `address and headers may have ${headBytes} bytes`);
  }
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") {
    return problem(
      "request-too-slow",
      `the headers must come within ${headMs / 1_000} s, the whole request within ${requestMs / 1_000} s`,
    );
  }
  return problem("not-http", `a request must be HTTP/1.1 by RFC 9112 (${code ?? "cannot be read"})`);
}

function listen(server: Server, hostname: string, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(port, hostname, () => {
    server.off("error", reject);
    resolve();
  });
  return promise;
}

function close(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  server.closeIdleConnections();
  return promise;
}
