/**
 * Loads a server over kept-alive TCP connections, each of which waits for its answer before it sends again. HTTP/1.1
 * spelled by hand, and of the answers only status and length are read: with `fetch` the client would be what is
 * measured.
 *
 * @module
 */
import { utf8 } from "../shared/bytes.ts";

/** Bytes of an answer's head at the most. */
const MAX_HEAD_BYTES = 16 * 1024;
const READ_BYTES = 64 * 1024;

const latin1 = new TextDecoder("latin1");

/** An answer: `body` is empty unless bodies are kept; `retryAfterS` is the header of a refusal, in seconds. */
export type Answer = Readonly<{ status: number; body: Uint8Array; retryAfterS?: number }>;

/** What an answer's head says; `length` is that of the whole answer. */
export type AnswerHead = Readonly<{
  status: number;
  length: number;
  headLength: number;
  retryAfterS?: number;
}>;

/** What a load came to. */
export type Load = Readonly<{
  seconds: number;
  /** From a request's first byte to its answer's last, one a request, in milliseconds. */
  latenciesMs: Float64Array;
  /** Empty unless bodies are kept. */
  bodies: Uint8Array[];
}>;

/** Writes a POST. */
export function postRequest(
  path: string,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): Uint8Array {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const head = utf8(
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: ${body.length}\r\n${lines}\r\n`,
  );
  const request = new Uint8Array(head.length + body.length);
  request.set(head);
  request.set(body, head.length);
  return request;
}

/** Reads an answer's head, once all of it is there. */
export function readHead(bytes: Uint8Array): AnswerHead | undefined {
  const head = latin1.decode(bytes.subarray(0, MAX_HEAD_BYTES));
  const end = head.indexOf("\r\n\r\n");
  if (end === -1) {
    if (bytes.length >= MAX_HEAD_BYTES) throw new Error("An answer's head is too long");
    return undefined;
  }
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]);
  // An answer 204 has no body, and says no length (RFC 9110, section 8.6).
  const length = status === 204 ? "0" : /\r\ncontent-length: (\d+)/i.exec(head.slice(0, end))?.[1];
  if (Number.isNaN(status) || length === undefined) {
    throw new Error(`An answer has no status or no content-length: ${head.slice(0, end)}`);
  }
  const answer = { status, headLength: end + 4, length: end + 4 + Number(length) };
  if (status < 400) return answer;
  const retryAfter = /\r\nretry-after: (\d+)\r\n/i.exec(head.slice(0, end + 2))?.[1];
  return retryAfter === undefined ? answer : { ...answer, retryAfterS: Number(retryAfter) };
}

/** One connection. */
export class Connection {
  readonly #conn: Deno.TcpConn;
  #buffer = new Uint8Array(READ_BYTES);

  constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
  }

  /** Sends a request and reads its answer. */
  async ask(request: Uint8Array, keepBody = false): Promise<Answer> {
    for (let sent = 0; sent < request.length;) sent += await this.#conn.write(request.subarray(sent));
    let head: ReturnType<typeof readHead>;
    for (let filled = 0; head === undefined || filled < head.length;) {
      if (filled === this.#buffer.length) this.#grow();
      const read = await this.#conn.read(this.#buffer.subarray(filled));
      if (read === null) throw new Error("The server closed the connection");
      filled += read;
      head ??= readHead(this.#buffer.subarray(0, filled));
    }
    const body = keepBody ? this.#buffer.slice(head.headLength, head.length) : new Uint8Array(0);
    const { status, retryAfterS } = head;
    return { status, body, ...retryAfterS !== undefined && { retryAfterS } };
  }

  close(): void {
    this.#conn.close();
  }

  #grow(): void {
    const larger = new Uint8Array(2 * this.#buffer.length);
    larger.set(this.#buffer);
    this.#buffer = larger;
  }
}

/** Connections to one server. */
export class HttpLoad {
  readonly connections: readonly Connection[];

  private constructor(connections: readonly Connection[]) {
    this.connections = connections;
  }

  /** @param origin Like `http://127.0.0.1:8001`. */
  static async connect(origin: string, connections: number): Promise<HttpLoad> {
    const { hostname, port } = new URL(origin);
    return new HttpLoad(
      await Promise.all(Array.from({ length: connections }, async () => {
        const conn = await Deno.connect({ hostname, port: Number(port) });
        conn.setNoDelay(true);
        return new Connection(conn);
      })),
    );
  }

  /**
   * Sends all requests, each connection the next one as soon as it has its answer.
   *
   * @throws when an answer has another status.
   */
  async send(requests: readonly Uint8Array[], status: number, keepBodies = false): Promise<Load> {
    const latenciesMs = new Float64Array(requests.length);
    const bodies: Uint8Array[] = [];
    let next = 0;
    const fromMs = performance.now();
    await Promise.all(this.connections.map(async (connection) => {
      for (let i = next++; i < requests.length; i = next++) {
        const sentMs = performance.now();
        const answer = await connection.ask(requests[i]!, keepBodies);
        latenciesMs[i] = performance.now() - sentMs;
        if (answer.status !== status) throw new Error(`An answer was ${answer.status}, not ${status}`);
        if (keepBodies) bodies.push(answer.body);
      }
    }));
    return { seconds: (performance.now() - fromMs) / 1_000, latenciesMs, bodies };
  }

  close(): void {
    for (const connection of this.connections) connection.close();
  }
}
