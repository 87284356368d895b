/**
 * Measures how long bytes lie in a socket before this process reads them: it sends itself a byte over loopback now and then.
 * With thousands of busy connections that can be seconds while timers still come in time, so a timer does not show it.
 *
 * @module
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** How often a byte is sent, in milliseconds. None is while one is under way. */
const SEND_EVERY_MS = 100;

/** See the module. */
export class ReadDelay implements Disposable {
  readonly #now: () => number;
  readonly #sockets: readonly Socket[];
  readonly #timer: ReturnType<typeof setInterval>;
  #sentAtMs: number | undefined;
  #lastMs = 0;

  private constructor(sender: Socket, receiver: Socket, now: () => number) {
    this.#now = now;
    this.#sockets = [sender, receiver];
    receiver.on("data", () => {
      if (this.#sentAtMs !== undefined) this.#lastMs = now() - this.#sentAtMs;
      this.#sentAtMs = undefined;
    });
    for (const socket of this.#sockets) {
      socket.unref();
      // Without the connection nothing is measured.
      socket.on("error", () => this[Symbol.dispose]());
    }
    this.#timer = setInterval(() => {
      if (this.#sentAtMs !== undefined) return;
      this.#sentAtMs = this.#now();
      sender.write("\n");
    }, SEND_EVERY_MS);
    Deno.unrefTimer(Number(this.#timer));
  }

  /** Opens the connection. @param now A monotonic clock, in milliseconds. */
  static async open(now: () => number = () => performance.now()): Promise<ReadDelay> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const accepted = once(server, "connection");
    const sender = connect((server.address() as AddressInfo).port, "127.0.0.1");
    await once(sender, "connect");
    sender.setNoDelay(true);
    const [receiver] = await accepted as [Socket];
    server.close();
    return new ReadDelay(sender, receiver, now);
  }

  /** How long the last byte waited, or the one under way has waited so far, in milliseconds. */
  get ms(): number {
    if (this.#sentAtMs === undefined) return this.#lastMs;
    return Math.max(this.#lastMs, this.#now() - this.#sentAtMs);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.destroy();
    this.#sentAtMs = undefined;
    this.#lastMs = 0;
  }
}
