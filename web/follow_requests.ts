/**
 * Follows the requests of each connection, and closes connections that are idle, or whose request still comes long after
 * its answer. One timer does that for all of them.
 *
 * @module
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Bounds in milliseconds; 0 for none. See `CONNECTION_LIMITS` in serve.ts. */
export type FollowLimits = Readonly<{ requestMs: number; idleMs: number; checkEveryMs: number }>;

/** A connection that has had a request. */
type Followed = {
  unanswered: number;
  last: Pick<IncomingMessage, "complete">;
  /** When the head of the last request was complete, and when its answer was sent. */
  headAtMs: number;
  answeredAtMs: number;
};

/** In place of a request that was received whole and answered, so that an idle connection does not keep it in memory. */
const RECEIVED = { complete: true };

/**
 * Follows requests. The returned function says whether invalid bytes may be answered. They must not be while an earlier
 * request waits for its answer: the client would take this answer for that one.
 */
export function followRequests(server: Server, limits: FollowLimits): (socket: Socket) => boolean {
  const followed = new Map<Socket, Followed>();
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    const headAtMs = performance.now();
    let state = followed.get(socket);
    if (state === undefined) {
      followed.set(socket, state = { unanswered: 0, last: request, headAtMs, answeredAtMs: headAtMs });
    }
    state.unanswered++;
    state.last = request;
    state.headAtMs = headAtMs;
    tellIdleTime(response, limits.idleMs);
    response.once("close", () => {
      state.unanswered--;
      state.answeredAtMs = performance.now();
      if (state.last === request && request.complete) state.last = RECEIVED;
    });
  });
  server.once("listening", () => {
    const checking = setInterval(() => closeOverdue(followed, limits), limits.checkEveryMs);
    server.once("close", () => clearInterval(checking));
  });
  return (socket) => {
    const { unanswered, last } = followed.get(socket) ?? { unanswered: 0 };
    return unanswered === 0 || (unanswered === 1 && !last!.complete);
  };
}

function closeOverdue(followed: Map<Socket, Followed>, { requestMs, idleMs }: FollowLimits): void {
  const nowMs = performance.now();
  for (const [socket, { unanswered, last, headAtMs, answeredAtMs }] of followed) {
    if (socket.destroyed) followed.delete(socket);
    else if (unanswered > 0) continue;
    else if (last.complete) {
      if (idleMs > 0 && nowMs - answeredAtMs > idleMs) socket.destroy();
      // node:http does not bound what still comes after its answer.
    } else if (requestMs > 0 && nowMs - headAtMs > requestMs) socket.destroy();
  }
}

/** Makes `node:http` send `Keep-Alive: timeout=…`, as it does when it closes idle connections itself. */
function tellIdleTime(response: ServerResponse, idleMs: number): void {
  (response as { _keepAliveTimeout?: number })._keepAliveTimeout = idleMs;
}
