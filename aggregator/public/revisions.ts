/**
 * The newest revision of each election. The database is asked at most a few times a second, however many clients ask.
 *
 * @module
 */
import { RecentMap } from "../../shared/recent.ts";
import type { Query } from "../database/database.ts";
import type { Elections } from "../registry/election_names.ts";
import { readTag, type ResultsTag } from "../results/results.ts";
import type { CACHE_LIMITS } from "./answer_cache.ts";

/** Elections whose revision is kept, those included that do not exist and were asked for. */
const MAX_REVISIONS = 2_000;

type Known = { askedAtMs: number; tag: Promise<ResultsTag | undefined>; isPending: boolean };

/** See the module. */
export class Revisions {
  readonly #query: Query;
  readonly #elections: Elections;
  readonly #limits: Pick<typeof CACHE_LIMITS, "revisionMs" | "behindMs">;
  readonly #clock: () => number;
  readonly #known = new RecentMap<Known>(MAX_REVISIONS);

  /** @param clock Milliseconds that never go back. */
  constructor(
    query: Query,
    elections: Elections,
    limits: Pick<typeof CACHE_LIMITS, "revisionMs" | "behindMs">,
    clock: () => number,
  ) {
    this.#query = query;
    this.#elections = elections;
    this.#limits = limits;
    this.#clock = clock;
  }

  /**
   * The newest manifest and release of an election; `undefined` when there is no such election.
   *
   * @param atLeast A revision that the caller has seen: when the known one is older, the database is asked again.
   */
  async of(election: string, atLeast = 0): Promise<ResultsTag | undefined> {
    const { revisionMs, behindMs } = this.#limits;
    const tag = await this.#within(election, revisionMs);
    if (tag === undefined || tag.revision >= atLeast) return tag;
    return await this.#within(election, behindMs);
  }

  async #within(election: string, maxAgeMs: number): Promise<ResultsTag | undefined> {
    const known = this.#known.get(election);
    if (known !== undefined && (known.isPending || this.#clock() - known.askedAtMs < maxAgeMs)) {
      return await known.tag;
    }
    const asked: Known = {
      askedAtMs: this.#clock(),
      tag: readTag(this.#query, this.#elections, election),
      isPending: true,
    };
    this.#known.set(election, asked);
    try {
      return await asked.tag;
    } catch (error) {
      // What failed is not kept.
      if (this.#known.get(election) === asked) this.#known.delete(election);
      throw error;
    } finally {
      asked.isPending = false;
    }
  }
}
