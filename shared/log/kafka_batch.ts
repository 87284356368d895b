/**
 * Writes Kafka's record batches (message format 2) into one buffer that is kept from request to request.
 * Source: https://kafka.apache.org/documentation/#recordbatch
 *
 * @module
 */
import { Buffer } from "node:buffer";

/** Header names are written as they stand here; a text is written as UTF-8. */
export type BatchMessage = Readonly<{
  key?: Uint8Array;
  value: Uint8Array | null;
  headers?: Readonly<Record<string, Uint8Array | string>>;
}>;

/** One batch: messages of one partition, numbered from `firstSequence` on. */
export type Batch = Readonly<{
  producerId: bigint;
  producerEpoch: number;
  firstSequence: number;
  /** The time of every message. A topic with LogAppendTime replaces it. */
  nowMs: number;
  messages: readonly BatchMessage[];
}>;

/** Bytes of the buffer at first, and the most that are kept after a request. */
const FIRST_BYTES = 64 * 1024;
const KEPT_BYTES = 2 * 1024 * 1024;
/** Below this length a loop copies bytes faster than a call of the runtime. */
const SHORT_COPY_BYTES = 24;
const MAGIC = 2;
/** Bytes of a batch before its length ends and before its checksum ends. */
const LENGTH_END = 12;
const CHECKSUM_AT = 17;
const CHECKSUM_END = 21;
/** Sequence numbers are 31 bits, and begin again at 0. */
const SEQUENCES = 2 ** 31;

/** The sequence number after `count` messages. */
export function sequenceAfter(sequence: number, count: number): number {
  return (sequence + count) % SEQUENCES;
}

/** A buffer that grows, with Kafka's encodings. Not for concurrent writers. */
export class BatchBuffer {
  #bytes: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #at = 0;

  /** Begins again. What {@link from} returned before is overwritten by what comes. */
  clear(): void {
    if (this.#bytes.length > KEPT_BYTES) this.#bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
    this.#at = 0;
  }

  /** Where the next byte goes. */
  get at(): number {
    return this.#at;
  }

  /** The bytes from a place on: valid until {@link clear}. */
  from(at: number): Buffer {
    return this.#bytes.subarray(at, this.#at);
  }

  int8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#at++] = value;
  }

  int16(value: number): void {
    this.#reserve(2);
    this.#at = this.#bytes.writeInt16BE(value, this.#at);
  }

  int32(value: number): void {
    this.#reserve(4);
    this.#at = this.#bytes.writeInt32BE(value, this.#at);
  }

  int64(value: bigint): void {
    this.#reserve(8);
    this.#at = this.#bytes.writeBigInt64BE(value, this.#at);
  }

  /** A text with its length in two bytes. */
  string(text: string): void {
    const length = textBytes(text);
    this.int16(length);
    this.#reserve(length);
    this.#at = writeText(this.#bytes, this.#at, text, length);
  }

  /** Writes a batch with the length before it, as the Produce request wants it. */
  batch({ producerId, producerEpoch, firstSequence, nowMs, messages }: Batch): void {
    const sizeAt = this.#at;
    this.int32(0);
    const start = this.#at;
    this.int64(0n); // The broker sets the offset.
    this.int32(0);
    this.int32(0); // The leader's epoch.
    this.int8(MAGIC);
    this.int32(0);
    this.int16(0); // Not compressed, not in a transaction.
    this.int32(messages.length - 1);
    this.int64(BigInt(nowMs));
    this.int64(BigInt(nowMs));
    this.int64(producerId);
    this.int16(producerEpoch);
    this.int32(firstSequence);
    this.int32(messages.length);
    for (let i = 0; i < messages.length; i++) this.#record(i, messages[i]!);
    const size = this.#at - start;
    this.#bytes.writeInt32BE(size, sizeAt);
    this.#bytes.writeInt32BE(size - LENGTH_END, start + LENGTH_END - 4);
    const checksum = crc32c(this.#bytes.subarray(start + CHECKSUM_END, this.#at));
    this.#bytes.writeUInt32BE(checksum, start + CHECKSUM_AT);
  }

  #record(offsetDelta: number, { key, value, headers }: BatchMessage): void {
    const names = headers === undefined ? [] : Object.keys(headers);
    let size = 1 + 1 + varintBytes(offsetDelta) + bytesSize(key) + bytesSize(value) +
      varintBytes(names.length);
    for (const name of names) {
      const header = headers![name]!;
      const length = typeof header === "string" ? textBytes(header) : header.length;
      size += sized(textBytes(name)) + sized(length);
    }
    this.#reserve(varintBytes(size) + size);
    const bytes = this.#bytes;
    let at = writeVarint(bytes, this.#at, size);
    bytes[at++] = 0; // No attributes.
    bytes[at++] = 0; // No difference to the batch's time.
    at = writeVarint(bytes, at, offsetDelta);
    at = writeBytes(bytes, at, key);
    at = writeBytes(bytes, at, value);
    at = writeVarint(bytes, at, names.length);
    for (const name of names) {
      at = writeSizedText(bytes, at, name);
      const header = headers![name]!;
      at = typeof header === "string" ? writeSizedText(bytes, at, header) : writeBytes(bytes, at, header);
    }
    this.#at = at;
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(needed)));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}

