/**
 * Files with the keys of one election that the roles `receipts` and `sync` need, so that their processes need no master key:
 *
 * ```
 * KEYS_DIRECTORY/receipts/<election>.json   the key that signs answers, and a receipt key for each gateway key
 * KEYS_DIRECTORY/sync/<election>.json       gateways' and devices' keys, and the pseudonym key
 * ```
 *
 * `provision` writes both again whenever a gateway or a device gets a key. Their keys are derived as in a process with the master key, so nothing
 * that gateways and devices do depends on them.
 *
 * @module
 */
import { z } from "zod";
import { fromHex } from "../../shared/bytes.ts";
import { idSchema } from "../../shared/election.ts";
import { answerKeyPair, deviceKey, gatewayKey, pseudonymKey } from "../../shared/keys.ts";
import { receiptKey } from "../../shared/receipt.ts";
import { RecentMap } from "../../shared/recent.ts";
import type { Query } from "../database/database.ts";
import { OfficeError } from "./office_error.ts";
import type { ReceiptKeys, SyncKeys } from "./role_keys.ts";
import { writeSecret } from "./secret_file.ts";

/** How often a file is asked whether it has changed, in milliseconds. */
const CHECK_EVERY_MS = 1_000;
/** Elections whose files are kept in memory. */
const MAX_ELECTIONS = 100;

const hexOf = (bytes: number) =>
  z.string().regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`), `must be ${bytes} bytes in lower-case hex`);
/** By id and version, like `gateway-1.1`. */
const keysSchema = z.record(z.string(), hexOf(32));

const receiptsFileSchema = z.strictObject({
  election: idSchema,
  answerKey: hexOf(64),
  receiptKeys: keysSchema,
});
const syncFileSchema = z.strictObject({
  election: idSchema,
  pseudonymKey: hexOf(32),
  gateways: keysSchema,
  devices: keysSchema,
});

/** Which of the files. */
export type KeyedRole = "receipts" | "sync";

/**
 * Writes both files of an election, with every key version that the registry has.
 *
 * @param directory The directory of the master keys; each role has a directory below it.
 * @returns the paths.
 */
export async function writeRoleKeyFiles(
  query: Query,
  election: string,
  master: Uint8Array,
  directory: string,
): Promise<string[]> {
  const gateways = await versions(query, "gateway", election);
  const devices = await versions(query, "device", election);
  const named = (
    all: readonly KeyVersion[],
    keyOf: (name: { election: string; id: string; version: number }) => Uint8Array,
  ) =>
    Object.fromEntries(
      all.map(({ id, version }) => [`${id}.${version}`, keyOf({ election, id, version }).toHex()]),
    );
  const receipts: z.infer<typeof receiptsFileSchema> = {
    election,
    answerKey: answerKeyPair(master, election).privateKey.toHex(),
    receiptKeys: named(gateways, (name) => receiptKey(gatewayKey(master, name))),
  };
  const sync: z.infer<typeof syncFileSchema> = {
    election,
    pseudonymKey: pseudonymKey(master, election).toHex(),
    gateways: named(gateways, (name) => gatewayKey(master, name)),
    devices: named(devices, (name) => deviceKey(master, name)),
  };
  const paths = [`${directory}/receipts/${election}.json`, `${directory}/sync/${election}.json`] as const;
  writeSecret(paths[0], receipts);
  writeSecret(paths[1], sync);
  return [...paths];
}

type KeyVersion = Readonly<{ id: string; version: number }>;

async function versions(query: Query, of: "gateway" | "device", election: string): Promise<KeyVersion[]> {
  return await query<KeyVersion>(
    `SELECT ${of} AS id, version FROM registry.${of}_keys WHERE election = $1 ORDER BY 1, 2`,
    [election],
  );
}

/** The files of one role, read when they are needed and again when they have changed. */
class KeyFiles<Keys> {
  readonly #directory: string;
  readonly #role: KeyedRole;
  readonly #parse: (text: string) => Keys & { election: string };
  readonly #now: () => number;
  readonly #known = new RecentMap<{ keys: Keys; version: string; checkedMs: number }>(MAX_ELECTIONS);

  constructor(
    directory: string,
    role: KeyedRole,
    parse: (text: string) => Keys & { election: string },
    now: () => number,
  ) {
    this.#directory = directory;
    this.#role = role;
    this.#parse = parse;
    this.#now = now;
  }

  /** @throws {OfficeError} naming the file when it is missing or is not the role's. */
  of(election: string): Keys {
    const nowMs = this.#now();
    const known = this.#known.get(election);
    if (known !== undefined && Math.abs(nowMs - known.checkedMs) < CHECK_EVERY_MS) return known.keys;
    const path = `${this.#directory}/${election}.json`;
    const version = versionOf(path);
    if (known !== undefined && (version === undefined || version === known.version)) {
      // A file that is being replaced may be missing for a moment.
      known.checkedMs = nowMs;
      return known.keys;
    }
    const keys = this.#read(path, election);
    this.#known.set(election, { keys, version: version ?? "", checkedMs: nowMs });
    return keys;
  }

  #read(path: string, election: string): Keys {
    const setting = `${this.#role === "receipts" ? "RECEIPT" : "SYNC"}_KEYS_DIRECTORY`;
    let text: string;
    try {
      text = Deno.readTextFileSync(path);
    } catch (error) {
      throw new OfficeError(
        `Cannot read the ${this.#role} keys of election ${election} from ${path} (${
          (error as Error).message
        }); ${setting} must name the directory that holds it; ` +
          `\`deno task provision --election ${election} --write-keys\` writes it`,
      );
    }
    let keys: Keys & { election: string };
    try {
      keys = this.#parse(text);
    } catch {
      // What is wrong with it may quote a key.
      throw new OfficeError(
        `Cannot use ${path}: it must be a file of ${this.#role} keys, as \`provision --write-keys\` writes it`,
      );
    }
    if (keys.election === election) return keys;
    throw new OfficeError(
      `Cannot use ${path}: it has keys of ${keys.election}, and must have those of ${election}`,
    );
  }
}

