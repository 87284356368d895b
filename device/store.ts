/**
 * Where a device keeps its votes until the aggregator has answered for them.
 *
 * @module
 */
import type { Receipt } from "../shared/receipt.ts";
import type { CastVote } from "./delivery.ts";

/**
 * A stored vote with its proof: plain JSON. `receipt` is its newest receipt, if there is one, and `gateway` the address
 * that sent it.
 */
export type KeptVote = CastVote & Readonly<{ receipt?: Receipt; gateway?: string }>;

/**
 * The device's maker implements it: with a file, a database, a chip. It holds who voted for whom until the aggregator has
 * answered, so it must be encrypted, and deleted votes must be unrecoverable.
 */
export type VoteStore = Readonly<{
  /** Stores a vote, and replaces the one with the same id. Resolves when the vote would survive a loss of power. */
  put(vote: KeptVote): Promise<void>;
  /** Deletes a vote. A missing vote is not an error. */
  delete(voteId: string): Promise<void>;
  /** All that is kept. */
  all(): Promise<readonly KeptVote[]>;
}>;

/** Keeps votes in memory: for tests and trials, never for an election. */
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
