/**
 * All keys of an election. They are derived from its master key, which only the aggregator has.
 *
 * HKDF-SHA256 (RFC 5869) with an empty salt and a length-prefixed info: `pollwire/2`, purpose, election, id,
 * version. Only the gateways' sender keys (X25519) are not derived: each gateway makes a new one every hour.
 *
 * @module
 */
import sodium from "libsodium-wrappers-sumo";
import { copyOf, equalBytes, lengthPrefixed, utf8, utf8Into } from "./bytes.ts";

/** Length of every symmetric key, seed, X25519 key and MAC, in bytes. */
export const KEY_BYTES = 32;

/** The purposes of derived keys. No key has two purposes. */
export type KeyPurpose =
  | "device"
  | "device-proof"
  | "gateway"
  | "gateway-sync"
  | "gateway-disk"
  | "receipt"
  | "pseudonym"
  | "fingerprint"
  | "sealing"
  | "manifest"
  | "answers"
  | "token-signing"
  | "office-token"
  | "office-audit"
  | "profile"
  | "profile-lookup"
  | "roll-import"
  | "record";

/** HKDF's default salt: zeros, as many as a hash has bytes (RFC 5869 section 2.2). */
const NO_SALT = new Uint8Array(KEY_BYTES);

/**
 * HKDF-SHA256 with a length-prefixed info. Returns 32 bytes, which is one block: extract and expand are one HMAC each.
 * Does not use node:crypto, because devices import this in browsers. keys_test.ts checks it against RFC 5869.
 */
export function deriveKey(
  secret: Uint8Array,
  purpose: KeyPurpose,
  ...context: (string | Uint8Array)[]
): Uint8Array<ArrayBuffer> {
  const info = lengthPrefixed("pollwire/2", purpose, ...context);
  const block = new Uint8Array(info.length + 1);
  block.set(info);
  block[info.length] = 1;
  const extracted = sodium.crypto_auth_hmacsha256(secret, NO_SALT);
  return new Uint8Array(sodium.crypto_auth_hmacsha256(block, extracted));
}

/** A key's public name: `election/id.version`, the `keyid` of signatures and the `key-id` of records. */
export type KeyName = Readonly<{ election: string; id: string; version: number }>;

const KEY_NAME = /^([a-z0-9-]{1,64})\/([a-z0-9-]{1,64})\.([1-9][0-9]{0,5})$/;

/** Writes a key name, for example `ri-2020/station-12-a.1`. */
export function formatKeyName({ election, id, version }: KeyName): string {
  return `${election}/${id}.${version}`;
}

/** Reads a key name; `undefined` when it is not one. */
export function parseKeyName(text: string): KeyName | undefined {
  const match = KEY_NAME.exec(text);
  return match ? { election: match[1]!, id: match[2]!, version: Number(match[3]) } : undefined;
}

/** A device's HMAC key for its requests: gateways know it. 32 bytes. */
export function deviceKey(master: Uint8Array, name: KeyName): Uint8Array<ArrayBuffer> {
  return deriveKey(master, "device", name.election, name.id, String(name.version));
}

/** A device's HMAC key for its votes: only the device and the aggregator know it. 32 bytes. */
export function proofKey(master: Uint8Array, name: KeyName): Uint8Array<ArrayBuffer> {
  return deriveKey(master, "device-proof", name.election, name.id, String(name.version));
}

/** A gateway's HMAC key for records and for requests to the aggregator. 32 bytes. */
export function gatewayKey(master: Uint8Array, name: KeyName): Uint8Array<ArrayBuffer> {
  return deriveKey(master, "gateway", name.election, name.id, String(name.version));
}

/** The key of an election's voter keys. 32 bytes. */
export function pseudonymKey(master: Uint8Array, election: string): Uint8Array<ArrayBuffer> {
  return deriveKey(master, "pseudonym", election);
}

/** An X25519 key pair; each half has 32 bytes. */
export type KeyPair = Readonly<{ publicKey: Uint8Array; privateKey: Uint8Array }>;

