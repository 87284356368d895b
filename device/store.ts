/**
 * Where a device keeps its votes until the aggregator has answered for them.
 *
 * @module
 */
import type { Receipt } from "../shared/receipt.ts";
import type { CastVote } from "./device.ts";

/**
 * A vote as it is kept, with its proof: plain JSON. `receipt` is the newest that a gateway gave for it, if one did, and
 * `gateway` the address that gave it.
 */
export type KeptVote = CastVote & Readonly<{ receipt?: Receipt; gateway?: string }>;

/**
 * What the device's maker provides: a file, a database, a chip. It holds who voted for whom until the aggregator has
 * answered, so it must be sealed, and what is deleted must be gone.
 */
export type VoteStore = Readonly<{
  /** Keeps a vote, in place of the one kept under the same id. Resolves when it would survive a loss of power. */
  put(vote: KeptVote): Promise<void>;
  /** Forgets a vote; one that is not there is no error. */
  delete(voteId: string): Promise<void>;
  /** All that is kept. */
  all(): Promise<readonly KeptVote[]>;
}>;

/** Keeps votes for as long as the process lives: for tests and trials, never for an election. */
export function memoryStore(): VoteStore {
  const kept = new Map<string, KeptVote>();
  return {
    put(vote) {
      kept.set(vote.voteId, vote);
      return Promise.resolve();
    },
    delete(voteId) {
      kept.delete(voteId);
      return Promise.resolve();
    },
    all: () => Promise.resolve([...kept.values()]),
  };
}
