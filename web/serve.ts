/**
 * Serves HTTP to the public: limits the number and the duration of connections before there is a request, and answers
 * invalid HTTP with a problem. Uses `node:http`, because `Deno.serve` has no such limits, and ends the process when file
 * descriptors run out (docs/adr/0007-connections.md).
 *
 * @module
 */
import { getRequestListener } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { Buffer } from "node:buffer";
import { parsers } from "node:_http_common";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { type Problem, problem } from "../shared/problem.ts";
import { networkOf } from "./address.ts";
import { type HandshakeEvents, HandshakeFaults } from "./handshakes.ts";
import { BufferedResponse } from "./buffered_response.ts";
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

/** The connection of a request. */
export type ConnectionInfo = Readonly<{
  /** The sender's IP address. */
  address: string;
  /** The request target, byte for byte: a `Request`'s URL is normalized. */
  target: string;
}>;

/** Options of a server. */
export type ServeOptions = Readonly<{
  hostname: string;
  /** 0 for any. */
  port: number;
  /** Maximum connections, in all and of one address. More are closed as they open. */
  maxConnections: number;
  maxAddressConnections: number;
  fetch(request: Request, connection: ConnectionInfo): Response | Promise<Response>;
  /** Called with errors of the server itself: an answer that could not be sent. */
  onError(error: unknown): void;
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
  { fetch, onError }: ServeOptions,
  limits: typeof CONNECTION_LIMITS,
  certificates: Certificates | undefined,
): Server {
  const answer = getRequestListener(
    async (request, { incoming, outgoing }) => {
      const { socket, url = "", rawHeaders } = incoming as IncomingMessage;
      Object.defineProperty(request, "body", { get: () => bodyOf(incoming as IncomingMessage) });
      if (hasTwoHosts(rawHeaders)) return problemAnswer(problem("not-http", "there must be one Host header"));
      const answered = await fetch(request, { address: socket.remoteAddress ?? "", target: url });
      if (!(answered instanceof BufferedResponse)) return answered;
      sendBuffered(answered, outgoing as ServerResponse);
      return RESPONSE_ALREADY_SENT;
    },
    {
      // The adapter's own Request and Response would save 10 µs, but they lack bytes().
      overrideGlobalObjects: false,
      // node:http does that: it reads and discards an unread body, for as long as a request may take.
      autoCleanupIncoming: false,
      errorHandler: (error) => {
        if ((error as Error).name === "RequestError") {
          return problemAnswer(problem("not-http", "the Host header and the address must make a URL"));
        }
        onError(error);
        return problemAnswer(problem("internal"));
      },
    },
  );
  const settings = {
    headersTimeout: limits.headMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.idleMs,
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

/** Sends an answer in one write. With the streams of a `Response` a vote would cost a fifth more. */
function sendBuffered({ status, headers, whole }: BufferedResponse, outgoing: ServerResponse): void {
  outgoing.writeHead(status, { ...Object.fromEntries(headers), "content-length": Buffer.byteLength(whole) });
  outgoing.end(whole);
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

/** Maximum bytes of a body that wait for their reader. Beyond it the connection is paused. */
const MAX_WAITING_BYTES = 64 * 1024;

/**
 * A request's body, piece by piece. The runtime's own conversion, `Readable.toWeb()`, ends the process when a body is
 * cancelled while more of it comes: it then adds to a stream that is closed (Deno 2.9.6).
 */
function bodyOf(incoming: IncomingMessage): ReadableStream<Uint8Array<ArrayBuffer>> {
  let over = false;
  const end = (how: () => void) => {
    if (!over) how();
    over = true;
  };
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      incoming.on("data", (piece: Uint8Array<ArrayBuffer>) => {
        if (over) return;
        controller.enqueue(new Uint8Array(piece));
        if (controller.desiredSize! <= 0) incoming.pause();
      });
      incoming.once("end", () => end(() => controller.close()));
      const breakOff = () => end(() => controller.error(new Error("the sender broke off")));
      incoming.once("error", breakOff);
      incoming.once("close", breakOff);
      if (incoming.destroyed && !incoming.readableEnded) breakOff();
      incoming.pause();
    },
    pull: () => void incoming.resume(),
    // The rest is read and discarded, for as long as a request may take.
    cancel: () => end(() => incoming.resume()),
  }, new ByteLengthQueuingStrategy({ highWaterMark: MAX_WAITING_BYTES }));
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

/**
 * Follows each connection's requests. The returned function says whether invalid bytes may be answered. They must not be
 * while an earlier request waits for its answer: the client would take this answer for that one.
 */
function followRequests(server: Server, limits: typeof CONNECTION_LIMITS): (socket: Socket) => boolean {
  const bound = boundAnswered(server, limits);
  const following = new WeakMap<Socket, { unanswered: number; last: IncomingMessage }>();
  server.on("request", (request, response) => {
    const state = following.get(request.socket) ?? { unanswered: 0, last: request };
    following.set(request.socket, state);
    state.unanswered++;
    state.last = request;
    const headAtMs = performance.now();
    response.once("close", () => {
      state.unanswered--;
      bound(request, headAtMs);
    });
  });
  return (socket) => {
    const { unanswered, last } = following.get(socket) ?? { unanswered: 0 };
    return unanswered === 0 || (unanswered === 1 && !last!.complete);
  };
}

/**
 * Limits requests that have been answered and are still being received: `node:http` does not. Call the returned function
 * with each of them.
 */
function boundAnswered(
  server: Server,
  { requestMs, checkEveryMs }: typeof CONNECTION_LIMITS,
): (request: IncomingMessage, headAtMs: number) => void {
  const coming = new Map<IncomingMessage, number>();
  const look = () => {
    for (const [request, headAtMs] of coming) {
      if (request.complete || request.socket.destroyed) coming.delete(request);
      else if (performance.now() - headAtMs > requestMs) request.socket.destroy();
    }
  };
  server.once("listening", () => {
    const looking = setInterval(look, checkEveryMs);
    server.once("close", () => clearInterval(looking));
  });
  return (request, headAtMs) => {
    if (!request.complete && !request.socket.destroyed && requestMs > 0) coming.set(request, headAtMs);
  };
}

/** RFC 9112, section 3.2. `node:http` takes the first of two. */
function hasTwoHosts(rawHeaders: readonly string[]): boolean {
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!;
    if (name.length === 4 && name.toLowerCase() === "host") hosts++;
  }
  return hosts > 1;
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

function problemAnswer(found: Problem): Response {
  return new Response(JSON.stringify(found), {
    status: found.status,
    headers: { "content-type": "application/problem+json", connection: "close" },
  });
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
