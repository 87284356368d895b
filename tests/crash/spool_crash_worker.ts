/**
 * The spool's thread as gateway/spool_worker.ts composes it, with the crash points about its commits and appends.
 *
 * @module
 */
import type { DatabaseSync } from "node:sqlite";
import { serveSpool } from "../../gateway/spool_host.ts";
import type { LogAddress } from "../../shared/log/address.ts";
import type { VoteLog } from "../../shared/log/vote_log.ts";
import { crashPoints } from "./crash_point.ts";
import { openLogAt } from "./open_log.ts";

const passes = crashPoints();

/** A transaction that has inserted takes votes in; one that has not frees what was forwarded. */
function insertsSince(): (db: DatabaseSync) => boolean {
  let last = 0;
  return (db) => {
    const { id } = db.prepare("SELECT last_insert_rowid() AS id").get() as { id: number };
    const inserted = id !== last;
    last = id;
    return inserted;
  };
}

const hasInserted = insertsSince();

function commit(db: DatabaseSync): void {
  const takesVotes = hasInserted(db);
  if (takesVotes) passes("before-fsync");
  db.exec("COMMIT");
  if (takesVotes) passes("after-fsync");
}

async function openLog(address: LogAddress, election: string, partitions: number): Promise<VoteLog> {
  const log = await openLogAt(address, election, partitions);
  const append = log.append.bind(log);
  log.append = async (records) => {
    passes("before-append");
    await append(records);
    passes("after-append");
  };
  return log;
}

serveSpool(openLog, { commit });
