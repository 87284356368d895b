/**
 * What a voter and a counted vote take of PostgreSQL's disk, and what a vote adds to its write-ahead log. Needs PostgreSQL's
 * programs, and starts a server of its own. `docs/scale.md` plans disks by it.
 *
 * @module
 */
import type { Database } from "../aggregator/database/database.ts";
import { countBacklog, empty, prepareBacklog, RECORDS } from "./backlog.ts";
import type { Benchmark, Row } from "./measure.ts";
import { ownDatabase } from "./own_database.ts";

/** Records of one partition a transaction: as votes come on polling day where k is 10, and of a backlog. */
const BATCHES = [10, 1_000] as const;

/** See the module. */
export const databaseBytes: Benchmark = {
  name: "bytes",
  work: `${
    RECORDS.toLocaleString("en")
  } records counted into PostgreSQL: bytes on its disk and in its write-ahead log`,
  on: "embedded",
  async run(bench) {
    const { db } = await ownDatabase(bench);
    const backlog = await prepareBacklog(db);
    await db.query("VACUUM ANALYZE");
    const row = (of: string, bytes: number, notes?: string): Row => {
      return { benchmark: "bytes", of, value: Math.round(bytes / RECORDS), unit: "bytes a voter", notes };
    };
    const rows = [
      row("registry.voters, without profiles", await tableBytes(db, "registry.voters")),
      row("counting.roll", await tableBytes(db, "counting.roll")),
    ];
    for (const batch of BATCHES) {
      await empty(db);
      await db.query("CHECKPOINT");
      const before = await walPosition(db);
      await countBacklog(db, backlog, batch);
      const wal = await walPosition(db) - before;
      rows.push(row(`write-ahead log, ${batch.toLocaleString("en")} records a transaction`, wal));
    }
    const participations = await tableBytes(db, "counting.participations");
    return [...rows, row("counting.participations", participations, "5 % of the voters voted twice")];
  },
};

/** Of the table with its indexes. */
async function tableBytes(db: Database, table: string): Promise<number> {
  const [size] = await db.query("SELECT pg_total_relation_size($1::regclass)::float8 AS bytes", [table]);
  return size!.bytes as number;
}

/** Bytes that the server has written to its log so far. */
async function walPosition(db: Database): Promise<number> {
  const [row] = await db.query("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 AS bytes");
  return row!.bytes as number;
}
