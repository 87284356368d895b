/**
 * Devices of an election: added, enrolled with a one-time code, rotated, revoked. Gateways follow with their next sync, within seconds.
 *
 * @module
 */
import { utf8 } from "../../../shared/bytes.ts";
import { answerKeyPair, deviceKey, proofKey, sha256 } from "../../../shared/keys.ts";
import { appendAudit } from "../../audit/events.ts";
import { actAs, currentActor } from "../../audit/actor.ts";
import { isoTime, type Query } from "../../database/database.ts";
import { addDevice, newestDeviceKey } from "../../registry/devices.ts";
import { revokeDeviceKey, rotateDeviceKey } from "../../registry/elections.ts";
import { newestManifest } from "../../registry/manifests.ts";
import { conflict, type Refusal } from "../access/accounts.ts";
import { readState } from "../lifecycle/state.ts";
import type { OfficeSources } from "../sources.ts";
import { ROLL_PHASES } from "./roll_imports.ts";

/** How long a code is good, in milliseconds. */
export const CODE_LIFETIME_MS = 86_400_000;
/** Characters of a code, each of 5 bits: too many to guess, and few enough to type. */
const CODE_CHARS = 20;
/** Crockford's alphabet: no I, L, O or U, which are mistaken for others. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** A device's key as the office lists it. */
export type ListedDevice = Readonly<{
  device: string;
  version: number;
  station: string;
  validUntil: string | null;
  isRevoked: boolean;
  codeExpiresAt: string | null;
  enrolledAt: string | null;
}>;

/** A code, told once. */
export type IssuedCode = Readonly<
  { device: string; version: number; station: string; code: string; expiresAt: string }
>;

/** What a device needs to cast votes. Keys are in hex. */
export type DeviceIdentity = Readonly<{
  election: string;
  device: string;
  version: number;
  station: string;
  key: string;
  proofKey: string;
  answerKey: string;
}>;

/** All device keys of an election. */
export async function listDevices({ db }: OfficeSources, election: string): Promise<ListedDevice[]> {
  const { denied } = (await newestManifest(db.query, election))!;
  const revoked = new Set(denied);
  const rows = await db.query<Omit<ListedDevice, "isRevoked">>(
    `SELECT k.device, k.version, k.station, ${isoTime("k.valid_until")} AS "validUntil",
       ${isoTime("c.expires_at")} AS "codeExpiresAt", ${isoTime("u.used_at")} AS "enrolledAt"
     FROM registry.device_keys k
     LEFT JOIN LATERAL (
       SELECT expires_at FROM office.enrolment_codes c WHERE c.election = k.election AND c.device = k.device
         AND c.version = k.version AND c.used_at IS NULL AND c.replaced_at IS NULL LIMIT 1
     ) c ON true
     LEFT JOIN LATERAL (
       SELECT max(used_at) AS used_at FROM office.enrolment_codes c WHERE c.election = k.election AND c.device = k.device
         AND c.version = k.version
     ) u ON true
     WHERE k.election = $1 ORDER BY k.device, k.version`,
    [election],
  );
  return rows.map((row) => ({ ...row, isRevoked: revoked.has(`${row.device}.${row.version}`) }));
}

/** Adds a device, and issues its code. */
export async function enrolDevice(
  sources: OfficeSources,
  election: string,
  device: string,
  station: string,
  account: string,
  now: Date,
): Promise<IssuedCode | Refusal> {
  const issued = await sources.db.transaction(async (query) => {
    const fault = await deviceFault(query, election, now);
    if (fault !== undefined) return fault;
    const { stations } = (await newestManifest(query, election))!;
    if (!stations.some(({ id }) => id === station)) {
      return { refused: "invalid", detail: `station: ${station} must be a station of the election` } as const;
    }
    if (!await addDevice(query, election, device, station, now)) {
      return conflict(`there is a device ${device} already: issue a code for it, or rotate its key`);
    }
    return await issue(query, election, { device, version: 1, station }, account, now);
  });
  await sources.onDeviceKeys?.(election);
  return issued;
}

/** Issues another code for a device's newest key; an earlier one is good no longer. */
export async function issueCode(
  { db }: OfficeSources,
  election: string,
  device: string,
  account: string,
  now: Date,
): Promise<IssuedCode | Refusal> {
  return await db.transaction(async (query) => {
    const found = await newestDeviceKey(query, election, device);
    if (found === undefined) return missing(device);
    if (await isDenied(query, election, device, found.version)) {
      return conflict(`the key ${device}.${found.version} has been revoked: rotate it first`);
    }
    return await issue(query, election, found, account, now);
  });
}

/** Gives a device its next key, and a code to fetch it with. The old key stays good for a while. */
export async function rotateDevice(
  sources: OfficeSources,
  election: string,
  device: string,
  overlapS: number,
  account: string,
  now: Date,
): Promise<IssuedCode | Refusal> {
  const { db } = sources;
  const fault = await deviceFault(db.query, election, now);
  if (fault !== undefined) return fault;
  const found = await newestDeviceKey(db.query, election, device);
  if (found === undefined) return missing(device);
  const version = await rotateDeviceKey(db, election, device, overlapS, now);
  await sources.onDeviceKeys?.(election);
  return await db.transaction((query) => issue(query, election, { ...found, version }, account, now));
}

