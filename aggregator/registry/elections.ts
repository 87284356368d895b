/**
 * The life of an election in the registry: created once, and published again whenever its manifest changes. Every change
 * goes through {@link changeHistory}, and what it writes carries the change's revision.
 *
 * @module
 */
import {
  DEFAULT_RETENTION_DAYS,
  type ElectionDefinition,
  idSchema,
  type Manifest,
  manifestPart,
  manifestSchema,
  signManifest,
} from "../../shared/election.ts";
import { manifestKeyPair, sealingKeyPair } from "../../shared/keys.ts";
import { longestVoteBytes, voteBytesFor } from "../../shared/record.ts";
import { appendAudit } from "../audit/events.ts";
import { arrayLiteral, type Database, isoTime, type Query } from "../database/database.ts";
import { changeHistory, type ChangeKind, lockHistory } from "./changes.ts";
import { definedCandidacies, insertDefinition } from "./definition.ts";
import { newestManifest } from "./manifests.ts";
import { OfficeError } from "./office_error.ts";
import { noteCandidacies } from "./outbox.ts";

/** What is said of a second election of the same name. */
export function nameIsTaken(election: string): OfficeError {
  return new OfficeError(`Cannot create election ${election}: there is one of that name; choose another id`);
}

/** A device's key as the registry has it: `validUntil` is set once a newer version has replaced it. */
export type DeviceKey = Readonly<
  { device: string; version: number; station: string; validUntil: string | null }
>;

/** How an election is created. */
export type CreateOptions = Readonly<{
  /** Gateways take no votes until officials schedule it. */
  isDraft?: boolean;
  /** The election that this is a rehearsal of, by its newest manifest: ballots are as they are there, also with who withdrew. */
  rehearsalOf?: Manifest;
}>;

/**
 * Creates an election: its manifest's first version, what the office keeps of it, its gateways and its devices.
 *
 * @param master The election's master key, 32 bytes.
 * @throws {OfficeError} when there is one of that name, or the definition asks for more than records and ids can hold.
 */
export async function createElection(
  db: Database,
  definition: ElectionDefinition,
  master: Uint8Array,
  now: Date,
  { isDraft = false, rehearsalOf }: CreateOptions = {},
): Promise<Manifest> {
  const devices = devicesOf(definition);
  const part = manifestPart(definition);
  const manifest = manifestSchema.parse({
    ...part,
    version: 1,
    voteBytes: sized(() => voteBytesFor(part)),
    sealingKey: sealingKeyPair(master, definition.election).publicKey.toHex(),
    denied: [],
    ...isDraft && { inactive: "draft" },
    ...rehearsalOf && {
      rehearsalOf: rehearsalOf.election,
      contests: rehearsalOf.contests,
      parties: rehearsalOf.parties,
    },
  });
  await db.transaction(async (query) => {
    const revision = await insertElection(
      query,
      manifest,
      definition,
      now,
    );
    await insertManifest(query, manifest, revision, master, now);
    await insertDefinition(query, definition);
    await noteCandidacies(query, manifest.election, definedCandidacies(definition), now);
    await insertDevices(query, manifest.election, revision, devices);
    await appendAudit(query, now, "election_created", manifest.election, {
      stations: manifest.stations.length,
      contests: manifest.contests.length,
      gateways: manifest.gateways.length,
    });
  });
  return manifest;
}

type DefinedTerms = Readonly<{ retentionDays?: number; timeZone?: string | null }>;

/** Writes the election's row, and the first change of its history. Returns its revision. */
async function insertElection(
  query: Query,
  manifest: Manifest,
  { retentionDays = DEFAULT_RETENTION_DAYS, timeZone = null }: DefinedTerms,
  now: Date,
): Promise<number> {
  const { election, name, partitions, voteBytes } = manifest;
  const rows = await query(
    `INSERT INTO registry.elections (election, name, partitions, vote_bytes, retention_days, time_zone, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7::timestamptz) ON CONFLICT DO NOTHING RETURNING 1`,
    [election, name, partitions, voteBytes, retentionDays, timeZone, now.toISOString()],
  );
  if (rows.length === 0) throw nameIsTaken(election);
  await query("INSERT INTO registry.revisions (election, revision) VALUES ($1, 0)", [election]);
  // A change holds all partitions, also those of which nothing was read yet.
  await query(
    `INSERT INTO counting.log_positions (election, partition, revision)
     SELECT $1, partition, 0 FROM generate_series(0, $2::int - 1) AS partition`,
    [election, partitions],
  );
  return (await changeHistory(query, election, "created", now)).revision;
}

