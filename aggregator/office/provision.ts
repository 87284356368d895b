/**
 * Provisions an election: reads its definition, and writes the files that gateways and devices start with.
 *
 * @module
 */
import { UsageError } from "../../cli/command.ts";
import { readText } from "../../cli/csv.ts";
import type { DevicesFile } from "../../shared/devices_file.ts";
import type { ElectionDefinition, Manifest } from "../../shared/election.ts";
import {
  answerKeyPair,
  deviceKey,
  gatewayKey,
  type KeyName,
  manifestKeyPair,
  proofKey,
} from "../../shared/keys.ts";
import { type GatewayFile, gatewayFileSchema } from "../../shared/sync.ts";
import type { Query } from "../database/database.ts";
import { deviceKeys } from "../registry/elections.ts";
import { OfficeError } from "../registry/office_error.ts";
import { writeRoleKeyFiles } from "../registry/role_key_files.ts";
import { writeSecret } from "../registry/secret_file.ts";
import { faultLine, parseDefinitionText } from "./definition_text.ts";

/**
 * Reads an election's definition, JSON or YAML, a text of any encoding that `readText` knows.
 *
 * @param note Told what a reader should know of how the file was read.
 * @throws {OfficeError} naming each fault by line, column and path.
 */
export async function readDefinition(
  path: string,
  note: (text: string) => void = () => {},
): Promise<ElectionDefinition> {
  const { text, notes } = await readText(path).catch((error) => {
    if (error instanceof UsageError) {
      throw new OfficeError(error.message.replace(/^Cannot read /, "Cannot read the definition "));
    }
    throw new OfficeError(`Cannot read the definition ${path}: ${(error as Error).message}`);
  });
  notes.forEach(note);
  const read = parseDefinitionText(text);
  if ("definition" in read) return read.definition;
  if ("unreadable" in read) {
    throw new OfficeError(`Cannot read the definition ${path}: ${faultLine(read.unreadable)}`);
  }
  throw new OfficeError(`Cannot use the definition ${path}: ${read.faults.map(faultLine).join("; ")}`);
}

/**
 * Writes one file a gateway, with its first key, readable by its owner only. A gateway that serves other elections
 * already keeps them.
 *
 * @param directory `gateways/<id>.json` is written below it.
 * @param aggregators The aggregator's addresses, in the order to try them.
 * @returns the paths.
 */
export function writeGatewayFiles(
  manifest: Manifest,
  master: Uint8Array,
  directory: string,
  aggregators: readonly string[],
): string[] {
  const { election } = manifest;
  return manifest.gateways.map(({ id }) => {
    const path = `${directory}/gateways/${id}.json`;
    writeGateway(path, { election, id, version: 1 }, master, aggregators, keptFile(path));
    return path;
  });
}

/**
 * Writes a gateway's file anew, with another key for one election. What the file says of other elections stays, and so
 * do the aggregator's addresses.
 *
 * @param aggregators The aggregator's addresses, for a file that is not there yet.
 * @returns the path.
 */
export function writeGatewayFile(
  name: KeyName,
  master: Uint8Array,
  directory: string,
  aggregators: readonly string[],
): string {
  const path = `${directory}/gateways/${name.id}.json`;
  const kept = keptFile(path);
  writeGateway(path, name, master, kept?.aggregators ?? aggregators, kept);
  return path;
}

function writeGateway(
  path: string,
  name: KeyName,
  master: Uint8Array,
  aggregators: readonly string[],
  kept: GatewayFile | undefined,
): void {
  const { election, id, version } = name;
  const others = (kept?.elections ?? []).filter((other) => other.election !== election);
  const own = {
    election,
    keyVersion: version,
    key: gatewayKey(master, name).toHex(),
    manifestKey: manifestKeyPair(master, election).publicKey.toHex(),
  };
  const file: GatewayFile = { gateway: id, aggregators: [...aggregators], elections: [...others, own] };
  writeSecret(path, file);
}

/**
 * Writes `devices/<election>.json` below a directory: of each device its newest key for gateways, its key for proofs and
 * the public key of the aggregator's answers. Returns the path.
 */
export async function writeDeviceFile(
  query: Query,
  election: string,
  master: Uint8Array,
  directory: string,
  now: Date,
): Promise<string> {
  const keys = await deviceKeys(query, election, now);
  const answerKey = answerKeyPair(master, election).publicKey.toHex();
  const devices: DevicesFile["devices"] = keys.filter(({ validUntil }) => validUntil === null).map((
    { device, version, station },
  ) => {
    const name = { election, id: device, version };
    const key = deviceKey(master, name).toHex();
    return { device, version, station, key, proofKey: proofKey(master, name).toHex(), answerKey };
  });
  const path = `${directory}/devices/${election}.json`;
  writeSecret(path, { election, devices });
  return path;
}

/** Where the files of an election go: those of gateways and devices, and those of roles. */
export type ElectionDirectories = Readonly<{ data: string; keysDirectory: string }>;

/**
 * Writes all files of an election that the office's API made, as `provision` does of others. A gateway's file keeps the
 * addresses that it has; `aggregators` are for one that is not there yet.
 */
export async function writeElectionFiles(
  query: Query,
  manifest: Manifest,
  master: Uint8Array,
  { data, keysDirectory }: ElectionDirectories,
  aggregators: readonly string[],
  now: Date,
): Promise<string[]> {
  const { election, gateways } = manifest;
  return [
    ...await writeRoleKeyFiles(query, election, master, keysDirectory),
    ...gateways.map(({ id }) => writeGatewayFile({ election, id, version: 1 }, master, data, aggregators)),
    await writeDeviceFile(query, election, master, data, now),
  ];
}

/** Removes what {@link writeDeviceFile} and {@link writeGatewayFiles} wrote of an election. Idempotent. */
export function removeProvisioned(directory: string, election: string): void {
  try {
    Deno.removeSync(`${directory}/devices/${election}.json`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  let names: string[] = [];
  try {
    names = [...Deno.readDirSync(`${directory}/gateways`)].map(({ name }) => name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  for (const name of names.filter((name) => name.endsWith(".json"))) {
    const path = `${directory}/gateways/${name}`;
    const file = keptFile(path);
    const others = file?.elections.filter((other) => other.election !== election) ?? [];
    if (file === undefined || others.length === file.elections.length) continue;
    if (others.length === 0) Deno.removeSync(path);
    else writeSecret(path, { ...file, elections: others });
  }
}

/** What a gateway's file says; `undefined` when there is none. */
function keptFile(path: string): GatewayFile | undefined {
  try {
    return gatewayFileSchema.parse(JSON.parse(Deno.readTextFileSync(path)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new OfficeError(
      `Cannot add to ${path}: it is not a gateway's file; move it away and provision again`,
    );
  }
}
