/**
 * A poll's book of voters: it follows the topic `voters`, and so knows who was accredited or struck while the polls are open.
 *
 * @module
 */
import { CHANGE_SCHEMAS, type ChangeLog, NewestChanges, type VoterChange } from "../../shared/changes.ts";

/** Messages that are read at once. */
const PAGE_MESSAGES = 1_000;

/** See the module. */
export class PollBook {
  readonly #changes: Pick<ChangeLog, "read">;
  readonly #election: string;
  readonly #newest = new NewestChanges<VoterChange>(CHANGE_SCHEMAS.voters);
  readonly #voters = new Map<string, VoterChange>();
  #next = 0;

  constructor(changes: Pick<ChangeLog, "read">, election: string) {
    this.#changes = changes;
    this.#election = election;
  }

  /** Voters on the roll, as far as the book has been read. */
  get size(): number {
    return this.#voters.size;
  }

  /** Reads what has come since. */
  async follow(): Promise<void> {
    for (;;) {
      const { messages, next } = await this.#changes.read("voters", this.#next, PAGE_MESSAGES);
      const own = messages.filter(({ key }) => key.startsWith(`${this.#election}/`));
      for (const change of this.#newest.take(own)) {
        if (change.status === "accredited") this.#voters.set(change.voterId, change);
        else this.#voters.delete(change.voterId);
      }
      if (next === this.#next) return;
      this.#next = next;
    }
  }

  /** Whether a voter may vote, at this station if the roll names one. */
  admits(voterId: string, station: string): boolean {
    const voter = this.#voters.get(voterId);
    return voter !== undefined && (voter.station === null || voter.station === station);
  }
}
