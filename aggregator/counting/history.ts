/**
 * What judging a record needs of an election, read from the registry: manifests of all versions, and keys.
 *
 * @module
 */
import type { Query } from "../database/database.ts";
import { type ElectionIndex, indexElection, type Manifest, manifestSchema } from "../../shared/election.ts";
import type { ElectionHistory } from "../../shared/judge.ts";
import { gatewayKey, type KeyName, recordKey, sealingKeyPair } from "../../shared/keys.ts";

/** How many gateway processes' sealing keys are kept at hand; one costs a scalar multiplication to make anew. */
const MAX_SEALING_KEYS = 10_000;

/** An election's history, which grows while the election runs. */
export class RegisteredHistory implements ElectionHistory {
  readonly #master: Uint8Array;
  readonly #aggregator: ReturnType<typeof sealingKeyPair>;
  readonly #manifests = new Map<number, ElectionIndex>();
  readonly #gateways = new Map<string, number>();
  readonly #signingKeys = new Map<string, Uint8Array>();
  readonly #sealingKeys = new Map<string, Uint8Array | undefined>();
  #newest?: ElectionIndex;

  /** @param master The election's master key, 32 bytes. */
  constructor(
    readonly election: string,
    readonly partitions: number,
    readonly recordBytes: number,
    master: Uint8Array,
  ) {
    this.#master = master;
    this.#aggregator = sealingKeyPair(master, election);
  }

  /** The newest manifest. Call {@link reload} once before. */
  get newest(): ElectionIndex {
    if (this.#newest === undefined) {
      throw new Error(`Cannot use election ${this.election}: it has no manifest`);
    }
    return this.#newest;
  }

  /** Reads what the registry has gained. Returns whether there was anything. */
  async reload(query: Query): Promise<boolean> {
    const known = this.#newest?.manifest.version ?? 0;
    const manifests = await newManifests(query, this.election, known);
    for (const manifest of manifests) {
      const index = indexElection(manifest);
      this.#manifests.set(manifest.version, index);
      this.#newest = index;
    }
    for (const { gateway, key_version } of await gateways(query, this.election)) {
      this.#gateways.set(gateway, key_version);
    }
    return manifests.length > 0;
  }

  manifest(version: number): ElectionIndex | undefined {
    return this.#manifests.get(version);
  }

  signingKey(name: KeyName): Uint8Array | undefined {
    const newestVersion = this.#gateways.get(name.id);
    if (newestVersion === undefined || name.version > newestVersion) return undefined;
    const cached = `${name.id}.${name.version}`;
    let key = this.#signingKeys.get(cached);
    if (key === undefined) this.#signingKeys.set(cached, key = gatewayKey(this.#master, name));
    return key;
  }

  sealingKey(senderKey: Uint8Array): Uint8Array | undefined {
    const cached = senderKey.toHex();
    if (!this.#sealingKeys.has(cached)) {
      if (this.#sealingKeys.size >= MAX_SEALING_KEYS) this.#sealingKeys.clear();
      this.#sealingKeys.set(cached, this.#agree(senderKey));
    }
    return this.#sealingKeys.get(cached);
  }

  #agree(senderKey: Uint8Array): Uint8Array | undefined {
    const { privateKey, publicKey } = this.#aggregator;
    try {
      return recordKey(privateKey, senderKey, this.election, senderKey, publicKey);
    } catch {
      return undefined; // A point of low order: no gateway made it.
    }
  }
}

async function newManifests(query: Query, election: string, after: number): Promise<Manifest[]> {
  const rows = await query<{ manifest: string }>(
    "SELECT manifest FROM registry.manifests WHERE election = $1 AND version > $2 ORDER BY version",
    [election, after],
  );
  return rows.map(({ manifest }) => manifestSchema.parse(JSON.parse(manifest)));
}

async function gateways(query: Query, election: string): Promise<{ gateway: string; key_version: number }[]> {
  return await query("SELECT gateway, key_version FROM registry.gateways WHERE election = $1", [election]);
}

/**
 * Opens the history of an election that the registry has; `undefined` when it has none of that name.
 *
 * @throws when the master key is not the election's: with another, every record would be rejected as forged.
 */
export async function openHistory(
  query: Query,
  election: string,
  master: Uint8Array,
): Promise<RegisteredHistory | undefined> {
  const [row] = await query<{ partitions: number; record_bytes: number }>(
    "SELECT partitions, record_bytes FROM registry.elections WHERE election = $1",
    [election],
  );
  if (row === undefined) return undefined;
  const history = new RegisteredHistory(election, row.partitions, row.record_bytes, master);
  await history.reload(query);
  if (history.newest.manifest.sealingKey !== sealingKeyPair(master, election).publicKey.toHex()) {
    throw new Error(
      `Cannot use the master key of election ${election}: its records are sealed to another one; bring the key back that the election was created with`,
    );
  }
  return history;
}
