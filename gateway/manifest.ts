/**
 * What a gateway knows of its elections: manifest, device keys and pseudonym key. It fetches them from the aggregator,
 * keeps them sealed on its disk, so that it can start and work while the aggregator is away, and follows changes. The same
 * request tells the aggregator of the spool's sender keys and statements, and the answer tells the aggregator's time.
 *
 * @module
 */
import { Addresses } from "../shared/addresses.ts";
import { fromHex, fromUtf8, utf8 } from "../shared/bytes.ts";
import { type ElectionIndex, indexElection, openManifest, type SignedManifest } from "../shared/election.ts";
import { deriveKey, formatKeyName, type KeyName, seal, unseal } from "../shared/keys.ts";
import { receiptKey } from "../shared/receipt.ts";
import { fingerprintKey } from "./fingerprint.ts";
import { signRequest } from "../shared/signature.ts";
import {
  type GatewayFile,
  revisionOf,
  type Sync,
  SYNC_LIMITS,
  SYNC_PATH,
  syncKey,
  type SyncRequest,
  syncSchema,
  TIME_HEADER,
} from "../shared/sync.ts";
import { AggregatorClock } from "./clock.ts";
import type { SenderElection } from "./sender_keys.ts";
import type { SpoolClient } from "./spool_client.ts";

/** How long an address of the aggregator may take to answer, in milliseconds. */
const SYNC_TIMEOUT_MS = 10_000;
/** Maximum bytes of an answer of the aggregator, and of a refusal. */
const MAX_SYNC_BYTES = 256 * 1024 * 1024;
const MAX_REFUSAL_BYTES = 500;
/** How often the list of all sender keys is sent once the acceptance window is over, in milliseconds. */
const LISTING_EVERY_MS = 60_000;

/** A device's key as the gateway holds it. `validUntilMs` is infinite while no newer version has replaced it. */
export type HeldKey = Readonly<{ key: Uint8Array; station: string; validUntilMs: number }>;

/** One election, ready for votes. Replaced when the aggregator has a change. */
export type GatewayElection = Readonly<{
  index: ElectionIndex;
  signedManifest: SignedManifest;
  /** Stations whose votes this gateway accepts. */
  stations: ReadonlySet<string>;
  pseudonymKey: Uint8Array;
  receiptKey: Uint8Array;
  /** Under it the gateway recognizes votes that come again: the same after a restart. */
  fingerprintKey: Uint8Array;
  /** The gateway and its key's version, as receipts name it. */
  receiptName: string;
  /** What the spool's thread seals its records with. */
  sender: SenderElection;
  deviceKey(name: KeyName): HeldKey | undefined;
}>;

type Credentials = GatewayFile["elections"][number];

/** Elections that were updated, and error messages of the others. */
export type Followed = Readonly<{ changed: string[]; faults: string[] }>;

/** The spool's side: its sender keys, and how it learns of elections and of what the aggregator has. */
export type KeyLedger =
  & Pick<SpoolClient, "use" | "keysOf" | "told">
  & Readonly<{ state?: { records: number } }>;

/** A ledger of a gateway that has no spool. */
const NO_KEYS: KeyLedger = { use: () => {}, keysOf: () => undefined, told: () => {} };

/** What one request reports to the aggregator, besides the revision that the gateway has. */
type Told = Pick<SyncRequest, "senderKeys" | "statements" | "listedKeys" | "spoolRecords">;

/** Follows the elections of one gateway. */
export class ElectionStore {
  readonly #file: GatewayFile;
  readonly #aggregators: Addresses;
  readonly #directory: string;
  readonly #fetch: typeof fetch;
  readonly #ledger: KeyLedger;
  readonly #listedAtMs = new Map<string, number>();
  /** Compares this gateway's clock with the aggregator's. */
  readonly clock: AggregatorClock = new AggregatorClock();
  readonly #elections = new Map<string, GatewayElection>();
  /** The aggregator's last answer for each election, and the last one that was written to disk. */
  readonly #seen = new Map<string, string>();
  readonly #kept = new Map<string, string>();

