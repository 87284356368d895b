/**
 * The votes of one candidate, now: a sum over all stations, from the index where there is one, else from `results`.
 *
 * @module
 */
import { type Query, queryOne } from "../database/database.ts";
import { onlySum, type TallyIndex } from "./index/tally_index.ts";

/** How long the index may take before `results` is asked, in milliseconds. */
const INDEX_WAIT_MS = 2_000;

/** One candidate. */
export type Candidate = Readonly<{ election: string; contest: string; candidate: string }>;

/** Votes, a release than which no newer one has changed them (0 while there is none), and who was asked. */
export type CandidateVotes = Readonly<{ votes: number; revision: number; from: "index" | "results" }>;

/** Answers for a candidate who stands in the election. */
export type VotesOf = (candidate: Candidate) => Promise<CandidateVotes>;

/** Asks `results`: reads the newest release of every station. */
export function votesFromResults(query: Query): VotesOf {
  return async ({ election, contest, candidate }) => {
    const row = await queryOne<{ votes: number; revision: number }>(
      query,
      `SELECT coalesce(sum(v.votes), 0)::float8 AS votes, coalesce(max(r.revision), 0)::float8 AS revision
       FROM results.current c
       JOIN results.releases r USING (revision)
       CROSS JOIN jsonb_to_recordset(r.votes) AS v (contest text, candidate text, votes bigint)
       WHERE c.election = $1 AND v.contest = $2 AND v.candidate = $3`,
      [election, contest, candidate],
    );
    return { ...row, from: "results" };
  };
}

/**
 * Asks the index, with one search, and `results` when the index does not answer in time.
 *
 * @param onError Told why the index did not.
 */
export function votesFromIndex(
  index: TallyIndex,
  results: VotesOf,
  onError: (error: unknown) => void,
  waitMs = INDEX_WAIT_MS,
): VotesOf {
  return async (candidate) => {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error(`the index did not answer within ${waitMs} ms`)), waitMs);
    const asked = index.sums("tallies", { where: candidate, sum: "votes", max: "revision" }, false);
    try {
      const { sum, max } = onlySum(await Promise.race([asked, late]));
      return { votes: sum, revision: max, from: "index" };
    } catch (error) {
      // If it fails later, nobody waits for it.
      asked.catch(() => {});
      onError(error);
      return await results(candidate);
    } finally {
      clearTimeout(timer);
    }
  };
}
