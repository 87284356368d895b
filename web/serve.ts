/**
 * Serves HTTP to whoever may come: connections are bounded in number and in time before a request is there to be
 * judged, and what is no HTTP is answered with a problem. On `node:http`, since `Deno.serve` bounds neither, and ends
 * with the process once file descriptors run out (docs/adr/0007-connections.md).
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
  /** From opening to agreed keys, with TLS. */
  handshakeMs: 10_000,
  /** From opening, or the request before, to the end of a request's head. */
  headMs: 10_000,
  /** From a request's first byte to its last, from its head's end once it is answered. The apps give up sooner, and say why. */
  requestMs: 20_000,
  /** Between two requests. */
  idleMs: 60_000,
  /** In which nothing is sent or read: of a listener that reads no more. */
  stalledMs: 120_000,
  /** How often it is looked whether one has taken longer. */
  checkEveryMs: 1_000,
  headBytes: 16 * 1024,
};

/** File descriptors that are left for all else: the spool, logs, the database, requests to the aggregator. */
const RESERVED_DESCRIPTORS = 128;

/** What a request came over. */
export type ConnectionInfo = Readonly<{
  /** The sender's IP address. */
  address: string;
  /** What was asked for, byte for byte: a `Request`'s URL is a tidied one. */
  target: string;
}>;

/** What is served, where, and to how many. */
export type ServeOptions = Readonly<{
  hostname: string;
  /** 0 for any. */
  port: number;
  /** Connections at once, and of one address; more are closed as they come. */
  maxConnections: number;
  maxAddressConnections: number;
  fetch(request: Request, connection: ConnectionInfo): Response | Promise<Response>;
  /** Told of errors of the server's own: an answer that could not be sent. */
  onError(error: unknown): void;
  limits?: Partial<typeof CONNECTION_LIMITS>;
  /** With it, TLS and nothing else is spoken. */
  tls?: Readonly<{ files: TlsFiles } & TlsEvents & HandshakeEvents>;
}>;

/** A running server. */
export type BoundedServer = Readonly<{
  /** Like `http://127.0.0.1:8001`. */
  origin: string;
  /** Connections open now. */
  connections(): number;
  /** Takes no more requests, and resolves when those under way are answered. */
  shutdown(): Promise<void>;
}>;

/** Begins to serve. Rejects when it cannot listen there, or cannot use the certificates. */
export async function serve(options: ServeOptions): Promise<BoundedServer> {
  // A parser that has failed once fails on the next connection too, whatever comes there (Deno 2.9.6).
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
      // Its Request and Response in place of the runtime's would save 10 µs, and lack bytes().
      overrideGlobalObjects: false,
      // node:http does it: a body that was not read is read away, for as long as a request may take.
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
    // The answer to a request without one is below, and is a problem.
    requireHostHeader: false,
  };
  if (certificates === undefined) return createServer(settings, answer);
  const { options } = certificates;
  return createTlsServer(
    { ...settings, ...options, minVersion: "TLSv1.2", handshakeTimeout: limits.handshakeMs },
    answer,
  );
}

/** Sends an answer in one write. Through the streams of a `Response` a vote would cost a fifth more. */
function sendBuffered({ status, headers, whole }: BufferedResponse, outgoing: ServerResponse): void {
  outgoing.writeHead(status, { ...Object.fromEntries(headers), "content-length": Buffer.byteLength(whole) });
  outgoing.end(whole);
}

/**
 * Follows handshakes, if there are any. Tells whether a connection has had its own: before, nothing can be written, nor
 * it be ended.
 */
function followHandshakes(server: Server, faults: HandshakeFaults | undefined): (socket: Socket) => boolean {
  if (faults === undefined) return () => true;
  const open = new WeakSet<Socket>();
  server.on("secureConnection", (socket: Socket) => open.add(socket));
  server.on("tlsClientError", (error: Error, socket: Socket) => faults.add(error, socket));
  return (socket) => open.has(socket);
}

/** Bytes of a body that wait for its reader at the most; then no more are taken from the connection. */
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
    // What still comes is read away, for as long as a request may take.
    cancel: () => end(() => incoming.resume()),
  }, new ByteLengthQueuingStrategy({ highWaterMark: MAX_WAITING_BYTES }));
}

/** Closes connections beyond the limits as they come. Returns how many there are. */
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

/** How many file descriptors the process may have, by /proc; without limit where there is none. */
function descriptorLimit(): number {
  try {
    const limits = Deno.readTextFileSync("/proc/self/limits");
    return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Infinity);
  } catch {
    return Infinity;
  }
}

/**
 * Follows each connection's requests. Tells whether bytes that cannot be read may be answered: not while a request
 * before them, which may yet be taken, has no answer, for this one would pass for that.
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
 * Bounds requests that have been answered and still come: `node:http` does so no more. Returns what is told of each.
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

/** Spells the answer to what could not be read as a request. */
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
