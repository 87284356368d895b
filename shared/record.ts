/**
 * A record: a vote's exact text with its proof, padded. An entry: one message on the log, which holds one or more
 * records of one partition, sealed to the aggregator and countersigned by the gateway. docs/wire-format.md has every byte.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { lengthBytes, lengthPrefixed, newBytes, utf8Into } from "./bytes.ts";
import { ELECTION_LIMITS, type Manifest, MAX_INSTANT_MS } from "./election.ts";
import { formatKeyName, hmac, KEY_BYTES, type KeyName, seal, SEAL_OVERHEAD_BYTES, unseal } from "./keys.ts";
import { MAX_PROOF_KEY_CHARS, PROOF_KEY } from "./proof.ts";
import { STATEMENT_BYTES } from "./statement.ts";
import { VOTING_MODES } from "./mode.ts";

/** Version of the record's format: the header `v`. */
export const RECORD_VERSION = "2";

/** The kinds of entries. Each kind is signed and sealed under its own domain. */
export const ENTRY_KINDS = ["vote", "statement"] as const;
export type EntryKind = (typeof ENTRY_KINDS)[number];
const DOMAINS: Record<EntryKind, string> = {
  vote: "pollwire/2 record",
  statement: "pollwire/2 statement",
};

/** Maximum records in one entry. */
export const MAX_ENTRY_RECORDS = 64;
/** Highest sequence number of a record. */
export const MAX_SEQUENCE = 2 ** 48;

/** Codes of the voter's credential. 2 is reserved for tokens. */
const CREDENTIAL_VOTER_ID = 1;
/** Codes of the proof's scheme. */
const SCHEME_HMAC_SHA256 = 1;

/** Bytes of a proof. */
const PROOF_BYTES = 32;
/** Credential, scheme, acceptedAt, manifest version, length of the proof key's name: before that name. */
const FIXED_BYTES = 1 + 1 + 8 + 4 + 1;
/** Maximum bytes of a record besides the vote's text. */
export const RECORD_OVERHEAD_BYTES = FIXED_BYTES + MAX_PROOF_KEY_CHARS + PROOF_BYTES + 4;

/** The contents of a record. `vote` is the text that the device signed, UTF-8; `proofKey` is `<device>.<version>`. */
export type RecordContent = Readonly<{
  /** The gateway's clock when it took the vote, milliseconds since 1970. */
  acceptedAtMs: number;
  manifestVersion: number;
  proofKey: string;
  proof: Uint8Array;
  vote: Uint8Array;
}>;

/** The headers of an entry. `sequence` is the number of its first record, or the number that a statement states. */
export type EntryHead = Readonly<{
  version: string;
  kind: string;
  keyId: string;
  senderKey: Uint8Array;
  sequence: number;
}>;

/**
 * What a gateway puts on the log. `senderKey` (X25519) and `signature` (HMAC-SHA256) are 32 bytes; `value` is
 * nonce, sealed text and tag. In an entry that was read from a log, any of these may hold anything.
 */
export type LogRecord = EntryHead & Readonly<{ signature: Uint8Array; value: Uint8Array }>;

/** Length of every record of an election before sealing, in bytes. */
export function recordBytes(voteBytes: number): number {
  return RECORD_OVERHEAD_BYTES + voteBytes;
}

/** Length of a sealed entry of so many records, in bytes. */
export function sealedBytes(voteBytes: number, records = 1): number {
  return records * recordBytes(voteBytes) + SEAL_OVERHEAD_BYTES;
}

/**
 * The longest vote text that an election takes, in bytes: room for every legal vote with a space after each separator,
 * as many JSON writers put, and for the stations and candidates that a later manifest may add. A multiple of 64.
 */
export function voteBytesFor(manifest: Pick<Manifest, "contests" | "stations">): number {
  const roomBytes = 64;
  const { spacedBytes } = longestVote(manifest);
  return Math.min(Math.ceil((spacedBytes + roomBytes) / 64) * 64, ELECTION_LIMITS.voteBytes);
}

/**
 * Length of the longest text that a legal vote of this election can have without white space, in bytes, when the voter
 * id has no character that JSON escapes. The room of {@link voteBytesFor} also takes the escapes.
 */
export function longestVoteBytes(manifest: Pick<Manifest, "contests" | "stations">): number {
  return longestVote(manifest).bytes;
}

