/**
 * Runs a script in a real database: votes are put into the counting tables as the counter does, and published, withdrawn
 * and read by what the aggregator publishes, withdraws and reads with.
 *
 * @module
 */
import { publish, type ReleasePolicy } from "../../aggregator/results/publish.ts";
import { withdrawUnfounded } from "../../aggregator/results/withdraw.ts";
import { createElection } from "../../aggregator/registry/elections.ts";
import type { Database, Query } from "../../aggregator/database/database.ts";
import type { ElectionDefinition } from "../../shared/election.ts";
import { MARK } from "../../shared/marks.ts";
import { MASTER, NOON_MS, testDefinition } from "../fixture.ts";
import { addTally } from "../tallies.ts";
import { type Ballot, type Script, type Stage, stationOf } from "./scripts.ts";

/** The definition of a script's election; every contest is on every ballot by it, which only names depend on. */
export function definitionOf(script: Script, election: string): ElectionDefinition {
  const candidates = ["ann", "bob", "cyd"].map((id, i) => ({
    id,
    name: id,
    ...i < 2 && { party: ["red", "blue"][i] },
  }));
  const stations = script.stations.map(({ id, region }) => ({ id, name: id, region }));
  return testDefinition({
    election,
    releaseThreshold: script.k,
    resultsBeforeClosing: script.beforeFinal,
    contests: script.contests.map((id) => ({ id, name: id, votesAllowed: 1, candidates })),
    regions: [...new Set(stations.map(({ region }) => region))].map((id) => ({ id, name: id })),
    stations,
    gateways: [{ id: "g-1", stations: stations.map(({ id }) => id), fallbackFor: [] }],
  });
}

/** See the module. */
export class SqlStage implements Stage {
  /** Minutes go by with every publishing. */
  nowMs = NOON_MS;
  #everCounted = new Set<number>();

  private constructor(readonly db: Database, readonly election: string, readonly script: Script) {}

  static async open(db: Database, election: string, script: Script): Promise<SqlStage> {
    await createElection(db, definitionOf(script, election), MASTER, new Date(NOON_MS));
    return new SqlStage(db, election, script);
  }

  async vote(ballots: readonly Ballot[]): Promise<void> {
    for (const { voter } of ballots) this.#everCounted.add(voter);
    await this.db.transaction((query) => this.#count(query, ballots));
  }

  async publish({ final, caughtUp }: { final: boolean; caughtUp: boolean }): Promise<void> {
    this.nowMs += 60_000;
    const policy: ReleasePolicy = {
      election: this.election,
      threshold: this.script.k,
      beforeFinal: this.script.beforeFinal,
      final,
      caughtUp,
      regionOf: (station) => stationOf(this.script, station).region,
      all: false,
    };
    await publish(this.db, policy, new Date(this.nowMs));
  }

  async rebuild(ballots: readonly Ballot[]): Promise<void> {
    const now = new Set(ballots.map(({ voter }) => voter));
    const lost = [...this.#everCounted].filter((voter) => !now.has(voter));
    await this.db.transaction(async (query) => {
      for (const table of ["tallies", "changes", "former_voters"]) {
        await query(`DELETE FROM counting.${table} WHERE election = $1`, [this.election]);
      }
      for (const voter of lost) {
        await query(
          "INSERT INTO counting.former_voters VALUES ($1, decode(lpad(to_hex($2::int), 64, '0'), 'hex'))",
          [
            this.election,
            voter,
          ],
        );
      }
      await this.#count(query, ballots);
      await withdrawUnfounded(query, this.election, new Date(this.nowMs));
    });
  }

  async #count(query: Query, ballots: readonly Ballot[]): Promise<void> {
    const cells = Map.groupBy(
      ballots,
      ({ voter, station, mode, contests }) => JSON.stringify([station, mode, voter % 3, contests]),
    );
    for (const voters of cells.values()) {
      const { voter, station, mode, contests } = voters[0]!;
      const votes: Record<string, number> = {};
      for (const contest of contests) votes[`${contest}/${MARK.ballots}`] = voters.length;
      for (const { voter } of voters) {
        for (const contest of contests) {
          const choice = this.script.choiceOf(voter, contest);
          for (const mark of choice === MARK.blank ? [MARK.undervotes, MARK.blank] : [choice]) {
            votes[`${contest}/${mark}`] = (votes[`${contest}/${mark}`] ?? 0) + 1;
          }
        }
      }
      await addTally(query, {
        election: this.election,
        station,
        mode,
        lane: voter % 3,
        voters: voters.length,
        votes,
      });
    }
    await query(
      "INSERT INTO counting.changes SELECT DISTINCT $1, station FROM counting.tallies WHERE election = $1",
      [
        this.election,
      ],
    );
  }
}
