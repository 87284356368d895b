/**
 * Logs requests: how they ended, with ids for searching, and nothing about who voted or what. A vote id is the device's
 * random UUID. A path is logged only if the app has a route for it.
 *
 * @module
 */
import type { Logger } from "@logtape/logtape";
import type { ConnectionInfo } from "./serve.ts";

/** How an app answers. */
type Fetch = (request: Request, connection: ConnectionInfo) => Response | Promise<Response>;

/** The ids of a request. */
export type RequestIds = Readonly<{
  /** `X-Request-Id`, if it is a UUID. Other values are not logged: they could hold anything. */
  requestId?: string;
  /** `Idempotency-Key`, if it is a UUID: the vote's id, or the batch's. */
  idempotencyKey?: string;
}>;

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The ids that a request has. */
export function requestIds({ headers }: Request): RequestIds {
  const requestId = headers.get("x-request-id") ?? "";
  const idempotencyKey = headers.get("idempotency-key")?.replace(/^"(.*)"$/, "$1") ?? "";
  return {
    ...UUID.test(requestId) && { requestId },
    ...UUID.test(idempotencyKey) && { idempotencyKey },
  };
}

/** Logs every request's end at level `debug`. At higher levels it returns the app's own function and costs nothing. */
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
 * Logs an error that was answered with `internal`, with the request's ids.
 *
 * @param isPlain Whether an error's message is enough. For other errors the stack is logged, too.
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
