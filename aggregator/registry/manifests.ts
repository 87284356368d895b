/**
 * The only loader of manifests: reads them from the registry and parses them. A process keeps parsed ones by version in
 * {@link Elections} (election_names.ts); judging keeps all of its election's.
 *
 * @module
 */
import { type Manifest, manifestSchema, type SignedManifest } from "../../shared/election.ts";
import { RECORD_VERSION } from "../../shared/record.ts";
import { type Query, queryOne } from "../database/database.ts";
import { formatFault } from "./changes.ts";
import { OfficeError } from "./office_error.ts";

/** A version of a manifest, the revision that brought it, and when it took effect. */
export type RegisteredManifest = Readonly<{ revision: number; effectiveAtMs: number; manifest: Manifest }>;

/** The versions wanted of an election: those of revisions after one and up to another, after a version. */
export type ManifestSpan = Readonly<
  { election: string; afterRevision: number; upToRevision: number; afterVersion: number }
>;

/** Parses a manifest's text, as it was signed. */
export function parseManifest({ manifest }: Pick<SignedManifest, "manifest">): Manifest {
  return manifestSchema.parse(JSON.parse(manifest));
}

/** The newest version of an election's manifest, and the record format of its log; `undefined` when there is no such election. */
export async function newestVersion(
  query: Query,
  election: string,
): Promise<{ version: number; format: number } | undefined> {
  const [row] = await query<{ version: number; format: number }>(
    `SELECT version, format FROM registry.manifests JOIN registry.elections USING (election)
     WHERE election = $1 ORDER BY version DESC LIMIT 1`,
    [election],
  );
  return row;
}

/** Whether this program can read manifests of a record format. */
export function isReadable({ format }: { format: number }): boolean {
  return String(format) === RECORD_VERSION;
}

/**
 * The newest manifest of an election; `undefined` when there is no such election.
 *
 * @throws {OfficeError} when the election's log has another record format.
 */
export async function newestManifest(query: Query, election: string): Promise<Manifest | undefined> {
  const newest = await newestVersion(query, election);
  if (newest === undefined) return undefined;
  if (!isReadable(newest)) {
    throw new OfficeError(`Cannot use election ${election}: ${formatFault(newest.format)}`);
  }
  return parseManifest(await readSignedManifest(query, election, newest.version));
}

/** The newest versions of all elections with this program's record format. */
export async function newestVersions(query: Query): Promise<{ election: string; version: number }[]> {
  return await query(
    `SELECT election, max(version) AS version FROM registry.manifests JOIN registry.elections USING (election)
     WHERE format = ${RECORD_VERSION} GROUP BY election`,
  );
}

/** A version of a manifest, as it was signed. */
export async function readSignedManifest(
  query: Query,
  election: string,
  version: number,
): Promise<SignedManifest> {
  return await queryOne(
    query,
    "SELECT manifest, signature FROM registry.manifests WHERE election = $1 AND version = $2",
    [election, version],
  );
}

/** The versions of a span, oldest first, at most `limit`. */
export async function readManifests(
  query: Query,
  { election, afterRevision, upToRevision, afterVersion }: ManifestSpan,
  limit: number,
): Promise<RegisteredManifest[]> {
  const rows = await query<Omit<RegisteredManifest, "manifest"> & { manifest: string }>(
    `SELECT revision::float8 AS revision, (extract(epoch FROM effective_at) * 1000)::float8 AS "effectiveAtMs", manifest
     FROM registry.manifests WHERE election = $1 AND revision > $2 AND revision <= $3 AND version > $4
     ORDER BY version LIMIT $5`,
    [election, afterRevision, upToRevision, afterVersion, limit],
  );
  return rows.map(({ revision, effectiveAtMs, manifest }) => ({
    revision,
    effectiveAtMs,
    manifest: parseManifest({ manifest }),
  }));
}
