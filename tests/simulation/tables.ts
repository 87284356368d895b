/**
 * What the invariants ask of the tables, of a real database and of the model.
 *
 * @module
 */
import type { ElectionHistory } from "../../shared/history.ts";
import { openHistory } from "../../aggregator/counting/history.ts";
import { judgeEntries } from "../../aggregator/counting/judged.ts";
import { recount } from "../../aggregator/counting/recount.ts";
import { type Database, queryOne } from "../../aggregator/database/database.ts";
import { BALLOT_BOX_GATE } from "../../aggregator/results/final_gate.ts";
import type { VoteLog } from "../../shared/log/vote_log.ts";
import { outcomeName } from "../../shared/outcome.ts";
import { countRecord, emptyCount, type Participations, type RollEntry } from "../../shared/tally.ts";
import { MASTER } from "../fixture.ts";
import type { BaseElection } from "./base.ts";
import type { ModelDatabase } from "./model_database.ts";

/** Voters who have voted, records counted, voters in tallies, records read, records with an outcome, voters shown. */
export type Sums = Readonly<{
  participations: number;
  counted: number;
  tallied: number;
  read: number;
  outcomes: number;
  shown: number;
  /** Releases that add 1 to k − 1 voters. */
  small: number;
  votes: Record<string, number> | null;
}>;

/** See the module. */
export type Tables = Readonly<{
  sums(threshold: number): Promise<Sums>;
  /** What became of votes, by id. A vote without an entry was not read. */
  fates(): Promise<Map<string, string>>;
  /** Where counting stands on each partition. */
  positions(): Promise<number[]>;
  /** Why there is no final release, if there is none. */
  notFinal(): Promise<string | undefined>;
  /** Where a recount by the pure fold differs. */
  recount(log: VoteLog): Promise<string[]>;
}>;

/** One statement, because it is asked after each commit. */
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

/** The tables of a real database. */
export function sqlTables(db: Database, election: string): Tables {
  return {
    sums: (threshold) => queryOne<Sums>(db.query, SUMS, [election, threshold]),
    async fates() {
      const rows = await db.query<{ id: string; fate: string }>(
        `SELECT vote_id::text AS id, fate FROM counting.rejections WHERE election = $1 AND vote_id IS NOT NULL
         UNION ALL SELECT vote_id::text, 'held' FROM counting.held WHERE election = $1
         UNION ALL SELECT vote_id::text, 'counted' FROM counting.participations WHERE election = $1`,
        [election],
      );
      return new Map(rows.map(({ id, fate }) => [id, fate]));
    },
    async positions() {
      const rows = await db.query<{ next: number }>(
        "SELECT next_offset::float8 AS next FROM counting.log_positions WHERE election = $1 ORDER BY partition",
        [election],
      );
      return rows.map(({ next }) => next);
    },
    async notFinal() {
      const rows = await db.query(
        "SELECT 1 FROM results.elections WHERE election = $1 AND final_at IS NOT NULL",
        [election],
      );
      if (rows.length > 0) return undefined;
      const answer = await BALLOT_BOX_GATE.finalAllowed(db.query, election);
      return answer.allowed ? "nothing keeps it" : answer.reason;
    },
    async recount(log) {
      const history = (await openHistory(db.query, election, MASTER))!;
      const { differences, shown } = await recount(db, log, history);
      return differences === 0
        ? []
        : shown.map(({ line, tables, recount }) => `${line}: ${tables} ≠ ${recount}`);
    },
  };
}

/** The tables of a model, which publishes nothing. */
export function modelTables({ election, history, roll }: BaseElection, db: ModelDatabase): Tables {
  const total = (of: (name: string) => boolean) =>
    [...db.model.outcomes].reduce((sum, [name, records]) => sum + (of(name) ? records : 0), 0);
  return {
    sums() {
      const { participations, positions, tallied } = db.model;
      return Promise.resolve({
        participations: participations.size,
        counted: total((name) => name.includes("/counted/")),
        tallied,
        read: [...positions.values()].reduce((sum, { recordsRead }) => sum + recordsRead, 0),
        outcomes: total(() => true),
        shown: 0,
        small: 0,
        votes: null,
      });
    },
    fates: () => {
      const { rejections, participations } = db.model;
      const fates = new Map<string, string>();
      for (const { voteId, fate } of rejections) if (voteId !== null) fates.set(voteId, fate);
      for (const voteId of participations.values()) fates.set(voteId, "counted");
      return Promise.resolve(fates);
    },
    positions: () => Promise.resolve([...db.model.positions.values()].map(({ nextOffset }) => nextOffset)),
    notFinal() {
      const { senderKeys, numbersRead: read } = db.model;
      const open = [...senderKeys.values()].filter(({ stated }) => stated === null).length;
      const missing = [...senderKeys].reduce(
        (sum, [key, { stated }]) => sum + Math.max(0, (stated ?? 0) - (read.get(key) ?? 0)),
        0,
      );
      return Promise.resolve(
        open + missing === 0
          ? undefined
          : `${open} sender keys have no statement, ${missing} stated numbers were not read`,
      );
    },
    async recount(log) {
      const { outcomes, participations } = await fold(log, history, (key) => roll.get(key) ?? []);
      const differences: string[] = [];
      for (const name of new Set([...outcomes.keys(), ...db.model.outcomes.keys()])) {
        const [tables, fold] = [db.model.outcomes.get(name) ?? 0, outcomes.get(name) ?? 0];
        if (tables !== fold) differences.push(`${election} ${name}: ${tables} ≠ ${fold}`);
      }
      for (const [key, { voteId }] of participations) {
        const counted = db.model.participations.get(key);
        if (counted !== voteId) differences.push(`the vote of ${key}: ${counted} ≠ ${voteId}`);
      }
      return differences;
    },
  };
}

/** Counts a log with the pure fold. */
async function fold(
  log: VoteLog,
  history: ElectionHistory,
  roll: (voterKey: string) => readonly RollEntry[],
) {
  const outcomes = new Map<string, number>();
  const participations: Participations = new Map();
  for (let partition = 0; partition < log.partitions; partition++) {
    for (const { judgement } of judgeEntries(await log.read(partition, 0, 100_000), history)) {
      const { outcome } = countRecord(emptyCount(), participations, judgement, roll);
      const [fate, reason = ""] = outcomeName(outcome).split("/");
      const name = `${partition}/${fate}/${reason}`;
      outcomes.set(name, (outcomes.get(name) ?? 0) + 1);
    }
  }
  return { outcomes, participations };
}
