/**
 * A response whose whole body is in memory.
 *
 * @module
 */

/** The start line and headers of a {@link BufferedResponse}. */
type Init = Readonly<{ status: number; headers: Readonly<Record<string, string>> }>;

/**
 * A `Response` that keeps its text and headers, so that `serve()` can send it without a stream. The platform's own
 * `Response` is made only when somebody reads more than the status. A copy made by `clone()` or middleware is a plain
 * `Response`, and is sent as one.
 */
export class BufferedResponse implements Response {
  readonly status: number;
  /** The body. */
  readonly whole: string;
  readonly #init: Init;
  #made: Response | undefined;

  constructor(whole: string, init: Init) {
    this.status = init.status;
    this.whole = whole;
    this.#init = init;
  }

  /** The headers to send, with changes that were made to them. */
  get fields(): Readonly<Record<string, string>> {
    return this.#made === undefined ? this.#init.headers : Object.fromEntries(this.#made.headers);
  }

  get #response(): Response {
    return this.#made ??= new Response(this.whole, this.#init);
  }

  get body(): Response["body"] {
    return this.#response.body;
  }

  get bodyUsed(): boolean {
    return this.#response.bodyUsed;
  }

  get headers(): Headers {
    return this.#response.headers;
  }

  get ok(): boolean {
    return this.#response.ok;
  }

  get redirected(): boolean {
    return this.#response.redirected;
  }

  get statusText(): string {
    return this.#response.statusText;
  }

  get type(): Response["type"] {
    return this.#response.type;
  }

  get url(): string {
    return this.#response.url;
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    return this.#response.arrayBuffer();
  }

  blob(): Promise<Blob> {
    return this.#response.blob();
  }

  bytes(): ReturnType<Response["bytes"]> {
    return this.#response.bytes();
  }

  clone(): Response {
    return this.#response.clone();
  }

  formData(): Promise<FormData> {
    return this.#response.formData();
  }

  json(): Promise<any> {
    return this.#response.json();
  }

  text(): Promise<string> {
    return this.#response.text();
  }

  textStream(): ReadableStream<string> {
    return this.#response.textStream();
  }
}

// Code that asks `instanceof Response` takes it for one.
Object.setPrototypeOf(BufferedResponse.prototype, Response.prototype);
