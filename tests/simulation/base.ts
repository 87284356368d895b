/**
 * What all runs of a process share, because it is slow to make: one embedded PostgreSQL, with elections that each run
 * finds as they were provisioned.
 *
 * @module
 */
import { openHistory, type RegisteredHistory } from "../../aggregator/counting/history.ts";
import type { Database, Query } from "../../aggregator/database/database.ts";
import { createElection } from "../../aggregator/registry/elections.ts";
import { importRoll } from "../../aggregator/registry/roll.ts";
import type { ElectionDefinition } from "../../shared/election.ts";
import type { RollEntry } from "../../shared/tally.ts";
import { testVoters } from "../ballot_box.ts";
import { openSnapshot } from "../database_snapshot.ts";
import { MASTER, NOON_MS, testDefinition } from "../fixture.ts";
import { TAMPER } from "../test_database.ts";

/** When a run begins, when voting ends, and when votes are no longer accepted, in milliseconds since 1970. */
export const START_MS = NOON_MS;
export const CLOSES_MS: number = START_MS + 20_000;
export const ACCEPTS_UNTIL_MS: number = START_MS + 30_000;
/** Voters on the roll, `voter-0` and up. */
export const VOTERS = 24;
/** Release thresholds that runs are made with. */
export const THRESHOLDS = [1, 3] as const;

/** See the module. */
export type Base = Readonly<{
  db: Database;
  elections: readonly BaseElection[];
  /** Reads the registry, which never changes, and keeps the answers. */
  registry: Query;
  reset(election: string): Promise<void>;
}>;

/** An election as it was provisioned. */
export type BaseElection = Readonly<{
  threshold: number;
  election: string;
  definition: ElectionDefinition;
  history: RegisteredHistory;
  roll: ReadonlyMap<string, readonly RollEntry[]>;
}>;

/** The election of runs with a release threshold. */
function electionName(threshold: number): string {
  return `sim-k${threshold}`;
}

/** The definition of such an election. */
function definitionOf(threshold: number): ElectionDefinition {
  return testDefinition({
    election: electionName(threshold),
    releaseThreshold: threshold,
    opensAt: new Date(START_MS - 3_600_000).toISOString(),
    closesAt: new Date(CLOSES_MS).toISOString(),
    acceptsUntil: new Date(ACCEPTS_UNTIL_MS).toISOString(),
  });
}

/** Opens the database and provisions the elections. */
export async function openBase(): Promise<Base> {
  const db = await openSnapshot("migrated");
  const elections: BaseElection[] = [];
  for (const threshold of THRESHOLDS) {
    const before = new Date(START_MS - 7_200_000);
    const election = electionName(threshold);
    const definition = definitionOf(threshold);
    await createElection(db, definition, MASTER, before);
    await importRoll(db, election, MASTER, testVoters(VOTERS), () => before.getTime());
    const history = (await openHistory(db.query, election, MASTER))!;
    elections.push({ threshold, election, definition, history, roll: await readRoll(db, election) });
  }
  const answers = new Map<string, Promise<object[]>>();
  const tables = await db.query<{ name: string }>(
    `SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.columns
     JOIN information_schema.tables USING (table_schema, table_name)
     WHERE column_name = 'election' AND table_type = 'BASE TABLE' AND table_schema IN ('counting', 'results')
       AND table_name NOT IN ('roll', 'log_positions')`,
  );
  // One call: the embedded database needs a millisecond for each.
  await db.query(`
    CREATE FUNCTION public.reset_simulation(reset text) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      ${tables.map(({ name }) => `DELETE FROM ${name} WHERE election = reset;`).join("\n")}
      DELETE FROM counting.leases;
      UPDATE counting.log_positions SET next_offset = 0, records_read = 0, epoch = 0, log_identity = NULL,
        last_offset = NULL, last_digest = NULL WHERE election = reset;
    END $$`);
  return {
    db,
    elections,
    registry: (sql, params) => {
      const key = `${sql}\n${JSON.stringify(params)}`;
      let answer = answers.get(key);
      if (answer === undefined) answers.set(key, answer = db.query(sql, params));
      return answer as Promise<never[]>;
    },
    async reset(election) {
      await db.transaction(async (query) => {
        await query(TAMPER);
        await query("SELECT public.reset_simulation($1)", [election]);
      });
    },
  };
}

async function readRoll(db: Database, election: string): Promise<Map<string, RollEntry[]>> {
  const rows = await db.query<Omit<RollEntry, "struckRevision" | "struckAtMs">>(
    `SELECT encode(voter_key, 'hex') AS "voterKey", revision::float8 AS revision, region, station,
       age_group AS "ageGroup", gender FROM counting.roll WHERE election = $1`,
    [election],
  );
  return Map.groupBy(
    rows.map((row) => ({ ...row, struckRevision: null, struckAtMs: null })),
    ({ voterKey }) => voterKey,
  );
}
