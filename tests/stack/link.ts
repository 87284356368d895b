/**
 * A link before a server, as networks are: it can be slow on the way there, and it can fall silent, so that nobody
 * hears of anything, not even that a connection was closed.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { connect, createServer, type Server, type Socket } from "node:net";

/** Bytes that are sent on at once: small enough for a slow link to be slow evenly. */
const PIECE_BYTES = 2_048;

/** See {@link startLink}. */
export class Link {
  /** Bytes a second on the way to the server, of all connections together. */
  bytesPerSecond = Infinity;
  /** Whether nothing gets through, either way. */
  isSilent = false;
  /** Bytes that were sent on to the server. */
  sent = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #ended = new AbortController();
  /** When the link is free again, in milliseconds. */
  #freeAtMs = 0;

  /** @internal */
  constructor(serverPort: number) {
    this.#server = createServer((client) => {
      const server = connect(serverPort, "127.0.0.1");
      for (const socket of [client, server]) {
        socket.setNoDelay(true);
        this.#sockets.add(socket);
        socket.on("error", () => {});
      }
      void this.#carry(client, server, true);
      void this.#carry(server, client, false);
    });
  }

  async #carry(from: Socket, to: Socket, isSlow: boolean): Promise<void> {
    try {
      for await (const bytes of from as AsyncIterable<Uint8Array>) {
        for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
          const piece = bytes.subarray(at, at + PIECE_BYTES);
          if (isSlow) await this.#turn(piece.length);
          await this.#heard();
          if (!to.write(piece)) {
            await new Promise((resolve) => to.once("drain", resolve).once("close", resolve));
          }
        }
      }
    } catch {
      // It broke, which the other side is told like an end.
    }
    await this.#heard().catch(() => {});
    to.destroy();
    this.#sockets.delete(from);
  }

  /** Waits until so many bytes have passed. */
  async #turn(bytes: number): Promise<void> {
    this.sent += bytes;
    if (this.bytesPerSecond === Infinity) return;
    const now = performance.now();
    this.#freeAtMs = Math.max(now, this.#freeAtMs) + 1_000 * bytes / this.bytesPerSecond;
    await delay(this.#freeAtMs - now, undefined, { signal: this.#ended.signal });
  }

  async #heard(): Promise<void> {
    while (this.isSilent) await delay(20, undefined, { signal: this.#ended.signal });
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** @internal */
  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, "127.0.0.1", () => resolve()));
  }

  /** Closes it, and every connection through it. */
  async close(): Promise<void> {
    this.#ended.abort();
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

/** Starts a link to a server's port, on a port of its own when none is named. */
export async function startLink(serverPort: number, port = 0): Promise<Link> {
  const link = new Link(serverPort);
  await link.listen(port);
  return link;
}