/** What tells a file from its next version; `undefined` when there is none. */
function versionOf(path: string): string | undefined {
  try {
    const { mtime, ino, size } = Deno.statSync(path);
    return `${mtime?.getTime()}/${ino}/${size}`;
  } catch {
    return undefined;
  }
}

const keyMap = (keys: Record<string, string>) =>
  new Map(Object.entries(keys).map(([name, key]) => [name, fromHex(key)]));

/**
 * Receipt keys from files. They throw for an election without a file.
 *
 * @param now Milliseconds since 1970.
 */
export function receiptKeyFiles(directory: string, now: () => number): (election: string) => ReceiptKeys {
  const files = new KeyFiles<ReceiptKeys>(directory, "receipts", (text) => {
    const { election, answerKey, receiptKeys } = receiptsFileSchema.parse(JSON.parse(text));
    const keys = keyMap(receiptKeys);
    return { election, answerKey: fromHex(answerKey), receiptKey: (gateway: string) => keys.get(gateway) };
  }, now);
  return (election) => files.of(election);
}

/**
 * Sync keys from files. They throw for an election without a file.
 *
 * @param now Milliseconds since 1970.
 */
export function syncKeyFiles(directory: string, now: () => number): (election: string) => SyncKeys {
  const files = new KeyFiles<SyncKeys>(directory, "sync", (text) => {
    const file = syncFileSchema.parse(JSON.parse(text));
    const [gateways, devices] = [keyMap(file.gateways), keyMap(file.devices)];
    return {
      election: file.election,
      pseudonymKey: fromHex(file.pseudonymKey),
      gatewayKey: ({ id, version }) => gateways.get(`${id}.${version}`),
      deviceKey: ({ id, version }) => devices.get(`${id}.${version}`),
      sealing: undefined,
    };
  }, now);
  return (election) => files.of(election);
}
