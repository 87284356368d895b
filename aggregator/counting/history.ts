/**
 * The kept history of one election, read from the registry: what applies at each position on the log. See
 * shared/history.ts for how judging uses it, and registry/changes.ts for how it grows.
 *
 * @module
 */
import { type ElectionIndex, indexElection } from "../../shared/election.ts";
import type { EffectiveManifest, ElectionHistory, HistoryKey, HistoryView } from "../../shared/history.ts";
import {
  gatewayKey,
  type KeyName,
  type KeyPair,
  proofKey,
  pseudonymKey,
  recordKey,
  sealingKeyPair,
} from "../../shared/keys.ts";
import { RecentMap } from "../../shared/recent.ts";
import { RECORD_VERSION } from "../../shared/record.ts";
import type { Query } from "../database/database.ts";
import { formatFault } from "../registry/changes.ts";
import { readManifests } from "../registry/manifests.ts";
import { OfficeError } from "../registry/office_error.ts";

/** Maximum sender keys whose sealing keys are kept; one costs a scalar multiplication to make again. */
const MAX_SEALING_KEYS = 10_000;
/** Maximum devices' and gateways' keys that are kept; one costs two HMACs to derive again. */
const MAX_DERIVED_KEYS = 50_000;
/** Manifests that are read at once: the text of one may have many megabytes. */
const MANIFESTS_A_READ = 8;
/** Maximum views that are kept, one for a revision; a view itself holds no more than a few references. */
const MAX_VIEWS = 1_000;

/** A gateway's key: from which revision on it is known, and from which on it is revoked. */
type RegisteredKey = Readonly<{ revision: number; revokedRevision: number }>;
type RegisteredDevice = RegisteredKey & Readonly<{ station: string }>;
type IndexedManifest = EffectiveManifest & Readonly<{ revision: number }>;

/** A change that judging depends on. */
type Step = Readonly<{ revision: number; positions: readonly number[] }>;

/** An election's history, which grows while the election runs. Call {@link RegisteredHistory.reload} once before use. */
export class RegisteredHistory implements ElectionHistory {
  readonly pseudonymKey: Uint8Array;
  readonly #master: Uint8Array;
  readonly #aggregator: KeyPair;
  readonly #steps: Step[] = [];
  readonly #manifests: IndexedManifest[] = [];
  readonly #gatewayKeys = new Map<string, RegisteredKey>();
  readonly #deviceKeys = new Map<string, RegisteredDevice>();
  /** Device keys that a manifest denies, also those that no device has. */
  readonly #denied = new Map<string, number>();
  readonly #views = new RecentMap<HistoryView, number>(MAX_VIEWS);
  readonly #derivedKeys = new RecentMap<Uint8Array>(MAX_DERIVED_KEYS);
  /** `null` for what is no public key. */
  readonly #sealingKeys = new RecentMap<Uint8Array | null>(MAX_SEALING_KEYS);
  /** Until a manifest is known. */
  readonly #voteBytes: number;
  #revision = 0;

  /** @param master The election's master key, 32 bytes. */
  constructor(
    readonly election: string,
    readonly partitions: number,
    voteBytes: number,
    master: Uint8Array,
  ) {
    this.#voteBytes = voteBytes;
    this.#master = master;
    this.#aggregator = sealingKeyPair(master, election);
    this.pseudonymKey = pseudonymKey(master, election);
  }

  /** Length of votes in records. It changes while an election is a draft that nobody could vote in, and never after that. */
  get voteBytes(): number {
    return this.#manifests.at(-1)?.index.manifest.voteBytes ?? this.#voteBytes;
  }

  /** The newest change that is known, of any kind. 0 before anything was read. */
  get revision(): number {
    return this.#revision;
  }

  /** The newest manifest. */
  get newest(): ElectionIndex {
    const newest = this.#manifests.at(-1);
    if (newest === undefined) throw new Error(`Cannot use election ${this.election}: it has no manifest`);
    return newest.index;
  }

