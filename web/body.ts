/**
 * Reads a request's body within limits of size, of time and of what all requests together may hold.
 *
 * @module
 */
import { type Problem, problem } from "../shared/problem.ts";

/** How long a body may take to come, in milliseconds. */
export const BODY_TIMEOUT_MS = 15_000;
/** How often it is looked whether one has taken longer, in milliseconds: some are given so much more. */
const CHECK_MS = 1_000;
/** Bodies up to this size are read in one go, larger ones piece by piece, in bytes. */
const MAX_WHOLE_BYTES = 64 * 1024;
/** Bytes that all bodies which are read piece by piece hold at the most while they come. */
const MAX_UNDER_WAY_BYTES = 256 * 1024 * 1024;
/** What is read and thrown away of a body that is too large, so that the refusal can reach the sender, in bytes. */
const MAX_DRAINED_BYTES = 1024 * 1024;

/** Reads the bodies of one process's requests. */
export class BodyReader {
  readonly #maxUnderWayBytes: number;
  #underWayBytes = 0;

  /** @param maxUnderWayBytes Bytes of large bodies that may be on their way at once. */
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
        ? await readWhole(request)
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
    if (crowded) return problem("busy", "too many large bodies are on their way: send smaller batches");
    return join(pieces, length);
  }
}

/**
 * The fast path. A body that is late is left to itself: it is small, and ends with its connection.
 */
function readWhole(request: Request): Promise<Uint8Array | Problem> {
  return new Promise((resolve, reject) => {
    const wait = deadlineTimer.begin(() => resolve(tooSlow()));
    request.arrayBuffer().then((body) => {
      deadlineTimer.end(wait);
      resolve(new Uint8Array(body));
    }, (error) => {
      deadlineTimer.end(wait);
      reject(error);
    });
  });
}

type Wait = Readonly<{ lastCheck: number; giveUp(): void }>;

/** Gives up waiting in time, with one timer for all: one for each would cost a tenth of what a vote costs. */
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

/** Reads a bounded part of a body that is not wanted: an unread one would cut the connection before the answer. */
export async function drain(request: Request): Promise<void> {
  let length = 0;
  try {
    await forEachPiece(request, (piece) => (length += piece.length) <= MAX_DRAINED_BYTES);
  } catch {
    // The sender is gone, and so is whom the answer was for.
  }
}

/** Hands over a body's pieces until there are no more, `take` wants no more, or time is up. */
async function forEachPiece(
  { body }: Request,
  take: (piece: Uint8Array) => boolean,
): Promise<"whole" | "enough" | "late"> {
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
