/**
 * What a gateway knows of its elections: manifest, device keys and pseudonym key. It fetches them from the centre,
 * keeps them sealed on its disk so as to start and work while the centre is away, and follows changes.
 *
 * @module
 */
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

/** How long the centre may take to answer, in milliseconds. */
const SYNC_TIMEOUT_MS = 10_000;

/** A device's key as the gateway holds it. `validUntilMs` is infinite while no newer version has replaced it. */
export type HeldKey = Readonly<{ key: Uint8Array; station: string; validUntilMs: number }>;

/** One election as the gateway takes votes for it. Made anew when the centre has something new. */
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

/** Follows the elections of one gateway. */
export class ElectionStore {
  readonly #file: GatewayFile;
  readonly #directory: string;
  readonly #ephemeral: KeyPair = ephemeralKeyPair();
  readonly #elections = new Map<string, GatewayElection>();
  readonly #seen = new Map<string, string>();

  /** @param directory Where the sealed copies are kept; made if missing. */
  constructor(file: GatewayFile, directory: string) {
    this.#file = file;
    this.#directory = directory;
    Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** An election that the gateway can take votes for. */
  get = (election: string): GatewayElection | undefined => this.#elections.get(election);

  /** The ids of those that it can take votes for. */
  ids(): string[] {
    return [...this.#elections.keys()];
  }

  /** Takes up what the disk has kept. Returns the elections that it had, and why others could not be read. */
  loadKept(): { loaded: string[]; faults: string[] } {
    const loaded: string[] = [];
    const faults: string[] = [];
    for (const credentials of this.#file.elections) {
      try {
        const sealed = Deno.readFileSync(this.#path(credentials));
        const text = unseal(diskKey(credentials), sealed, utf8(credentials.election));
        if (text === undefined) throw new Error("it does not open with this gateway's key");
        this.#take(credentials, fromUtf8(text));
        loaded.push(credentials.election);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) continue;
        faults.push(`Cannot use ${this.#path(credentials)}: ${(error as Error).message}`);
      }
    }
    return { loaded, faults };
  }

  /**
   * Asks the centre for what is new, for every election.
   *
   * @returns the elections that changed.
   * @throws when the centre cannot be reached, refuses, or answers what is not its own.
   */
  async sync(nowMs: number, signal?: AbortSignal): Promise<string[]> {
    const changed: string[] = [];
    for (const credentials of this.#file.elections) {
      const text = await this.#fetch(credentials, nowMs, signal);
      if (text === undefined || this.#seen.get(credentials.election) === text) continue;
      this.#take(credentials, text);
      await this.#keep(credentials, text);
      changed.push(credentials.election);
    }
    return changed;
  }

  /** Asks for one election; `undefined` when the centre has nothing that is not known already. */
  async #fetch(credentials: Credentials, nowMs: number, signal?: AbortSignal): Promise<string | undefined> {
    const idempotencyKey = crypto.randomUUID();
    const seen = this.#seen.get(credentials.election);
    const have = seen === undefined ? null : revisionOf(seen);
    const body = utf8(JSON.stringify({ have } satisfies SyncRequest));
    const key = fromHex(credentials.key);
    const response = await fetch(new URL(SYNC_PATH, this.#file.centre), {
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
      throw new Error(`the centre answers ${response.status}: ${(await response.text()).slice(0, 500)}`);
    }
    const sealed = new Uint8Array(await response.arrayBuffer());
    const text = unseal(syncKey(key), sealed, utf8(idempotencyKey));
    if (text === undefined) {
      throw new Error("the centre's answer was not sealed to this gateway and this request");
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
    this.#elections.set(credentials.election, this.#ready(credentials, sync, indexElection(manifest)));
    this.#seen.set(credentials.election, text);
  }

  #ready(credentials: Credentials, sync: Sync, index: ElectionIndex): GatewayElection {
    const { manifest } = index;
    const name = this.#name(credentials);
    const key = fromHex(credentials.key);
    const centreKey = fromHex(manifest.sealingKey);
    const { privateKey, publicKey } = this.#ephemeral;
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
      stations: index.gateways.get(this.#file.gateway) ?? new Set(),
      pseudonymKey: fromHex(sync.pseudonymKey),
      receiptKey: receiptKey(key),
      receiptName: `${name.id}.${name.version}`,
      sealer: recordSealer({
        name,
        signingKey: key,
        sealingKey: recordKey(privateKey, centreKey, manifest.election, publicKey, centreKey),
        senderKey: publicKey,
        recordBytes: manifest.recordBytes,
      }),
      deviceKey: ({ id, version }) => devices.get(`${id}.${version}`),
    };
  }

  async #keep(credentials: Credentials, text: string): Promise<void> {
    const path = this.#path(credentials);
    const sealed = seal(diskKey(credentials), utf8(text), utf8(credentials.election));
    const file = await Deno.open(`${path}.new`, { write: true, create: true, truncate: true, mode: 0o600 });
    try {
      for (let at = 0; at < sealed.length;) at += await file.write(sealed.subarray(at));
      await file.sync();
    } finally {
      file.close();
    }
    await Deno.rename(`${path}.new`, path);
  }

  #name({ election, keyVersion }: Credentials): KeyName {
    return { election, id: this.#file.gateway, version: keyVersion };
  }

  #path({ election }: Credentials): string {
    return `${this.#directory}/${election}.sealed`;
  }
}

function diskKey({ key }: Credentials): Uint8Array<ArrayBuffer> {
  return deriveKey(fromHex(key), "gateway-disk");
}
