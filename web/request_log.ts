/**
 * What a process's log says of requests: how they ended, with ids by which they are found again, and nothing of who
 * voted or what. A vote id is the device's own random UUID; a path is said only where the app knows it.
 *
 * @module
 */
import type { Logger } from "@logtape/logtape";
import type { ConnectionInfo } from "./serve.ts";

/** How an app answers. */
type Fetch = (request: Request, connection: ConnectionInfo) => Response | Promise<Response>;

/** What tells a request from others. */
export type RequestIds = Readonly<{
  /** `X-Request-Id`, if it is a UUID: anything else could be anything. */
  requestId?: string;
  /** `Idempotency-Key`, if it is a UUID: the vote's id, or the batch's. */
  idempotencyKey?: string;
}>;

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** A request's ids, as far as it has them. */
export function requestIds({ headers }: Request): RequestIds {
  const requestId = headers.get("x-request-id") ?? "";
  const idempotencyKey = headers.get("idempotency-key")?.replace(/^"(.*)"$/, "$1") ?? "";
  return {
    ...UUID.test(requestId) && { requestId },
    ...UUID.test(idempotencyKey) && { idempotencyKey },
  };
}

/** Has every request's end said at level debug. Below that level it costs nothing: the app's own function comes back. */
export function logRequests(
  fetch: Fetch,
  log: Logger,
  now: () => number = performance.now.bind(performance),
): Fetch {
  if (!log.isEnabledFor("debug")) return fetch;
  return async (request, connection) => {
    const fromMs = now();
    const { requestId = crypto.randomUUID(), idempotencyKey } = requestIds(request);
    const answer = await fetch(request, connection);
    const { status } = answer;
    log.debug("{method} {path} {status}", {
      method: request.method,
      path: status === 404 ? "unknown" : new URL(request.url).pathname,
      status,
      ms: Math.round(now() - fromMs),
      requestId,
      ...idempotencyKey && { idempotencyKey },
    });
    return answer;
  };
}

/**
 * Has an error that no answer could explain said, with the request's ids.
 *
 * @param isPlain Of which errors the message says everything; of others the stack is said too.
 */
export function logErrors(
  log: Logger,
  isPlain: (error: unknown) => boolean = () => false,
): (error: unknown, request?: Request) => void {
  return (error, request) =>
    log.error("request failed: {error}", {
      error: String(isPlain(error) ? error : (error as Error)?.stack ?? error),
      ...request && requestIds(request),
    });
}
