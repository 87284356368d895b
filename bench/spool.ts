/**
 * How fast the spool makes records durable, against plain SQLite that inserts them one row each.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { packChunk } from "../gateway/chunk.ts";
import { Spool } from "../gateway/spool.ts";
import type { PlacedRecord } from "../shared/log/vote_log.ts";
import { testManifest } from "../tests/fixture.ts";
import { benchElection, voteMaker } from "./ballots.ts";
import { type Bench, type Benchmark, compare, perSecond, type Row } from "./measure.ts";
import { placer } from "./records.ts";

const ROUNDS = 5;
/** Records a commit, and commits a round. */
const SIZES = [[1, 400], [16, 200], [64, 100], [256, 40]] as const;
/** One chunk is one row: the larger the commit, the less there is left to do than in the floor. */
const GOALS: Readonly<Record<number, number>> = { 1: 0.8, 16: 1, 64: 1, 256: 1 };

const PRAGMAS =
  "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000";

/** See the module. */
export const spool: Benchmark = {
  name: "spool",
  work:
    "records packed, written and synced; floor: SQLite with the same PRAGMAs, one row a record, as many a commit",
  on: "embedded",
  async run(bench) {
    const simulated = benchElection({ voters: 1, stations: 200 });
    const manifest = testManifest(simulated.definition);
    const vote = voteMaker(simulated);
    const place = placer(manifest);
    const records = Array.from({ length: 256 }, (_, i) => place(vote(i)));
    const rows: Row[] = [];
    for (const [size, commits] of SIZES) {
      const compared = await compareCommits(bench, records.slice(0, size), commits);
      rows.push({
        benchmark: "spool",
        of: `${size} a commit`,
        ...compared,
        unit: "records/s",
        goal: { ratio: GOALS[size] },
        notes: `${(1_000 * size / compared.value).toFixed(2)} ms a commit`,
      });
    }
    return rows;
  },
};

async function compareCommits({ directory }: Bench, records: readonly PlacedRecord[], commits: number) {
  const path = `${directory}/spool-${records.length}`;
  const held = new Spool({ path: `${path}.sqlite`, maxBytes: 2 ** 40, now: Date.now });
  const plain = new DatabaseSync(`${path}-plain.sqlite`);
  plain.exec(PRAGMAS);
  plain.exec(
    `CREATE TABLE records (id INTEGER PRIMARY KEY AUTOINCREMENT, spooled_at INTEGER NOT NULL, election TEXT NOT NULL,
       partition INTEGER NOT NULL, version TEXT NOT NULL, key_id TEXT NOT NULL, sender_key BLOB NOT NULL,
       signature BLOB NOT NULL, value BLOB NOT NULL) STRICT`,
  );
  const insert = plain.prepare(
    `INSERT INTO records (spooled_at, election, partition, version, key_id, sender_key, signature, value)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const insertAll = () => {
    const now = Date.now();
    plain.exec("BEGIN IMMEDIATE");
    for (const { partition, version, keyId, senderKey, signature, value } of records) {
      insert.run(now, "bench", partition, version, keyId, senderKey, signature, value);
    }
    plain.exec("COMMIT");
  };
  const append = () => held.append([packChunk({ election: "bench", partitions: 12, records })]);
  const times = (work: () => void) => () =>
    perSecond(commits * records.length, () => {
      for (let i = 0; i < commits; i++) work();
    });
  const compared = await compare(ROUNDS, times(insertAll), times(append));
  held.close();
  plain.close();
  return compared;
}
