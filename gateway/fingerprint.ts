/**
 * A vote's fingerprint: by it a gateway recognizes a vote that comes again. It has the whole vote id (16 bytes), a MAC of
 * proof and text (16), and the minute since 1970 in which the vote was accepted (4, big-endian), because the receipt says
 * that minute.
 *
 * @module
 */
import { newBytes } from "../shared/bytes.ts";
import { deriveKey, shortHash } from "../shared/keys.ts";

const ID_BYTES = 16;
/** SipHash-2-4 with 128 bits, because it is fast, under a key that no device has. */
const MAC_BYTES = 16;
const KEY_BYTES = 16;
const MINUTE_AT = ID_BYTES + MAC_BYTES;
export const FINGERPRINT_BYTES = MINUTE_AT + 4;
/** The minute of a deleted vote's fingerprint. */
export const NO_MINUTE = 0xffff_ffff;
const MINUTE_MS = 60_000;
const DASH = "-".charCodeAt(0);
const FIRST_LETTER = "a".charCodeAt(0);

/**
 * The key of an election's fingerprints. It follows from a key that does not change during an election, so votes are
 * recognized after a restart, and under the gateway's next key. It is never on the disk beside the fingerprints.
 */
export function fingerprintKey(pseudonymKey: Uint8Array): Uint8Array {
  return deriveKey(pseudonymKey, "fingerprint").subarray(0, KEY_BYTES);
}

/**
 * Makes a fingerprint.
 *
 * @param key See {@link fingerprintKey}.
 * @param vote The vote id is a UUID in lower case.
 * @param nowMs When it was accepted, milliseconds since 1970.
 */
export function makeFingerprint(
  key: Uint8Array,
  { voteId, proof, text }: Readonly<{ voteId: string; proof: Uint8Array; text: Uint8Array }>,
  nowMs: number,
): Uint8Array<ArrayBuffer> {
  const bytes = newBytes(FINGERPRINT_BYTES);
  writeId(voteId, bytes);
  bytes.set(shortHash(key, proof, text), ID_BYTES);
  setMinute(bytes, 0, Math.floor(nowMs / MINUTE_MS));
  return bytes;
}

function writeId(voteId: string, into: Uint8Array): void {
  let at = 0;
  for (let i = 0; i < voteId.length; i += 2) {
    if (voteId.charCodeAt(i) === DASH) i++;
    into[at++] = digit(voteId.charCodeAt(i)) << 4 | digit(voteId.charCodeAt(i + 1));
  }
}

function digit(char: number): number {
  return char < FIRST_LETTER ? char - 48 : char - FIRST_LETTER + 10;
}

/** When the vote was accepted: milliseconds since 1970, at the beginning of that minute. */
export function acceptedMinuteMs(fingerprint: Uint8Array): number {
  return minuteAt(fingerprint, 0) * MINUTE_MS;
}

/** The minute of the fingerprint at `at`, since 1970. */
export function minuteAt(bytes: Uint8Array, at: number): number {
  const from = at + MINUTE_AT;
  return (bytes[from]! << 24 | bytes[from + 1]! << 16 | bytes[from + 2]! << 8 | bytes[from + 3]!) >>> 0;
}

/** Without a DataView or subarray(): V8 moves the bytes of a small array out of its heap for those, which costs microseconds. */
export function setMinute(bytes: Uint8Array, at: number, minute: number): void {
  for (let i = 0; i < 4; i++) bytes[at + MINUTE_AT + i] = minute >>> 24 - 8 * i;
}

/** Copies the fingerprint at `at`. */
export function copyFingerprint(bytes: Uint8Array, at: number, to: Uint8Array, toAt: number): void {
  for (let i = 0; i < FINGERPRINT_BYTES; i++) to[toAt + i] = bytes[at + i]!;
}

/** Whether two fingerprints are of the same text and proof, under the same vote id. */
export function isSameVote(a: Uint8Array, b: Uint8Array): boolean {
  return isEqual(a, 0, b, 0, ID_BYTES + MAC_BYTES);
}

/** Whether the fingerprints at `atA` and `atB` have the same vote id. */
export function hasSameId(a: Uint8Array, atA: number, b: Uint8Array, atB: number): boolean {
  return isEqual(a, atA, b, atB, ID_BYTES);
}

function isEqual(a: Uint8Array, atA: number, b: Uint8Array, atB: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[atA + i] !== b[atB + i]) return false;
  return true;
}
