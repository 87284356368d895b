/**
 * Reads a request's body within a limit.
 *
 * @module
 */
import { type Problem, problem } from "../shared/problem.ts";

/** What is read and thrown away of a body that is too large, so that the refusal can reach the sender, in bytes. */
const MAX_DRAINED_BYTES = 1024 * 1024;

/** Reads a body of at most `maxBytes` bytes. */
export async function readBody(request: Request, maxBytes: number): Promise<Uint8Array | Problem> {
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
    const body = Number.isNaN(stated)
      ? await readStream(request, maxBytes)
      : new Uint8Array(await request.arrayBuffer());
    if (body === undefined || body.length > maxBytes) return tooLarge(maxBytes);
    return body.length === 0 ? problem("body-empty", "the request has no body") : body;
  } catch (error) {
    return problem("body-cut-short", (error as Error).message);
  }
}

function tooLarge(maxBytes: number): Problem {
  return problem("body-too-large", `the body may have ${maxBytes} bytes`);
}

/** Reads a body of unstated length; `undefined` when it goes beyond the limit. */
async function readStream(request: Request, maxBytes: number): Promise<Uint8Array | undefined> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of request.body ?? []) {
    length += piece.length;
    if (length > maxBytes + MAX_DRAINED_BYTES) return undefined;
    if (length <= maxBytes) pieces.push(piece);
  }
  if (length > maxBytes) return undefined;
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
    for await (const piece of request.body ?? []) {
      length += piece.length;
      if (length > MAX_DRAINED_BYTES) return;
    }
  } catch {
    // The sender is gone, and so is whom the answer was for.
  }
}
