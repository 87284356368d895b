/**
 * The polling stations of a run: their devices, each with its gateways.
 *
 * @module
 */
import { UsageError } from "../../cli/command.ts";
import { type DevicesFile, parseDevicesFile } from "../../shared/devices_file.ts";
import type { ElectionDefinition } from "../../shared/election.ts";
import { Device, type DeviceIdentity, type DeviceWorld } from "../../device/device.ts";
import { GatewayLink } from "../../device/gateway_link.ts";
import type { AnswerSource } from "../../device/receipts.ts";

/** @throws {UsageError} when it is no such file. */
export async function readDevicesFile(path: string): Promise<DevicesFile> {
  try {
    return parseDevicesFile(await Deno.readTextFile(path));
  } catch (error) {
    throw new UsageError(
      `Cannot read the devices in ${path}, which provision writes: ${(error as Error).message}`,
    );
  }
}

/** Takes out the devices whose keys are denied (`device.version`); one of them as it would sign. */
export function splitRevoked(
  file: DevicesFile,
  denied: readonly string[],
): { good: DevicesFile; revoked?: DeviceIdentity } {
  const isDenied = ({ device, version }: DevicesFile["devices"][number]) =>
    denied.includes(`${device}.${version}`);
  const revoked = file.devices.find(isDenied);
  return {
    good: { ...file, devices: file.devices.filter((device) => !isDenied(device)) },
    ...(revoked && { revoked: identityOf(file.election, revoked) }),
  };
}

/** A device of the file, as it signs. */
export function identityOf(
  election: string,
  { device, version, station, key, proofKey }: DevicesFile["devices"][number],
): DeviceIdentity {
  return {
    election,
    device,
    version,
    station,
    key: Uint8Array.fromHex(key),
    proofKey: Uint8Array.fromHex(proofKey),
  };
}

/** Whose answers to receipts are believed: the aggregator's key is the same for all devices of an election. */
export function answerSourceOf({ election, devices: [device] }: DevicesFile): AnswerSource {
  if (device === undefined) {
    throw new UsageError(
      `Cannot check receipts of ${election}: its devices file lists no device, and must list at least one`,
    );
  }
  return { election, answerKey: device.answerKey };
}

/** Station → the addresses of its gateways, its primary first. `origins` is as {@link openPolls} takes it. */
export function originsByStation(
  { gateways }: Pick<ElectionDefinition, "gateways">,
  origins: readonly string[],
): Map<string, string[]> {
  const byStation = new Map<string, string[]>();
  gateways.forEach(({ stations }, i) => stations.forEach((station) => byStation.set(station, [origins[i]!])));
  gateways.forEach(({ fallbackFor }, i) => {
    for (const station of fallbackFor) byStation.get(station)!.push(origins[i]!);
  });
  return byStation;
}

/**
 * Sets the devices up, by station: each station's in the order of the file.
 *
 * @param definition Its gateways say which serves whom.
 * @param origins Their addresses, in the order of the definition's gateways.
 * @throws {UsageError} when the numbers differ, or a station has no device.
 */
export function openPolls(
  file: DevicesFile,
  definition: Pick<ElectionDefinition, "gateways" | "stations">,
  origins: readonly string[],
  world: DeviceWorld,
): Map<string, Device[]> {
  if (origins.length !== definition.gateways.length) {
    const names = definition.gateways.map(({ id }) => id).join(", ");
    throw new UsageError(
      `Cannot reach the gateways: ${origins.length} addresses are given, and the election has ${names}`,
    );
  }
  const primary = new Map<string, GatewayLink>();
  const fallback = new Map<string, GatewayLink[]>();
  definition.gateways.forEach(({ stations, fallbackFor }, i) => {
    const link = new GatewayLink(origins[i]!);
    for (const station of stations) primary.set(station, link);
    for (const station of fallbackFor) fallback.set(station, [...fallback.get(station) ?? [], link]);
  });
  const polls = new Map<string, Device[]>(definition.stations.map(({ id }) => [id, []]));
  for (const listed of file.devices) {
    const { station } = listed;
    const identity = identityOf(file.election, listed);
    const links = [primary.get(station), ...fallback.get(station) ?? []].filter((link) => link !== undefined);
    polls.get(station)?.push(new Device(identity, links, world));
  }
  for (const [station, devices] of polls) {
    if (devices.length === 0) {
      throw new UsageError(`Cannot vote at station ${station}: the file has no device for it`);
    }
  }
  return polls;
}
