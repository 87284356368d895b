/**
 * Sums releases by the minute, for votes over time: small releases (k = 1) would make a document for nearly every vote.
 *
 * A sum is of all releases of its unit in its minute up to a revision, whoever makes it and from wherever it begins. So the
 * document with the highest revision is right.
 *
 * @module
 */
import type { Query } from "../../database/database.ts";
import type { ReleaseRow } from "../releases.ts";
import { changesOf } from "./documents.ts";
import { addedInMinute } from "./sources.ts";

/** Minutes that are kept. Releases come in the order of their times, but for the clocks of several publishers. */
const KEPT_MINUTES = 2;

/** What each candidate of each unit was given in a minute, by `unit/contest/candidate`. */
type Added = Map<string, number>;

/** The minutes of all elections. */
export class ReleasedMinutes {
  readonly #elections = new Map<string, ElectionMinutes>();

  /**
   * Sums releases of one election that follow one another.
   *
   * @param rows Oldest first, without a gap.
   * @param after The revision that they come after; that of the last one before when left out.
   * @returns the rows with the minute in place of the time, those candidates only whose votes changed, and in place of what the
   * release added what all releases of its unit in this minute added, up to it.
   */
  async sum(query: Query, rows: readonly ReleaseRow[], after?: number): Promise<ReleaseRow[]> {
    if (rows.length === 0) return [];
    const { election } = rows[0]!;
    let minutes = this.#elections.get(election);
    if (minutes === undefined) this.#elections.set(election, minutes = new ElectionMinutes(election));
    return await minutes.sum(query, rows, after);
  }
}

/** The minutes of one election. */
class ElectionMinutes {
  readonly #election: string;
  readonly #minutes = new Map<string, Added>();
  /** Releases up to this revision are in the sums of the minutes that are kept. */
  #revision: number | undefined;

  constructor(election: string) {
    this.#election = election;
  }

  async sum(query: Query, rows: readonly ReleaseRow[], after = this.#revision): Promise<ReleaseRow[]> {
    if (after !== this.#revision) this.#minutes.clear();
    const summed: ReleaseRow[] = [];
    for (const row of rows) {
      const minute = minuteOf(row.releasedAt);
      const added = this.#minutes.get(minute) ?? await this.#read(query, minute, row.revision);
      const votes = changesOf(row).votes.map((line) => {
        const name = nameOf({ unit: row.unit, ...line });
        const sum = (added.get(name) ?? 0) + line.added;
        added.set(name, sum);
        return { ...line, added: sum };
      });
      summed.push({ ...row, releasedAt: minute, votes });
      this.#revision = row.revision;
    }
    return summed;
  }

  /** What was added in a minute before a revision. */
  async #read(query: Query, minute: string, before: number): Promise<Added> {
    const lines = await addedInMinute(query, this.#election, minute, before);
    const added = new Map(lines.map((line) => [nameOf(line), line.added]));
    this.#minutes.set(minute, added);
    if (this.#minutes.size > KEPT_MINUTES) this.#minutes.delete(this.#minutes.keys().next().value!);
    return added;
  }
}

/** The minute of an instant, in ISO 8601 (UTC). */
function minuteOf(instant: string): string {
  return `${instant.slice(0, "2026-11-03T12:00".length)}:00.000Z`;
}

function nameOf(
  { unit, contest, candidate }: Readonly<{ unit: string; contest: string; candidate: string }>,
) {
  return `${unit}/${contest}/${candidate}`;
}
