/**
 * A chunk: records of one election and one sender key, packed into one run of bytes. The spool holds chunks, so that a
 * commit of many records is one row.
 *
 * @module
 */
import { KEY_BYTES } from "../shared/keys.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";

/** Maximum records in one chunk. */
export const MAX_CHUNK_RECORDS = 1_000;

/** Per record: partition (2 bytes), length of the value (4), signature (32), then the value. Big-endian. */
export const FRAME_BYTES = 2 + 4 + KEY_BYTES;

/** How many of a chunk's records each device sent. */
export type DeviceRecords = Readonly<Record<string, number>>;

/** Packed records. `bytes` has what differs between records; the other fields are common to all. */
export type Chunk = Readonly<{
  election: string;
  partitions: number;
  version: string;
  keyId: string;
  senderKey: Uint8Array;
  /** The first record's number; the others follow it. */
  sequence: number;
  records: number;
  devices: DeviceRecords;
  bytes: Uint8Array<ArrayBuffer>;
}>;

/** Records to pack: of one election and sender key, with consecutive numbers, each its own entry. */
export type Packable = Readonly<
  { election: string; partitions: number; devices: DeviceRecords; records: readonly PlacedRecord[] }
>;

/** Packs records. There must be at least one. */
export function packChunk({ election, partitions, devices, records }: Packable): Chunk {
  const { version, keyId, senderKey, sequence } = records[0]!;
  const bytes = new Uint8Array(records.reduce((sum, { value }) => sum + FRAME_BYTES + value.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { partition, signature, value } of records) {
    view.setUint16(at, partition);
    view.setUint32(at + 2, value.length);
    bytes.set(signature, at + 6);
    bytes.set(value, at + FRAME_BYTES);
    at += FRAME_BYTES + value.length;
  }
  return {
    election,
    partitions,
    version,
    keyId,
    senderKey,
    sequence,
    records: records.length,
    devices,
    bytes,
  };
}

/**
 * Unpacks a chunk.
 *
 * @throws {RangeError} when the bytes do not hold that many records: the disk returned damaged data.
 */
export function unpackChunk(
  { version, keyId, senderKey, sequence, records, partitions, bytes }: Chunk,
): PlacedRecord[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const unpacked: PlacedRecord[] = [];
  let at = 0;
  while (at < bytes.length) {
    const valueAt = at + FRAME_BYTES;
    const length = valueAt <= bytes.length ? view.getUint32(at + 2) : Infinity;
    if (valueAt + length > bytes.length) {
      throw new RangeError(`Cannot unpack a chunk: it is cut off at byte ${at}`);
    }
    const partition = view.getUint16(at);
    if (partition >= partitions) {
      throw new RangeError(`Cannot unpack a chunk: there is no partition ${partition}`);
    }
    unpacked.push({
      version,
      kind: "vote",
      keyId,
      senderKey,
      sequence: sequence + unpacked.length,
      partition,
      signature: bytes.subarray(at + 6, valueAt),
      value: bytes.subarray(valueAt, valueAt + length),
    });
    at = valueAt + length;
  }
  if (unpacked.length !== records) {
    throw new RangeError(
      `Cannot unpack a chunk: it holds ${unpacked.length} records, and should hold ${records}`,
    );
  }
  return unpacked;
}
