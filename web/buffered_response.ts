/**
 * An answer whose whole body is at hand.
 *
 * @module
 */

/**
 * A `Response` that keeps the text it was made of, so that `serve()` can send that with no stream between. Whatever is
 * made from it, by `clone()` or by middleware, is a plain `Response` and is sent as one.
 */
export class BufferedResponse extends Response {
  /** The body. */
  readonly whole: string;

  constructor(whole: string, init: Readonly<{ status: number; headers: Readonly<Record<string, string>> }>) {
    super(whole, init);
    this.whole = whole;
  }
}