/** The devices that a definition names; one a station when it names none. */
function devicesOf({ election, devices, stations }: ElectionDefinition): { id: string; station: string }[] {
  if (devices !== undefined) return devices;
  return stations.map(({ id: station }) => {
    const id = `${station}-a`;
    if (!idSchema.safeParse(id).success) {
      throw new OfficeError(
        `Cannot create election ${election}: ${id} would be too long for the id of a device; name devices, or use a shorter id for station ${station}`,
      );
    }
    return { id, station };
  });
}

/** Calculates with the size of records. A vote that fits into none becomes an {@link OfficeError}: the office must change the definition. */
export function sized<T>(reckon: () => T): T {
  try {
    return reckon();
  } catch (error) {
    throw error instanceof RangeError ? new OfficeError(error.message) : error;
  }
}

/**
 * Publishes another version of an election's manifest. It takes effect now, or when the version before it did if that is
 * later: versions take effect in their order, whatever the clocks of the machines that publish them.
 *
 * @param change Makes the new manifest from the newest one.
 * @param logEnds See {@link changeHistory}.
 * @throws {OfficeError} when the change touches what is frozen, or the new version is not sound.
 */
export async function publishManifest(
  db: Database,
  election: string,
  master: Uint8Array,
  now: Date,
  change: (newest: Manifest) => Manifest,
  logEnds?: readonly number[],
): Promise<Manifest> {
  return await db.transaction((query) =>
    publishIn(query, election, master, now, change, "manifest", logEnds)
  );
}

/** {@link publishManifest} in the caller's transaction, as a change of this kind. */
export async function publishIn(
  query: Query,
  election: string,
  master: Uint8Array,
  now: Date,
  change: (newest: Manifest) => Manifest,
  kind: ChangeKind,
  logEnds?: readonly number[],
): Promise<Manifest> {
  if (await lockHistory(query, election) === undefined) {
    throw new OfficeError(`Cannot publish election ${election}: there is none of that name`);
  }
  const newest = (await newestManifest(query, election))!;
  const result = manifestSchema.safeParse({ ...change(newest), version: newest.version + 1 });
  if (!result.success) {
    const { path, message } = result.error.issues[0]!;
    throw new OfficeError(`Cannot publish election ${election}: ${path.join(".")} ${message}`);
  }
  refuseFrozen(newest, result.data);
  const { revision } = await changeHistory(query, election, kind, now, logEnds);
  await insertManifest(query, result.data, revision, master, now);
  await appendAudit(query, now, "manifest_published", election, { version: result.data.version });
  return result.data;
}

/** Refuses a manifest that changes what gateways, logs and records already rely on. @throws {OfficeError} */
export function refuseFrozen(before: Manifest, after: Manifest): void {
  for (const field of ["election", "partitions", "voteBytes", "sealingKey"] as const) {
    if (before[field] !== after[field]) {
      throw new OfficeError(
        `Cannot publish election ${before.election}: ${field} is frozen at ${before[field]}`,
      );
    }
  }
  const longest = sized(() => longestVoteBytes(after));
  if (longest > after.voteBytes) {
    throw new OfficeError(
      `Cannot publish election ${before.election}: a vote may take ${longest} bytes, and voteBytes is frozen at ${after.voteBytes}; use shorter ids`,
    );
  }
}

/** Signs and stores another version of a manifest, and gives new gateways a first key. */
export async function insertManifest(
  query: Query,
  manifest: Manifest,
  revision: number,
  master: Uint8Array,
  now: Date,
): Promise<void> {
  const signed = signManifest(manifest, manifestKeyPair(master, manifest.election).privateKey);
  await query(
    `INSERT INTO registry.manifests (election, version, revision, effective_at, manifest, signature)
     VALUES ($1, $2, $3, greatest(
       $4::timestamptz,
       (SELECT max(effective_at) FROM registry.manifests WHERE election = $1)
     ), $5, $6)`,
    [manifest.election, manifest.version, revision, now.toISOString(), signed.manifest, signed.signature],
  );
  await query(
    `INSERT INTO registry.gateway_keys (election, gateway, version, revision)
     SELECT $1, unnest($2::text::text[]), 1, $3 ON CONFLICT DO NOTHING`,
    [manifest.election, arrayLiteral(manifest.gateways.map(({ id }) => id)), revision],
  );
}

