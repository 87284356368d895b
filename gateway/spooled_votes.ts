/**
 * Reads the votes that a spool's file holds, so that the gateway recognizes them after a restart.
 *
 * @module
 */
import type { DatabaseSync } from "node:sqlite";
import { FINGERPRINT_BYTES } from "./fingerprint.ts";

/** Votes that are gathered before they are handed out: a chunk may have one vote only. */
const MIN_GATHERED_VOTES = 10_000;

/** Fingerprints of votes of one election, oldest first. */
export type SpooledVotes = Readonly<{ election: string; fingerprints: Uint8Array<ArrayBuffer> }>;

type Row = Readonly<{ election: string; records: number; fingerprints: Uint8Array<ArrayBuffer> }>;
type Gathered = { pieces: Uint8Array<ArrayBuffer>[]; votes: number };

/**
 * The votes of the records that the file holds, each election's oldest first, many at a time. Records that a version before
 * this one spooled have none, and fingerprints of another length than they should have are left out: such votes are stored
 * again when they come again.
 */
export function* readSpooledVotes(db: DatabaseSync): Generator<SpooledVotes> {
  const rows = db.prepare("SELECT election, records, fingerprints FROM chunks ORDER BY id");
  const gathered = new Map<string, Gathered>();
  for (const row of rows.iterate()) {
    const { election, records, fingerprints } = row as Row;
    if (fingerprints.length !== records * FINGERPRINT_BYTES) continue;
    let own = gathered.get(election);
    if (own === undefined) gathered.set(election, own = { pieces: [], votes: 0 });
    own.pieces.push(fingerprints);
    own.votes += records;
    if (own.votes < MIN_GATHERED_VOTES) continue;
    gathered.delete(election);
    yield { election, fingerprints: joined(own) };
  }
  for (const [election, own] of gathered) yield { election, fingerprints: joined(own) };
}

function joined({ pieces, votes }: Gathered): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(votes * FINGERPRINT_BYTES);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