/** Length of a zigzag varint of a number of 32 bits, in bytes. */
export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = zigzag(value); rest > 0x7f; rest >>>= 7) bytes++;
  return bytes;
}

/** Writes a zigzag varint, and returns where it ends. */
export function writeVarint(to: Uint8Array, at: number, value: number): number {
  let rest = zigzag(value);
  for (; rest > 0x7f; rest >>>= 7) to[at++] = rest & 0x7f | 0x80;
  to[at++] = rest;
  return at;
}

function zigzag(value: number): number {
  return (value << 1 ^ value >> 31) >>> 0;
}

function sized(length: number): number {
  return varintBytes(length) + length;
}

function bytesSize(value: Uint8Array | null | undefined): number {
  return value === null || value === undefined ? varintBytes(-1) : sized(value.length);
}

function writeBytes(to: Uint8Array, at: number, value: Uint8Array | null | undefined): number {
  if (value === null || value === undefined) return writeVarint(to, at, -1);
  at = writeVarint(to, at, value.length);
  if (value.length < SHORT_COPY_BYTES) {
    for (let i = 0; i < value.length; i++) to[at++] = value[i]!;
    return at;
  }
  to.set(value, at);
  return at + value.length;
}

function writeSizedText(to: Buffer, at: number, text: string): number {
  const length = textBytes(text);
  return writeText(to, writeVarint(to, at, length), text, length);
}

/** Length in UTF-8. Names and numbers are ASCII, and as long as they look. */
function textBytes(text: string): number {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0x7f) return Buffer.byteLength(text);
  }
  return text.length;
}

function writeText(to: Buffer, at: number, text: string, length: number): number {
  if (length !== text.length) return at + to.write(text, at, length);
  for (let i = 0; i < length; i++) to[at++] = text.charCodeAt(i);
  return at;
}

/**
 * CRC-32C (Castagnoli) reads eight bytes a step with eight tables of 256 numbers ("slicing by 8", Intel 2006). They are
 * signed, because V8 keeps unsigned numbers above 2^31 as floating point.
 */
const CASTAGNOLI_REVERSED = 0x82f63b78;
const TABLES = makeTables();

function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >>> 1 ^ CASTAGNOLI_REVERSED : crc >>> 1;
    tables[byte] = crc;
  }
  for (let at = 256; at < tables.length; at++) {
    const before = tables[at - 256]!;
    tables[at] = before >>> 8 ^ tables[before & 0xff]!;
  }
  return tables;
}

/** The CRC-32C of bytes, unsigned (RFC 3720 appendix B.4 has examples). */
export function crc32c(bytes: Uint8Array): number {
  const tables = TABLES;
  let crc = -1;
  let at = 0;
  for (const end = bytes.length - 7; at < end; at += 8) {
    crc = tables[0x700 | crc & 0xff ^ bytes[at]!]! ^ tables[0x600 | crc >>> 8 & 0xff ^ bytes[at + 1]!]! ^
      tables[0x500 | crc >>> 16 & 0xff ^ bytes[at + 2]!]! ^ tables[0x400 | crc >>> 24 ^ bytes[at + 3]!]! ^
      tables[0x300 | bytes[at + 4]!]! ^ tables[0x200 | bytes[at + 5]!]! ^
      tables[0x100 | bytes[at + 6]!]! ^ tables[bytes[at + 7]!]!;
  }
  for (; at < bytes.length; at++) crc = crc >>> 8 ^ tables[(crc ^ bytes[at]!) & 0xff]!;
  return ~crc >>> 0;
}