  /**
   * Reads what the registry has gained, and nothing else: one statement when that is nothing. It may be called while
   * another call is under way.
   *
   * @returns whether there was anything.
   */
  async reload(query: Query): Promise<boolean> {
    const before = this.#revision;
    // What another call has read meanwhile may be all, or not.
    while (!await this.#readNews(query));
    return this.#revision > before;
  }

  /** Returns whether all is known that there was; what another call has overtaken is dropped. */
  async #readNews(query: Query): Promise<boolean> {
    const known = this.#revision;
    const [row] = await query<{ revision: number }>(
      "SELECT revision::float8 AS revision FROM registry.revisions WHERE election = $1",
      [this.election],
    );
    const newest = row?.revision ?? 0;
    if (newest <= known) return true;
    // Up to this revision only: a change that is made meanwhile is read whole, and the next time.
    const span = [this.election, known, newest] as const;
    const [steps, manifests, gateways, devices] = [
      await readSteps(query, span),
      await readIndexes(query, span, this.#manifests.at(-1)?.index),
      await readGatewayKeys(query, span),
      await readDeviceKeys(query, span),
    ];
    if (this.#revision !== known) return false;
    this.#steps.push(...steps);
    for (const manifest of manifests) {
      this.#manifests.push(manifest);
      for (const name of manifest.index.denied) {
        if (!this.#denied.has(name)) this.#denied.set(name, manifest.revision);
      }
    }
    for (const { gateway, version, ...key } of gateways) this.#gatewayKeys.set(`${gateway}.${version}`, key);
    for (const { device, version, revision, station } of devices) {
      this.#deviceKeys.set(`${device}.${version}`, { revision, station, revokedRevision: Infinity });
    }
    this.#revision = newest;
    return true;
  }

  at(partition: number, offset: number): HistoryView {
    return this.#viewOf(this.#revisionAt(partition, offset));
  }

  /** The newest change that applies at a position. Positions never fall from one change to the next. */
  #revisionAt(partition: number, offset: number): number {
    let [low, high] = [0, this.#steps.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#steps[middle]!.positions[partition] ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    if (low === 0) {
      throw new Error(`Cannot judge offset ${offset} of partition ${partition}: no history applies there`);
    }
    return this.#steps[low - 1]!.revision;
  }

  #viewOf(revision: number): HistoryView {
    return this.#views.get(revision) ?? this.#views.set(revision, {
      revision,
      manifests: this.#manifests.filter((manifest) => manifest.revision <= revision),
      gatewayKey: (name) => this.#gatewayKey(name, revision),
      deviceKey: (device, version) => this.#deviceKey(device, version, revision),
    });
  }

  #gatewayKey(name: KeyName, revision: number): HistoryKey | undefined {
    const known = this.#gatewayKeys.get(`${name.id}.${name.version}`);
    if (known === undefined || known.revision > revision || name.election !== this.election) return undefined;
    const key = this.#derive("gateway", name, gatewayKey);
    return { key, isRevoked: known.revokedRevision <= revision };
  }

  #deviceKey(
    id: string,
    version: number,
    revision: number,
  ): (HistoryKey & { station: string }) | undefined {
    const name = `${id}.${version}`;
    const known = this.#deviceKeys.get(name);
    if (known === undefined || known.revision > revision) return undefined;
    const key = this.#derive("device", { election: this.election, id, version }, proofKey);
    return { key, station: known.station, isRevoked: (this.#denied.get(name) ?? Infinity) <= revision };
  }

  #derive(
    of: "gateway" | "device",
    name: KeyName,
    derive: (master: Uint8Array, name: KeyName) => Uint8Array,
  ): Uint8Array {
    const cached = `${of}/${name.id}.${name.version}`;
    return this.#derivedKeys.get(cached) ?? this.#derivedKeys.set(cached, derive(this.#master, name));
  }

  sealingKey(senderKey: Uint8Array): Uint8Array | undefined {
    const cached = senderKey.toHex();
    const known = this.#sealingKeys.get(cached);
    const key = known === undefined ? this.#sealingKeys.set(cached, this.#agree(senderKey)) : known;
    return key ?? undefined;
  }

  #agree(senderKey: Uint8Array): Uint8Array | null {
    const { privateKey, publicKey } = this.#aggregator;
    try {
      return recordKey(privateKey, senderKey, this.election, senderKey, publicKey);
    } catch {
      return null; // A point of low order: no gateway made it.
    }
  }
}

