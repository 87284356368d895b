/**
 * A small election that is voted in, counted and released while its index is followed, and how the index and
 * `results` compare.
 *
 * @module
 */
import assert from "assert";
import type { Database } from "../../aggregator/database/database.ts";
import { Indexer, type INDEXER_PACE } from "../../aggregator/results/index/indexer.ts";
import type { TallyIndex } from "../../aggregator/results/index/tally_index.ts";
import { publish } from "../../aggregator/results/publish.ts";
import { type BallotBox, openBallotBox, testVoters } from "../ballot_box.ts";
import { definitionWithFacts, NOON_MS } from "../fixture.ts";

const STATIONS = ["n-1", "n-2", "s-1", "s-2"];
const MODES = ["in_person", "early", "absentee", "provisional"] as const;
const CANDIDATES = ["ann", "bob", "cyd"];

/** An election in a database; voters vote in the order of their numbers. */
export class VotedElection {
  readonly box: BallotBox;
  #voted = 0;

  private constructor(box: BallotBox) {
    this.box = box;
  }

  /** @param k What is published holds so many voters at the least. For 1, every vote that is counted is shown at once. */
  static async open(db: Database, election: string, voters: number, k = 3): Promise<VotedElection> {
    const { contests, parties, regions, stations } = definitionWithFacts();
    const box = await openBallotBox(db, election, {
      contests,
      parties,
      regions,
      stations,
      releaseThreshold: k,
    });
    await box.enrol(testVoters(voters));
    return new VotedElection(box);
  }

  get election(): string {
    return this.box.election;
  }

  /** So many more voters vote, over half an hour; one in fifty of them twice, and a stranger with each twenty. */
  async vote(voters: number): Promise<void> {
    const { box } = this;
    for (const until = this.#voted + voters; this.#voted < until; this.#voted++) {
      const i = this.#voted;
      const own = i % 3 === 2 ? 2 : 0;
      const change = {
        // In the voter's own region, but for one in ten.
        station: STATIONS[(i % 10 === 9 ? 2 - own : own) + i % 7 % 2],
        mode: MODES[i % 11 % 4],
        selections: i % 13 === 0 ? [] : [{ contest: "mayor", candidate: CANDIDATES[i % 5 % 3] }],
        acceptedAt: new Date(NOON_MS - (i % 30) * 60_000).toISOString(),
        castAt: new Date(NOON_MS - 3_000_000).toISOString(),
      };
      await box.cast(`voter-${i}`, change);
      if (i % 50 === 0) await box.cast(`voter-${i}`, { ...change, voteId: crypto.randomUUID() });
      if (i % 20 === 0) await box.cast(`stranger-${i}`, change);
    }
    await box.count(100);
    await this.#publish(false);
  }

  /** The final release: everything that was counted is released. */
  async close(): Promise<void> {
    await this.#publish(true);
  }

