/**
 * How long a released total takes until Kibana finds it, at the pace of production and without a refresh that is asked for.
 *
 * @module
 */
import assert from "assert";
import { INDEXER_PACE } from "../../aggregator/results/index/indexer.ts";
import type { Database } from "../../aggregator/database/database.ts";
import type { TallyIndex } from "../../aggregator/results/index/tally_index.ts";
import { quantile } from "../../bench/measure.ts";
import { eventually } from "../eventually.ts";
import { withDatabase } from "../test_database.ts";
import { elasticsearchForFile } from "./elasticsearch.ts";
import { follow, VotedElection } from "./index_fixture.ts";
import { stackTest } from "./server.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const server = elasticsearchForFile();

/** How long a document may take here, in milliseconds, on a machine that does much else. What it takes is printed, and not asserted. */
const FOUND_MS = 120_000;
/** Releases that are timed, in each part. */
const ROUNDS = 8;
/** Votes of each, and of each release of the other election. */
const VOTERS = 5;
const OTHERS = 60;

/** The sum of votes that a search finds, as a dashboard asks: whatever the last refresh showed. */
async function foundVotes(index: TallyIndex, election: string): Promise<number> {
  const sums = await index.sums("tallies", { where: { election }, sum: "votes" }, false).catch(() => []);
  return sums.reduce((total, { sum }) => total + sum, 0);
}

async function releasedVotes(db: Database, election: string): Promise<number> {
  const [row] = await db.query<{ votes: number }>(
    "SELECT coalesce(sum(votes), 0)::float8 AS votes FROM results.candidate_votes WHERE election = $1 AND candidate NOT LIKE '#%'",
    [election],
  );
  return row!.votes;
}

stackTest(
  "what is released is found in the index without a refresh, also beside another election that votes",
  async () => {
    await withDatabase(async (db) => {
      const index = server().open("delay-");
      const following = follow(db, index, INDEXER_PACE);
      const timed = await VotedElection.open(db, "timed", 2 * ROUNDS * VOTERS, 1);
      const other = await VotedElection.open(db, "other", ROUNDS * OTHERS, 1);
      let before = 0;
      for (const beside of [false, true]) {
        const tookMs: number[] = [];
        for (let round = 0; round < ROUNDS; round++) {
          if (beside) await other.vote(OTHERS);
          await timed.vote(VOTERS);
          const releasedMs = performance.now();
          const wanted = await releasedVotes(db, "timed");
          assert.ok(wanted > before, `${wanted} votes are released`);
          before = wanted;
          await eventually(
            "the total is found",
            async () => await foundVotes(index, "timed") === wanted,
            FOUND_MS,
          );
          tookMs.push(performance.now() - releasedMs);
        }
        const [half, most] = [quantile(tookMs, 0.5), Math.max(...tookMs)].map((ms) =>
          (ms / 1_000).toFixed(1)
        );
        console.log(
          `release to search${beside ? ", beside another election" : ""}: p50 ${half} s, at most ${most} s`,
        );
      }
      await following.stop();
      await index.close();
      assert.deepEqual(following.faults, []);
    });
  },
);
