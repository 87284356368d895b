/**
 * Whether the aggregator does its work, election by election. A process is ready as long as it does some of it: one
 * election that is not counted must not take the others' page and API out of service.
 *
 * @module
 */
import { statfsSync } from "node:fs";

/** How one election stands in this process. */
export type ElectionReadiness = Readonly<{ election: string; ready: boolean; why?: string }>;

/** How the process stands. */
export type Readiness = Readonly<{ ready: boolean; why?: string; elections: readonly ElectionReadiness[] }>;

/**
 * Bytes that embedded stores need free on their disk: with fewer, the embedded database may find no room for its next
 * piece of write-ahead log, of 16 MiB, and the embedded log none for its own.
 */
export const NEEDED_DISK_BYTES = 67_108_864;

/** What is wrong with the disk of one of the directories; `undefined` when each has room. */
export function diskFault(
  directories: readonly string[],
  freeBytes: (directory: string) => number = freeBytesOf,
): string | undefined {
  for (const directory of directories) {
    const free = freeBytes(directory);
    if (free < NEEDED_DISK_BYTES) {
      return `the disk of ${directory} has ${free} bytes left, and must have ${NEEDED_DISK_BYTES}; make room`;
    }
  }
  return undefined;
}

/** Bytes that a user other than root may still write. A directory that does not exist yet has room. */
function freeBytesOf(directory: string): number {
  try {
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize;
  } catch {
    return Infinity;
  }
}

/**
 * The readiness of a process.
 *
 * @param fault What keeps all elections from being counted, if anything does.
 * @param elections The registry's elections, each with its fault, if it has one.
 */
export function readiness(
  fault: string | undefined,
  elections: ReadonlyMap<string, string | undefined>,
): Readiness {
  const each = [...elections].map(([election, reason]) => {
    const why = fault ?? reason;
    return { election, ready: why === undefined, ...why !== undefined && { why } };
  });
  if (fault !== undefined) return { ready: false, why: fault, elections: each };
  if (each.length === 0 || each.some(({ ready }) => ready)) return { ready: true, elections: each };
  return {
    ready: false,
    why: each.map(({ election, why }) => `${election}: ${why}`).join("; "),
    elections: each,
  };
}
