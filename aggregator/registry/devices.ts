/**
 * Devices that join an election after it was made.
 *
 * @module
 */
import { appendAudit } from "../audit/events.ts";
import type { Query } from "../database/database.ts";
import { changeHistory, lockHistory } from "./changes.ts";

/** A version of a device's key. `validUntil` is set once a newer version has replaced it. */
export type DeviceVersion = Readonly<{ device: string; version: number; station: string }>;

/** The newest version of a device's key; `undefined` when the election has no such device. */
export async function newestDeviceKey(
  query: Query,
  election: string,
  device: string,
): Promise<DeviceVersion | undefined> {
  const [row] = await query<DeviceVersion>(
    `SELECT device, version, station FROM registry.device_keys
     WHERE election = $1 AND device = $2 ORDER BY version DESC LIMIT 1`,
    [election, device],
  );
  return row;
}

/**
 * Adds a device with the first version of its key, in the caller's transaction. The caller has checked the station.
 *
 * @returns whether it was added: `false` when there is one of that id.
 */
export async function addDevice(
  query: Query,
  election: string,
  device: string,
  station: string,
  now: Date,
): Promise<boolean> {
  await lockHistory(query, election);
  if (await newestDeviceKey(query, election, device) !== undefined) return false;
  const { revision } = await changeHistory(query, election, "device_key", now);
  await query(
    `INSERT INTO registry.device_keys (election, device, version, station, revision) VALUES ($1, $2, 1, $3, $4)`,
    [election, device, station, revision],
  );
  await appendAudit(query, now, "device_added", election, { device, station });
  return true;
}
