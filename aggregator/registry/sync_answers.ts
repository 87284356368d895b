/**
 * What the aggregator answers a gateway that syncs: the newest manifest, and the keys of the devices that may turn to it.
 * An answer is made once a change: until then each poll is answered from what is known.
 *
 * @module
 */
import type { SignedManifest } from "../../shared/election.ts";
import { RecentMap } from "../../shared/recent.ts";
import { revisionOf, type Sync } from "../../shared/sync.ts";
import type { Query } from "../database/database.ts";
import type { Elections } from "./election_names.ts";
import { deviceKeys } from "./elections.ts";
import { missingKey, type SyncKeys } from "./role_keys.ts";

/** Elections whose newest manifest is kept; the text of one may have many megabytes. */
const MAX_ELECTIONS = 16;
/** Gateways whose answer's revision is kept: five elections of the largest size for certain. */
const MAX_GATEWAYS = 20_000;

/** What gateways get of an election, as of a change of its history. */
export type ToldElection = Readonly<{
  election: string;
  /** The newest change that concerns gateways. */
  toldRevision: number;
  signed: SignedManifest;
  acceptsUntilMs: number;
  /** Gateway → the stations whose devices may turn to it. */
  stations: ReadonlyMap<string, readonly string[]>;
}>;

/** A gateway's answer: what it was made from, until when it is valid, and its hash. */
type Known = Readonly<{ toldRevision: number; untilMs: number; revision: string }>;

/** Makes gateways' answers. */
export class SyncAnswers {
  readonly #names: Elections;
  readonly #elections = new Map<string, Readonly<{ toldRevision: number; read: Promise<ToldElection> }>>();
  readonly #known = new RecentMap<Known>(MAX_GATEWAYS);

  /** @param names Keeps the manifests of the process. */
  constructor(names: Elections) {
    this.#names = names;
  }

  /**
   * What gateways get of an election.
   *
   * @param toldRevision The newest change that concerns gateways, as the caller has just read it.
   */
  async election(query: Query, election: string, toldRevision: number): Promise<ToldElection> {
    const known = this.#elections.get(election);
    if (known !== undefined && known.toldRevision >= toldRevision) return await known.read;
    if (this.#elections.size >= MAX_ELECTIONS) this.#elections.clear();
    // All gateways that ask after a change wait for one reading.
    const entry = { toldRevision, read: readElection(query, this.#names, election, toldRevision) };
    this.#elections.set(election, entry);
    try {
      return await entry.read;
    } catch (error) {
      if (this.#elections.get(election) === entry) this.#elections.delete(election);
      throw error;
    }
  }

  /**
   * A gateway's answer; `undefined` when it has it already.
   *
   * @param have What the gateway says that it has: see `revisionOf()` in shared/sync.ts.
   * @param keys The election's.
   */
  async answer(
    query: Query,
    told: ToldElection,
    gateway: string,
    have: string | null,
    sync: SyncKeys,
    nowMs: number,
  ): Promise<string | undefined> {
    const { election } = told;
    const name = `${election}/${gateway}`;
    const known = this.#known.get(name);
    const isCurrent = known !== undefined && known.toldRevision === told.toldRevision &&
      nowMs < known.untilMs;
    if (isCurrent && known.revision === have) return undefined;
    const { text, untilMs } = await makeAnswer(query, told, gateway, sync, nowMs);
    const revision = revisionOf(text);
    this.#known.set(name, { toldRevision: told.toldRevision, untilMs, revision });
    return revision === have ? undefined : text;
  }
}

async function readElection(
  query: Query,
  names: Elections,
  election: string,
  toldRevision: number,
): Promise<ToldElection> {
  const found = await names.find(query, election);
  if (found === undefined) {
    throw new Error(`Cannot answer gateways of ${election}: its manifest is of another version`);
  }
  const { signed, index } = found;
  const { gateways, acceptsUntil } = index.manifest;
  return {
    election,
    toldRevision,
    signed,
    acceptsUntilMs: Date.parse(acceptsUntil),
    stations: new Map(gateways.map(({ id, stations, fallbackFor }) => [id, [...stations, ...fallbackFor]])),
  };
}

/** Makes an answer, and says when the first of its keys has had its time. */
async function makeAnswer(
  query: Query,
  { election, signed, stations }: ToldElection,
  gateway: string,
  { deviceKey, pseudonymKey }: SyncKeys,
  nowMs: number,
): Promise<{ text: string; untilMs: number }> {
  const keys = await deviceKeys(query, election, new Date(nowMs), stations.get(gateway) ?? []);
  const sync: Sync = {
    manifest: { manifest: signed.manifest, signature: signed.signature },
    pseudonymKey: pseudonymKey.toHex(),
    devices: keys.map(({ device, version, station, validUntil }) => {
      const name = { election, id: device, version };
      const key = deviceKey(name);
      if (key === undefined) throw missingKey(name);
      return { device, version, station, key: key.toHex(), validUntil };
    }),
  };
  const ends = keys.map(({ validUntil }) => validUntil === null ? Infinity : Date.parse(validUntil));
  return { text: JSON.stringify(sync), untilMs: ends.reduce((a, b) => Math.min(a, b), Infinity) };
}
