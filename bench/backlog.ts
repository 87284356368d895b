/**
 * A backlog to be counted: an election with a roll, a log full of its records, and what of them a database could at
 * best write down.
 *
 * @module
 */
import { createCounter } from "../aggregator/count.ts";
import type { Database } from "../aggregator/database/database.ts";
import { migrate } from "../aggregator/database/migrate.ts";
import { openHistory, type RegisteredHistory } from "../aggregator/history.ts";
import { createElection } from "../aggregator/office/elections.ts";
import { importRoll } from "../aggregator/office/roll.ts";
import { pseudonymKey, voterKeyOf } from "../shared/keys.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { partitionOf } from "../shared/partition.ts";
import { MASTER } from "../tests/fixture.ts";
import { MemoryLog } from "../tests/memory_log.ts";
import { benchElection, voteMaker } from "./ballots.ts";
import { placer } from "./records.ts";

/** Records of a backlog, and voters on its roll. */
export const RECORDS = 48_000;
const STATIONS = 200;
/** One record in so many is of a voter who has voted: half of these are retransmissions, half double votes. */
const DUPLICATE_EVERY = 20;
/** How many records back the duplicated one lies. */
const DUPLICATE_OF = 50;

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

/** The records, and the participations of their voters by partition. */
export type Backlog = Readonly<{
  history: RegisteredHistory;
  records: readonly PlacedRecord[];
  participations: readonly Readonly<{ voterKey: string; voteId: string }>[][];
}>;

/** Makes tables, election and roll in an empty database, and the records. */
export async function prepareBacklog(db: Database): Promise<Backlog> {
  const simulated = benchElection({ voters: RECORDS, stations: STATIONS });
  const { definition } = simulated;
  const now = new Date();
  await migrate(db);
  // Emptied for each round, which the tables of a real count refuse.
  await db.query("ALTER TABLE counting.participations DISABLE TRIGGER kept_whole");
  const manifest = await createElection(db, definition, MASTER, now);
  const roll = simulated.voters().map(({ id, region, station, birthDate, gender }) => {
    return { voter_id: id, region, station, birth_date: birthDate, gender };
  });
  await importRoll(db, definition.election, MASTER, roll, Date.now);
  const vote = voteMaker(simulated);
  const place = placer(manifest);
  const pseudonym = pseudonymKey(MASTER, definition.election);
  const participations: Backlog["participations"] = Array.from({ length: manifest.partitions }, () => []);
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

/** Empties the tables. */
export async function empty(db: Database): Promise<void> {
  await db.query(`TRUNCATE ${COUNTED.map((table) => `counting.${table}`).join(", ")}`);
}

/**
 * Counts a backlog from its start.
 *
 * @param workers Partitions that are counted at once.
 */
export async function countBacklog(
  db: Database,
  { history, records }: Backlog,
  batchRecords: number,
  workers = 1,
): Promise<void> {
  const log = new MemoryLog(history.partitions);
  await log.append(records);
  const { signal } = new AbortController();
  let counted = 0;
  const partitions = Array.from({ length: history.partitions }, (_, partition) => partition);
  await Promise.all(Array.from({ length: workers }, async () => {
    const counter = createCounter({
      db,
      log,
      history,
      signal,
      wait: () => Promise.reject(new Error("Counting failed")),
      onCounted: (_outcomes, records) => counted += records,
    });
    for (let partition; (partition = partitions.pop()) !== undefined;) {
      let from = await counter.take(partition);
      for (let batch; (batch = await log.read(partition, from, batchRecords)).length > 0;) {
        await counter.batch(partition, batch);
        from = batch.at(-1)!.offset + 1;
      }
    }
  }));
  if (counted !== RECORDS) throw new Error(`Only ${counted} of ${RECORDS} records were counted`);
}
