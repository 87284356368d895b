/**
 * A proxy in front of PostgreSQL that cuts connections at COMMIT, where a client cannot know what became of it; or that
 * falls silent, as a machine does that lost its network.
 *
 * @module
 */

/** Where the line is cut: COMMIT never arrives, or its answer does not; or nothing comes back any more. */
export type Cut = "before commit" | "after commit" | "silence";

const COMMIT = new TextEncoder().encode("COMMIT\0");

/** See {@link startProxy}. */
export class CuttingProxy {
  /** What happens to the next connection that it can happen to, once. */
  next?: Cut;
  /** What has happened. */
  readonly done: Cut[] = [];
  readonly #listener: Deno.TcpListener;
  readonly #open = new Set<Deno.TcpConn>();
  readonly #running: Promise<void>;

  /** @internal */
  constructor(readonly serverPort: number) {
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#running = this.#accept();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async #accept(): Promise<void> {
    const lines: Promise<unknown>[] = [];
    for await (const client of this.#listener) {
      const server = await Deno.connect({ hostname: "127.0.0.1", port: this.serverPort });
      const line = { client, server, isDeaf: false, isCut: false };
      this.#open.add(client).add(server);
      lines.push(this.#up(line).catch(() => {}), this.#down(line).catch(() => {}));
    }
    await Promise.all(lines);
  }

  async #up(line: Line): Promise<void> {
    for await (const piece of pieces(line.client)) {
      if (this.next === "silence") line.isDeaf = this.#happens(this.next);
      if (line.isDeaf) continue;
      if (this.next !== undefined && holds(piece, COMMIT)) {
        const cut = this.next;
        this.#happens(cut);
        if (cut === "before commit") return this.#cut(line);
        line.isCut = true;
      }
      await line.server.write(piece);
    }
    this.#cut(line);
  }

  async #down(line: Line): Promise<void> {
    for await (const piece of pieces(line.server)) {
      if (line.isCut) return this.#cut(line); // The server has answered, and so it is committed.
      if (!line.isDeaf) await line.client.write(piece);
    }
    this.#cut(line);
  }

  #happens(cut: Cut): true {
    this.done.push(cut);
    this.next = undefined;
    return true;
  }

  #cut({ client, server }: Line): void {
    for (const end of [client, server]) if (this.#open.delete(end)) end.close();
  }

  async close(): Promise<void> {
    this.#listener.close();
    for (const end of this.#open) end.close();
    this.#open.clear();
    await this.#running;
  }
}

type Line = { client: Deno.TcpConn; server: Deno.TcpConn; isDeaf: boolean; isCut: boolean };

/** Starts a proxy on a port of its own. */
export function startProxy(serverPort: number): CuttingProxy {
  return new CuttingProxy(serverPort);
}

async function* pieces(from: Deno.TcpConn): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(65_536);
  for (let length; (length = await from.read(buffer).catch(() => null)) !== null;) {
    yield buffer.slice(0, length);
  }
}

function holds(bytes: Uint8Array, wanted: Uint8Array): boolean {
  return new TextDecoder("latin1").decode(bytes).includes(new TextDecoder("latin1").decode(wanted));
}
