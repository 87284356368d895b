/**
 * Hands the requests of `node:http` to an app, and sends its answers.
 *
 * @module
 */
import { getRequestListener } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { Buffer } from "node:buffer";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { type Problem, problem } from "../shared/problem.ts";
import { BufferedResponse } from "./buffered_response.ts";
import { PostedRequest } from "./posted_request.ts";

/** The connection of a request. */
export type ConnectionInfo = Readonly<{
  /** The sender's IP address. */
  address: string;
  /** The request target, byte for byte: a `Request`'s URL is normalized. */
  target: string;
  /** How long the request waited before it was handed on, in milliseconds. */
  waitedMs?: number;
}>;

/**
 * Decides when a posted request is handed on, or that it is not. Calls exactly one of both functions, once, now or later. `bytes` is the
 * body's stated length; `undefined` when none is stated.
 */
export type Enter = (
  request: Readonly<{ target: string; bytes: number | undefined }>,
  begin: (waitedMs: number) => void,
  refuse: (answer: BufferedResponse) => void,
) => void;

/** What answers requests. */
export type Handler = Readonly<{
  fetch(request: Request, connection: ConnectionInfo): Response | Promise<Response>;
  /**
   * Targets whose POSTs `fetch` gets as a {@link PostedRequest}: that costs less (docs/adr/0031-requests-without-streams.md). Their answers are sent whole,
   * so none may be a stream without an end.
   */
  posted?: ReadonlySet<string>;
  /** Lets those POSTs in. When left out, each is handed on at once. */
  enter?: Enter;
  /** Called with errors of the server itself: an answer that could not be sent. */
  onError(error: unknown): void;
}>;

const NO_TARGETS: ReadonlySet<string> = new Set();

/** Makes the listener of `node:http`. */
export function requestListener(handler: Handler): RequestListener {
  const { posted = NO_TARGETS } = handler;
  const adapted = adaptedListener(handler);
  return (incoming, outgoing) => {
    // node:http also takes HTTP/2.0 and HTTP/0.9 for versions of its own.
    if (incoming.httpVersionMajor !== 1) return refuseVersion(outgoing);
    const request = PostedRequest.of(incoming, posted);
    if (request === undefined) return void adapted(incoming, outgoing);
    const begin = (waitedMs: number) => {
      const connection = { ...connectionOf(incoming), waitedMs };
      answerPosted(handler, request, connection, outgoing).catch(handler.onError);
    };
    if (handler.enter === undefined) return begin(0);
    handler.enter(
      { target: incoming.url!, bytes: statedBytes(request) },
      begin,
      (answer) => refusePosted(answer, incoming, outgoing),
    );
  };
}

function statedBytes({ headers }: PostedRequest): number | undefined {
  const stated = headers.get("content-length");
  // node:http has refused lengths that are no numbers.
  return stated === null ? undefined : Number(stated);
}

/** Answers before the body is read. The body is read and discarded, so that the connection can be used again. */
function refusePosted(answer: BufferedResponse, incoming: IncomingMessage, outgoing: ServerResponse): void {
  incoming.resume();
  sendBuffered(answer, outgoing);
}

function refuseVersion(outgoing: ServerResponse): void {
  const found = problem("not-http", "a request must be HTTP/1.1 by RFC 9112");
  outgoing.writeHead(found.status, PROBLEM_HEADERS);
  outgoing.end(JSON.stringify(found));
}

/** By hono's adapter: every request, with streams. */
function adaptedListener({ fetch, onError }: Handler): RequestListener {
  return getRequestListener(
    async (request, { incoming, outgoing }) => {
      const { rawHeaders } = incoming as IncomingMessage;
      Object.defineProperty(request, "body", { get: () => bodyOf(incoming as IncomingMessage) });
      if (hasTwoHosts(rawHeaders)) return problemAnswer(problem("not-http", "there must be one Host header"));
      const answered = await fetch(request, connectionOf(incoming as IncomingMessage));
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
}

/** Without streams. */
async function answerPosted(
  { fetch, onError }: Handler,
  request: PostedRequest,
  connection: ConnectionInfo,
  outgoing: ServerResponse,
): Promise<void> {
  let answered: Response;
  try {
    // It has what apps use of a Request.
    answered = await fetch(request as unknown as Request, connection);
  } catch (error) {
    onError(error);
    answered = problemAnswer(problem("internal"));
  }
  if (answered instanceof BufferedResponse) return sendBuffered(answered, outgoing);
  const whole = new Uint8Array(await answered.arrayBuffer());
  outgoing.writeHead(answered.status, {
    ...Object.fromEntries(answered.headers),
    "content-length": whole.length,
  });
  outgoing.end(whole);
}

function connectionOf({ socket, url = "" }: IncomingMessage): ConnectionInfo {
  return { address: socket.remoteAddress ?? "", target: url };
}

/** Sends an answer in one write. With the streams of a `Response` a vote would cost a fifth more. */
function sendBuffered({ status, fields, whole }: BufferedResponse, outgoing: ServerResponse): void {
  outgoing.writeHead(status, { ...fields, "content-length": Buffer.byteLength(whole) });
  outgoing.end(whole);
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

/** RFC 9112, section 3.2. `node:http` takes the first of two. */
function hasTwoHosts(rawHeaders: readonly string[]): boolean {
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!;
    if (name.length === 4 && name.toLowerCase() === "host") hosts++;
  }
  return hosts > 1;
}

const PROBLEM_HEADERS = { "content-type": "application/problem+json", connection: "close" };

function problemAnswer(found: Problem): Response {
  return new Response(JSON.stringify(found), {
    status: found.status,
    headers: PROBLEM_HEADERS,
  });
}
