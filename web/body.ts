/**
 * Reads a request's body within limits of size, of time, and of memory for all requests together.
 *
 * @module
 */
import { type Problem, problem, type ProblemType } from "../shared/problem.ts";
import { PostedRequest } from "./posted_request.ts";

/** Maximum time for a body to arrive, in milliseconds. */
export const BODY_TIMEOUT_MS = 15_000;
/** How often bodies are checked against that, in milliseconds. A body may take this much longer. */
const CHECK_MS = 1_000;
/** Maximum bytes of a body that is read in one piece. Larger ones are read as they arrive. */
const MAX_WHOLE_BYTES = 64 * 1024;
/** Maximum bytes of all bodies that are being read piece by piece. */
const MAX_UNDER_WAY_BYTES = 256 * 1024 * 1024;
/** Maximum bytes of an oversized body that are read and discarded, so that the refusal can reach the sender. */
const MAX_DRAINED_BYTES = 1024 * 1024;

/** The problems that {@link BodyReader} finds. */
export const BODY_PROBLEMS = [
  "encoded-body",
  "body-empty",
  "body-too-large",
  "body-cut-short",
  "body-too-slow",
  "busy",
] as const satisfies readonly ProblemType[];

/** Reads the bodies of one process's requests. */
export class BodyReader {
  readonly #maxUnderWayBytes: number;
  #underWayBytes = 0;

  /** @param maxUnderWayBytes Maximum bytes of large bodies that are being received at once. */
  constructor(maxUnderWayBytes: number = MAX_UNDER_WAY_BYTES) {
    this.#maxUnderWayBytes = maxUnderWayBytes;
  }

  /** Reads a body of at most `maxBytes` bytes. */
  async read(request: Request, maxBytes: number): Promise<Uint8Array | Problem> {
    if (request.headers.has("content-encoding")) {
      await drain(request);
      return problem("encoded-body", "send the body as it is, without Content-Encoding");
    }
    const stated = Number(request.headers.get("content-length") ?? NaN);
    if (stated > maxBytes) {
      await drain(request);
      return tooLarge(maxBytes);
    }
    try {
      const body = stated <= MAX_WHOLE_BYTES
        ? await readWhole(request, stated)
        : await this.#gather(request, maxBytes);
      if (!(body instanceof Uint8Array)) return body;
      if (body.length > maxBytes) return tooLarge(maxBytes);
      return body.length === 0 ? problem("body-empty", "the request has no body") : body;
    } catch (error) {
      return problem("body-cut-short", (error as Error).message);
    }
  }

  async #gather(request: Request, maxBytes: number): Promise<Uint8Array | Problem> {
    const pieces: Uint8Array[] = [];
    let length = 0;
    let held = 0;
    let crowded = false;
    try {
      const end = await forEachPiece(request, (piece) => {
        length += piece.length;
        crowded ||= this.#underWayBytes + piece.length > this.#maxUnderWayBytes;
        if (crowded || length > maxBytes) return length <= maxBytes + MAX_DRAINED_BYTES;
        this.#underWayBytes += piece.length;
        held += piece.length;
        pieces.push(piece);
        return true;
      });
      if (end === "late") return tooSlow();
    } finally {
      this.#underWayBytes -= held;
    }
    if (length > maxBytes) return tooLarge(maxBytes);
    if (crowded) return problem("busy", "too many large bodies are being received: send smaller batches");
    return join(pieces, length);
  }
}

/**
 * The fast path. A body that is late is not cancelled: it is small, and ends with its connection.
 *
 * @param stated The body's length by its Content-Length.
 */
async function readWhole(request: Request, stated: number): Promise<Uint8Array | Problem> {
  if (!(request instanceof PostedRequest)) {
    return await inTime(request.arrayBuffer().then((body) => new Uint8Array(body)));
  }
  const reading = readStated(request, stated);
  // What came with the head is parsed before this goes on. A body that is here needs no deadline.
  await undefined;
  return await (request.isComplete ? reading : inTime(reading));
}

