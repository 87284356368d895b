/**
 * Opens an election's log by its address, as the programs' own main modules do.
 *
 * @module
 */
import type { LogAddress } from "../../shared/log/address.ts";
import { openKafkaLog } from "../../shared/log/kafka.ts";
import { openSqliteLog } from "../../shared/log/sqlite.ts";
import type { VoteLog } from "../../shared/log/vote_log.ts";

/** See the module. */
export async function openLogAt(address: LogAddress, election: string, partitions: number): Promise<VoteLog> {
  return address.kind === "sqlite"
    ? openSqliteLog(address.directory, election, partitions)
    : await openKafkaLog(address, election, partitions);
}
