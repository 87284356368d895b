/**
 * What must hold in every run: after each commit of the database, whenever a device forgets a vote, and at the end.
 *
 * @module
 */
import type { VoteLog } from "../../shared/log/vote_log.ts";
import type { Sums, Tables } from "./tables.ts";

/** Something that must never happen, has. */
export class Violation extends Error {
  override name = "Violation";
}

/** What the world knows of a vote. */
export type LedgerVote = {
  readonly voteId: string;
  readonly voterId: string;
  acknowledged: boolean;
  refused: boolean;
};

/** Holds the tables of one election to what must be so. */
export class Invariants {
  readonly #tables: Tables;
  readonly #threshold: number;
  #shown = 0;
  #votes: Record<string, number> = {};

  constructor(tables: Tables, threshold: number) {
    this.#tables = tables;
    this.#threshold = threshold;
  }

  /** After a commit. Returns what was counted and shown, for the trace. */
  async afterCommit(): Promise<Sums> {
    const sums = await this.#tables.sums(this.#threshold);
    const { participations, counted, tallied, read, outcomes, shown, small } = sums;
    if (participations !== counted || tallied !== counted) {
      throw new Violation(
        `${participations} voters have voted, ${counted} records are counted, and the tallies have ${tallied}`,
      );
    }
    if (read !== outcomes) throw new Violation(`${read} records were read, and ${outcomes} have an outcome`);
    if (shown > counted) throw new Violation(`${shown} voters are shown, and ${counted} were counted`);
    const added = shown - this.#shown;
    if (added < 0) throw new Violation(`the published voters went back from ${this.#shown} to ${shown}`);
    if (small > 0) throw new Violation(`${small} releases added fewer voters than k = ${this.#threshold}`);
    if (added > 0 && added < this.#threshold) {
      throw new Violation(`a publishing added ${added} voters, fewer than k = ${this.#threshold}`);
    }
    const votes = sums.votes ?? {};
    for (const [key, before] of Object.entries(this.#votes)) {
      if ((votes[key] ?? 0) < before) {
        throw new Violation(`the published votes of ${key} went back from ${before} to ${votes[key] ?? 0}`);
      }
    }
    this.#shown = shown;
    this.#votes = votes;
    return sums;
  }

  /** A device forgets a vote that a gateway has acknowledged only when the tables have its outcome. */
  async onForget(vote: LedgerVote): Promise<void> {
    if (!vote.acknowledged || (await this.#tables.fates()).has(vote.voteId)) return;
    throw new Violation(`a device forgot the acknowledged vote ${vote.voteId}, which has no outcome`);
  }

  /**
   * At the end: every acknowledged vote has an outcome or is kept by its device, no refused one counts, a voter of whom any vote
   * was read counts once, and the recount by the pure fold equals the tables. Returns the fates.
   *
   * @param kept Votes that devices keep.
   * @param isOnRoll Whether a voter may vote.
   * @param log `undefined` when it is not whole, and cannot be counted again.
   * @param publishesAll Whether the final release shows everything, because nothing came after it.
   * @param hasLied Whether a gateway has lied about votes: a device that learns of it too late keeps its vote for officials.
   */
  async atEnd(
    votes: readonly LedgerVote[],
    kept: ReadonlySet<string>,
    isOnRoll: (voterId: string) => boolean,
    log: VoteLog | undefined,
    publishesAll: boolean,
    hasLied: boolean,
  ): Promise<Map<string, string>> {
    const fates = await this.#tables.fates();
    for (const { voteId, voterId, acknowledged, refused } of votes) {
      const fate = fates.get(voteId);
      if (acknowledged && fate === undefined && !kept.has(voteId)) {
        throw new Violation(`the acknowledged vote ${voteId} of ${voterId} is lost`);
      }
      if (refused && fate === "counted") {
        throw new Violation(`the refused vote ${voteId} of ${voterId} was counted`);
      }
    }
    for (const [voterId, own] of Map.groupBy(votes, (vote) => vote.voterId)) {
      const ends = own.map(({ voteId }) => fates.get(voteId)).filter((fate) => fate !== undefined);
      const counted = ends.filter((fate) => fate === "counted").length;
      const expected = ends.length > 0 && isOnRoll(voterId) ? 1 : 0;
      const waits = hasLied && counted === 0 && own.some(({ voteId }) => kept.has(voteId));
      if (counted !== expected && !waits) {
        throw new Violation(
          `${counted} votes of ${voterId} were counted instead of ${expected}: ${ends.join(", ")}`,
        );
      }
    }
    const { counted, shown } = await this.#tables.sums(this.#threshold);
    if (publishesAll && shown !== counted) {
      throw new Violation(`${shown} of ${counted} counted voters are shown after the final release`);
    }
    const differences = log === undefined ? [] : await this.#tables.recount(log);
    if (differences.length > 0) throw new Violation(`the recount differs: ${differences.join("; ")}`);
    return fates;
  }
}