/** The aggregator's X25519 key pair. Records are sealed to its public half. */
export function sealingKeyPair(master: Uint8Array, election: string): KeyPair {
  const privateKey = deriveKey(master, "sealing", election);
  return { privateKey, publicKey: sodium.crypto_scalarmult_base(privateKey) };
}

/** A new random X25519 key pair: a gateway's sender key. Its private half is never stored. */
export function ephemeralKeyPair(): KeyPair {
  const privateKey = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  return { privateKey, publicKey: sodium.crypto_scalarmult_base(privateKey) };
}

/** The aggregator's Ed25519 key pair for manifests: the private half is 64 bytes, the public one 32. */
export function manifestKeyPair(master: Uint8Array, election: string): KeyPair {
  return sodium.crypto_sign_seed_keypair(deriveKey(master, "manifest", election));
}

/** The aggregator's Ed25519 key pair for its answers to receipts: private half 64 bytes, public half 32. */
export function answerKeyPair(master: Uint8Array, election: string): KeyPair {
  return sodium.crypto_sign_seed_keypair(deriveKey(master, "answers", election));
}

/**
 * The key that seals the entries of one sender key: derived by X25519 from the sender key and the aggregator's key.
 * Both ends compute it; `own` is whichever private key the caller has.
 *
 * @throws when `other` is a point of low order. No honest key is one.
 */
export function recordKey(
  own: Uint8Array,
  other: Uint8Array,
  election: string,
  senderKey: Uint8Array,
  aggregatorKey: Uint8Array,
): Uint8Array<ArrayBuffer> {
  return deriveKey(sodium.crypto_scalarmult(own, other), "record", election, senderKey, aggregatorKey);
}

/**
 * HMAC-SHA256 over parts one after another, 32 bytes. `key` is 32 bytes. For a key that is used repeatedly, the state after
 * hashing the key is cached: that saves two of the five blocks of a short message.
 */
export function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const state = preparedState(key);
  if (state === undefined || length > MAX_PREPARED_BYTES) {
    return sodium.crypto_auth_hmacsha256(joined(parts, length), key);
  }
  const { HEAPU8 } = raw;
  let at = heap.message;
  for (const part of parts) {
    HEAPU8.set(part, at);
    at += part.length;
  }
  return finishHmac(state, length);
}

/** The state after hashing a key; `undefined` the first time that the key is used. */
function preparedState(key: Uint8Array): Uint8Array | undefined {
  const known = preparedKeys.get(key);
  // The array may have been overwritten with another key.
  if (known === undefined || !equalBytes(known.key, key)) {
    preparedKeys.set(key, { key: key.slice(), state: undefined });
    return undefined;
  }
  return known.state ??= prepareHmac(key);
}

