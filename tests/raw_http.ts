/**
 * HTTP/1.1 by hand, for what no client library sends: bytes go out as they are given, and what comes back is read
 * as it comes.
 *
 * @module
 */
import assert from "assert";
import { setTimeout as delay } from "node:timers/promises";
import { fromUtf8, utf8 } from "../shared/bytes.ts";

/** How long an answer may take before the test fails, in milliseconds. */
const ANSWER_MS = 120_000;
/** Maximum bytes of one answer. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/** A request as it goes out. Headers are a list, since one may come twice, and may be of any bytes. */
export type RawRequest = Readonly<{
  method?: string;
  target: string;
  version?: string;
  headers?: readonly (readonly [name: string, value: string])[];
  body?: Uint8Array | string;
  /** What goes out in place of all that is above. */
  bytes?: Uint8Array | string;
}>;

/** An answer. `body` is parsed when it says that it is JSON. `reason` is a problem's. */
export type RawAnswer = Readonly<{
  status: number;
  headers: Headers;
  body: any;
  reason: string | undefined;
}>;

/** The bytes of a request; its length is stated when it has a body and does not say otherwise. */
export function rawBytes(request: RawRequest): Uint8Array<ArrayBuffer> {
  if (request.bytes !== undefined) return bytesOf(request.bytes);
  const { method = "POST", target, version = "HTTP/1.1", headers = [], body } = request;
  const lines = [`${method} ${target} ${version}`];
  const has = (name: string) => headers.some(([each]) => each.toLowerCase() === name);
  if (!has("host")) lines.push("Host: gateway.test");
  for (const [name, value] of headers) lines.push(`${name}: ${value}`);
  const sent = bytesOf(body ?? "");
  if (body !== undefined && !has("content-length") && !has("transfer-encoding")) {
    lines.push(`Content-Length: ${sent.length}`);
  }
  const head = latin1(`${lines.join("\r\n")}\r\n\r\n`);
  const bytes = new Uint8Array(head.length + sent.length);
  bytes.set(head);
  bytes.set(sent, head.length);
  return bytes;
}

/** One TCP connection to a server. */
export class RawConnection implements AsyncDisposable {
  readonly #connection: Deno.TcpConn;
  #left: Uint8Array<ArrayBuffer> = new Uint8Array(0);

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  static async open(origin: string): Promise<RawConnection> {
    const { hostname, port } = new URL(origin);
    return new RawConnection(await Deno.connect({ hostname, port: Number(port) }));
  }

  /** Sends bytes. That the other side has closed already is no error: it may have answered before. */
  async send(bytes: Uint8Array | string): Promise<void> {
    const all = bytesOf(bytes);
    try {
      for (let at = 0; at < all.length;) at += await this.#connection.write(all.subarray(at));
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }

  /** Closes this side for writing, and leaves the other open. */
  async closeWrite(): Promise<void> {
    await this.#connection.closeWrite().catch(() => {});
  }

  /** Reads one answer; `undefined` when the other side closed instead. `toHead` says that none has a body. */
  async answer(toHead = false): Promise<RawAnswer | undefined> {
    const head = await this.#until("\r\n\r\n");
    if (head === undefined) return undefined;
    const [line, ...fields] = head.split("\r\n");
    const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(line)?.[1]);
    assert.ok(status >= 100, `not an answer: ${line}`);
    const headers = new Headers(fields.map((field): [string, string] => {
      const at = field.indexOf(":");
      return [field.slice(0, at), field.slice(at + 1).trim()];
    }));
    if (status === 100) return await this.answer(toHead);
    const bodiless = toHead || status === 204 || status === 304;
    const text = bodiless ? "" : await this.#body(headers);
    const isJson = /json/.test(headers.get("content-type") ?? "") && text !== "";
    const body = isJson ? JSON.parse(text) : text;
    return { status, headers, body, reason: body?.type?.replace("urn:pollwire:problem:", "") };
  }

  /** Whether the other side has closed, and had nothing more to say. */
  async isClosed(): Promise<boolean> {
    return this.#left.length === 0 && !await this.#more();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  close(): void {
    try {
      this.#connection.close();
    } catch {
      // It is closed.
    }
  }

  async #body(headers: Headers): Promise<string> {
    if (headers.get("transfer-encoding") !== "chunked") {
      return fromUtf8(await this.#take(Number(headers.get("content-length") ?? 0)));
    }
    let text = "";
    for (;;) {
      const size = parseInt((await this.#until("\r\n"))!, 16);
      text += fromUtf8(await this.#take(size));
      await this.#until("\r\n");
      if (size === 0) return text;
    }
  }

  async #take(bytes: number): Promise<Uint8Array> {
    while (this.#left.length < bytes) assert.ok(await this.#more(), "the answer is cut short");
    const taken = this.#left.slice(0, bytes);
    this.#left = this.#left.slice(bytes);
    return taken;
  }

  /** What stands before a mark, which is taken too. */
  async #until(mark: string): Promise<string | undefined> {
    for (;;) {
      const at = latin1Of(this.#left).indexOf(mark);
      if (at >= 0) {
        const text = latin1Of(this.#left.subarray(0, at));
        this.#left = this.#left.slice(at + mark.length);
        return text;
      }
      if (!await this.#more()) return undefined;
    }
  }

  /** Reads some bytes more; false at the end. */
  async #more(): Promise<boolean> {
    const buffer = new Uint8Array(64 * 1024);
    const late = new AbortController();
    const read = await Promise.race([
      this.#connection.read(buffer).catch((error) => {
        if (isGone(error)) return null;
        throw error;
      }),
      delay(ANSWER_MS, "late" as const, { signal: late.signal }).catch(() => "late" as const),
    ]);
    late.abort();
    assert.notEqual(read, "late", `no answer within ${ANSWER_MS} ms`);
    if (read === null) return false;
    assert.ok(this.#left.length + Number(read) <= MAX_ANSWER_BYTES, "the answer is too long");
    const joined = new Uint8Array(this.#left.length + Number(read));
    joined.set(this.#left);
    joined.set(buffer.subarray(0, Number(read)), this.#left.length);
    this.#left = joined;
    return true;
  }
}

/** Sends one request on a connection of its own, and reads one answer. */
export async function exchange(origin: string, request: RawRequest): Promise<RawAnswer | undefined> {
  await using connection = await RawConnection.open(origin);
  await connection.send(rawBytes(request));
  return await connection.answer(request.method === "HEAD");
}

function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.ConnectionAborted || error instanceof Deno.errors.NotConnected ||
    error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted;
}

function bytesOf(body: Uint8Array | string): Uint8Array<ArrayBuffer> {
  return typeof body === "string" ? utf8(body) : body as Uint8Array<ArrayBuffer>;
}

/** Headers are bytes, one a character. */
function latin1(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function latin1Of(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes);
}