/** An election, and revisions: after the first, up to the second. */
type Span = readonly [election: string, after: number, upTo: number];

async function readSteps(query: Query, span: Span): Promise<Step[]> {
  const rows = await query<{ revision: number; positions: string }>(
    `SELECT revision::float8 AS revision, array_to_string(positions, ',') AS positions FROM registry.changes
     WHERE election = $1 AND revision > $2 AND revision <= $3 AND kind NOT IN ('decision', 'waiver')
     ORDER BY revision`,
    span,
  );
  return rows.map(({ revision, positions }) => ({ revision, positions: positions.split(",").map(Number) }));
}

/** @param newest Of the version before them: equal parts are shared, from version to version. */
async function readIndexes(
  query: Query,
  [election, afterRevision, upToRevision]: Span,
  newest: ElectionIndex | undefined,
): Promise<IndexedManifest[]> {
  const read: IndexedManifest[] = [];
  for (let isAll = false; !isAll;) {
    const span = { election, afterRevision, upToRevision, afterVersion: newest?.manifest.version ?? 0 };
    const page = await readManifests(query, span, MANIFESTS_A_READ);
    for (const { manifest, ...effect } of page) {
      newest = indexElection(manifest, newest);
      read.push({ ...effect, index: newest });
    }
    isAll = page.length < MANIFESTS_A_READ;
  }
  return read;
}

async function readGatewayKeys(
  query: Query,
  span: Span,
): Promise<(RegisteredKey & { gateway: string; version: number })[]> {
  const rows = await query<
    { gateway: string; version: number; revision: number; revokedRevision: number | null }
  >(
    `SELECT gateway, version, revision::float8 AS revision, revoked_revision::float8 AS "revokedRevision"
     FROM registry.gateway_keys
     WHERE election = $1 AND revision <= $3 AND (revision > $2 OR revoked_revision > $2)`,
    span,
  );
  // One that is revoked after the span is read again then.
  return rows.map(({ revokedRevision, ...key }) => ({
    ...key,
    revokedRevision: revokedRevision ?? Infinity,
  }));
}

async function readDeviceKeys(
  query: Query,
  span: Span,
): Promise<{ device: string; version: number; revision: number; station: string }[]> {
  return await query(
    `SELECT device, version, revision::float8 AS revision, station FROM registry.device_keys
     WHERE election = $1 AND revision > $2 AND revision <= $3`,
    span,
  );
}

/**
 * Opens the history of an election that the registry has; `undefined` when it has none of that name.
 *
 * @throws {OfficeError} when the election's log has record format 1.
 * @throws when the master key is not the election's: with another, every record would be rejected as forged.
 */
export async function openHistory(
  query: Query,
  election: string,
  master: Uint8Array,
): Promise<RegisteredHistory | undefined> {
  const [row] = await query<{ format: number; partitions: number; vote_bytes: number }>(
    "SELECT format, partitions, vote_bytes FROM registry.elections WHERE election = $1",
    [election],
  );
  if (row === undefined) return undefined;
  if (String(row.format) !== RECORD_VERSION) {
    throw new OfficeError(`Cannot count election ${election}: ${formatFault(row.format)}`);
  }
  const history = new RegisteredHistory(election, row.partitions, row.vote_bytes, master);
  await history.reload(query);
  if (history.newest.manifest.sealingKey !== sealingKeyPair(master, election).publicKey.toHex()) {
    throw new Error(
      `Cannot use the master key of election ${election}: its records are sealed to another one; bring the key back that the election was created with`,
    );
  }
  return history;
}
