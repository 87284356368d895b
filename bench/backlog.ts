/**
 * A backlog to be counted: an election with a roll, the records of its log, and what of them a database could at best
 * write down.
 *
 * @module
 */
import { createCounter } from "../aggregator/counting/count.ts";
import type { Database } from "../aggregator/database/database.ts";
import { migrate } from "../aggregator/database/migrate.ts";
import { openHistory, type RegisteredHistory } from "../aggregator/counting/history.ts";
import { createElection } from "../aggregator/registry/elections.ts";
import { importRoll } from "../aggregator/registry/roll.ts";
import { pseudonymKey, voterKeyOf } from "../shared/keys.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import type { Vote } from "../shared/vote.ts";
import { MASTER } from "../tests/fixture.ts";
import { MemoryLog } from "../tests/memory_log.ts";
import { benchElection, voteMaker } from "./ballots.ts";
import { placer } from "./records.ts";

/** Records of a backlog in memory, and voters on its roll. */
export const RECORDS = 48_000;
const STATIONS = 200;
/** One record in so many is of a voter who has voted: half of these are retransmissions, half double votes. */
const DUPLICATE_EVERY = 20;
/** How many records back the duplicated one lies. */
const DUPLICATE_OF = 50;

const COUNTED = [
  "participations",
  "tallies",
  "turnout_counts",
  "turnout_groups",
  "minute_voters",
  "outcome_counts",
  "rejections",
  "log_positions",
  "changes",
];

/** A voter's participation, as the database keeps it. */
export type Participation = Readonly<{ voterKey: string; voteId: string }>;

/** A record, and the participation that it makes unless its voter has voted. */
export type BacklogRecord = Readonly<
  { record: PlacedRecord; participation: Participation; isDuplicate: boolean }
>;

/** An election whose votes wait to be counted; `records` makes them, in the order of the log. */
export type BacklogElection = Readonly<{
  history: RegisteredHistory;
  records(): Generator<BacklogRecord>;
}>;

/** Makes tables, an election and its roll in an empty database. @param records As many as voters on the roll. */
export async function makeElection(
  db: Database,
  name: string,
  records: number,
  size: Readonly<{ stations: number; contests?: number }> = { stations: STATIONS },
): Promise<BacklogElection> {
  const simulated = benchElection({ voters: records, ...size }, name);
  const { definition } = simulated;
  await migrate(db);
  // Emptied for each round, which the tables of a real count refuse.
  await db.query("ALTER TABLE counting.participations DISABLE TRIGGER kept_whole");
  const manifest = await createElection(db, definition, MASTER, new Date());
  const roll = simulated.voters().map(({ id, region, station, birthDate, gender }) => {
    return { voter_id: id, region, station, birth_date: birthDate, gender };
  });
  await importRoll(db, definition.election, MASTER, roll, Date.now);
  const vote = voteMaker(simulated);
  const place = placer(manifest);
  const pseudonym = pseudonymKey(MASTER, definition.election);
  function* made(): Generator<BacklogRecord> {
    const last: Vote[] = [];
    for (let i = 0; i < records; i++) {
      const isDuplicate = i >= DUPLICATE_OF && i % DUPLICATE_EVERY === DUPLICATE_EVERY - 1;
      const again = i % (2 * DUPLICATE_EVERY) === DUPLICATE_EVERY - 1;
      const each = !isDuplicate ? vote(i) : again ? last[i % DUPLICATE_OF]! : vote(i - DUPLICATE_OF);
      last[i % DUPLICATE_OF] = each;
      const voterKey = voterKeyOf(pseudonym, each.voterId).toHex();
      yield { record: place(each), participation: { voterKey, voteId: each.voteId }, isDuplicate };
    }
  }
  return { history: (await openHistory(db.query, definition.election, MASTER))!, records: made };
}

/** A backlog in memory, and the participations of its voters by partition. */
export type Backlog = Readonly<{
  history: RegisteredHistory;
  records: readonly PlacedRecord[];
  participations: readonly Participation[][];
}>;

/** Makes an election in an empty database, and the records of a log in memory. */
export async function prepareBacklog(db: Database): Promise<Backlog> {
  const { history, records: made } = await makeElection(db, "bench", RECORDS);
  const participations: Backlog["participations"] = Array.from({ length: history.partitions }, () => []);
  const records: PlacedRecord[] = [];
  for (const { record, participation } of made()) {
    records.push(record);
    participations[record.partition]!.push(participation);
  }
  return { history, records, participations };
}

/** Empties the tables. */
export async function empty(db: Database): Promise<void> {
  await db.query(`TRUNCATE ${COUNTED.map((table) => `counting.${table}`).join(", ")}`);
}

/** Counts a backlog in memory from its start, a partition after the other. */
export async function countBacklog(
  db: Database,
  { history, records }: Backlog,
  batchRecords: number,
): Promise<void> {
  const log = new MemoryLog(history.partitions);
  await log.append(records);
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
  for (let partition = 0; partition < history.partitions; partition++) {
    let from = await counter.take(partition);
    for (let batch; (batch = await log.read(partition, from, batchRecords)).length > 0;) {
      await counter.batch(partition, batch);
      from = batch.at(-1)!.offset + 1;
    }
  }
  if (counted !== RECORDS) throw new Error(`Only ${counted} of ${RECORDS} records were counted`);
}