  /**
   * @param directory Where the sealed copies are kept; made if missing.
   * @param fetcher How the aggregator is asked.
   * @param ledger The spool's sender keys.
   */
  constructor(
    file: GatewayFile,
    directory: string,
    fetcher: typeof fetch = fetch,
    ledger: KeyLedger = NO_KEYS,
  ) {
    this.#file = file;
    this.#aggregators = new Addresses(file.aggregators);
    this.#directory = directory;
    this.#fetch = fetcher;
    this.#ledger = ledger;
    Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** An election that is ready for votes. */
  get = (election: string): GatewayElection | undefined => this.#elections.get(election);

  /** Whether an election is in this gateway's file, ready for votes or not. */
  expects(election: string): boolean {
    return this.#file.elections.some((own) => own.election === election);
  }

  /** The ids of the elections that are ready for votes. */
  ids(): string[] {
    return [...this.#elections.keys()];
  }

  /** The ids of the elections whose manifest has not been received yet. */
  awaitedIds(): string[] {
    return this.#file.elections.map(({ election }) => election).filter((id) => !this.#elections.has(id));
  }

  /** Loads the elections that are stored on disk. */
  loadKept(): Followed {
    const changed: string[] = [];
    const faults: string[] = [];
    for (const credentials of this.#file.elections) {
      const { election } = credentials;
      try {
        const sealed = Deno.readFileSync(this.#path(election));
        const text = unseal(diskKey(credentials), sealed, utf8(election));
        if (text === undefined) throw new Error("it does not open with this gateway's key");
        this.#take(credentials, fromUtf8(text));
        this.#kept.set(election, this.#seen.get(election)!);
        changed.push(election);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) continue;
        faults.push(`Cannot use ${this.#path(election)}: ${(error as Error).message}`);
      }
    }
    return { changed, faults };
  }

  /**
   * Syncs every election with the aggregator: fetches changes, and reports sender keys and statements. Tries the
   * aggregator's addresses in turn until one answers. An election stays as it is when no address gives a valid answer.
   */
  async sync(nowMs: number, signal?: AbortSignal): Promise<Followed> {
    const changed: string[] = [];
    const faults: string[] = [];
    for (const credentials of this.#file.elections) {
      const { election } = credentials;
      try {
        const text = await this.#ask(credentials, nowMs, signal);
        if (text !== undefined && this.#seen.get(election) !== text) {
          this.#take(credentials, text);
          changed.push(election);
        }
        await this.#keep(credentials);
      } catch (error) {
        faults.push(`${election}: ${reasonOf(error)}`);
      }
    }
    return { changed, faults };
  }

  /** Syncs one election; `undefined` when the aggregator has no change. */
  async #ask(credentials: Credentials, nowMs: number, signal?: AbortSignal): Promise<string | undefined> {
    const { election } = credentials;
    const told = this.#toTell(election, nowMs);
    const asked = await this.#aggregators.ask(async (aggregator) => {
      try {
        return { answer: await this.#askWhatItKnows(aggregator, credentials, told, nowMs, signal) };
      } catch (error) {
        return { fault: reasonOf(error) };
      }
    }, signal);
    if ("fault" in asked) throw new Error(asked.fault);
    this.#ledger.told(election, told.statements.map(({ senderKey }) => senderKey));
    if (told.listedKeys !== undefined) this.#listedAtMs.set(election, nowMs);
    return asked.answer;
  }

