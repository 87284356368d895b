/**
 * TLS handshakes that fail: told of one by one up to a limit, and counted beyond it. Whoever can connect can make them
 * fail, and must not fill a disk with it.
 *
 * @module
 */
import type { Socket } from "node:net";

/** Failures that are told of one by one in each window. */
export const MAX_TOLD = 10;
/** A window, in milliseconds. */
export const WINDOW_MS = 60_000;
/** What is told of an error, in characters. */
const MAX_WHY_CHARS = 200;

/** Told of handshakes that failed. */
export type HandshakeEvents = Readonly<{
  /** One failed, with a client of this address. */
  onHandshakeFault(address: string, why: string): void;
  /** So many more have failed within a minute. */
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

  /** Takes one that failed: the error and the socket of `tlsClientError`. */
  add(error: Error, socket: Socket): void {
    this.poll();
    if (this.#told === MAX_TOLD) {
      this.#untold++;
      return;
    }
    this.#told++;
    this.#events.onHandshakeFault(addressOf(socket), error.message.slice(0, MAX_WHY_CHARS));
  }

  /** Begins another window when this one is over. To be called now and then. */
  poll(): void {
    if (this.#now() - this.#sinceMs >= WINDOW_MS) this.end();
  }

  /** Ends the window: tells of those that were only counted. */
  end(): void {
    if (this.#untold > 0) this.#events.onMoreHandshakeFaults(this.#untold);
    this.#sinceMs = this.#now();
    this.#told = 0;
    this.#untold = 0;
  }
}

/** A TLS socket forgets whom it was connected to once it is closed; the TCP socket below it does not. */
function addressOf(socket: Socket & { _parent?: Socket }): string {
  return socket.remoteAddress ?? socket._parent?.remoteAddress ?? "an unknown address";
}
