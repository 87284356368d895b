/**
 * What a device states when it opens and when it closes: how many votes it has cast, how many of them gateways have acknowledged, and
 * when the last was cast. It is signed under the device's proof key, which no gateway has: whoever carries it can only pass it on.
 *
 * @module
 */
import { z } from "zod";
import { equalBytes, fromHex, lengthPrefixed, toHex } from "./bytes.ts";
import { hexKeySchema, idSchema, instantSchema } from "./election.ts";
import { hmac } from "./keys.ts";
import { proofKeySchema } from "./proof.ts";

/** The first part of every proof's message. No other MAC of Pollwire begins with it. */
const STATEMENT_DOMAIN = "pollwire/2 device statement";

/** Longest text of a statement, in characters. */
export const MAX_STATEMENT_CHARS = 1_000;

/** What is stated. `lastCast` is null while no vote was cast. An opening states zero. */
export const deviceStatementSchema = z.strictObject({
  election: idSchema,
  device: idSchema,
  station: idSchema,
  kind: z.enum(["opening", "closing"]),
  statedAt: instantSchema,
  sent: z.int().min(0),
  answered: z.int().min(0),
  lastCast: instantSchema.nullable(),
}).refine(({ sent, answered }) => answered <= sent, {
  path: ["answered"],
  message: "must be at most sent: only votes that were sent can be answered",
});
export type DeviceStatement = z.infer<typeof deviceStatementSchema>;

/** A statement as it travels: its exact text (JSON), and {@link statementProof} in hex. */
export const signedDeviceStatementSchema = z.strictObject({
  statement: z.string().max(MAX_STATEMENT_CHARS),
  proof: hexKeySchema,
  proofKey: proofKeySchema,
});
export type SignedDeviceStatement = z.infer<typeof signedDeviceStatementSchema>;

/**
 * HMAC-SHA256 over length-prefixed domain, election, proof key and text. Returns 32 bytes.
 *
 * @param key See `proofKey()` in keys.ts, 32 bytes.
 * @param name The proof key's name, `<device>.<version>`.
 */
function statementProof(key: Uint8Array, election: string, name: string, text: string): Uint8Array {
  return hmac(key, lengthPrefixed(STATEMENT_DOMAIN, election, name, text));
}

/** Signs a statement. */
export function signDeviceStatement(
  key: Uint8Array,
  name: string,
  statement: DeviceStatement,
): SignedDeviceStatement {
  const text = JSON.stringify(statement);
  return {
    statement: text,
    proof: toHex(statementProof(key, statement.election, name, text)),
    proofKey: name,
  };
}

/** Whether a statement is the one that was signed. */
export function isSignedBy(
  key: Uint8Array,
  election: string,
  { statement, proof, proofKey }: SignedDeviceStatement,
): boolean {
  return equalBytes(statementProof(key, election, proofKey, statement), fromHex(proof));
}
