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
  return new DataView(voterKey.buffer, voterKey.byteOffset, 4).getUint32(0) % partitions;
}
