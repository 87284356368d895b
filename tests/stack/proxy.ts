/**
 * A proxy before a Kafka broker that can lose answers, as a network does: it reads the frames of the protocol on
 * their way. The broker is to advertise the proxy's port as its own.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { connect, createServer, type Server, type Socket } from "node:net";

/** The key of the produce request, see https://kafka.apache.org/protocol#protocol_api_keys. */
const PRODUCE = 0;

/** See the module. */
export class LossyProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** How many more answers to a produce request are lost. */
  #toLose = 0;
  /** How many were. */
  lost = 0;

  /** @internal */
  constructor(brokerPort: number) {
    this.#server = createServer((client) => {
      const broker = connect(brokerPort, "127.0.0.1");
      const produces = new Set<number>();
      const frames = new Frames();
      client.on("data", (bytes) => {
        for (const frame of frames.push(bytes as Buffer)) {
          if (frame.readInt16BE(4) === PRODUCE) produces.add(frame.readInt32BE(8));
        }
        broker.write(bytes);
      });
      const answers = new Frames();
      broker.on("data", (bytes) => {
        for (const frame of answers.push(bytes as Buffer)) {
          if (produces.delete(frame.readInt32BE(4)) && this.#toLose > 0) {
            this.#toLose--;
            this.lost++;
          } else client.write(frame);
        }
      });
      for (const [one, other] of [[client, broker], [broker, client]]) {
        this.#sockets.add(one);
        one.on("error", () => other.destroy());
        one.on("close", () => {
          this.#sockets.delete(one);
          other.destroy();
        });
      }
    });
  }

  /** Loses so many answers to produce requests from now on. */
  lose(answers: number): void {
    this.#toLose = answers;
  }

  /** @internal */
  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, "127.0.0.1", () => resolve()));
  }

  /** Closes it, and every connection through it. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

/** Starts a proxy on one port before the broker on another. */
export async function startProxy(port: number, brokerPort: number): Promise<LossyProxy> {
  const proxy = new LossyProxy(brokerPort);
  await proxy.listen(port);
  return proxy;
}

/** Cuts a stream into frames, each with the four bytes of its length before it. */
class Frames {
  #left: Buffer = Buffer.alloc(0);

  push(bytes: Buffer): Buffer[] {
    this.#left = Buffer.concat([this.#left, bytes]);
    const frames: Buffer[] = [];
    while (this.#left.length >= 4 && this.#left.length >= 4 + this.#left.readInt32BE(0)) {
      const length = 4 + this.#left.readInt32BE(0);
      frames.push(this.#left.subarray(0, length));
      this.#left = this.#left.subarray(length);
    }
    return frames;
  }
}
