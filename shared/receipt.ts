/**
 * A receipt: a gateway's signed confirmation that it took a vote. A device uses it to ask the aggregator about the vote's
 * outcome. It says who and when, to the minute, and never what. As JSON it has at most 402 characters, which fit into a
 * QR code.
 *
 * @module
 */
import { z } from "zod";
import { equalBytes, lengthPrefixed } from "./bytes.ts";
import { hexKeySchema, idSchema } from "./election.ts";
import { deriveKey, hmac } from "./keys.ts";
import { voteIdSchema } from "./vote.ts";

/** Bytes of a receipt's MAC: the first half of an HMAC-SHA256 (RFC 2104 section 5). */
const MAC_BYTES = 16;

const shortHexSchema = z.string().regex(/^[0-9a-f]{32}$/, "must be 16 bytes in lower-case hex");

export const receiptSchema = z.strictObject({
  election: idSchema,
  voteId: voteIdSchema,
  voterKey: hexKeySchema,
  /** What the gateway took: see `proofLeaf()` in proof.ts. */
  proof: shortHexSchema,
  /** The gateway and the version of its key, like `gateway-1.1`. */
  gateway: z.string().regex(/^[a-z0-9-]{1,64}\.[1-9][0-9]{0,5}$/, "must be a gateway and a key version"),
  /** UTC, like `2026-11-03T07:00Z`. */
  minute: z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\dZ$/, "must be a UTC minute like 2026-11-03T07:00Z"),
  mac: shortHexSchema,
});
export type Receipt = z.infer<typeof receiptSchema>;

/** The key of a gateway's receipts, from the key it countersigns with. */
export function receiptKey(gatewayKey: Uint8Array): Uint8Array<ArrayBuffer> {
  return deriveKey(gatewayKey, "receipt");
}

/** Writes the minute of a time, `2026-11-03T07:00Z`. Takes an ISO time in UTC. */
export function minuteOf(instant: string): string {
  return `${instant.slice(0, 16)}Z`;
}

/** The whole HMAC; the receipt has its first {@link MAC_BYTES}. */
function macOf(key: Uint8Array, receipt: Omit<Receipt, "mac">): Uint8Array {
  const { election, voteId, voterKey, proof, gateway, minute } = receipt;
  return hmac(key, lengthPrefixed("pollwire/2 receipt", election, voteId, voterKey, proof, gateway, minute));
}

/** Writes a receipt. `key` is {@link receiptKey}. */
export function writeReceipt(key: Uint8Array, receipt: Omit<Receipt, "mac">): Receipt {
  const { election, voteId, voterKey, proof, gateway, minute } = receipt;
  return {
    election,
    voteId,
    voterKey,
    proof,
    gateway,
    minute,
    mac: macOf(key, receipt).toHex().slice(0, 2 * MAC_BYTES),
  };
}

/** Whether the gateway wrote this receipt. */
export function isGenuine(key: Uint8Array, receipt: Receipt): boolean {
  return equalBytes(macOf(key, receipt).subarray(0, MAC_BYTES), Uint8Array.fromHex(receipt.mac));
}
