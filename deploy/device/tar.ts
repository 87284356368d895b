/**
 * A tarball as npm takes it (POSIX ustar, gzip): the same bytes for the same files, whenever and wherever it is made.
 *
 * @module
 */
import { gzipSync } from "node:zlib";

/** A file of the tarball. Names are short: ustar's first field has room for 100 bytes. */
export type TarFile = Readonly<{ name: string; contents: Uint8Array }>;

const BLOCK_BYTES = 512;
const NAME_BYTES = 100;
/** The time that npm writes, too: 1985-10-26T08:15:00Z, in seconds since 1970. Earlier ones are refused by some programs. */
const MODIFIED_S = 499_162_500;

/** Packs files. @throws {Error} when a name is too long. */
export function tarball(files: readonly TarFile[]): Uint8Array<ArrayBuffer> {
  const blocks = files.flatMap(({ name, contents }) => [header(name, contents.length), padded(contents)]);
  // Two empty blocks end an archive.
  const archive = new Uint8Array(
    blocks.reduce((sum, { length }) => sum + length, 2 * BLOCK_BYTES),
  );
  let at = 0;
  for (const block of blocks) {
    archive.set(block, at);
    at += block.length;
  }
  const packed = new Uint8Array(gzipSync(archive, { level: 9 }));
  // The operating system that made it is in byte 9 (RFC 1952): unknown.
  packed[9] = 255;
  return packed;
}

function header(name: string, bytes: number): Uint8Array {
  const block = new Uint8Array(BLOCK_BYTES);
  const write = (text: string, at: number) => block.set(new TextEncoder().encode(text), at);
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0");
  if (new TextEncoder().encode(name).length > NAME_BYTES) {
    throw new Error(`Cannot pack ${name}: its name must have at most ${NAME_BYTES} bytes`);
  }
  write(name, 0);
  write(`${octal(0o644, 7)}\0${octal(0, 7)}\0${octal(0, 7)}\0`, 100);
  write(`${octal(bytes, 11)}\0${octal(MODIFIED_S, 11)}\0`, 124);
  // The sum of the header's bytes, in which its own field is spaces.
  write("        0", 148);
  write("ustar\x0000", 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  write(`${octal(sum, 6)}\0 `, 148);
  return block;
}

function padded(contents: Uint8Array): Uint8Array {
  const block = new Uint8Array(Math.ceil(contents.length / BLOCK_BYTES) * BLOCK_BYTES);
  block.set(contents);
  return block;
}
