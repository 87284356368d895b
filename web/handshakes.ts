/**
 * Failed TLS handshakes: reported one by one up to a limit, and counted beyond it. Anybody who can connect can make
 * handshakes fail, and must not be able to fill the disk with log lines.
 *
 * @module
 */
import type { Socket } from "node:net";

/** Maximum failures that are reported one by one in a window. */
export const MAX_TOLD = 10;
/** Length of a window, in milliseconds. */
export const WINDOW_MS = 60_000;
/** Maximum characters of a reported error. */
const MAX_WHY_CHARS = 200;

/** Callbacks for failed handshakes. */
export type HandshakeEvents = Readonly<{
  /** A handshake with a client of this address failed. */
  onHandshakeFault(address: string, why: string): void;
  /** Called at the end of a window with the number of failures that were not reported one by one. */
  onMoreHandshakeFaults(count: number): void;
}>;

/** See the module. */
export class HandshakeFaults {
  readonly #events: HandshakeEvents;
  readonly #now: () => number;
  #sinceMs: number;
  #told = 0;
  #untold = 0;

  /** @param now Milliseconds that never go back. */
  constructor(events: HandshakeEvents, now: () => number = () => performance.now()) {
    this.#events = events;
    this.#now = now;
    this.#sinceMs = now();
  }

  /** Adds a failed handshake: the error and the socket of `tlsClientError`. */
  add(error: Error, socket: Socket): void {
    this.poll();
    if (this.#told === MAX_TOLD) {
      this.#untold++;
      return;
    }
    this.#told++;
    this.#events.onHandshakeFault(addressOf(socket), error.message.slice(0, MAX_WHY_CHARS));
  }

  /** Begins the next window when this one is over. Call it regularly. */
  poll(): void {
    if (this.#now() - this.#sinceMs >= WINDOW_MS) this.end();
  }

  /** Ends the window, and reports the failures that were only counted. */
  end(): void {
    if (this.#untold > 0) this.#events.onMoreHandshakeFaults(this.#untold);
    this.#sinceMs = this.#now();
    this.#told = 0;
    this.#untold = 0;
  }
}

/** A closed TLS socket has no remote address any more; the TCP socket below it still has. */
function addressOf(socket: Socket & { _parent?: Socket }): string {
  return socket.remoteAddress ?? socket._parent?.remoteAddress ?? "an unknown address";
}