  async #publish(final: boolean): Promise<void> {
    const { db, election, history } = this.box;
    await publish(db, {
      election,
      threshold: history.newest.manifest.releaseThreshold,
      beforeFinal: true,
      final,
      caughtUp: final,
      regionOf: (station) => history.newest.stations.get(station)?.region,
      all: final,
    }, new Date(NOON_MS + this.#voted * 1_000));
  }
}

/** Of tests that have no time. */
const QUICK_PACE = { pollMs: 20, passMs: 100, checkMs: 500, retryMs: 20, longestRetryMs: 200 };

/** Follows a database into an index until it is stopped. */
export function follow(
  db: Database,
  index: TallyIndex,
  pace: Partial<typeof INDEXER_PACE> = QUICK_PACE,
): { faults: string[]; stop(): Promise<void> } {
  const abort = new AbortController();
  const faults: string[] = [];
  const indexer = new Indexer({
    db,
    index,
    now: Date.now,
    signal: abort.signal,
    pace,
    onUpserted: (name, { refusals }) => assert.deepEqual(refusals, [], name),
    onRebuilt() {},
    onFault: (_what, error) => faults.push((error as Error).message),
  });
  const running = indexer.run();
  return {
    faults,
    async stop() {
      abort.abort();
      await running;
    },
  };
}

/** What the database says of an election: everything that the index must say too. */
export async function inDatabase(db: Database, election: string): Promise<Record<string, unknown>> {
  const rows = async (sql: string) =>
    Object.fromEntries(
      (await db.query<{ key: string; n: number }>(sql, [election])).map(({ key, n }) => [key, n]),
    );
  // A unit of several stations, or of several modes, is in the sums by less than that.
  return {
    tallies: await rows(
      `SELECT c.station || '/' || v.candidate AS key, sum(v.votes)::float8 AS n
       FROM results.current c JOIN results.releases r USING (revision)
       CROSS JOIN jsonb_to_recordset(r.votes) AS v (candidate text, votes bigint)
       WHERE c.election = $1 AND c.station IS NOT NULL GROUP BY 1 ORDER BY 1`,
    ),
    totals: await rows(
      `SELECT v.candidate AS key, sum(v.votes)::float8 AS n
       FROM results.current c JOIN results.releases r USING (revision)
       CROSS JOIN jsonb_to_recordset(r.votes) AS v (candidate text, votes bigint)
       WHERE c.election = $1 GROUP BY 1 ORDER BY 1`,
    ),
    ballots: await rows(
      `SELECT c.station || '/' || v.contest AS key, sum(v.votes)::float8 AS n
       FROM results.current c JOIN results.releases r USING (revision)
       CROSS JOIN jsonb_to_recordset(r.marks) AS v (contest text, candidate text, votes bigint)
       WHERE c.election = $1 AND c.station IS NOT NULL AND v.candidate = '#ballots' GROUP BY 1 ORDER BY 1`,
    ),
    added: await rows(
      `SELECT v.candidate AS key, sum(v.added)::float8 AS n
       FROM results.releases r CROSS JOIN jsonb_to_recordset(r.votes) AS v (candidate text, added bigint)
       WHERE r.election = $1 GROUP BY 1 ORDER BY 1`,
    ),
    released: await rows(
      `SELECT station || '/' || mode AS key, sum(added_voters)::float8 AS n FROM results.releases
       WHERE election = $1 AND station IS NOT NULL AND mode IS NOT NULL GROUP BY 1 ORDER BY 1`,
    ),
    voters: await rows(
      `SELECT r.election AS key, sum(added_voters)::float8 AS n FROM results.releases r
       WHERE election = $1 GROUP BY 1`,
    ),
    turnout: await rows(await turnoutOf(db, election)),
    rejected: await rows(
      `SELECT fate || '/' || reason AS key, count(*)::float8 AS n FROM counting.rejections
       WHERE election = $1 GROUP BY 1 ORDER BY 1`,
    ),
  };
}

/** For k > 1 turnout is no finer than the results: by the minute of release. */
async function turnoutOf(db: Database, election: string): Promise<string> {
  const [terms] = await db.query<{ k: number }>(
    "SELECT release_threshold::float8 AS k FROM results.elections WHERE election = $1",
    [election],
  );
  const keyOf = (minute: string) => `station || '/' || (extract(epoch FROM ${minute}) * 1000)::bigint AS key`;
  return terms?.k === 1
    ? `SELECT ${keyOf("minute")}, sum(voters)::float8 AS n
       FROM counting.turnout_counts WHERE election = $1 GROUP BY 1 ORDER BY 1`
    : `SELECT ${keyOf("date_trunc('minute', released_at)")}, sum(added_voters)::float8 AS n
       FROM results.releases WHERE election = $1 AND added_voters <> 0 AND station IS NOT NULL GROUP BY 1 ORDER BY 1`;
}

/** The same of the index. */
export async function inIndex(index: TallyIndex, election: string): Promise<Record<string, unknown>> {
  const where = { election };
  const keyed = (sums: Awaited<ReturnType<TallyIndex["sums"]>>, of: "sum" | "documents") =>
    Object.fromEntries(
      sums.map((each) => [each.by.join("/"), each[of]] as const).sort(([a], [b]) => a < b ? -1 : 1),
    );
  return {
    tallies: keyed(
      await index.sums("tallies", { where, by: ["station", "candidate"], sum: "votes" }, true),
      "sum",
    ),
    totals: keyed(await index.sums("tallies", { where, by: ["candidate"], sum: "votes" }, true), "sum"),
    ballots: keyed(
      await index.sums("ballots", { where, by: ["station", "contest"], sum: "ballots" }, true),
      "sum",
    ),
    added: keyed(
      await index.sums("released-votes", { where, by: ["candidate"], sum: "added_votes" }, true),
      "sum",
    ),
    released: keyed(
      await index.sums("releases", { where, by: ["station", "mode"], sum: "added_voters" }, true),
      "sum",
    ),
    voters: keyed(
      await index.sums("releases", { where, by: ["election"], sum: "added_voters" }, true),
      "sum",
    ),
    turnout: keyed(
      await index.sums("turnout-per-minute", { where, by: ["station", "minute"], sum: "voters" }, true),
      "sum",
    ),
    rejected: keyed(await index.sums("rejected-votes", { where, by: ["fate", "reason"] }, true), "documents"),
  };
}
