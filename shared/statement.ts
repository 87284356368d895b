/**
 * A gateway's statement: "I took N records under this sender key." It is sealed under that sender key, so that nobody
 * else can make it, and it is on the log beside the records.
 *
 * @module
 */

import { MAX_INSTANT_MS } from "./election.ts";

/** Bytes of a statement before it is sealed: two numbers of 64 bits, big-endian. */
export const STATEMENT_BYTES = 16;

/** A statement. `records` is the last sequence number that was given; `statedAtMs` is the gateway's clock. */
export type Statement = Readonly<{ records: number; statedAtMs: number }>;

/** Writes a statement's plaintext. */
export function encodeStatement({ records, statedAtMs }: Statement): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(STATEMENT_BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(records));
  view.setBigUint64(8, BigInt(statedAtMs));
  return bytes;
}

/** Reads a statement's plaintext; `undefined` when it is not one. */
export function decodeStatement(bytes: Uint8Array): Statement | undefined {
  if (bytes.length !== STATEMENT_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, STATEMENT_BYTES);
  const records = Number(view.getBigUint64(0));
  const statedAtMs = Number(view.getBigUint64(8));
  if (!Number.isSafeInteger(records) || statedAtMs > MAX_INSTANT_MS) return undefined;
  return { records, statedAtMs };
}
