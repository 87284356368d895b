/**
 * Provisions an election: reads its definition and its roll, and writes the files that gateways and devices start
 * with.
 *
 * @module
 */
import { createReadStream, existsSync } from "node:fs";
import { pipeline } from "node:stream";
import { parse } from "csv-parse";
import { utf8 } from "../../shared/bytes.ts";
import { definitionSchema, type ElectionDefinition, type Manifest } from "../../shared/election.ts";
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
import { profileSchema } from "../registry/profile.ts";
import { type Voter, voterSchema } from "../registry/roll.ts";

/** Longest line of a roll, in bytes: a picture, and room for all else. */
const MAX_LINE_BYTES = 65_536;

/** Faults that a message lists at the most. */
const MAX_FAULTS = 10;

/** Reads an election's definition. @throws {OfficeError} naming each fault by its path. */
export function readDefinition(path: string): ElectionDefinition {
  let value: unknown;
  try {
    value = JSON.parse(Deno.readTextFileSync(path));
  } catch (error) {
    throw new OfficeError(`Cannot read the definition ${path}: ${(error as Error).message}`);
  }
  const result = definitionSchema.safeParse(value);
  if (result.success) return result.data;
  const faults = result.error.issues.slice(0, MAX_FAULTS).map(({ path, message }) =>
    `${path.join(".")}: ${message}`
  );
  throw new OfficeError(`Cannot use the definition ${path}: ${faults.join("; ")}`);
}

/** Reads a roll file, one voter at a time. @throws {OfficeError} naming the line and what would be right. */
export async function* readRoll(path: string): AsyncGenerator<Voter> {
  let header: readonly string[] = [];
  const columns = (names: string[]) => checkHeader(path, header = names) as string[];
  const parser = parse({
    bom: true,
    columns,
    info: true,
    max_record_size: MAX_LINE_BYTES,
    skip_empty_lines: true,
    relax_column_count: false,
  });
  // Lets go of the file when the parser fails, or is read no further.
  pipeline(createReadStream(path), parser, () => {});
  try {
    for await (const { record, info } of parser) {
      const result = voterSchema.safeParse(voterOf(record));
      if (!result.success) {
        const [{ path: field, message }] = result.error.issues;
        throw new OfficeError(
          `Cannot read the roll ${path}, line ${info.lines}: ${String(field.at(-1))} ${message}`,
        );
      }
      yield result.data;
    }
    checkHeader(path, header); // The parser does not ask about a header that is not there.
  } catch (error) {
    if (error instanceof OfficeError) throw error;
    throw new OfficeError(`Cannot read the roll ${path}: ${(error as Error).message}`);
  }
}

/** Columns that a roll must have, and those of a profile, which it may have. */
const COLUMNS = ["voter_id", "region", "station", "birth_date", "gender"];
const PROFILE_COLUMNS = Object.keys(profileSchema.shape);

/** Puts a line's profile apart from the rest; without one when all of its cells are empty. */
function voterOf(line: Record<string, string>): unknown {
  const { voter_id, region, station, birth_date, gender, ...rest } = line;
  const voter = { voter_id, region, station, birth_date, gender };
  const profile = Object.entries(rest).filter(([, text]) => text !== "");
  return profile.length === 0 ? voter : { ...voter, profile: Object.fromEntries(profile) };
}

function checkHeader(path: string, header: readonly string[]): readonly string[] {
  const refuse = (what: string) =>
    new OfficeError(
      `Cannot read the roll ${path}: the header ${what}; it must name ${COLUMNS.join(",")}, and may name ${
        PROFILE_COLUMNS.join(",")
      }`,
    );
  const missing = COLUMNS.filter((column) => !header.includes(column));
  if (missing.length > 0) throw refuse(`lacks ${missing.join(", ")}`);
  const unknown = header.filter((column) => !COLUMNS.includes(column) && !PROFILE_COLUMNS.includes(column));
  if (unknown.length > 0) throw refuse(`names ${unknown.map((name) => JSON.stringify(name)).join(", ")}`);
  const twice = header.filter((column, i) => header.indexOf(column) !== i);
  if (twice.length > 0) throw refuse(`names ${twice.join(", ")} twice`);
  return header;
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
  const devices = keys.filter(({ validUntil }) => validUntil === null).map((
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

function writeSecret(path: string, value: unknown): void {
  Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true, mode: 0o700 });
  // One that is left over from a crash would keep whatever mode it has.
  if (existsSync(`${path}.new`)) Deno.removeSync(`${path}.new`);
  {
    using file = Deno.openSync(`${path}.new`, { createNew: true, write: true, mode: 0o600 });
    const bytes = utf8(`${JSON.stringify(value, null, 2)}\n`);
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
    file.syncSync();
  }
  Deno.renameSync(`${path}.new`, path);
}