async function insertDevices(
  query: Query,
  election: string,
  revision: number,
  devices: readonly { id: string; station: string }[],
): Promise<void> {
  await query(
    `INSERT INTO registry.device_keys (election, device, version, station, revision)
     SELECT $1, device, 1, station, $2 FROM unnest($3::text::text[], $4::text::text[]) AS d (device, station)`,
    [
      election,
      revision,
      arrayLiteral(devices.map(({ id }) => id)),
      arrayLiteral(devices.map(({ station }) => station)),
    ],
  );
}

/** The ids of all elections whose records have not been destroyed, also those of record format 1. */
export async function electionIds(query: Query): Promise<string[]> {
  const rows = await query<{ election: string }>(
    "SELECT election FROM registry.elections WHERE destroyed_at IS NULL ORDER BY election",
  );
  return rows.map(({ election }) => election);
}

/**
 * An election's device keys that are valid at a time, or later.
 *
 * @param stations Only those of devices at these stations; all when left out.
 */
export async function deviceKeys(
  query: Query,
  election: string,
  now: Date,
  stations?: readonly string[],
): Promise<DeviceKey[]> {
  const rows = await query<{ device: string; version: number; station: string; valid_until: string | null }>(
    `SELECT device, version, station, ${isoTime("valid_until")} AS valid_until
     FROM registry.device_keys
     WHERE election = $1 AND (valid_until IS NULL OR valid_until > $2::timestamptz)
       AND ($3::text IS NULL OR station = ANY ($3::text::text[]))
     ORDER BY device, version`,
    [election, now.toISOString(), stations === undefined ? null : arrayLiteral(stations)],
  );
  return rows.map(({ device, version, station, valid_until }) => ({
    device,
    version,
    station,
    validUntil: valid_until,
  }));
}

/**
 * Gives a device its next key. The old one stays valid for `overlapS` seconds, for the votes that it signed.
 *
 * @returns the new version.
 */
export async function rotateDeviceKey(
  db: Database,
  election: string,
  device: string,
  overlapS: number,
  now: Date,
  logEnds?: readonly number[],
): Promise<number> {
  return await db.transaction(async (query) => {
    await lockHistory(query, election);
    const [newest] = await query<{ version: number; station: string }>(
      `SELECT version, station FROM registry.device_keys
       WHERE election = $1 AND device = $2 ORDER BY version DESC LIMIT 1`,
      [election, device],
    );
    if (newest === undefined) {
      throw new OfficeError(`Cannot rotate the key of ${device}: election ${election} has no such device`);
    }
    const version = newest.version + 1;
    const { revision } = await changeHistory(query, election, "device_key", now, logEnds);
    await query(
      `WITH ended AS (
         UPDATE registry.device_keys SET valid_until = $6::timestamptz
         WHERE election = $1 AND device = $2 AND version = $3 - 1
       )
       INSERT INTO registry.device_keys (election, device, version, station, revision)
       VALUES ($1, $2, $3, $4, $5)`,
      [
        election,
        device,
        version,
        newest.station,
        revision,
        new Date(now.getTime() + overlapS * 1_000).toISOString(),
      ],
    );
    await appendAudit(query, now, "device_key_rotated", election, { device, version, overlapS });
    return version;
  });
}

/**
 * Puts a device's key on the manifest's deny list: gateways refuse it within seconds, and records that its device signed
 * are held from this change's positions on.
 */
export async function revokeDeviceKey(
  db: Database,
  election: string,
  master: Uint8Array,
  device: string,
  version: number,
  now: Date,
  logEnds?: readonly number[],
): Promise<Manifest> {
  const name = `${device}.${version}`;
  return await db.transaction(async (query) => {
    const [known] = await query(
      "SELECT 1 FROM registry.device_keys WHERE election = $1 AND device = $2 AND version = $3",
      [election, device, version],
    );
    if (known === undefined) {
      throw new OfficeError(`Cannot revoke ${name}: election ${election} has no such device key`);
    }
    const deny = (newest: Manifest) => ({ ...newest, denied: [...new Set([...newest.denied, name])] });
    const manifest = await publishIn(query, election, master, now, deny, "device_key", logEnds);
    await appendAudit(query, now, "device_key_revoked", election, { device, version });
    return manifest;
  });
}
