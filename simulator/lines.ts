/**
 * Streams of bytes as lines.
 *
 * @module
 */

/** Longest line that is read, in bytes. */
const MAX_LINE_BYTES = 100_000;
const NEWLINE = 10;

/** Cuts a stream of bytes into lines; the last may lack its end. */
export async function* linesOf(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<{ line: Uint8Array; ended: boolean }> {
  let rest = new Uint8Array(0);
  for await (const chunk of stream) {
    const bytes = rest.length === 0 ? chunk : joined(rest, chunk);
    let from = 0;
    for (let to = bytes.indexOf(NEWLINE); to !== -1; to = bytes.indexOf(NEWLINE, from)) {
      yield { line: bytes.subarray(from, to), ended: true };
      from = to + 1;
    }
    rest = bytes.slice(from);
    if (rest.length > MAX_LINE_BYTES) {
      throw new Error(`A line is longer than ${MAX_LINE_BYTES} bytes`);
    }
  }
  if (rest.length > 0) yield { line: rest, ended: false };
}

/** Two pieces as one. */
export function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}
