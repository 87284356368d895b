/**
 * How fast the log is counted into the embedded database, on a directory as in production.
 *
 * @module
 */
import { COUNT_BATCH_RECORDS, countGroup, createCounter } from "../aggregator/count.ts";
import { arrayLiteral, type Database } from "../aggregator/database/database.ts";
import { migrate } from "../aggregator/database/migrate.ts";
import { openPglite } from "../aggregator/database/pglite.ts";
import { openHistory, type RegisteredHistory } from "../aggregator/history.ts";
import { createElection } from "../aggregator/office/elections.ts";
import { importRoll } from "../aggregator/office/roll.ts";
import { pseudonymKey, voterKeyOf } from "../shared/keys.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { partitionOf } from "../shared/partition.ts";
import type { Country } from "../simulator/country/country.ts";
import { MASTER } from "../tests/fixture.ts";
import { MemoryLog } from "../tests/memory_log.ts";
import { benchElection, voteMaker } from "./ballots.ts";
import { type Bench, type Benchmark, compare, median, perSecond, type Row } from "./measure.ts";
import { placer } from "./records.ts";

const ROUNDS = 3;
const RECORDS = 48_000;
const STATIONS = 200;
/** One record in so many is of a voter who has voted: half of these are retransmissions, half double votes. */
const DUPLICATE_EVERY = 20;
/** How many records back the duplicated one lies. */
const DUPLICATE_OF = 50;
const GOAL = { value: 16_000 };

const COUNTED = [
  "participations",
  "station_counts",
  "station_voters",
  "turnout_counts",
  "turnout_groups",
  "outcome_counts",
  "rejections",
  "log_positions",
  "changes",
];

const PARTICIPATIONS = `
  INSERT INTO counting.participations (election, voter_key, vote_id)
  SELECT $1, decode(voter_key, 'hex'), vote_id FROM unnest($2::text[], $3::uuid[]) AS t (voter_key, vote_id)
  ON CONFLICT DO NOTHING RETURNING 1`;

/** What a round counts: the records, and the participations of their voters by partition. */
type Work = Readonly<{
  history: RegisteredHistory;
  records: readonly PlacedRecord[];
  participations: readonly Readonly<{ voterKey: string; voteId: string }>[][];
}>;

/** See the module. */
export const count: Benchmark = {
  name: "count",
  work:
    "records judged and counted, 5 % duplicates, 12 partitions; floor: PGlite inserting the participations alone",
  async run(bench) {
    const simulated = benchElection({ voters: RECORDS, stations: STATIONS });
    const db = await openPglite(`${bench.directory}/count`);
    const work = await prepare(db, simulated);
    bench.say(`count: ${RECORDS} records, and as many voters on the roll`);
    const rows: Row[] = [];
    for (const batchRecords of new Set([COUNT_BATCH_RECORDS, 1_000])) {
      rows.push(await countIn(bench, db, work, batchRecords));
    }
    await db.close();
    return rows;
  },
};

async function prepare(db: Database, simulated: Country): Promise<Work> {
  const { definition } = simulated;
  const now = new Date();
  await migrate(db);
  const manifest = await createElection(db, definition, MASTER, now);
  const roll = simulated.voters().map(({ id, region, station, birthDate, gender }) => {
    return { voter_id: id, region, station, birth_date: birthDate, gender };
  });
  await importRoll(db, definition.election, MASTER, roll, Date.now);
  const vote = voteMaker(simulated);
  const place = placer(manifest);
  const pseudonym = pseudonymKey(MASTER, definition.election);
  const participations: Work["participations"] = Array.from({ length: manifest.partitions }, () => []);
  const records: PlacedRecord[] = [];
  const votes: ReturnType<typeof vote>[] = [];
  for (let i = 0; i < RECORDS; i++) {
    const duplicate = i >= DUPLICATE_OF && i % DUPLICATE_EVERY === DUPLICATE_EVERY - 1;
    const again = i % (2 * DUPLICATE_EVERY) === DUPLICATE_EVERY - 1;
    const each = !duplicate ? vote(i) : again ? votes[i - DUPLICATE_OF] : vote(i - DUPLICATE_OF);
    votes.push(each);
    records.push(place(each));
    const voterKey = voterKeyOf(pseudonym, each.voterId);
    participations[partitionOf(voterKey, manifest.partitions)].push({
      voterKey: voterKey.toHex(),
      voteId: each.voteId,
    });
  }
  const history = await openHistory(db.query, definition.election, MASTER);
  return { history: history!, records, participations };
}

async function countIn(bench: Bench, db: Database, work: Work, batchRecords: number): Promise<Row> {
  const sqlShares: number[] = [];
  const compared = await compare(ROUNDS, async () => {
    await empty(db);
    return await perSecond(RECORDS, () => insertParticipations(db, work, batchRecords));
  }, async (round) => {
    await empty(db);
    const log = new MemoryLog(work.history.partitions);
    await log.append(work.records);
    const timed = timeTransactions(db);
    const rate = await perSecond(RECORDS, () => countAll(timed.db, log, work, batchRecords));
    if (round > 0) sqlShares.push(timed.spentMs() / (RECORDS / rate * 1_000));
    bench.say(`count: ${batchRecords} a batch: ${Math.round(rate)} votes/s`);
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

async function empty(db: Database): Promise<void> {
  await db.query(`TRUNCATE ${COUNTED.map((table) => `counting.${table}`).join(", ")}`);
}

async function countAll(
  db: Database,
  log: MemoryLog,
  { history }: Work,
  batchRecords: number,
): Promise<void> {
  const { signal } = new AbortController();
  let counted = 0;
  const counter = createCounter({
    db,
    log,
    history,
    signal,
    wait: () => Promise.reject(new Error("Counting failed")),
    onCounted: (_outcomes, records) => counted += records,
  });
  await log.consume(counter, { group: countGroup(history.election), batchRecords, signal });
  if (counted !== RECORDS) throw new Error(`Only ${counted} of ${RECORDS} records were counted`);
}

async function insertParticipations(db: Database, work: Work, batchRecords: number): Promise<void> {
  const { election } = work.history;
  for (const partition of work.participations) {
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