/** The HMAC of the message that lies in libsodium's memory. */
function finishHmac(state: Uint8Array, length: number): Uint8Array {
  const { HEAPU8 } = raw;
  HEAPU8.set(state, heap.state);
  raw._crypto_auth_hmacsha256_update(heap.state, heap.message, length, 0);
  raw._crypto_auth_hmacsha256_final(heap.state, heap.mac);
  return copyOf(HEAPU8, heap.mac, KEY_BYTES);
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Keys that were used; those used more than once have their cached hash state. */
const preparedKeys = new WeakMap<Uint8Array, { key: Uint8Array; state: Uint8Array | undefined }>();
/** Maximum bytes of a message for the cached path: it has a fixed buffer in libsodium's memory. */
const MAX_PREPARED_BYTES = 128 * 1024;
/** Most bytes of UTF-8 that a unit of UTF-16 takes. */
const MAX_UNIT_BYTES = 3;
/** Bytes of a {@link shortHash} and of its key. */
const SHORT_HASH_BYTES = 16;

/** Length of an XChaCha20-Poly1305 nonce and of its authentication tag, in bytes. */
const NONCE_BYTES = 24;
const TAG_BYTES = 16;
/** Maximum bytes of a text, and of what its seal is bound to, that are sealed in a fixed buffer. */
const MAX_SEALED_BYTES = 128 * 1024;
const MAX_CONTEXT_BYTES = 1_024;

/** libsodium's raw functions below its wrappers, and its memory. Lengths have 64 bits, in two halves. */
type RawSodium = {
  HEAPU8: Uint8Array<ArrayBuffer>;
  _malloc(bytes: number): number;
  _crypto_hash_sha256(hash: number, message: number, low: number, high: number): number;
  _crypto_shorthash_siphashx24(hash: number, message: number, low: number, high: number, key: number): number;
  _crypto_auth_hmacsha256_statebytes(): number;
  _crypto_auth_hmacsha256_init(state: number, key: number, keyBytes: number): number;
  _crypto_auth_hmacsha256_update(state: number, message: number, low: number, high: number): number;
  _crypto_auth_hmacsha256_final(state: number, mac: number): number;
  _crypto_aead_xchacha20poly1305_ietf_encrypt(
    ...args: [
      ...[sealed: number, sealedLength: number, text: number, low: number, high: number],
      ...[context: number, low: number, high: number, unused: number, nonce: number, key: number],
    ]
  ): number;
  _crypto_aead_xchacha20poly1305_ietf_decrypt(
    ...args: [
      ...[text: number, textLength: number, unused: number, sealed: number, low: number, high: number],
      ...[context: number, low: number, high: number, nonce: number, key: number],
    ]
  ): number;
};
const raw = (sodium as unknown as { libsodium: RawSodium }).libsodium;
const HMAC_STATE_BYTES = raw._crypto_auth_hmacsha256_statebytes();
const heap = {
  state: raw._malloc(HMAC_STATE_BYTES),
  message: raw._malloc(MAX_PREPARED_BYTES),
  mac: raw._malloc(KEY_BYTES),
  key: raw._malloc(KEY_BYTES),
  context: raw._malloc(MAX_CONTEXT_BYTES),
  /** Nonce, sealed text and tag. The text is sealed in place. */
  sealed: raw._malloc(MAX_SEALED_BYTES + NONCE_BYTES + TAG_BYTES),
};

function prepareHmac(key: Uint8Array): Uint8Array {
  raw.HEAPU8.set(key, heap.message);
  raw._crypto_auth_hmacsha256_init(heap.state, heap.message, key.length);
  raw.HEAPU8.fill(0, heap.message, heap.message + key.length);
  return raw.HEAPU8.slice(heap.state, heap.state + HMAC_STATE_BYTES);
}

/** SHA-256, 32 bytes. */
export function sha256(message: Uint8Array): Uint8Array {
  if (message.length > MAX_PREPARED_BYTES) return sodium.crypto_hash_sha256(message);
  raw.HEAPU8.set(message, heap.message);
  raw._crypto_hash_sha256(heap.mac, heap.message, message.length, 0);
  return copyOf(raw.HEAPU8, heap.mac, KEY_BYTES);
}

/**
 * SipHash-2-4 with 128 bits over parts one after another. `key` is 16 bytes.
 *
 * @throws {RangeError} when the parts have more than 128 KiB together.
 */
export function shortHash(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  if (length > MAX_PREPARED_BYTES || key.length !== SHORT_HASH_BYTES) {
    throw new RangeError(`Cannot hash ${length} bytes under a key of ${key.length} bytes`);
  }
  const { HEAPU8 } = raw;
  let at = heap.message;
  for (const part of parts) {
    HEAPU8.set(part, at);
    at += part.length;
  }
  HEAPU8.set(key, heap.key);
  raw._crypto_shorthash_siphashx24(heap.mac, heap.message, length, 0, heap.key);
  HEAPU8.fill(0, heap.key, heap.key + key.length);
  return copyOf(HEAPU8, heap.mac, SHORT_HASH_BYTES);
}

/**
 * {@link hmac} over a text in UTF-8, which is written straight into libsodium's memory: an array for each text would be a block of
 * malloc, and work for the garbage collector.
 */
export function hmacOfText(key: Uint8Array, text: string): Uint8Array {
  if (text.length > MAX_PREPARED_BYTES / MAX_UNIT_BYTES) return hmac(key, utf8(text));
  const state = preparedState(key);
  if (state === undefined) return sodium.crypto_auth_hmacsha256(utf8(text), key);
  const { HEAPU8 } = raw;
  const { written } = utf8Into(text, HEAPU8.subarray(heap.message, heap.message + MAX_PREPARED_BYTES));
  return finishHmac(state, written);
}

/** The voter key: HMAC-SHA256(the election's pseudonym key, voter id). 32 bytes. */
export function voterKeyOf(pseudonym: Uint8Array, voterId: string): Uint8Array {
  return hmacOfText(pseudonym, voterId);
}

/** Bytes that sealing adds: the nonce before the text, and the tag after it. */
export const SEAL_OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES;

/** Seals with XChaCha20-Poly1305 and a random nonce, which is written before the sealed text. */
export function seal(key: Uint8Array, text: Uint8Array, context: Uint8Array): Uint8Array<ArrayBuffer> {
  if (text.length > MAX_SEALED_BYTES || context.length > MAX_CONTEXT_BYTES || key.length !== KEY_BYTES) {
    return sealLarge(key, text, context);
  }
  const { HEAPU8 } = raw;
  const textAt = heap.sealed + NONCE_BYTES;
  crypto.getRandomValues(HEAPU8.subarray(heap.sealed, textAt));
  HEAPU8.set(text, textAt);
  HEAPU8.set(context, heap.context);
  HEAPU8.set(key, heap.key);
  raw._crypto_aead_xchacha20poly1305_ietf_encrypt(
    ...[textAt, 0, textAt, text.length, 0] as const,
    ...[heap.context, context.length, 0, 0, heap.sealed, heap.key] as const,
  );
  HEAPU8.fill(0, heap.key, heap.key + KEY_BYTES);
  return HEAPU8.slice(heap.sealed, textAt + text.length + TAG_BYTES);
}

/** {@link seal} through libsodium's wrapper, for what does not fit into the fixed buffers. */
function sealLarge(key: Uint8Array, text: Uint8Array, context: Uint8Array): Uint8Array<ArrayBuffer> {
  const sealed = new Uint8Array(text.length + SEAL_OVERHEAD_BYTES);
  const nonce = sealed.subarray(0, NONCE_BYTES);
  crypto.getRandomValues(nonce);
  sealed.set(
    sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(text, context, null, nonce, key),
    NONCE_BYTES,
  );
  return sealed;
}

/** Opens a sealed text; `undefined` when the key, the context or any bit differs. */
export function unseal(key: Uint8Array, sealed: Uint8Array, context: Uint8Array): Uint8Array | undefined {
  const length = sealed.length - SEAL_OVERHEAD_BYTES;
  if (length < 0) return undefined;
  if (length > MAX_SEALED_BYTES || context.length > MAX_CONTEXT_BYTES || key.length !== KEY_BYTES) {
    return unsealLarge(key, sealed, context);
  }
  const { HEAPU8 } = raw;
  const textAt = heap.sealed + NONCE_BYTES;
  HEAPU8.set(sealed, heap.sealed);
  HEAPU8.set(context, heap.context);
  HEAPU8.set(key, heap.key);
  const failed = raw._crypto_aead_xchacha20poly1305_ietf_decrypt(
    ...[textAt, 0, 0, textAt, length + TAG_BYTES, 0] as const,
    ...[heap.context, context.length, 0, heap.sealed, heap.key] as const,
  );
  HEAPU8.fill(0, heap.key, heap.key + KEY_BYTES);
  if (failed !== 0) return undefined;
  const text = HEAPU8.slice(textAt, textAt + length);
  HEAPU8.fill(0, textAt, textAt + length);
  return text;
}

/** {@link unseal} through libsodium's wrapper, for what does not fit into the fixed buffers. */
function unsealLarge(key: Uint8Array, sealed: Uint8Array, context: Uint8Array): Uint8Array | undefined {
  const nonce = sealed.subarray(0, NONCE_BYTES);
  const text = sealed.subarray(NONCE_BYTES);
  try {
    return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(null, text, context, nonce, key);
  } catch {
    return undefined;
  }
}
