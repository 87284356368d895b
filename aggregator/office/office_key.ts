/**
 * The office's key: one file beside the elections' master keys. It signs access tokens, and heads of the audit trail.
 *
 * @module
 */
import sodium from "libsodium-wrappers-sumo";
import { fromHex, utf8 } from "../../shared/bytes.ts";
import { deriveKey, KEY_BYTES, type KeyPair } from "../../shared/keys.ts";
import type { NoteKey } from "../audit/note.ts";
import { OfficeError } from "../registry/office_error.ts";

/** The name under which the office signs notes. */
export const NOTE_NAME = "pollwire-office";

/** The office's keys, both Ed25519. */
export type OfficeKeys = Readonly<{ tokens: KeyPair; notes: NoteKey }>;

/** Where the key is, below the directory of the master keys. */
function pathIn(directory: string): string {
  // In a folder of its own: `<directory>/<election>.key` is of an election, which may be named office.
  return `${directory}/office/office.key`;
}

/** Whether the office has been set up: `deno task office init`. */
export function hasOfficeKey(directory: string): boolean {
  try {
    return Deno.statSync(pathIn(directory)).isFile;
  } catch {
    return false;
  }
}

/** The office's key; `undefined` when there is none: then there is no office. @throws {OfficeError} when it is no key. */
export function readOfficeKeys(directory: string): OfficeKeys | undefined {
  const path = pathIn(directory);
  let text: string;
  try {
    text = Deno.readTextFileSync(path).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new OfficeError(`Cannot read the office's key from ${path}: ${(error as Error).message}`);
  }
  if (!/^[0-9a-f]{64}$/.test(text)) {
    throw new OfficeError(
      `Cannot use the office's key in ${path}: it must be ${KEY_BYTES} bytes in lower-case hex`,
    );
  }
  return officeKeysOf(fromHex(text));
}

/** The keys that are derived from the office's key, 32 bytes. */
export function officeKeysOf(secret: Uint8Array): OfficeKeys {
  const pair = (purpose: "office-token" | "office-audit") =>
    sodium.crypto_sign_seed_keypair(deriveKey(secret, purpose));
  return { tokens: pair("office-token"), notes: { name: NOTE_NAME, ...pair("office-audit") } };
}

/** Makes the office's key. Returns its path. @throws {OfficeError} when there is one already. */
export function createOfficeKey(directory: string): string {
  const path = pathIn(directory);
  Deno.mkdirSync(`${directory}/office`, { recursive: true, mode: 0o700 });
  try {
    using file = Deno.openSync(path, { createNew: true, write: true, mode: 0o600 });
    file.writeSync(utf8(`${crypto.getRandomValues(new Uint8Array(KEY_BYTES)).toHex()}\n`));
    file.syncSync();
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    throw new OfficeError(`Cannot set up the office: there is a key already, ${path}`);
  }
  return path;
}
