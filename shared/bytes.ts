/**
 * Bytes: UTF-8, hex, base64, length prefixes, constant-time comparison.
 *
 * @module
 */
import sodium from "libsodium-wrappers-sumo";

await sodium.ready;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes of a block of memory that short arrays share, and the longest of them. */
const BLOCK_BYTES = 8 * 1024;
const MAX_SHARING_BYTES = 1024;
/** Each array begins at a multiple of this. */
const ALIGNMENT = 8;
let block = new ArrayBuffer(BLOCK_BYTES);
let blockUsed = 0;

/**
 * An array of zeros. Short ones share a block of memory, of which no part is handed out twice: V8 makes four blocks of malloc for an array
 * with memory of its own, which takes longer than an HMAC's last step. So an array's `buffer` holds other bytes, too: take `byteOffset`
 * and `length` along, and do not transfer it.
 */
export function newBytes(length: number): Uint8Array<ArrayBuffer> {
  if (length > MAX_SHARING_BYTES) return new Uint8Array(length);
  if (blockUsed + length > BLOCK_BYTES) {
    block = new ArrayBuffer(BLOCK_BYTES);
    blockUsed = 0;
  }
  const bytes = new Uint8Array(block, blockUsed, length);
  blockUsed += Math.ceil(length / ALIGNMENT) * ALIGNMENT;
  return bytes;
}

/** A copy of a part of an array, in an array of {@link newBytes}. */
export function copyOf(bytes: Uint8Array, from: number, length: number): Uint8Array<ArrayBuffer> {
  const copy = newBytes(length);
  for (let i = 0; i < length; i++) copy[i] = bytes[from + i]!;
  return copy;
}

/** Encodes a string as UTF-8. */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/** Encodes a string as UTF-8 into an existing array, as far as it fits: faster than a new array. */
export function utf8Into(text: string, to: Uint8Array): { read: number; written: number } {
  return encoder.encodeInto(text, to);
}

/** Decodes UTF-8. Throws a `TypeError` when the bytes are not well-formed. */
export function fromUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Methods that Node 20 lacks. */
type Hex = { setFromHex?(hex: string): { read: number; written: number } };

/** Reads hex, of either case, on every runtime. Throws a `SyntaxError` when the text is not hex of even length. */
export function fromHex(hex: string): Uint8Array<ArrayBuffer> {
  const bytes = newBytes(Math.floor(hex.length / 2));
  if ((bytes as Hex).setFromHex === undefined || hex.length % 2 !== 0) return fromHexPortably(hex);
  bytes.setFromHex(hex);
  return bytes;
}

/** {@link fromHex} without the runtime's method. */
export function fromHexPortably(hex: string): Uint8Array<ArrayBuffer> {
  if (!/^(?:[0-9a-f]{2})*$/i.test(hex)) throw new SyntaxError("the text must be hex of even length");
  return Uint8Array.from(hex.match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

/** Writes hex in lower case, on every runtime. */
export function toHex(bytes: Uint8Array): string {
  return (bytes as { toHex?(): string }).toHex?.() ?? toHexPortably(bytes);
}

/** {@link toHex} without the runtime's method. */
export function toHexPortably(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Writes bytes in base64 (RFC 4648 section 4). For short arrays, and on every runtime: Node 20 has no `toBase64`. */
export function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

/**
 * Joins parts so that different lists of parts never give the same bytes: each part has its length before it, four bytes,
 * big-endian. Every MAC and key derivation of Pollwire is over such a list.
 */
export function lengthPrefixed(...parts: (string | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  const short = shortPrefixed(parts);
  if (short !== undefined) return short;
  // A UTF-16 unit takes at most three bytes of UTF-8; unused bytes are cut off.
  let room = 0;
  for (const part of parts) room += 4 + (typeof part === "string" ? 3 * part.length : part.length);
  const joined = new Uint8Array(room);
  const view = new DataView(joined.buffer);
  let at = 0;
  for (const part of parts) {
    const length = writePart(part, joined.subarray(at + 4));
    view.setUint32(at, length);
    at += 4 + length;
  }
  return joined.subarray(0, at);
}

/** The length that {@link lengthPrefixed} writes before a part. */
export function lengthBytes({ length }: Uint8Array): Uint8Array {
  return Uint8Array.of(length >>> 24, length >>> 16, length >>> 8, length);
}

/** The same for short texts in ASCII, written as one text: a third of the time. `undefined` for others. */
function shortPrefixed(parts: readonly (string | Uint8Array)[]): Uint8Array<ArrayBuffer> | undefined {
  let text = "";
  for (const part of parts) {
    if (typeof part !== "string" || part.length > 0x7f) return undefined;
    text += `\0\0\0${String.fromCharCode(part.length)}${part}`;
  }
  const bytes = newBytes(text.length);
  const { read, written } = utf8Into(text, bytes);
  return read === text.length && written === text.length ? bytes : undefined;
}

function writePart(part: string | Uint8Array, to: Uint8Array): number {
  if (typeof part === "string") return utf8Into(part, to).written;
  to.set(part);
  return part.length;
}

/** Compares in constant time: the time depends only on the lengths. Without a call into WebAssembly, which copies both. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}
