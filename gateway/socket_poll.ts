/**
 * Calls back once the process has looked at its sockets. Deno 2.9.6 runs its event loop as one task of tokio, which asks the kernel for
 * ready sockets only when that task waits, or after 61 rounds. A busy gateway never waits, and 61 rounds of work take seconds, in which
 * timers come in time and requests lie unread. A byte that the process sends itself is read when the others are.
 *
 * @module
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** How long to wait in its place when the connection is lost, in milliseconds. */
const WITHOUT_MS = 5;

/** See the module. */
export class SocketPoll implements Disposable {
  readonly #sender: Socket;
  readonly #receiver: Socket;
  #work: (() => void) | undefined;
  #isLost = false;

  private constructor(sender: Socket, receiver: Socket) {
    this.#sender = sender;
    this.#receiver = receiver;
    receiver.on("data", () => this.#call());
    for (const socket of [sender, receiver]) {
      socket.unref();
      socket.on("error", () => this[Symbol.dispose]());
      socket.on("close", () => this[Symbol.dispose]());
    }
  }

  /** Opens a connection of the process to itself. */
  static async open(): Promise<SocketPoll> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const accepted = once(server, "connection");
    const sender = connect((server.address() as AddressInfo).port, "127.0.0.1");
    await once(sender, "connect");
    sender.setNoDelay(true);
    const [receiver] = await accepted as [Socket];
    server.close();
    return new SocketPoll(sender, receiver);
  }

  /** Calls once sockets were looked at. One at a time. */
  after(work: () => void): void {
    this.#work = work;
    if (this.#isLost) setTimeout(() => this.#call(), WITHOUT_MS);
    else this.#sender.write("\n");
  }

  /** Ends the connection. Calls still come, by a timer. */
  [Symbol.dispose](): void {
    if (this.#isLost) return;
    this.#isLost = true;
    for (const socket of [this.#sender, this.#receiver]) socket.destroy();
    if (this.#work !== undefined) setTimeout(() => this.#call(), WITHOUT_MS);
  }

  #call(): void {
    const work = this.#work;
    this.#work = undefined;
    work?.();
  }
}
