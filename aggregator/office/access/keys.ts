/**
 * Keys of the people of an office: Ed25519 as JSON Web Keys (RFC 8037).
 *
 * @module
 */
import { calculateJwkThumbprint } from "jose";
import { z } from "zod";
import type { PublicKey } from "./accounts.ts";

/** Bytes of an Ed25519 key as base64url without padding. */
const keyBytesSchema = z.string().regex(/^[A-Za-z0-9_-]{43}$/, "must be 32 bytes in base64url");

/** A public key as a JSON Web Key. */
export const publicJwkSchema = z.strictObject({
  kty: z.literal("OKP"),
  crv: z.literal("Ed25519"),
  x: keyBytesSchema,
});
export type PublicJwk = z.infer<typeof publicJwkSchema>;

/** The file with which a person signs in: the account, and the key pair. It stays with the person. */
export const keyFileSchema = z.strictObject({
  account: z.string(),
  key: publicJwkSchema.extend({ d: keyBytesSchema }),
});
export type KeyFile = z.infer<typeof keyFileSchema>;

/** A public key and its thumbprint (RFC 7638). */
export async function publicKeyOf(jwk: PublicJwk): Promise<PublicKey> {
  const { kty, crv, x } = jwk;
  return {
    keyId: await calculateJwkThumbprint({ kty, crv, x }),
    publicKey: Uint8Array.fromBase64(x, { alphabet: "base64url" }),
  };
}

/** A public key as a JSON Web Key. */
export function jwkOf(publicKey: Uint8Array): PublicJwk {
  const x = publicKey.toBase64({ alphabet: "base64url", omitPadding: true });
  return { kty: "OKP", crv: "Ed25519", x };
}

/** Makes a person's key. */
export async function newKeyFile(account: string): Promise<KeyFile> {
  const { privateKey } = await crypto.subtle.generateKey("Ed25519", true, [
    "sign",
    "verify",
  ]) as CryptoKeyPair;
  const { kty, crv, x, d } = await crypto.subtle.exportKey("jwk", privateKey);
  return keyFileSchema.parse({ account, key: { kty, crv, x, d } });
}
