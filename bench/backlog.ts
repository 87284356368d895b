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
import { partitionOf } from "../shared/partition.ts";
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

/** An entry, and for each of its records the participation that it makes unless its voter has voted. */
export type BacklogEntry = Readonly<{
  entry: PlacedRecord;
  participations: readonly Readonly<Participation & { isDuplicate: boolean }>[];
}>;

/**
 * An election whose votes wait to be counted; `entries` makes them, in the order of the log, each of so many records but
 * the last of a partition.
 */
export type BacklogElection = Readonly<{
  history: RegisteredHistory;
  entries(recordsEach?: number): Generator<BacklogEntry>;
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
  type Made = Readonly<{ vote: Vote; participation: BacklogEntry["participations"][number] }>;
  const sealed = (made: readonly Made[]): BacklogEntry => ({
    entry: place(...made.map(({ vote }) => vote)),
    participations: made.map(({ participation }) => participation),
  });
  function* entries(recordsEach = 1): Generator<BacklogEntry> {
    const last: Vote[] = [];
    const open = new Map<number, Made[]>();
    for (let i = 0; i < records; i++) {
      const isDuplicate = i >= DUPLICATE_OF && i % DUPLICATE_EVERY === DUPLICATE_EVERY - 1;
      const again = i % (2 * DUPLICATE_EVERY) === DUPLICATE_EVERY - 1;
      const each = !isDuplicate ? vote(i) : again ? last[i % DUPLICATE_OF]! : vote(i - DUPLICATE_OF);
      last[i % DUPLICATE_OF] = each;
      const key = voterKeyOf(pseudonym, each.voterId);
      const partition = partitionOf(key, manifest.partitions);
      const together = open.get(partition) ?? [];
      open.set(partition, together);
      together.push({
        vote: each,
        participation: { voterKey: key.toHex(), voteId: each.voteId, isDuplicate },
      });
      if (together.length < recordsEach) continue;
      open.delete(partition);
      yield sealed(together);
    }
    for (const together of open.values()) yield sealed(together);
  }
  return { history: (await openHistory(db.query, definition.election, MASTER))!, entries };
}

/** A backlog in memory, and the participations of its voters by partition. */
export type Backlog = Readonly<{
  history: RegisteredHistory;
  records: readonly PlacedRecord[];
  participations: readonly Participation[][];
}>;

/** Makes an election in an empty database, and the records of a log in memory. */
export async function prepareBacklog(db: Database): Promise<Backlog> {
  const { history, entries } = await makeElection(db, "bench", RECORDS);
  const participations: Backlog["participations"] = Array.from({ length: history.partitions }, () => []);
  const records: PlacedRecord[] = [];
  for (const { entry, participations: own } of entries()) {
    records.push(entry);
    participations[entry.partition]!.push(...own);
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
