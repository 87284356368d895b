/**
 * Finds who signed a request, by its headers alone. The body of an unknown sender is neither read nor parsed.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { type KeyName, parseKeyName, sha256 } from "../shared/keys.ts";
import { type Problem, problem } from "../shared/problem.ts";
import { isFault, readClaim, type SignedHeaders, verifyBody, verifyHead } from "../shared/signature.ts";
import type { GatewayElection } from "./manifest.ts";

/** A device whose signature over the headers was checked. */
export type Authenticated = Readonly<{
  name: KeyName;
  /** The station at which it stands. */
  station: string;
  election: GatewayElection;
  /** The vote id, or the batch's id. */
  idempotencyKey: string;
  /** SHA-256 of the body that it signed: see {@link checkBody}. */
  digest: Uint8Array;
  /** How far the device's clock is behind the gateway's, in seconds. */
  skewS: number;
}>;

/** Looks an election up by its id. `awaited`: it is in the gateway's file, but its manifest has not been received yet. */
export type ElectionLookup = (election: string) => GatewayElection | "awaited" | undefined;

/**
 * Authenticates the head of a signed request.
 *
 * @param path The path that was asked for, without query.
 * @param nowMs The gateway's clock, milliseconds since 1970.
 */
export function authenticate(
  path: string,
  headers: SignedHeaders,
  elections: ElectionLookup,
  nowMs: number,
): Authenticated | Problem {
  const claim = readClaim(path, headers);
  if (isFault(claim)) return problem(claim.reason, claim.detail);
  const name = parseKeyName(claim.keyId);
  const election = name && elections(name.election);
  if (name === undefined || election === undefined) return unknownKey(claim.keyId);
  // Not a refusal, which devices take as final for a vote.
  if (election === "awaited") {
    return problem(
      "not-ready",
      `this gateway has not received the manifest of election ${name.election} yet`,
    );
  }
  const key = election.deviceKey(name);
  if (key === undefined || key.validUntilMs <= nowMs) return unknownKey(claim.keyId);
  const fault = verifyHead(claim, key.key, nowMs);
  if (fault !== undefined) {
    const ofTime = fault.reason === "signature-stale" || fault.reason === "signature-early";
    return problem(fault.reason, fault.detail, ofTime ? { now: new Date(nowMs).toISOString() } : {});
  }
  if (election.index.denied.has(`${name.id}.${name.version}`)) {
    return problem("revoked-key", `the key ${claim.keyId} was revoked: ask the election office for another`);
  }
  return {
    name,
    station: key.station,
    election,
    idempotencyKey: claim.idempotencyKey,
    digest: claim.digest,
    skewS: nowMs / 1_000 - claim.created,
  };
}

/** Checks a body against the digest in its signed headers. */
export function checkBody(device: Pick<Authenticated, "digest">, body: Uint8Array): Problem | undefined {
  const fault = verifyBody(device, body, sha256Of);
  return fault && problem(fault.reason, fault.detail);
}

/** Most bytes of a body that is hashed by libsodium: faster than the objects around a native hash. */
const MAX_SMALL_BYTES = 4 * 1024;

/** A native hash takes a fifth of libsodium's time for a batch of 45 KB. */
function sha256Of(body: Uint8Array): Uint8Array {
  if (body.length <= MAX_SMALL_BYTES) return sha256(body);
  return createHash("sha256").update(body).digest();
}

function unknownKey(keyId: string): Problem {
  return problem(
    "unknown-key",
    `no device is known under ${keyId}: election, device and key version must be right`,
  );
}
