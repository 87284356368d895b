/**
 * Where the spool stands in the measurement that decides it, and a disk that answers as slowly as a real one.
 *
 * @module
 */
import type { DatabaseSync } from "node:sqlite";

/** What a commit takes longer, in milliseconds: this machine's disk answers too fast to tell anything. */
export const COMMIT_DELAY_MS = 5;

/** The thread that hosts the spool. */
export type Host = "worker" | "main";

/** Commits, and holds its thread up as a slow disk does. */
export function commitSlowly(db: DatabaseSync): void {
  db.exec("COMMIT");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, COMMIT_DELAY_MS);
}
