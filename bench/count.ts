/**
 * How fast the log is counted into the embedded database, on a directory as in production.
 *
 * @module
 */
import { COUNT_BATCH_RECORDS } from "../aggregator/counting/count.ts";
import { arrayLiteral, type Database } from "../aggregator/database/database.ts";
import { openPglite } from "../aggregator/database/pglite.ts";
import { type Backlog, countBacklog, empty, prepareBacklog, RECORDS } from "./backlog.ts";
import { type Bench, type Benchmark, compare, median, perSecond, type Row } from "./measure.ts";

const ROUNDS = 3;
const GOAL = { value: 16_000 };

const PARTICIPATIONS = `
  INSERT INTO counting.participations (election, voter_key, vote_id)
  SELECT $1, decode(voter_key, 'hex'), vote_id FROM unnest($2::text[], $3::uuid[]) AS t (voter_key, vote_id)
  ON CONFLICT DO NOTHING RETURNING 1`;

/** See the module. */
export const count: Benchmark = {
  name: "count",
  work:
    "records judged and counted, 5 % duplicates, 12 partitions; floor: PGlite inserting the participations alone",
  on: "embedded",
  async run(bench) {
    const db = await openPglite(`${bench.directory}/count`);
    const backlog = await prepareBacklog(db);
    bench.log(`count: ${RECORDS} records, and as many voters on the roll`);
    const rows: Row[] = [];
    for (const batchRecords of new Set([COUNT_BATCH_RECORDS, 1_000])) {
      rows.push(await countIn(bench, db, backlog, batchRecords));
    }
    await db.close();
    return rows;
  },
};

async function countIn(bench: Bench, db: Database, backlog: Backlog, batchRecords: number): Promise<Row> {
  const sqlShares: number[] = [];
  const compared = await compare(ROUNDS, async () => {
    await empty(db);
    return await perSecond(RECORDS, () => insertParticipations(db, backlog, batchRecords));
  }, async (round) => {
    await empty(db);
    const timed = timeTransactions(db);
    const rate = await perSecond(RECORDS, () => countBacklog(timed.db, backlog, batchRecords));
    if (round > 0) sqlShares.push(timed.spentMs() / (RECORDS / rate * 1_000));
    bench.log(`count: ${batchRecords} a batch: ${Math.round(rate)} votes/s`);
    return rate;
  });
  const voteUs = 1e6 / compared.value;
  const sqlUs = voteUs * median(sqlShares);
  return {
    benchmark: "count",
    of: `PGlite, ${batchRecords.toLocaleString("en")} a batch`,
    ...compared,
    unit: "votes/s",
    goal: GOAL,
    notes: `${voteUs.toFixed(0)} µs a vote: ${sqlUs.toFixed(0)} in the transaction, ${
      (voteUs - sqlUs).toFixed(0)
    } judging`,
  };
}

async function insertParticipations(db: Database, backlog: Backlog, batchRecords: number): Promise<void> {
  const { election } = backlog.history;
  for (const partition of backlog.participations) {
    for (let from = 0; from < partition.length; from += batchRecords) {
      const batch = partition.slice(from, from + batchRecords);
      await db.transaction((query) =>
        query(PARTICIPATIONS, [
          election,
          arrayLiteral(batch.map(({ voterKey }) => voterKey)),
          arrayLiteral(batch.map(({ voteId }) => voteId)),
        ])
      );
    }
  }
}

/** A database that knows how long its transactions took. */
function timeTransactions(db: Database): { db: Database; spentMs(): number } {
  let spentMs = 0;
  const timed: Database = {
    ...db,
    async transaction(work, isolation) {
      const fromMs = performance.now();
      try {
        return await db.transaction(work, isolation);
      } finally {
        spentMs += performance.now() - fromMs;
      }
    },
  };
  return { db: timed, spentMs: () => spentMs };
}