/** Without white space, and with a space after each separator: the two need not be votes of one station. */
function longestVote(
  { contests, stations }: Pick<Manifest, "contests" | "stations">,
): { bytes: number; spacedBytes: number } {
  const contestParts = new Map(contests.map(({ id, votesAllowed, candidates }) => {
    const lengths = candidates.map((candidate) => candidate.id.length).sort((a, b) => b - a)
      .slice(0, votesAllowed);
    const each = `{"contest":"${id}","candidate":""},`.length;
    return [id, {
      bytes: lengths.reduce((sum, length) => sum + length + each, 0),
      selections: lengths.length,
    }];
  }));
  const all = contests.map(({ id }) => id);
  const frame = JSON.stringify({
    voteId: "0".repeat(36),
    voterId: "0".repeat(64),
    station: "",
    mode: VOTING_MODES.reduce((a, b) => a.length >= b.length ? a : b),
    selections: [],
    castAt: "0".repeat(24),
  });
  const longest = { bytes: 0, spacedBytes: 0 };
  for (const station of stations) {
    let bytes = frame.length + station.id.length;
    let selections = 0;
    for (const id of station.contests ?? all) {
      const part = contestParts.get(id)!;
      bytes += part.bytes;
      selections += part.selections;
    }
    if (selections > 0) bytes -= 1; // The last selection has no comma after it.
    longest.bytes = Math.max(longest.bytes, bytes);
    longest.spacedBytes = Math.max(longest.spacedBytes, bytes + 11 + 4 * selections);
  }
  if (longest.bytes > ELECTION_LIMITS.voteBytes) {
    throw new RangeError(
      `Cannot fit a vote of this election into a record: it may take ${longest.bytes} bytes, and ${ELECTION_LIMITS.voteBytes} is the limit`,
    );
  }
  return longest;
}

/**
 * Writes a record, padded with zeros to {@link recordBytes}.
 *
 * @throws {RangeError} when the vote's text is longer than `voteBytes`, or {@link decodeRecord} would not read the record:
 * callers refuse it earlier.
 */
