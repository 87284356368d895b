/**
 * What the office's use cases stand on.
 *
 * @module
 */
import type { Manifest } from "../../shared/election.ts";
import type { VoteLog } from "../../shared/log/vote_log.ts";
import type { Database } from "../database/database.ts";
import type { Keyring } from "../registry/keyring.ts";
import type { Issuers } from "./access/issuers.ts";
import type { OfficeKeys } from "./office_key.ts";

/** Database, clock, keys and logs. */
export type OfficeSources = Readonly<{
  /** May write. */
  db: Database;
  /** Milliseconds since 1970. */
  now(): number;
  keys: OfficeKeys;
  /** OpenID providers whose tokens are taken; none when left out. */
  issuers?: Issuers;
  keyring: Keyring;
  /** Writes the files of an election that was made by the office's API, for gateways, devices and roles. Returns their paths. */
  onElection?(manifest: Manifest, master: Uint8Array, aggregators: readonly string[]): Promise<string[]>;
  /** An election's vote log, for decisions and certification. The caller closes nothing. */
  /** Told when an election has a new device key, for processes that have no master key. */
  onDeviceKeys?(election: string): Promise<void>;
  openLog(election: string, partitions: number): Promise<VoteLog>;
}>;
