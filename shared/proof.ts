/**
 * A device's proof of one vote: an HMAC over the vote's exact text, under a key that no gateway has. So a gateway can
 * neither alter a vote nor make one up.
 *
 * @module
 */
import { z } from "zod";
import { equalBytes, lengthBytes, lengthPrefixed, newBytes, toHex, utf8 } from "./bytes.ts";
import { HEX_KEY, hexKeySchema } from "./election.ts";
import { hmac, sha256 } from "./keys.ts";
import { isRecordOf } from "./json.ts";

/** How the proof is made. One scheme for now; the record has room for more. */
export const PROOF_SCHEME = "hmac-sha256";

/** The first part of every proof's message. No other MAC of Pollwire begins with it. */
const PROOF_DOMAIN = "pollwire/2 vote";

/** Bytes of {@link proofLeaf}. */
export const PROOF_LEAF_BYTES = 16;

/** The form of {@link proofKeySchema}. */
export const PROOF_KEY = /^[a-z0-9-]{1,64}\.[1-9][0-9]{0,5}$/;

/** The name of a proof key without its election: `<device>.<version>`. */
export const proofKeySchema = z.string().regex(
  PROOF_KEY,
  "must be a device and a key version, like station-12-a.1",
);

/** Longest {@link proofKeySchema}, in characters. */
export const MAX_PROOF_KEY_CHARS = 71;

/** What a device posts for one voter. `vote` is the vote's exact text (JSON); `proof` is {@link proofOf}, in hex. */
export const signedVoteSchema = z.strictObject({
  vote: z.string(),
  proof: hexKeySchema,
  proofKey: proofKeySchema,
  scheme: z.literal(PROOF_SCHEME),
});
export type SignedVote = z.infer<typeof signedVoteSchema>;

/** Whether a value is right by {@link signedVoteSchema}: the same answer without the schema's objects, and without its reasons. */
export function isSignedVote(value: unknown): value is SignedVote {
  if (!isRecordOf(value, 4)) return false;
  const { vote, proof, proofKey, scheme } = value;
  return typeof vote === "string" && typeof proof === "string" && HEX_KEY.test(proof) &&
    typeof proofKey === "string" && PROOF_KEY.test(proofKey) && scheme === PROOF_SCHEME;
}

/**
 * HMAC-SHA256 over length-prefixed domain, election, proof key and vote text. Returns 32 bytes.
 *
 * @param key See `proofKey()` in keys.ts, 32 bytes.
 * @param name The proof key's name, `<device>.<version>`.
 * @param vote The vote's exact text, UTF-8.
 */
export function proofOf(
  key: Uint8Array,
  election: string,
  name: string,
  vote: Uint8Array | string,
): Uint8Array {
  const text = typeof vote === "string" ? utf8(vote) : vote;
  // As `lengthPrefixed(…, vote)` writes it, without a copy of the vote.
  return hmac(key, lengthPrefixed(PROOF_DOMAIN, election, name), lengthBytes(text), text);
}

/** Whether a proof belongs to this vote. */
export function isProofOf(
  proof: Uint8Array,
  key: Uint8Array,
  election: string,
  name: string,
  vote: Uint8Array | string,
): boolean {
  return equalBytes(proofOf(key, election, name, vote), proof);
}

/**
 * The proof's hash in a receipt: the first 16 bytes of SHA-256(0x00, proof), in hex. It is a leaf hash as in
 * RFC 9162 section 2.1.1, so a later transparency log can use the same value.
 *
 * @param proof 32 bytes.
 */
export function proofLeaf(proof: Uint8Array): string {
  const leaf = newBytes(1 + proof.length);
  leaf.set(proof, 1);
  return toHex(sha256(leaf)).slice(0, 2 * PROOF_LEAF_BYTES);
}
