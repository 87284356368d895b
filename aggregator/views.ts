/**
 * Writes what may be shown of one election to its views. All of it is absolute and has a deterministic key, so a row
 * may be written again at any time, and after a start everything is.
 *
 * @module
 */
import type { View, ViewRow, Views } from "../shared/log/views.ts";
import type { Query } from "./database/database.ts";

/** Rejections that are read and written at once. */
const REJECTIONS_AT_ONCE = 2_000;
/** How often everything is written anew, in milliseconds: should two processes write one row, the newer stays. */
const ANEW_EVERY_MS = 60_000;

type Row = Record<string, string | number>;

/** Sums of the releases that stand; `revision` always rises, and tells the newer of two rows of one key. */
const TALLIES = `
SELECT election || '/' || contest || '/' || candidate AS key, election, contest, candidate,
  sum(votes)::float8 AS votes, max(revision)::float8 AS revision
FROM (
  SELECT r.election, r.revision, v.contest, v.candidate, v.votes
  FROM results.current c
  JOIN results.releases r ON r.revision = c.revision
  CROSS JOIN LATERAL jsonb_to_recordset(r.votes) AS v (contest text, candidate text, votes bigint)
  WHERE c.election = $1
) AS released
GROUP BY election, contest, candidate ORDER BY key`;

/** Turnout has no gate; its number of voters rises, and so is its own revision. */
const TURNOUT = `
SELECT election || '/' || region AS key, election, region, sum(voters)::float8 AS voters
FROM counting.turnout_groups WHERE election = $1 GROUP BY election, region ORDER BY key`;

/** No vote id and no voter key: who may know of them asks the centre. */
const REJECTIONS = `
SELECT election || '/' || partition || '/' || log_offset AS key, election, partition, log_offset::float8 AS "offset",
  fate, cause, to_char(appended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "appendedAt",
  coalesce(gateway, '') AS gateway, coalesce(station, '') AS station
FROM counting.rejections
WHERE election = $1 AND partition = $2 AND log_offset > $3
ORDER BY log_offset LIMIT ${REJECTIONS_AT_ONCE}`;

/** Follows one election. */
export class ViewWriter {
  readonly #views: Views;
  readonly #election: string;
  readonly #partitions: number;
  readonly #now: () => number;
  /** Of each row that was written, what it said. */
  readonly #written = new Map<string, string>();
  /** Of each partition, the last rejection that was written. */
  readonly #rejections: number[];
  #anewAtMs: number;
  /** The newest release that was written. */
  #revision = 0;

  /** @param now Milliseconds that never go back. */
  constructor(views: Views, election: string, partitions: number, now: () => number) {
    this.#views = views;
    this.#election = election;
    this.#partitions = partitions;
    this.#now = now;
    this.#rejections = Array(partitions).fill(-1);
    this.#anewAtMs = now() + ANEW_EVERY_MS;
  }

  /**
   * Writes what has changed since the last step.
   *
   * @returns how many rows were written.
   */
  async step(query: Query): Promise<number> {
    if (this.#now() >= this.#anewAtMs) {
      this.#written.clear();
      this.#revision = 0;
      this.#anewAtMs = this.#now() + ANEW_EVERY_MS;
    }
    const revision = await newestRevision(query, this.#election);
    let rows = revision > this.#revision ? await this.#changed("tallies", query, TALLIES) : 0;
    this.#revision = revision;
    rows += await this.#changed("turnout", query, TURNOUT);
    for (let partition = 0; partition < this.#partitions; partition++) {
      rows += await this.#newRejections(query, partition);
    }
    return rows;
  }

  async #changed(view: View, query: Query, sql: string): Promise<number> {
    const rows: ViewRow[] = [];
    for (const { key, ...value } of await query<Row & { key: string }>(sql, [this.#election])) {
      const row = { key, value: value as Row };
      if (this.#written.get(`${view}/${key}`) !== JSON.stringify(row.value)) rows.push(row);
    }
    await this.#views.write(view, rows);
    for (const { key, value } of rows) this.#written.set(`${view}/${key}`, JSON.stringify(value));
    return rows.length;
  }

  async #newRejections(query: Query, partition: number): Promise<number> {
    const params = [this.#election, partition, this.#rejections[partition]];
    const found = await query<Row & { key: string; offset: number }>(REJECTIONS, params);
    if (found.length === 0) return 0;
    await this.#views.write("rejections", found.map(({ key, ...value }) => ({ key, value: value as Row })));
    this.#rejections[partition] = found.at(-1)!.offset;
    return found.length;
  }
}

async function newestRevision(query: Query, election: string): Promise<number> {
  const [{ revision }] = await query<{ revision: number }>(
    "SELECT coalesce(max(revision), 0)::float8 AS revision FROM results.releases WHERE election = $1",
    [election],
  );
  return revision;
}
