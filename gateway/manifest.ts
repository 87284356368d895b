/**
 * What a gateway knows of its elections: manifest, device keys and pseudonym key. It fetches them from the aggregator,
 * keeps them sealed on its disk so as to start and work while the aggregator is away, and follows changes.
 *
 * @module
 */
import { Addresses } from "../shared/addresses.ts";
import { fromHex, fromUtf8, utf8 } from "../shared/bytes.ts";
import { type ElectionIndex, indexElection, openManifest, type SignedManifest } from "../shared/election.ts";
import {
  deriveKey,
  ephemeralKeyPair,
  formatKeyName,
  type KeyName,
  type KeyPair,
  recordKey,
  seal,
  unseal,
} from "../shared/keys.ts";
import { receiptKey } from "../shared/receipt.ts";
import { type RecordSealer, recordSealer } from "../shared/record.ts";
import { signRequest } from "../shared/signature.ts";
import {
  type GatewayFile,
  revisionOf,
  type Sync,
  SYNC_PATH,
  syncKey,
  type SyncRequest,
  syncSchema,
} from "../shared/sync.ts";

/** How long an address of the aggregator may take to answer, in milliseconds. */
const SYNC_TIMEOUT_MS = 10_000;
/** Largest answer of the aggregator that is read, and how much of a refusal, in bytes. */
const MAX_SYNC_BYTES = 256 * 1024 * 1024;
const MAX_REFUSAL_BYTES = 500;

/** A device's key as the gateway holds it. `validUntilMs` is infinite while no newer version has replaced it. */
export type HeldKey = Readonly<{ key: Uint8Array; station: string; validUntilMs: number }>;

/** One election as the gateway takes votes for it. Made anew when the aggregator has something new. */
export type GatewayElection = Readonly<{
  index: ElectionIndex;
  signedManifest: SignedManifest;
  /** Stations whose votes this gateway takes in. */
  stations: ReadonlySet<string>;
  pseudonymKey: Uint8Array;
  receiptKey: Uint8Array;
  /** The gateway and its key's version, as receipts name it. */
  receiptName: string;
  sealer: RecordSealer;
  deviceKey(name: KeyName): HeldKey | undefined;
}>;

type Credentials = GatewayFile["elections"][number];

/** Elections that were taken up, and in words what went wrong with others. */
export type Followed = Readonly<{ changed: string[]; faults: string[] }>;

/** Follows the elections of one gateway. */
export class ElectionStore {
  readonly #file: GatewayFile;
  readonly #aggregators: Addresses;
  readonly #directory: string;
  readonly #fetch: typeof fetch;
  readonly #ephemeral: KeyPair = ephemeralKeyPair();
  readonly #elections = new Map<string, GatewayElection>();
  /** The aggregator's last answer for each election, and the one that the disk has. */
  readonly #seen = new Map<string, string>();
  readonly #kept = new Map<string, string>();

  /**
   * @param directory Where the sealed copies are kept; made if missing.
   * @param fetcher How the aggregator is asked.
   */
  constructor(file: GatewayFile, directory: string, fetcher: typeof fetch = fetch) {
    this.#file = file;
    this.#aggregators = new Addresses(file.aggregators);
    this.#directory = directory;
    this.#fetch = fetcher;
    Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** An election that the gateway can take votes for. */
  get = (election: string): GatewayElection | undefined => this.#elections.get(election);

  /** Whether an election is one of this gateway's own, whether or not it can take votes for it yet. */
  expects(election: string): boolean {
    return this.#file.elections.some((own) => own.election === election);
  }

  /** The ids of those that it can take votes for. */
  ids(): string[] {
    return [...this.#elections.keys()];
  }

  /** Takes up what the disk has kept. */
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
   * Asks the aggregator for what is new, for every election, at one of its addresses after the other until one has an
   * answer. An election stays as it is when none of them can be reached, or all refuse or answer what is not its own.
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

  /** Asks for one election; `undefined` when the aggregator has nothing that is not known already. */
  async #ask(credentials: Credentials, nowMs: number, signal?: AbortSignal): Promise<string | undefined> {
    const asked = await this.#aggregators.ask(async (aggregator) => {
      try {
        return { answer: await this.#askAt(aggregator, credentials, nowMs, signal) };
      } catch (error) {
        return { fault: reasonOf(error) };
      }
    }, signal);
    if ("fault" in asked) throw new Error(asked.fault);
    return asked.answer;
  }

  async #askAt(
    aggregator: string,
    credentials: Credentials,
    nowMs: number,
    signal?: AbortSignal,
  ): Promise<string | undefined> {
    const idempotencyKey = crypto.randomUUID();
    const seen = this.#seen.get(credentials.election);
    const have = seen === undefined ? null : revisionOf(seen);
    const body = utf8(JSON.stringify({ have } satisfies SyncRequest));
    const key = fromHex(credentials.key);
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
    if (response.status === 204) {
      await response.body?.cancel();
      return undefined;
    }
    if (!response.ok) {
      const refusal = (await readUpTo(response, MAX_REFUSAL_BYTES)).bytes;
      throw new Error(`the aggregator answers ${response.status}: ${new TextDecoder().decode(refusal)}`);
    }
    const { bytes: sealed, whole } = await readUpTo(response, MAX_SYNC_BYTES);
    if (!whole) throw new Error(`the aggregator's answer is larger than ${MAX_SYNC_BYTES} bytes`);
    const text = unseal(syncKey(key), sealed, utf8(idempotencyKey));
    if (text === undefined) {
      throw new Error("the aggregator's answer was not sealed to this gateway and this request");
    }
    return fromUtf8(text);
  }

  /** Makes an election ready. A manifest older than the one in force is refused: someone replays an old answer. */
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
    const ready = readyElection(
      name,
      fromHex(credentials.key),
      sync,
      indexElection(manifest),
      this.#ephemeral,
    );
    this.#elections.set(credentials.election, ready);
    this.#seen.set(credentials.election, text);
  }

  /** Keeps the last answer, unless the disk has it. */
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

/**
 * Makes an election ready to take votes in.
 *
 * @param name The gateway, and its key's version.
 * @param key The gateway's own key for this election, 32 bytes.
 * @param sync What the aggregator answered.
 * @param index Of the manifest in it.
 * @param ephemeral This process's own key pair.
 */
export function readyElection(
  name: KeyName,
  key: Uint8Array,
  sync: Sync,
  index: ElectionIndex,
  ephemeral: KeyPair,
): GatewayElection {
  const { manifest } = index;
  const aggregatorKey = fromHex(manifest.sealingKey);
  const { privateKey, publicKey } = ephemeral;
  const devices = new Map(
    sync.devices.map((device): [string, HeldKey] => [`${device.device}.${device.version}`, {
      key: fromHex(device.key),
      station: device.station,
      validUntilMs: device.validUntil === null ? Infinity : Date.parse(device.validUntil),
    }]),
  );
  return {
    index,
    signedManifest: sync.manifest,
    stations: index.gateways.get(name.id) ?? new Set(),
    pseudonymKey: fromHex(sync.pseudonymKey),
    receiptKey: receiptKey(key),
    receiptName: `${name.id}.${name.version}`,
    sealer: recordSealer({
      name,
      signingKey: key,
      sealingKey: recordKey(privateKey, aggregatorKey, manifest.election, publicKey, aggregatorKey),
      senderKey: publicKey,
      recordBytes: manifest.recordBytes,
    }),
    deviceKey: ({ id, version }) => devices.get(`${id}.${version}`),
  };
}

/** What went wrong, in words. A failed `fetch` says it in its cause only. */
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
