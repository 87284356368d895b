/**
 * The votes that this gateway's spool holds, or has forwarded recently. A device sends a vote again until the aggregator
 * has answered for it: the same vote gets the same receipt, and no second record.
 *
 * @module
 */
import { FINGERPRINT_BYTES, isSameVote } from "./fingerprint.ts";
import { VoteTable } from "./vote_table.ts";

/**
 * Maximum votes, of all elections together, that are remembered although the log has them: after those that the spool
 * holds, which are always remembered.
 */
export const MAX_FORWARDED_VOTES = 500_000;

/** See the module. A fingerprint is that of `makeFingerprint()`. */
export class HeldVotes {
  readonly #maxForwarded: number;
  readonly #tables = new Map<string, VoteTable>();

  constructor(maxForwarded: number = MAX_FORWARDED_VOTES) {
    this.#maxForwarded = maxForwarded;
  }

  /** Votes that are remembered. */
  get size(): number {
    return this.#tables.values().reduce((sum, table) => sum + table.size, 0);
  }

  /** Bytes that they take. */
  get bytes(): number {
    return this.#tables.values().reduce((sum, table) => sum + table.bytes, 0);
  }

  /**
   * The fingerprint of the vote that came before under the same id: valid until the next change. `reused` when its text or
   * proof was another.
   */
  find(election: string, fingerprint: Uint8Array): Uint8Array | "reused" | undefined {
    const found = this.#tables.get(election)?.find(fingerprint);
    if (found === undefined) return undefined;
    return isSameVote(found, fingerprint) ? found : "reused";
  }

  /** Adds votes that the spool holds, oldest first. One that is there already stays as it is. */
  add(election: string, fingerprints: Uint8Array): void {
    let table = this.#tables.get(election);
    if (table === undefined) this.#tables.set(election, table = new VoteTable());
    for (let at = 0; at < fingerprints.length; at += FINGERPRINT_BYTES) {
      if (table.find(fingerprints, at) === undefined) table.add(fingerprints, at);
    }
  }

  /**
   * The log has more of an election's votes: the oldest, because the spool forwards in the order in which it took them.
   *
   * @param held How many the spool still holds.
   */
  forwarded(election: string, held: number): void {
    this.#tables.get(election)?.trim(held + Math.floor(this.#maxForwarded / this.#tables.size));
  }

  /** Forgets votes whose records are damaged: their devices must be able to send them again. */
  forget(election: string, fingerprints: Uint8Array): void {
    const table = this.#tables.get(election);
    for (let at = 0; at < fingerprints.length; at += FINGERPRINT_BYTES) table?.delete(fingerprints, at);
  }
}
