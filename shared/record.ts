/**
 * A record: the vote with the voter key in place of the voter id, padded, sealed to the aggregator, countersigned by
 * the gateway. This is what the spool and the log hold.
 *
 * @module
 */
import { z } from "zod";
import { fromUtf8, lengthPrefixed, utf8, utf8Into } from "./bytes.ts";
import { ELECTION_LIMITS, instantSchema, type Manifest } from "./election.ts";
import { formatKeyName, hmac, KEY_BYTES, type KeyName, seal, SEAL_OVERHEAD_BYTES, unseal } from "./keys.ts";
import { ballotShape, VOTING_MODES } from "./vote.ts";

/** What a record's text is padded with. */
const SPACE = 0x20;

/** Version of the record's format: the header `v`. */
export const RECORD_VERSION = "1";

/** The text of a record, before it is padded and sealed. */
export const recordSchema = z.strictObject({
  ...ballotShape,
  voterKey: z.string().regex(/^[0-9a-f]{64}$/),
  manifestVersion: z.int().min(1),
  /** When the gateway took the vote in, by its own clock. */
  acceptedAt: instantSchema,
});
export type VoteRecord = z.infer<typeof recordSchema>;

/**
 * What a gateway puts on the log. `senderKey` (X25519) and `signature` (HMAC-SHA256) are 32 bytes; `value` is
 * nonce, sealed text and tag. A record read from a log may hold anything at all in any of these.
 */
export type LogRecord = Readonly<{
  version: string;
  keyId: string;
  senderKey: Uint8Array;
  signature: Uint8Array;
  value: Uint8Array;
}>;

/** What a gateway needs to seal and countersign its records for one election. Made once, when it starts. */
export type RecordSealer = Readonly<{ seal(record: VoteRecord): LogRecord }>;

/** Length of every sealed record of an election, in bytes. */
export function sealedBytes(recordBytes: number): number {
  return recordBytes + SEAL_OVERHEAD_BYTES;
}

/**
 * The size to which an election's records are padded: no legal vote's text is longer, and there is room for the
 * stations and candidates that a later manifest may add, up to the limit. A multiple of 64, in bytes.
 */
export function recordBytesFor(manifest: Pick<Manifest, "contests" | "stations">): number {
  const roomBytes = 64;
  return Math.min(
    Math.ceil((longestRecordBytes(manifest) + roomBytes) / 64) * 64,
    ELECTION_LIMITS.recordBytes,
  );
}

/** Length of the longest text that a legal vote of this election can have, in bytes. */
export function longestRecordBytes({ contests, stations }: Pick<Manifest, "contests" | "stations">): number {
  const contestBytes = new Map(contests.map(({ id, votesAllowed, candidates }) => {
    const lengths = candidates.map((candidate) => candidate.id.length).sort((a, b) => b - a);
    const each = `{"contest":"${id}","candidate":""},`.length;
    return [id, lengths.slice(0, votesAllowed).reduce((sum, length) => sum + length + each, 0)];
  }));
  const all = contests.map(({ id }) => id);
  const frame = JSON.stringify({
    voteId: "0".repeat(36),
    station: "",
    mode: VOTING_MODES.reduce((a, b) => a.length >= b.length ? a : b),
    selections: [],
    castAt: "0".repeat(24),
    voterKey: "0".repeat(64),
    manifestVersion: ELECTION_LIMITS.manifestVersion,
    acceptedAt: "0".repeat(24),
  }).length;
  let longest = 0;
  for (const station of stations) {
    const selections = (station.contests ?? all).reduce((sum, id) => sum + contestBytes.get(id)!, 0);
    // The last selection has no comma behind it.
    longest = Math.max(longest, frame + station.id.length + Math.max(0, selections - 1));
  }
  if (longest > ELECTION_LIMITS.recordBytes) {
    throw new RangeError(
      `Cannot fit a vote of this election into a record: it may take ${longest} bytes, and ${ELECTION_LIMITS.recordBytes} is the limit`,
    );
  }
  return longest;
}

/** What a record's seal and signature are bound to, besides its text. */
export function recordContext(
  election: string,
  { keyId, senderKey }: Pick<LogRecord, "keyId" | "senderKey">,
): Uint8Array {
  return lengthPrefixed("pollwire/1 record", election, RECORD_VERSION, keyId, senderKey);
}

/**
 * Prepares to seal and countersign.
 *
 * @param signingKey The gateway's, 32 bytes.
 * @param sealingKey See {@link recordKey} in keys.ts, 32 bytes.
 * @param senderKey The public half of the gateway's ephemeral key, 32 bytes.
 * @param recordBytes From the manifest.
 */
export function recordSealer(options: {
  name: KeyName;
  signingKey: Uint8Array;
  sealingKey: Uint8Array;
  senderKey: Uint8Array;
  recordBytes: number;
}): RecordSealer {
  const { name, signingKey, sealingKey, senderKey, recordBytes } = options;
  const keyId = formatKeyName(name);
  const context = recordContext(name.election, { keyId, senderKey });
  const signed = signedBytes(context, new Uint8Array(sealedBytes(recordBytes)));
  const valueAt = signed.length - sealedBytes(recordBytes);
  const padded = new Uint8Array(recordBytes);
  return {
    seal(record) {
      const text = JSON.stringify(record);
      const { read, written } = utf8Into(text, padded);
      if (read < text.length) {
        throw new RangeError(
          `Cannot seal a record of ${utf8(text).length} bytes: the manifest allows ${recordBytes}`,
        );
      }
      const value = seal(sealingKey, padded.fill(SPACE, written), context);
      signed.set(value, valueAt);
      return { version: RECORD_VERSION, keyId, senderKey, signature: hmac(signingKey, signed), value };
    },
  };
}

function signedBytes(context: Uint8Array, value: Uint8Array): Uint8Array<ArrayBuffer> {
  const signed = new Uint8Array(context.length + 4 + value.length);
  signed.set(context);
  new DataView(signed.buffer).setUint32(context.length, value.length);
  signed.set(value, context.length + 4);
  return signed;
}

/** Whether headers and sizes are those of a record at all; nothing is believed yet. */
export function isRecordShaped(record: LogRecord, recordBytes: number): boolean {
  return record.version === RECORD_VERSION && record.senderKey.length === KEY_BYTES &&
    record.signature.length === KEY_BYTES && record.value.length === sealedBytes(recordBytes);
}

/**
 * The gateway's signature over a record's value, for comparison with the one that the record carries.
 *
 * @param context See {@link recordContext}.
 */
export function recordSignature(signingKey: Uint8Array, context: Uint8Array, value: Uint8Array): Uint8Array {
  return hmac(signingKey, signedBytes(context, value));
}

/**
 * Opens the seal of a record's value; `undefined` when it does not open. Returns the text, without its padding.
 *
 * @param context See {@link recordContext}.
 */
export function openRecord(
  sealingKey: Uint8Array,
  context: Uint8Array,
  value: Uint8Array,
): string | undefined {
  const padded = unseal(sealingKey, value, context);
  if (padded === undefined) return undefined;
  const end = padded.findLastIndex((byte) => byte !== SPACE) + 1;
  try {
    return fromUtf8(padded.subarray(0, end));
  } catch {
    return undefined;
  }
}

/** Reads a record's text; `undefined` when it is not one. */
export function parseRecord(text: string): VoteRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return recordSchema.safeParse(value).data;
}
