/**
 * The production spool's thread, on a slow disk.
 *
 * @module
 */
import { serveSpool } from "../gateway/spool_host.ts";
import type { SqliteAddress } from "../shared/log/address.ts";
import { openSqliteLog } from "../shared/log/sqlite.ts";
import { commitSlowly } from "./delayed_commit.ts";

serveSpool((address, election, partitions) => {
  return Promise.resolve(openSqliteLog((address as SqliteAddress).directory, election, partitions));
}, { commit: commitSlowly });
