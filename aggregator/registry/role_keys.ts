/**
 * The keys that the roles `receipts` and `sync` work with: derived from an election's master key where that is, and read from
 * a file of the role's own where it is not (role_key_files.ts).
 *
 * @module
 */
import {
  answerKeyPair,
  deviceKey,
  formatKeyName,
  gatewayKey,
  type KeyName,
  type KeyPair,
  parseKeyName,
  pseudonymKey,
  sealingKeyPair,
} from "../../shared/keys.ts";
import { RecentMap } from "../../shared/recent.ts";
import { receiptKey } from "../../shared/receipt.ts";
import type { Keyring } from "./keyring.ts";
import { OfficeError } from "./office_error.ts";

/** Elections whose keys are kept in memory. */
const MAX_ELECTIONS = 100;
/** Gateways' receipt keys that are kept for one election; one costs two derivations to make again. */
const MAX_RECEIPT_KEYS = 10_000;
/** Gateways' keys that are kept for one election: more than an election of the largest size has. */
const MAX_SYNC_KEYS = 20_000;

/** The keys of one election's receipts and answers. */
export type ReceiptKeys = Readonly<{
  /** The key that a gateway (`gateway-1.1`) writes receipts with; `undefined` when no such gateway is known. */
  receiptKey(gateway: string): Uint8Array | undefined;
  /** Signs the answers: 64 bytes. */
  answerKey: Uint8Array;
}>;
/** `undefined` when there are no keys of that election. */
export type ReceiptKeysOf = (election: string) => ReceiptKeys | undefined;

/** What gateways' syncs of one election need. 32 bytes each. */
export type SyncKeys = Readonly<{
  /** `undefined` when it is not among them. */
  gatewayKey(name: KeyName): Uint8Array | undefined;
  deviceKey(name: KeyName): Uint8Array | undefined;
  pseudonymKey: Uint8Array;
  /** Opens statements. `undefined` without a master key: a counting process opens them then. */
  sealing: KeyPair | undefined;
}>;
/** @throws {OfficeError} when there are no keys of that election. */
export type SyncKeysOf = (election: string) => SyncKeys;

/** Receipt keys of an election, derived from its master key. */
export function receiptKeysFromMaster(master: Uint8Array, election: string): ReceiptKeys {
  const gateways = new RecentMap<Uint8Array>(MAX_RECEIPT_KEYS);
  return {
    answerKey: answerKeyPair(master, election).privateKey,
    receiptKey(gateway) {
      const known = gateways.get(gateway);
      if (known !== undefined) return known;
      const name = parseKeyName(`${election}/${gateway}`);
      if (name === undefined) return undefined;
      return gateways.set(gateway, receiptKey(gatewayKey(master, name)));
    },
  };
}

/** Sync keys of an election, derived from its master key. Each gateway's key is derived once. */
export function syncKeysFromMaster(master: Uint8Array, election: string): SyncKeys {
  const gateways = new RecentMap<Uint8Array>(MAX_SYNC_KEYS);
  return {
    gatewayKey(name) {
      const cached = formatKeyName(name);
      return gateways.get(cached) ?? gateways.set(cached, gatewayKey(master, name));
    },
    deviceKey: (name) => deviceKey(master, name),
    pseudonymKey: pseudonymKey(master, election),
    sealing: sealingKeyPair(master, election),
  };
}

/** Derives receipt keys from the master keys, in a process that also runs `count`. */
export function receiptKeysOfMasters(keyring: Pick<Keyring, "has" | "master">): ReceiptKeysOf {
  return keepKeys((election) =>
    keyring.has(election) ? receiptKeysFromMaster(keyring.master(election), election) : undefined
  );
}

/** Derives sync keys from the master keys, in a process that also runs `count`. */
export function syncKeysOfMasters(keyring: Pick<Keyring, "master">): SyncKeysOf {
  return keepKeys((election) => syncKeysFromMaster(keyring.master(election), election));
}

/** Makes an election's keys once. An election without keys takes no room: anybody may ask for one. */
function keepKeys<Keys extends ReceiptKeys | SyncKeys | undefined>(
  make: (election: string) => Keys,
): (election: string) => Keys {
  const elections = new RecentMap<Keys>(MAX_ELECTIONS);
  return (election) => {
    const known = elections.get(election);
    if (known !== undefined) return known;
    const keys = make(election);
    return keys === undefined ? keys : elections.set(election, keys);
  };
}

/** Why a key that the registry has is not among a process's sync keys. */
export function missingKey(name: KeyName): OfficeError {
  return new OfficeError(
    `Cannot find the key ${
      formatKeyName(name)
    } among the sync keys: SYNC_KEYS_DIRECTORY must have the newest ` +
      `${name.election}.json, which every key change writes`,
  );
}
