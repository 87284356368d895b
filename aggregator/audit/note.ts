/**
 * Signed notes (https://c2sp.org/signed-note): a text that people can read, with Ed25519 signatures below it.
 *
 * @module
 */
import sodium from "libsodium-wrappers-sumo";
import { equalBytes, toBase64, utf8 } from "../../shared/bytes.ts";
import { type KeyPair, sha256 } from "../../shared/keys.ts";

/** The type of an Ed25519 key in a note. */
const ED25519 = 1;
/** Bytes of a key's id, which stand before its signature. */
const KEY_ID_BYTES = 4;

/** A key that signs notes. `name` has no spaces and no plus sign. */
export type NoteKey = Readonly<{ name: string }> & KeyPair;

/** A key that checks notes. */
export type NoteVerifier = Readonly<{ name: string; publicKey: Uint8Array }>;

function keyId({ name, publicKey }: NoteVerifier): Uint8Array {
  return sha256(new Uint8Array([...utf8(`${name}\n`), ED25519, ...publicKey])).subarray(0, KEY_ID_BYTES);
}

/** A verifier key as text: `name+id+key`. */
export function formatVerifier(verifier: NoteVerifier): string {
  const key = toBase64(new Uint8Array([ED25519, ...verifier.publicKey]));
  return `${verifier.name}+${keyId(verifier).toHex()}+${key}`;
}

/** Reads a verifier key; `undefined` when the text is none. */
export function parseVerifier(text: string): NoteVerifier | undefined {
  const match = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/.exec(text.trim());
  if (match === null) return undefined;
  let key: Uint8Array;
  try {
    key = Uint8Array.fromBase64(match[3]!);
  } catch {
    return undefined;
  }
  if (key.length !== 33 || key[0] !== ED25519) return undefined;
  const verifier = { name: match[1]!, publicKey: key.subarray(1) };
  return keyId(verifier).toHex() === match[2] ? verifier : undefined;
}

/** Signs a text. @throws when it does not end with a line break: a note's text does. */
export function signNote(text: string, key: NoteKey): string {
  if (!text.endsWith("\n")) throw new RangeError("Cannot sign the note: its text must end with a line break");
  const signature = sodium.crypto_sign_detached(utf8(text), key.privateKey);
  const signed = toBase64(new Uint8Array([...keyId(key), ...signature]));
  return `${text}\n— ${key.name} ${signed}\n`;
}

/** Checks a note. Returns its text; `undefined` when it has no signature of the key that fits. */
export function openNote(note: string, verifier: NoteVerifier): string | undefined {
  const end = note.lastIndexOf("\n\n");
  if (end === -1) return undefined;
  const text = note.slice(0, end + 1);
  const id = keyId(verifier);
  for (const line of note.slice(end + 2).split("\n")) {
    const [, name, encoded] = /^— (\S+) (\S+)$/.exec(line) ?? [];
    if (name !== verifier.name) continue;
    let bytes: Uint8Array;
    try {
      bytes = Uint8Array.fromBase64(encoded!);
    } catch {
      continue;
    }
    if (bytes.length !== KEY_ID_BYTES + 64 || !equalBytes(bytes.subarray(0, KEY_ID_BYTES), id)) continue;
    if (sodium.crypto_sign_verify_detached(bytes.subarray(KEY_ID_BYTES), utf8(text), verifier.publicKey)) {
      return text;
    }
  }
  return undefined;
}
