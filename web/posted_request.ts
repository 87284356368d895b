/**
 * A POST whose body is read without streams: the `Request` of an address that takes small bodies at a high rate.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";

/** A name or an IPv4 address, perhaps with a port. */
const PLAIN_HOST = /^([A-Za-z0-9.-]+)(?::[0-9]{1,5})?$/;
/** The last host that {@link isPlainHost} accepted. Most requests name the same one. */
let lastPlainHost = "";

/** Whether a URL keeps this host as it is. */
function isPlainHost(host: string): boolean {
  if (host === lastPlainHost) return true;
  const name = PLAIN_HOST.exec(host)?.[1];
  if (name === undefined || URL.parse(`http://${host}`)?.hostname !== name.toLowerCase()) return false;
  lastPlainHost = host;
  return true;
}

/** The headers of a {@link PostedRequest}. Like `Headers`: repeated fields are joined. */
export class PostedHeaders implements Pick<Headers, "get" | "has"> {
  readonly #raw: readonly string[];

  /** @param raw Names and values in turns, as `node:http` has them. */
  constructor(raw: readonly string[]) {
    this.#raw = raw;
  }

  /** The value of a field; `null` when there is none. */
  get(name: string): string | null {
    const raw = this.#raw;
    let value: string | null = null;
    for (let at = 0; at < raw.length; at += 2) {
      if (!isName(raw[at]!, name)) continue;
      const next = raw[at + 1]!.trim();
      value = value === null ? next : `${value}, ${next}`;
    }
    return value;
  }

  /** Whether there is such a field. */
  has(name: string): boolean {
    return this.get(name) !== null;
  }
}

/** The reading of a body. */
export type Reading = Readonly<{
  /** Rejects when the sender broke off. */
  done: Promise<"whole" | "enough">;
  /** Reads no further. The rest is discarded. */
  stop(): void;
}>;

/**
 * Has the members of a `Request` that apps use. Building a `Request` and reading its stream costs as much processor time
 * as all of the rest of HTTP.
 */
export class PostedRequest implements Pick<Request, "method" | "url"> {
  readonly method = "POST";
  readonly url: string;
  readonly headers: PostedHeaders;
  readonly #incoming: IncomingMessage;

  private constructor(incoming: IncomingMessage, url: string) {
    this.#incoming = incoming;
    this.url = url;
    this.headers = new PostedHeaders(incoming.rawHeaders);
  }

  /**
   * The request of a POST to one of these targets; `undefined` of any other, and where the Host header needs a closer
   * look.
   */
  static of(incoming: IncomingMessage, targets: ReadonlySet<string>): PostedRequest | undefined {
    const { method, url = "", rawHeaders } = incoming;
    if (method !== "POST" || !targets.has(url)) return undefined;
    const host = onlyHost(rawHeaders);
    if (host === undefined || !isPlainHost(host)) return undefined;
    return new PostedRequest(incoming, `http://${host}${url}`);
  }

  /** Whether the whole request has been received. */
  get isComplete(): boolean {
    return this.#incoming.complete;
  }

  /** Passes the body's pieces to `take`, which copies what it keeps, until it ends or `take` returns false. */
  read(take: (piece: Uint8Array) => boolean): Reading {
    const incoming = this.#incoming;
    const { promise, resolve, reject } = Promise.withResolvers<"whole" | "enough">();
    const leave = () => {
      incoming.off("data", onData).off("end", onEnd).off("error", onBreak).off("close", onBreak);
    };
    const stop = () => {
      leave();
      // The rest is read and discarded, for as long as a request may take.
      incoming.resume();
      resolve("enough");
    };
    const onData = (piece: Uint8Array) => {
      if (!take(piece)) stop();
    };
    const onEnd = () => {
      leave();
      resolve("whole");
    };
    const onBreak = () => {
      leave();
      reject(new Error("the sender broke off"));
    };
    if (incoming.readableEnded) onEnd();
    else if (incoming.destroyed) onBreak();
    else incoming.on("end", onEnd).on("error", onBreak).on("close", onBreak).on("data", onData);
    return { done: promise, stop };
  }
}

function isName(sent: string, lowerCase: string): boolean {
  return sent.length === lowerCase.length && (sent === lowerCase || sent.toLowerCase() === lowerCase);
}

/** The value of the one Host header; `undefined` when there is none, or more than one. */
function onlyHost(rawHeaders: readonly string[]): string | undefined {
  let host: string | undefined;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (!isName(rawHeaders[at]!, "host")) continue;
    if (host !== undefined) return undefined;
    host = rawHeaders[at + 1]!;
  }
  return host;
}
