/**
 * A response whose whole body is in memory.
 *
 * @module
 */

/**
 * A `Response` that keeps its text, so that `serve()` can send it without a stream. A copy made by `clone()` or
 * middleware is a plain `Response`, and is sent as one.
 */
export class BufferedResponse extends Response {
  /** The body. */
  readonly whole: string;

  constructor(whole: string, init: Readonly<{ status: number; headers: Readonly<Record<string, string>> }>) {
    super(whole, init);
    this.whole = whole;
  }
}
