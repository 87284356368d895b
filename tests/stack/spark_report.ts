/**
 * The signed report of a recount on Spark, as one who got it reads it.
 *
 * @module
 */
import assert from "assert";
import { fromHex } from "../../shared/bytes.ts";

/** What a report says, once its signature holds. */
export async function verifiedReport(text: string): Promise<Record<string, any>> {
  const { signed, signature, publicKey } = JSON.parse(text);
  const key = await crypto.subtle.importKey("raw", fromHex(publicKey), "Ed25519", true, ["verify"]);
  const message = new TextEncoder().encode(`pollwire/2 recount\n${signed}`);
  assert.ok(await crypto.subtle.verify("Ed25519", key, fromHex(signature), message), "the report is signed");
  return JSON.parse(signed);
}
