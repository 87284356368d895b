/**
 * The sync of gateways with the aggregator: a POST signed with the gateway's key in the devices' profile, and an answer
 * sealed for that gateway and that request.
 *
 * @module
 */
import { z } from "zod";
import { fromHex, utf8 } from "./bytes.ts";
import { hexKeySchema, idSchema, signedManifestSchema } from "./election.ts";
import { deriveKey, SEAL_OVERHEAD_BYTES, sha256 } from "./keys.ts";
import { type LogRecord, MAX_SEQUENCE, RECORD_VERSION } from "./record.ts";
import { STATEMENT_BYTES } from "./statement.ts";

/** The path of the sync at the aggregator. */
export const SYNC_PATH = "/v1/gateways/sync";

/** Maximum addresses of the aggregator in a gateway's file. */
const MAX_AGGREGATORS = 16;

/** What a gateway is provisioned with: one file, readable by its owner only. */
export const gatewayFileSchema = z.strictObject({
  gateway: idSchema,
  /** The aggregator's addresses, one of each aggregator or of what stands in front of them, in the order to try them. */
  aggregators: z.array(
    z.url({ protocol: /^https?$/, error: "must be an address like https://aggregator.example:8000" }),
  )
    .min(1, "must name an address of the aggregator").max(MAX_AGGREGATORS),
  elections: z.array(z.strictObject({
    election: idSchema,
    keyVersion: z.int().min(1),
    /** The gateway's own key for this election, in hex. */
    key: hexKeySchema,
    /** The aggregator's Ed25519 public key for manifests, in hex. */
    manifestKey: hexKeySchema,
  })).min(1),
});
export type GatewayFile = z.infer<typeof gatewayFileSchema>;

/** Bounds of a sync request: sender keys and statements of one election, and its size in bytes. */
export const SYNC_LIMITS = {
  senderKeys: 100,
  statements: 100,
  listedKeys: 10_000,
  requestBytes: 1_048_576,
} as const;

/** Bytes of a statement, sealed. */
const SEALED_STATEMENT_BYTES = STATEMENT_BYTES + SEAL_OVERHEAD_BYTES;

/** The header of every answer to a sync that has the aggregator's clock, in milliseconds since 1970. */
export const TIME_HEADER = "pollwire-time";

/** A statement as it also stands on the log: see `EntrySealer` in record.ts. Bytes are hex. */
export const statementEntrySchema = z.strictObject({
  keyId: z.string(),
  senderKey: hexKeySchema,
  sequence: z.int().min(0).max(MAX_SEQUENCE),
  signature: hexKeySchema,
  value: z.string().regex(
    new RegExp(`^[0-9a-f]{${2 * SEALED_STATEMENT_BYTES}}$`),
    `must be ${SEALED_STATEMENT_BYTES} bytes in lower-case hex`,
  ),
});
export type StatementEntry = z.infer<typeof statementEntrySchema>;

/** Converts a statement on the log to its form in a sync. */
export function writeStatementEntry(
  { keyId, senderKey, sequence, signature, value }: Omit<LogRecord, "version" | "kind">,
): StatementEntry {
  return {
    keyId,
    senderKey: senderKey.toHex(),
    sequence,
    signature: signature.toHex(),
    value: value.toHex(),
  };
}

/** Converts a statement in a sync to its form on the log. */
export function readStatementEntry(
  { keyId, senderKey, sequence, signature, value }: StatementEntry,
): LogRecord {
  return {
    version: RECORD_VERSION,
    kind: "statement",
    keyId,
    senderKey: fromHex(senderKey),
    sequence,
    signature: fromHex(signature),
    value: fromHex(value),
  };
}

/** A gateway's request for one election. */
export const syncRequestSchema = z.strictObject({
  /** What it has ({@link revisionOf}), or `null`. */
  have: hexKeySchema.nullable(),
  /** Sender keys that it uses: the aggregator registers them. */
  senderKeys: z.array(hexKeySchema).max(SYNC_LIMITS.senderKeys).default([]),
  /** Statements of sender keys that are no longer in use. */
  statements: z.array(statementEntrySchema).max(SYNC_LIMITS.statements).default([]),
  /** After the acceptance window: every sender key that it ever used, so that the list is closed. */
  listedKeys: z.array(hexKeySchema).max(SYNC_LIMITS.listedKeys).optional(),
});
export type SyncRequest = z.infer<typeof syncRequestSchema>;

/** The aggregator's answer before sealing. When the gateway has it already, the answer is 204 without a body. */
export const syncSchema = z.strictObject({
  manifest: signedManifestSchema,
  pseudonymKey: hexKeySchema,
  /** Keys of the devices at this gateway's stations; `validUntil` is set once a newer version has replaced one. */
  devices: z.array(z.strictObject({
    device: idSchema,
    version: z.int().min(1),
    station: idSchema,
    key: hexKeySchema,
    validUntil: z.iso.datetime().nullable(),
  })),
});
export type Sync = z.infer<typeof syncSchema>;

/** The key under which the aggregator's answers are sealed, from the gateway's own. 32 bytes. */
export function syncKey(gatewayKey: Uint8Array): Uint8Array<ArrayBuffer> {
  return deriveKey(gatewayKey, "gateway-sync");
}

/** Identifies an answer: SHA-256 of its text, in hex. */
export function revisionOf(text: string): string {
  return sha256(utf8(text)).toHex();
}