/** What is read, or a problem when the time is up. */
function inTime(reading: Promise<Uint8Array>): Promise<Uint8Array | Problem> {
  return new Promise((resolve, reject) => {
    const wait = deadlineTimer.begin(() => resolve(tooSlow()));
    reading.then((body) => {
      deadlineTimer.end(wait);
      resolve(body);
    }, (error) => {
      deadlineTimer.end(wait);
      reject(error);
    });
  });
}

/** Reads a body into an array of the stated length, which `node:http` holds it to. */
async function readStated(request: PostedRequest, stated: number): Promise<Uint8Array> {
  const body = new Uint8Array(stated);
  let length = 0;
  await request.read((piece) => {
    body.set(piece, length);
    length += piece.length;
    return true;
  }).done;
  return body;
}

type Wait = Readonly<{ lastCheck: number; giveUp(): void }>;

/** Timeouts of all bodies with one timer. A timer for each would cost a tenth of a vote's processor time. */
class DeadlineTimer {
  /** In the order in which they end. */
  readonly #waits = new Set<Wait>();
  #checks = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Calls `giveUp` when the time is up, unless the wait has ended. */
  begin(giveUp: () => void): Wait {
    const checks = BODY_TIMEOUT_MS / CHECK_MS;
    const first = this.#waits.size === 0;
    if (first) this.#timer = setInterval(() => this.#check(), CHECK_MS);
    const wait = { lastCheck: this.#checks + checks + (first ? 0 : 1), giveUp };
    this.#waits.add(wait);
    return wait;
  }

  end(wait: Wait): void {
    this.#waits.delete(wait);
    if (this.#waits.size === 0) clearInterval(this.#timer);
  }

  #check(): void {
    this.#checks++;
    for (const wait of this.#waits) {
      if (wait.lastCheck > this.#checks) break;
      this.end(wait);
      wait.giveUp();
    }
  }
}

const deadlineTimer = new DeadlineTimer();

function tooLarge(maxBytes: number): Problem {
  return problem("body-too-large", `the body may have ${maxBytes} bytes`);
}

function tooSlow(): Problem {
  return problem("body-too-slow", `the whole body must come within ${BODY_TIMEOUT_MS / 1_000} s`);
}

function join(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const body = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    body.set(piece, at);
    at += piece.length;
  }
  return body;
}

/** Reads a bounded part of an unwanted body: an unread body would cut the connection before the answer is sent. */
export async function drain(request: Request): Promise<void> {
  let length = 0;
  try {
    await forEachPiece(request, (piece) => (length += piece.length) <= MAX_DRAINED_BYTES);
  } catch {
    // The sender is gone, so nobody waits for the answer.
  }
}

/** Passes a body's pieces to `take` until the body ends, `take` stops, or the time is up. */
async function forEachPiece(
  request: Request,
  take: (piece: Uint8Array) => boolean,
): Promise<"whole" | "enough" | "late"> {
  if (request instanceof PostedRequest) return await forEachPosted(request, take);
  const { body } = request;
  if (body === null) return "whole";
  const reader = body.getReader();
  let late = false;
  const wait = deadlineTimer.begin(() => {
    late = true;
    reader.cancel().catch(() => {});
  });
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return late ? "late" : "whole";
      if (!take(value)) {
        reader.cancel().catch(() => {});
        return "enough";
      }
    }
  } finally {
    deadlineTimer.end(wait);
  }
}

/** {@link forEachPiece} without a stream. */
async function forEachPosted(
  request: PostedRequest,
  take: (piece: Uint8Array) => boolean,
): Promise<"whole" | "enough" | "late"> {
  let late = false;
  // The piece is a view of a buffer that node:http uses again.
  const reading = request.read((piece) => take(piece.slice()));
  const wait = deadlineTimer.begin(() => {
    late = true;
    reading.stop();
  });
  try {
    const end = await reading.done;
    return late ? "late" : end;
  } finally {
    deadlineTimer.end(wait);
  }
}