/** Revokes a key: gateways refuse it within seconds, and its codes are good no longer. */
export async function revokeDevice(
  { db, keyring }: OfficeSources,
  election: string,
  device: string,
  version: number,
  reason: string,
  now: Date,
): Promise<{ manifestVersion: number } | Refusal> {
  const [known] = await db.query(
    "SELECT 1 FROM registry.device_keys WHERE election = $1 AND device = $2 AND version = $3",
    [election, device, version],
  );
  if (known === undefined) return missing(`${device}.${version}`);
  if (await isDenied(db.query, election, device, version)) {
    return conflict(`the key ${device}.${version} has been revoked already`);
  }
  const master = keyring.master(election);
  const manifest = await actAs(
    { ...currentActor(), reason },
    () => revokeDeviceKey(db, election, master, device, version, now),
  );
  await replaceCodes(db.query, election, device, now);
  return { manifestVersion: manifest.version };
}

/** A device fetches its keys with a code, once. */
export async function redeemCode(
  { db, keyring }: OfficeSources,
  code: string,
  now: Date,
): Promise<DeviceIdentity | Refusal> {
  return await db.transaction(async (query) => {
    const [found] = await query<Code>(
      `SELECT election, device, version, ${isoTime("used_at")} AS "usedAt", ${
        isoTime("expires_at")
      } AS "expiresAt",
         replaced_at IS NOT NULL AS "isReplaced"
       FROM office.enrolment_codes WHERE code_hash = decode($1, 'hex') FOR UPDATE`,
      [hashOf(code)],
    );
    if (found === undefined) return { refused: "not-found", detail: "there is no such code" };
    const { election, device, version, usedAt, expiresAt, isReplaced } = found;
    if (usedAt !== null) {
      return conflict(`the code was used at ${usedAt}: if it was not this device, have its key revoked`);
    }
    if (isReplaced) return conflict("another code has taken its place, or the key has been revoked");
    if (expiresAt < now.toISOString()) {
      return conflict(`the code expired at ${expiresAt}: ask for another one`);
    }
    if (await isDenied(query, election, device, version)) return conflict("the key has been revoked");
    const { station } = (await query<{ station: string }>(
      "SELECT station FROM registry.device_keys WHERE election = $1 AND device = $2 AND version = $3",
      [election, device, version],
    ))[0]!;
    await query(
      "UPDATE office.enrolment_codes SET used_at = $2::timestamptz WHERE code_hash = decode($1, 'hex')",
      [
        hashOf(code),
        now.toISOString(),
      ],
    );
    await actAs(
      { ...currentActor(), actor: `device:${device}` },
      () => appendAudit(query, now, "device_enrolled", election, { device, version }),
    );
    const master = keyring.master(election);
    const name = { election, id: device, version };
    return {
      election,
      device,
      version,
      station,
      key: deviceKey(master, name).toHex(),
      proofKey: proofKey(master, name).toHex(),
      answerKey: answerKeyPair(master, election).publicKey.toHex(),
    };
  });
}

type Code = Readonly<{
  election: string;
  device: string;
  version: number;
  usedAt: string | null;
  expiresAt: string;
  isReplaced: boolean;
}>;

function missing(device: string): Refusal {
  return { refused: "not-found", detail: `the election has no device ${device}` };
}

async function deviceFault(query: Query, election: string, now: Date): Promise<Refusal | undefined> {
  const { phase } = await readState(query, election, now);
  return ROLL_PHASES.includes(phase)
    ? undefined
    : conflict(`devices cannot be changed: the election is ${phase}`);
}

async function isDenied(query: Query, election: string, device: string, version: number): Promise<boolean> {
  const { denied } = (await newestManifest(query, election))!;
  return denied.includes(`${device}.${version}`);
}

async function issue(
  query: Query,
  election: string,
  { device, version, station }: Readonly<{ device: string; version: number; station: string }>,
  account: string,
  now: Date,
): Promise<IssuedCode> {
  await replaceCodes(query, election, device, now);
  const code = newCode();
  const expiresAt = new Date(now.getTime() + CODE_LIFETIME_MS).toISOString();
  await query(
    `INSERT INTO office.enrolment_codes (code_hash, election, device, version, issued_at, issued_by, expires_at)
     VALUES (decode($1, 'hex'), $2, $3, $4, $5::timestamptz, $6, $7::timestamptz)`,
    [hashOf(code), election, device, version, now.toISOString(), account, expiresAt],
  );
  await appendAudit(query, now, "device_code_issued", election, { device, version });
  return { device, version, station, code, expiresAt };
}

async function replaceCodes(query: Query, election: string, device: string, now: Date): Promise<void> {
  await query(
    `UPDATE office.enrolment_codes SET replaced_at = $3::timestamptz
     WHERE election = $1 AND device = $2 AND used_at IS NULL AND replaced_at IS NULL`,
    [election, device, now.toISOString()],
  );
}

/** Five groups of four, like `7K2M-…`. 256 is a multiple of the alphabet's length: every character is equally likely. */
function newCode(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(CODE_CHARS));
  const text = [...bytes].map((byte) => ALPHABET[byte % ALPHABET.length]).join("");
  return text.match(/.{4}/g)!.join("-");
}

/** A hash is enough: a code has 100 random bits. What people mistype alike is one code. */
function hashOf(code: string): string {
  const typed = code.toUpperCase().replace(/[\s-]/g, "").replace(/O/g, "0").replace(/[IL]/g, "1");
  return sha256(utf8(`pollwire/2 enrolment ${typed}`)).toHex();
}
