/**
 * The spool's thread: a worker that hosts the spool after one setup message.
 *
 * @module
 */
import { startLog } from "../cli/log.ts";
import { openKafkaLog } from "../shared/log/kafka.ts";
import { openSqliteLog } from "../shared/log/sqlite.ts";
import { serveSpool } from "./spool_host.ts";

serveSpool(
  async (address, election, partitions) =>
    address.kind === "sqlite"
      ? openSqliteLog(address.directory, election, partitions)
      : await openKafkaLog(address, election, partitions, "pollwire-gateway"),
  { begin: ({ logLevel }) => void startLog("gateway", logLevel) },
);