  /**
   * The report about sender keys. The list of all keys is final, so it is sent only when the acceptance window is over and
   * no key is in use.
   */
  #toTell(election: string, nowMs: number): Told {
    const keys = this.#ledger.keysOf(election);
    const statements = keys?.untold.slice(0, SYNC_LIMITS.statements - 1) ?? [];
    const stated = statements.map(({ senderKey }) => senderKey);
    const senderKeys = keys?.current === undefined ? stated : [...stated, keys.current];
    const all = keys?.all ?? [];
    const acceptsUntilMs = this.#elections.get(election)?.index.acceptsUntilMs ?? Infinity;
    const listedAtMs = this.#listedAtMs.get(election) ?? -Infinity;
    const isDue = nowMs > acceptsUntilMs && Math.abs(nowMs - listedAtMs) >= LISTING_EVERY_MS;
    const isClosed = keys?.current === undefined && all.length <= SYNC_LIMITS.listedKeys;
    const spoolRecords = this.#ledger.state?.records;
    return {
      senderKeys,
      statements,
      ...isDue && isClosed && { listedKeys: [...all] },
      ...spoolRecords !== undefined && { spoolRecords },
    };
  }

  /** An aggregator that has not been upgraded yet refuses fields that it does not know: it is told without them. */
  async #askWhatItKnows(
    aggregator: string,
    credentials: Credentials,
    { spoolRecords, ...known }: Told,
    nowMs: number,
    signal?: AbortSignal,
  ): Promise<string | undefined> {
    if (spoolRecords === undefined) return await this.#askAt(aggregator, credentials, known, nowMs, signal);
    try {
      return await this.#askAt(aggregator, credentials, { ...known, spoolRecords }, nowMs, signal);
    } catch (error) {
      if (!(error instanceof RequestRefused)) throw error;
      return await this.#askAt(aggregator, credentials, known, nowMs, signal);
    }
  }

  async #askAt(
    aggregator: string,
    credentials: Credentials,
    told: Told,
    nowMs: number,
    signal?: AbortSignal,
  ): Promise<string | undefined> {
    const idempotencyKey = crypto.randomUUID();
    const seen = this.#seen.get(credentials.election);
    const have = seen === undefined ? null : revisionOf(seen);
    const body = utf8(JSON.stringify({ have, ...told } satisfies SyncRequest));
    const key = fromHex(credentials.key);
    const askedAtMs = performance.now();
    const response = await this.#fetch(new URL(SYNC_PATH, aggregator), {
      method: "POST",
      body,
      headers: signRequest({
        path: SYNC_PATH,
        contentType: "application/json",
        body,
        idempotencyKey,
        keyId: formatKeyName(this.#name(credentials)),
        key,
        createdS: Math.floor(nowMs / 1_000),
      }),
      signal: AbortSignal.any([AbortSignal.timeout(SYNC_TIMEOUT_MS), ...signal ? [signal] : []]),
    });
    this.clock.note(response.headers.get(TIME_HEADER), nowMs, performance.now() - askedAtMs);
    if (response.status === 204) {
      await response.body?.cancel();
      return undefined;
    }
    if (!response.ok) {
      const refusal = new TextDecoder().decode((await readUpTo(response, MAX_REFUSAL_BYTES)).bytes);
      // `signature-stale` and `signature-early` show that the clocks differ, but not which one is wrong.
      const isOfTime = /signature-(stale|early)/.test(refusal);
      if (isOfTime && this.clock.fault !== undefined) throw new Error(this.clock.fault);
      const isRequests = response.status === 422 && refusal.includes("invalid-request");
      throw new (isRequests ? RequestRefused : Error)(
        `the aggregator answers ${response.status}: ${refusal}`,
      );
    }
    const { bytes: sealed, whole } = await readUpTo(response, MAX_SYNC_BYTES);
    if (!whole) throw new Error(`the aggregator's answer is larger than ${MAX_SYNC_BYTES} bytes`);
    const text = unseal(syncKey(key), sealed, utf8(idempotencyKey));
    if (text === undefined) {
      throw new Error("the aggregator's answer was not sealed to this gateway and this request");
    }
    return fromUtf8(text);
  }

  /** Makes an election ready. Refuses a manifest older than the one in force: that is a replayed answer. */
  #take(credentials: Credentials, text: string): void {
    const sync = syncSchema.parse(JSON.parse(text));
    const manifest = openManifest(sync.manifest, credentials.manifestKey);
    if (manifest.election !== credentials.election) {
      throw new Error(`the manifest is of election ${manifest.election}, not ${credentials.election}`);
    }
    const known = this.#elections.get(credentials.election)?.index.manifest.version ?? 0;
    if (manifest.version < known) {
      throw new Error(`the manifest has version ${manifest.version}, and ${known} is in force`);
    }
    const name = this.#name(credentials);
    const ready = readyElection(name, fromHex(credentials.key), sync, indexElection(manifest));
    // The spool comes first: after the next line votes may arrive.
    this.#ledger.use(ready.sender);
    this.#elections.set(credentials.election, ready);
    this.#seen.set(credentials.election, text);
  }

  /** Writes the last answer to disk, unless it is there already. */
  async #keep(credentials: Credentials): Promise<void> {
    const { election } = credentials;
    const text = this.#seen.get(election);
    if (text === undefined || text === this.#kept.get(election)) return;
    const path = this.#path(election);
    const sealed = seal(diskKey(credentials), utf8(text), utf8(election));
    await Deno.remove(`${path}.new`).catch(() => {}); // Left over from a crash, with whatever mode it has.
    const file = await Deno.open(`${path}.new`, { write: true, createNew: true, mode: 0o600 });
    try {
      for (let at = 0; at < sealed.length;) at += await file.write(sealed.subarray(at));
      await file.sync();
    } finally {
      file.close();
    }
    await Deno.rename(`${path}.new`, path);
    this.#kept.set(election, text);
  }

  #name({ election, keyVersion }: Credentials): KeyName {
    return { election, id: this.#file.gateway, version: keyVersion };
  }

  #path(election: string): string {
    return `${this.#directory}/${election}.sealed`;
  }
}

