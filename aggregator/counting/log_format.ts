/**
 * Tells a log of Pollwire 0.1 from one of this version.
 *
 * @module
 */
import { LogFault, logStarts, type VoteLog } from "../../shared/log/vote_log.ts";

/** What the header `v` of an entry of Pollwire 0.1 says. */
const OLD_VERSION = "1";

/**
 * Refuses a log whose partitions all begin with a record of format 1, where they hold any. Whoever may write to the log may
 * add such a record to one that is in use: that is a rejected record like others, and must not stop the count.
 *
 * @throws {LogFault}
 */
export async function refuseOldFormat(log: VoteLog, election: string): Promise<void> {
  const first = await Promise.all(
    (await logStarts(log)).map(async (start, partition) => (await log.read(partition, start, 1))[0]),
  );
  const versions = first.flatMap((record) => record === undefined ? [] : [record.version]);
  if (versions.length === 0 || versions.some((version) => version !== OLD_VERSION)) return;
  throw new LogFault(
    `Cannot count election ${election}: its log has records of format 1, and this version reads format 2; finish this election with 0.1`,
  );
}
