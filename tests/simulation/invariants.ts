/**
 * What must hold in every run: after each commit of the database, whenever a device forgets a vote, and at the end.
 *
 * @module
 */
import type { RegisteredHistory } from "../../aggregator/counting/history.ts";
import { recount } from "../../aggregator/counting/recount.ts";
import { type Database, queryOne } from "../../aggregator/database/database.ts";
import type { VoteLog } from "../../shared/log/vote_log.ts";
import { testVoterKey } from "../fixture.ts";

/** Something that must never happen, has. */
export class Violation extends Error {
  override name = "Violation";
}

/** What the world knows of a vote. */
export type LedgerVote = {
  readonly voteId: string;
  readonly voterId: string;
  readonly device: string;
  readonly choices: readonly string[];
  acknowledged: boolean;
  refused: boolean;
};

type Sums = Readonly<{
  participations: number;
  counted: number;
  tallied: number;
  read: number;
  outcomes: number;
  shown: number;
  small: number;
  votes: Record<string, number> | null;
}>;

/** One statement, because it is asked after each commit. `small`: releases of this election that add 1 to k − 1 voters. */
const SUMS = `
SELECT
  (SELECT count(*) FROM counting.participations WHERE election = $1)::float8 AS participations,
  (SELECT coalesce(sum(records), 0) FROM counting.outcome_counts WHERE election = $1 AND fate = 'counted')::float8 AS counted,
  (SELECT coalesce(sum(voters), 0) FROM counting.tallies WHERE election = $1)::float8 AS tallied,
  (SELECT coalesce(sum(records_read), 0) FROM counting.log_positions WHERE election = $1)::float8 AS read,
  (SELECT coalesce(sum(records), 0) FROM counting.outcome_counts WHERE election = $1)::float8 AS outcomes,
  (SELECT coalesce(sum(voters), 0) FROM results.current WHERE election = $1)::float8 AS shown,
  (SELECT count(*) FROM results.releases WHERE election = $1 AND added_voters > 0 AND added_voters < $2)::float8 AS small,
  (SELECT json_object_agg(key, total) FROM (
    SELECT v.contest || '/' || v.candidate AS key, sum(v.votes) AS total
    FROM results.current c JOIN results.releases r USING (revision)
    CROSS JOIN LATERAL jsonb_to_recordset(r.votes) AS v (contest text, candidate text, votes bigint)
    WHERE c.election = $1 GROUP BY 1
  ) t) AS votes`;

/** Holds the tables of one election to what must be so. */
export class Invariants {
  #shown = 0;
  #votes: Record<string, number> = {};

  constructor(readonly db: Database, readonly election: string, readonly threshold: number) {}

  /** After a commit. Returns what was shown and counted, for the trace. */
  async afterCommit(): Promise<Sums> {
    const sums = await queryOne<Sums>(this.db.query, SUMS, [this.election, this.threshold]);
    const { participations, counted, tallied, read, outcomes, shown, small } = sums;
    if (participations !== counted || tallied !== counted) {
      throw new Violation(`${participations} voters have voted, ${counted} records are counted, and the tallies have ${tallied}`);
    }
    if (read !== outcomes) throw new Violation(`${read} records were read, and ${outcomes} have an outcome`);
    if (shown > counted) throw new Violation(`${shown} voters are shown, and ${counted} were counted`);
    const added = shown - this.#shown;
    if (added < 0) throw new Violation(`the published voters went back from ${this.#shown} to ${shown}`);
    if (added > 0 && added < this.threshold || small > 0) {
      throw new Violation(`a release added ${added} voters, fewer than k = ${this.threshold}`);
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

  /** What became of votes, by id: `counted`, `duplicate`, `rejected`, `held`. A vote without an entry was not read. */
  async fates(): Promise<Map<string, string>> {
    const rows = await this.db.query<{ id: string; fate: string }>(
      `SELECT vote_id::text AS id, fate FROM counting.rejections WHERE election = $1 AND vote_id IS NOT NULL
       UNION ALL SELECT vote_id::text, 'held' FROM counting.held WHERE election = $1
       UNION ALL SELECT vote_id::text, 'counted' FROM counting.participations WHERE election = $1`,
      [this.election],
    );
    return new Map(rows.map(({ id, fate }) => [id, fate]));
  }

  /** A device forgets a vote that a gateway has acknowledged only when the tables have its outcome. */
  async onForget(vote: LedgerVote): Promise<void> {
    if (!vote.acknowledged) return;
    const [row] = await this.db.query(
      `SELECT 1 FROM counting.rejections WHERE election = $1 AND vote_id = $2::uuid
       UNION ALL SELECT 1 FROM counting.held WHERE election = $1 AND vote_id = $2::uuid
       UNION ALL SELECT 1 FROM counting.participations WHERE election = $1 AND voter_key = decode($3, 'hex') AND vote_id = $2::uuid`,
      [this.election, vote.voteId, testVoterKey(vote.voterId, this.election)],
    );
    if (row === undefined) throw new Violation(`a device forgot the acknowledged vote ${vote.voteId}, which has no outcome`);
  }

  /** The recount by the pure fold equals the tables. */
  async recount(log: VoteLog, history: RegisteredHistory): Promise<void> {
    const { differences, shown } = await recount(this.db, log, history);
    if (differences > 0) {
      throw new Violation(`the recount differs: ${shown.map(({ line, tables, recount }) => `${line}: ${tables} ≠ ${recount}`).join("; ")}`);
    }
  }
}
