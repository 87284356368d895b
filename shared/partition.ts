/**
 * Which partition of an election's log a voter's records belong on.
 *
 * @module
 */

/**
 * First four bytes of the voter key, big-endian, modulo the number of partitions. So all records of one voter are on one
 * partition, in order, whichever gateway wrote them.
 *
 * @param voterKey 32 bytes.
 * @param partitions Frozen in the manifest.
 */
export function partitionOf(voterKey: Uint8Array, partitions: number): number {
  // Without a DataView: V8 moves the bytes of a small array out of its heap for one.
  const head = voterKey[0]! << 24 | voterKey[1]! << 16 | voterKey[2]! << 8 | voterKey[3]!;
  return (head >>> 0) % partitions;
}
