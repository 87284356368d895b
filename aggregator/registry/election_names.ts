/**
 * Elections as readers see them: the newest manifest, ready for looking names up.
 *
 * @module
 */
import {
  type Contest,
  type ElectionIndex,
  indexElection,
  type Manifest,
  type SignedManifest,
} from "../../shared/election.ts";
import { SizedLru } from "../../shared/sized_lru.ts";
import type { Query } from "../database/database.ts";
import { isReadable, newestVersion, newestVersions, parseManifest, readSignedManifest } from "./manifests.ts";

/** Limits of the manifest cache: entries, and total bytes of their texts. Memory use is several times that. */
export const MANIFEST_LIMITS = { entries: 64, bytes: 64 << 20 };

/** A manifest's names. Votes are kept by ids alone; these are joined to them when they are shown. */
export type ElectionNames = Readonly<{
  index: ElectionIndex;
  signed: SignedManifest;
  contests: ReadonlyMap<string, Contest>;
  parties: ReadonlyMap<string, Manifest["parties"][number]>;
  regions: ReadonlyMap<string, string>;
  stations: ReadonlyMap<string, string>;
  /** Region → its stations. */
  stationsOf: ReadonlyMap<string, readonly string[]>;
  /** Region → the contests that at least one of its stations votes on. */
  contestsOf: ReadonlyMap<string, ReadonlySet<string>>;
}>;

/**
 * Newest manifests of elections with this program's record format, each read and indexed once, also when several ask for
 * it at the same time. A process needs one of these. Manifests never change under a version, so none grows stale.
 */
export class Elections {
  readonly #names: SizedLru<Promise<ElectionNames>>;

  constructor(limits: typeof MANIFEST_LIMITS = MANIFEST_LIMITS) {
    this.#names = new SizedLru(limits);
  }

  /** An election's names by its newest manifest; `undefined` when there is no such election. */
  async find(query: Query, election: string): Promise<ElectionNames | undefined> {
    const newest = await newestVersion(query, election);
    if (newest === undefined || !isReadable(newest)) return undefined;
    return await this.#get(query, election, newest.version);
  }

  /** All elections, the next or latest to close first. */
  async list(query: Query): Promise<ElectionNames[]> {
    const all: ElectionNames[] = [];
    for (const { election, version } of await newestVersions(query)) {
      all.push(await this.#get(query, election, version));
    }
    return all.sort((a, b) => b.index.closesAtMs - a.index.closesAtMs);
  }

  async #get(query: Query, election: string, version: number): Promise<ElectionNames> {
    const key = `${election}.${version}`;
    const known = this.#names.get(key);
    if (known !== undefined) return await known;
    const read = readSignedManifest(query, election, version).then((signed) => {
      const names = nameElection(signed);
      this.#names.set(key, read, signed.manifest.length);
      return names;
    });
    this.#names.set(key, read, 0);
    try {
      return await read;
    } catch (error) {
      // What failed is not kept.
      this.#names.delete(key);
      throw error;
    }
  }
}

/** Makes a manifest's names ready. */
export function nameElection(signed: SignedManifest): ElectionNames {
  const manifest = parseManifest(signed);
  const index = indexElection(manifest);
  const stationsOf = new Map<string, string[]>(manifest.regions.map(({ id }) => [id, []]));
  const contestsOf = new Map<string, Set<string>>(manifest.regions.map(({ id }) => [id, new Set()]));
  for (const { id, region } of manifest.stations) {
    stationsOf.get(region)!.push(id);
    for (const contest of index.stations.get(id)!.contests) contestsOf.get(region)!.add(contest);
  }
  return {
    index,
    signed: { manifest: signed.manifest, signature: signed.signature },
    contests: new Map(manifest.contests.map((contest) => [contest.id, contest])),
    parties: new Map(manifest.parties.map((party) => [party.id, party])),
    regions: new Map(manifest.regions.map(({ id, name }) => [id, name])),
    stations: new Map(manifest.stations.map(({ id, name }) => [id, name])),
    stationsOf,
    contestsOf,
  };
}
