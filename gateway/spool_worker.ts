/**
 * The spool's thread: a worker that is told once what to open, and hosts the spool from then on.
 *
 * @module
 */
import { openSqliteLog } from "../shared/log/sqlite.ts";
import { serveSpool } from "./spool_host.ts";

serveSpool((address, election, partitions) => {
  return Promise.resolve(openSqliteLog(address.slice("sqlite:".length), election, partitions));
});