export function encodeRecord(content: RecordContent, voteBytes: number): Uint8Array<ArrayBuffer> {
  const { acceptedAtMs, manifestVersion, proof, vote } = content;
  if (vote.length > voteBytes) {
    throw new RangeError(`Cannot record a vote of ${vote.length} bytes: the manifest allows ${voteBytes}`);
  }
  const bytes = newBytes(recordBytes(voteBytes));
  const nameLength = utf8Into(content.proofKey, bytes.subarray(FIXED_BYTES)).written;
  if (proof.length !== PROOF_BYTES || nameLength > MAX_PROOF_KEY_CHARS) {
    throw new RangeError(
      `Cannot record a proof of ${proof.length} bytes under a name of ${nameLength} bytes: a proof has ${PROOF_BYTES}, a name at most ${MAX_PROOF_KEY_CHARS}`,
    );
  }
  if (!(acceptedAtMs >= 0 && acceptedAtMs <= MAX_INSTANT_MS)) {
    throw new RangeError(`Cannot record a vote accepted at ${acceptedAtMs}: a time lies from 1970 to 9999`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint8(0, CREDENTIAL_VOTER_ID);
  view.setUint8(1, SCHEME_HMAC_SHA256);
  view.setBigUint64(2, BigInt(acceptedAtMs));
  view.setUint32(10, manifestVersion);
  view.setUint8(14, nameLength);
  bytes.set(proof, FIXED_BYTES + nameLength);
  const voteAt = FIXED_BYTES + nameLength + PROOF_BYTES;
  view.setUint32(voteAt, vote.length);
  bytes.set(vote, voteAt + 4);
  return bytes;
}

/**
 * Reads a record; `undefined` when it is not one, byte for byte. The proof is not checked here. `proof` and `vote` are no
 * copies: they share the memory of `bytes`.
 */
export function decodeRecord(bytes: Uint8Array): RecordContent | undefined {
  if (bytes.length < RECORD_OVERHEAD_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint8(0) !== CREDENTIAL_VOTER_ID || view.getUint8(1) !== SCHEME_HMAC_SHA256) return undefined;
  const acceptedAtMs = Number(view.getBigUint64(2));
  if (acceptedAtMs > MAX_INSTANT_MS) return undefined;
  const proofAt = FIXED_BYTES + view.getUint8(14);
  const voteAt = proofAt + PROOF_BYTES + 4;
  if (voteAt > bytes.length) return undefined;
  const voteLength = view.getUint32(voteAt - 4);
  // A short key name leaves room after the vote, but the vote may not be longer for that.
  if (voteLength > bytes.length - RECORD_OVERHEAD_BYTES) return undefined;
  const end = voteAt + voteLength;
  for (let at = end; at < bytes.length; at++) if (bytes[at] !== 0) return undefined;
  // A byte that is not ASCII becomes a character that no name has.
  const proofKey = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString(
    "latin1",
    FIXED_BYTES,
    proofAt,
  );
  if (!PROOF_KEY.test(proofKey)) return undefined;
  return {
    acceptedAtMs,
    manifestVersion: view.getUint32(10),
    proofKey,
    proof: bytes.subarray(proofAt, proofAt + PROOF_BYTES),
    vote: bytes.subarray(voteAt, end),
  };
}

/** The data that an entry's seal and signature cover besides its value. */
export function entryContext(election: string, head: EntryHead): Uint8Array {
  const domain = Object.hasOwn(DOMAINS, head.kind) ? DOMAINS[head.kind as EntryKind] : undefined;
  if (domain === undefined) throw new RangeError(`Cannot sign an entry of kind ${head.kind}`);
  return lengthPrefixed(
    domain,
    election,
    head.version,
    head.keyId,
    head.senderKey,
    sequenceBytes(head.sequence),
  );
}

function sequenceBytes(sequence: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(sequence));
  return bytes;
}

/** Seals and countersigns entries under one gateway key and one sender key. */
export type EntrySealer = Readonly<{
  senderKey: Uint8Array;
  /**
   * @param sequence Number of the first record; in a statement, the number stated.
   * @param plaintext Records one after another ({@link encodeRecord}), or a statement.
   */
  seal(kind: EntryKind, sequence: number, plaintext: Uint8Array): LogRecord;
}>;

/**
 * Prepares to seal and countersign.
 *
 * @param signingKey The gateway's, 32 bytes.
 * @param sealingKey See `recordKey()` in keys.ts, 32 bytes.
 * @param senderKey The public half of the sender key, 32 bytes.
 */
export function entrySealer(options: {
  name: KeyName;
  signingKey: Uint8Array;
  sealingKey: Uint8Array;
  senderKey: Uint8Array;
}): EntrySealer {
  const { name, signingKey, sealingKey, senderKey } = options;
  const keyId = formatKeyName(name);
  const contexts = {} as Record<EntryKind, Uint8Array>;
  for (const kind of ENTRY_KINDS) {
    contexts[kind] = entryContext(name.election, {
      version: RECORD_VERSION,
      kind,
      keyId,
      senderKey,
      sequence: 0,
    });
  }
  return {
    senderKey,
    seal(kind, sequence, plaintext) {
      const head: EntryHead = { version: RECORD_VERSION, kind, keyId, senderKey, sequence };
      // Only the number differs between entries, and it is at the end.
      const context = contexts[kind];
      context.set(sequenceBytes(sequence), context.length - 8);
      const value = seal(sealingKey, plaintext, context);
      return { ...head, signature: entrySignature(signingKey, context, value), value };
    },
  };
}

/**
 * The number of records in an entry, by its length; 1 for a statement; `undefined` when headers or length are not those of
 * an entry. Signature and seal are not checked here.
 */
export function entryRecords(entry: LogRecord, voteBytes: number): number | undefined {
  const { version, kind, senderKey, signature, sequence, value } = entry;
  if (version !== RECORD_VERSION || senderKey.length !== KEY_BYTES || signature.length !== KEY_BYTES) {
    return undefined;
  }
  if (!Number.isSafeInteger(sequence) || sequence < 0 || sequence > MAX_SEQUENCE) return undefined;
  const bytes = value.length - SEAL_OVERHEAD_BYTES;
  if (kind === "statement") return bytes === STATEMENT_BYTES ? 1 : undefined;
  if (kind !== "vote" || sequence < 1) return undefined;
  const records = bytes / recordBytes(voteBytes);
  if (!Number.isInteger(records) || records < 1 || records > MAX_ENTRY_RECORDS) return undefined;
  return sequence + records - 1 <= MAX_SEQUENCE ? records : undefined;
}

/**
 * The gateway's signature over an entry's value, for comparison with the one that the entry carries. 32 bytes.
 *
 * @param context See {@link entryContext}.
 */
export function entrySignature(signingKey: Uint8Array, context: Uint8Array, value: Uint8Array): Uint8Array {
  return hmac(signingKey, context, lengthBytes(value), value);
}

/**
 * Opens an entry's seal; `undefined` when it does not open. Returns the plaintext.
 *
 * @param context See {@link entryContext}.
 */
export function openEntry(
  sealingKey: Uint8Array,
  context: Uint8Array,
  value: Uint8Array,
): Uint8Array | undefined {
  return unseal(sealingKey, value, context);
}
