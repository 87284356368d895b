/**
 * Digests that the profile does not know.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** A `Content-Digest` of another algorithm of RFC 9530. */
export function sha512(body: string): string {
  return `sha-512=:${createHash("sha512").update(body).digest("base64")}:`;
}
