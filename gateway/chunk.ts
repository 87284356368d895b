/**
 * A chunk: entries of one election and one sender key, packed into one run of bytes. The spool holds chunks, so that a
 * commit of many records is one row.
 *
 * @module
 */
import { KEY_BYTES } from "../shared/keys.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";

/** Maximum records in one chunk. */
export const MAX_CHUNK_RECORDS = 1_000;

/**
 * Per entry: partition (2 bytes), its records less one (1), length of the value (3), signature (32), then the value.
 * Big-endian.
 */
export const FRAME_BYTES = 2 + 1 + 3 + KEY_BYTES;
/** Maximum records and bytes that a frame can say of an entry. */
const MAX_FRAME_RECORDS = 2 ** 8;
const MAX_VALUE_BYTES = 2 ** 24 - 1;

/** How many of a chunk's records each device sent. */
export type DeviceRecords = Readonly<Record<string, number>>;

/** Packed entries. `bytes` has what differs between entries; the other fields are common to all. */
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

/** Entries to pack: of one election and sender key. Their records have consecutive numbers. */
export type Packable = Readonly<{
  election: string;
  partitions: number;
  devices: DeviceRecords;
  entries: readonly PlacedRecord[];
  /** Records of all entries together. */
  records: number;
}>;

/** How many records each of a chunk's entries holds: the next entry's first number says it. */
export function recordsOfEach(
  entries: readonly PlacedRecord[],
  { sequence, records }: Pick<Chunk, "sequence" | "records">,
): number[] {
  const end = sequence + records;
  return entries.map((entry, i) => (entries[i + 1]?.sequence ?? end) - entry.sequence);
}

/** Packs entries. There must be at least one. */
export function packChunk({ election, partitions, devices, entries, records }: Packable): Chunk {
  const { version, keyId, senderKey, sequence } = entries[0]!;
  const each = recordsOfEach(entries, { sequence, records });
  const bytes = new Uint8Array(entries.reduce((sum, { value }) => sum + FRAME_BYTES + value.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [i, { partition, signature, value }] of entries.entries()) {
    if (!(each[i]! >= 1 && each[i]! <= MAX_FRAME_RECORDS && value.length <= MAX_VALUE_BYTES)) {
      throw new RangeError(
        `Cannot pack an entry of ${
          each[i]
        } records and ${value.length} bytes: it may have 1 to ${MAX_FRAME_RECORDS} records and ${MAX_VALUE_BYTES} bytes`,
      );
    }
    view.setUint16(at, partition);
    view.setUint32(at + 2, value.length);
    view.setUint8(at + 2, each[i]! - 1);
    bytes.set(signature, at + 6);
    bytes.set(value, at + FRAME_BYTES);
    at += FRAME_BYTES + value.length;
  }
  return { election, partitions, version, keyId, senderKey, sequence, records, devices, bytes };
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
  let [at, found] = [0, 0];
  while (at < bytes.length) {
    const valueAt = at + FRAME_BYTES;
    const length = valueAt <= bytes.length ? view.getUint32(at + 2) & MAX_VALUE_BYTES : Infinity;
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
      sequence: sequence + found,
      partition,
      signature: bytes.subarray(at + 6, valueAt),
      value: bytes.subarray(valueAt, valueAt + length),
    });
    found += 1 + view.getUint8(at + 2);
    at = valueAt + length;
  }
  if (found !== records) {
    throw new RangeError(`Cannot unpack a chunk: it holds ${found} records, and should hold ${records}`);
  }
  return unpacked;
}