/** The aggregator does not take the request's fields. */
class RequestRefused extends Error {
  override name = "RequestRefused";
}

/**
 * Makes an election ready for votes.
 *
 * @param name The gateway, and its key's version.
 * @param key The gateway's own key for this election, 32 bytes.
 * @param sync What the aggregator answered.
 * @param index Of the manifest in it.
 */
export function readyElection(
  name: KeyName,
  key: Uint8Array,
  sync: Sync,
  index: ElectionIndex,
): GatewayElection {
  const { manifest, acceptsUntilMs } = index;
  const devices = new Map(
    sync.devices.map((device): [string, HeldKey] => [`${device.device}.${device.version}`, {
      key: fromHex(device.key),
      station: device.station,
      validUntilMs: device.validUntil === null ? Infinity : Date.parse(device.validUntil),
    }]),
  );
  const pseudonymKey = fromHex(sync.pseudonymKey);
  return {
    index,
    signedManifest: sync.manifest,
    stations: index.gateways.get(name.id) ?? new Set(),
    pseudonymKey,
    receiptKey: receiptKey(key),
    fingerprintKey: fingerprintKey(pseudonymKey),
    receiptName: `${name.id}.${name.version}`,
    sender: {
      name,
      signingKey: key,
      sealingKey: fromHex(manifest.sealingKey),
      partitions: manifest.partitions,
      acceptsUntilMs,
    },
    deviceKey: ({ id, version }) => devices.get(`${id}.${version}`),
  };
}

/** An error's message. A failed `fetch` has it in its `cause` only. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}

function diskKey({ key }: Credentials): Uint8Array<ArrayBuffer> {
  return deriveKey(fromHex(key), "gateway-disk");
}

/** Reads a body up to a limit; `whole` says whether that was all. */
async function readUpTo(
  { body }: Response,
  maxBytes: number,
): Promise<{ bytes: Uint8Array<ArrayBuffer>; whole: boolean }> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  let whole = true;
  for await (const piece of body ?? []) {
    pieces.push(piece.slice(0, maxBytes - length));
    length += piece.length;
    if (length > maxBytes) {
      whole = false;
      break;
    }
  }
  return { bytes: await new Blob(pieces).bytes() as Uint8Array<ArrayBuffer>, whole };
}
