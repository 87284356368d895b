/**
 * How many releases the database has of each election.
 *
 * @module
 */
import type { Query } from "../../database/database.ts";
import type { Positions } from "../releases.ts";
import { countReleasesUpTo } from "./sources.ts";

/** Releases are kept, and their revisions rise as they are committed: so each is counted once. */
export class ReleaseCount {
  /** Election → a revision, and its releases up to it. */
  #known: ReadonlyMap<string, Readonly<{ revision: number; releases: number }>> = new Map();

  /** Releases up to a revision, by election. Reads those after the revisions of the last time. */
  async upTo(query: Query, positions: Positions): Promise<Map<string, number>> {
    const known = new Map(
      [...this.#known].filter(([election, { revision }]) => revision <= (positions.get(election) ?? 0)),
    );
    const after = new Map([...known].map(([election, { revision }]) => [election, revision]));
    const counted = await countReleasesUpTo(query, positions, after);
    for (const [election, releases] of counted) {
      counted.set(election, releases + (known.get(election)?.releases ?? 0));
    }
    this.#known = new Map(
      [...positions].map(([election, revision]) => [
        election,
        { revision, releases: counted.get(election) ?? 0 },
      ]),
    );
    return counted;
  }

  /** Counts all of them the next time: the database may be another one by then. */
  forget(): void {
    this.#known = new Map();
  }
}
