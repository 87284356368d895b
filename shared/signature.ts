/**
 * The signature profile: RFC 9421 HTTP Message Signatures with `hmac-sha256` (section 3.3.3) over an RFC 9530
 * `Content-Digest`. One list of components and parameters, in one order, byte for byte; everything else is refused. This
 * is not a library's code, because it is the hot path: general parsers of the RFC reach a tenth of its speed.
 *
 * @module
 */
import { equalBytes, newBytes, toBase64 } from "./bytes.ts";
import { hmacOfText, KEY_BYTES, sha256 } from "./keys.ts";

/** Maximum age of a signature, and maximum time in the future, by the gateway's clock, in seconds. */
export const SIGNATURE_WINDOW_S = 300;

// `created` may be short: a device whose clock was reset to the year 2000 gets the time, not a refusal of its form.
const COMPONENTS = `("@method" "@path" "content-type" "content-digest" "idempotency-key")`;
const INPUT = new RegExp(
  `^vote=\\("@method" "@path" "content-type" "content-digest" "idempotency-key"\\)` +
    `;created=([1-9][0-9]{0,9});keyid="([a-z0-9-]{1,64}/[a-z0-9-]{1,64}\\.[1-9][0-9]{0,5})";alg="hmac-sha256";tag="pollwire"$`,
);
// 32 bytes have exactly one valid form in base64: the last character's two spare bits are zero.
const SIGNATURE = /^vote=:([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=):$/;
const DIGEST = /^sha-256=:([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=):$/;
const IDEMPOTENCY_KEY = /^"([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"$/;

/** The headers of a signed request, unchanged. */
export type SignedHeaders = Readonly<{
  contentType: string | null;
  contentDigest: string | null;
  idempotencyKey: string | null;
  signatureInput: string | null;
  signature: string | null;
}>;

/** What a signed request claims about itself, in the right form, and not yet verified. */
export type SignatureClaim = Readonly<{
  keyId: string;
  /** Seconds since 1970. */
  created: number;
  idempotencyKey: string;
  digest: Uint8Array;
  signature: Uint8Array;
  /** The bytes that were signed. */
  base: string;
}>;

/** What is wrong with a signature; `reason` is the problem type, see problem.ts. */
export type SignatureFault = Readonly<{
  reason:
    | "signature-missing"
    | "signature-malformed"
    | "signature-stale"
    | "signature-early"
    | "signature-invalid"
    | "digest-mismatch";
  detail: string;
}>;

/** The signature base (RFC 9421 section 2.5): one line a component, then the parameters. */
export function signatureBase(components: readonly (readonly [string, string])[], params: string): string {
  const lines = components.map(([name, value]) => `"${name}": ${value}`);
  return [...lines, `"@signature-params": ${params}`].join("\n");
}

function voteBase(
  path: string,
  contentType: string,
  contentDigest: string,
  idempotencyKey: string,
  params: string,
): string {
  // Written out for speed: this is on the hot path. signature_test.ts compares it with signatureBase().
  return `"@method": POST\n"@path": ${path}\n"content-type": ${contentType}\n"content-digest": ${contentDigest}\n` +
    `"idempotency-key": ${idempotencyKey}\n"@signature-params": ${params}`;
}

/** The value of a `Content-Digest` header: sha-256 of the body. */
export function contentDigest(body: Uint8Array): string {
  return `sha-256=:${toBase64(sha256(body))}:`;
}

/**
 * Signs a POST as a device does, or a gateway that asks the aggregator.
 *
 * @param key 32 bytes.
 * @param createdS Seconds since 1970.
 * @returns the headers to send with the body.
 */
export function signRequest(request: {
  path: string;
  contentType: string;
  body: Uint8Array;
  idempotencyKey: string;
  keyId: string;
  key: Uint8Array;
  createdS: number;
}): Record<string, string> {
  const digest = contentDigest(request.body);
  const idempotencyKey = `"${request.idempotencyKey}"`;
  const params =
    `${COMPONENTS};created=${request.createdS};keyid="${request.keyId}";alg="hmac-sha256";tag="pollwire"`;
  const base = voteBase(request.path, request.contentType, digest, idempotencyKey, params);
  return {
    "content-type": request.contentType,
    "content-digest": digest,
    "idempotency-key": idempotencyKey,
    "signature-input": `vote=${params}`,
    "signature": `vote=:${toBase64(hmacOfText(request.key, base))}:`,
  };
}

/**
 * Parses the claim of a request, without verifying it. The path is that of the request. The caller must refuse a query
 * string: the profile has none.
 */
export function readClaim(path: string, headers: SignedHeaders): SignatureClaim | SignatureFault {
  const { contentType, contentDigest: digestHeader, idempotencyKey, signatureInput, signature } = headers;
  if (signatureInput === null) return missing("Signature-Input");
  if (signature === null) return missing("Signature");
  if (digestHeader === null) return missing("Content-Digest");
  if (idempotencyKey === null) return missing("Idempotency-Key");
  if (contentType === null) return missing("Content-Type");
  const input = INPUT.exec(signatureInput);
  if (input === null) {
    return malformed(
      `Signature-Input must be exactly vote=${COMPONENTS};created=<seconds>;keyid="<election>/<device>.<version>";alg="hmac-sha256";tag="pollwire"`,
    );
  }
  const mac = SIGNATURE.exec(signature);
  if (mac === null) return malformed("Signature must be vote=:<32 bytes in base64>:");
  const digest = DIGEST.exec(digestHeader);
  if (digest === null) {
    return malformed("Content-Digest must be sha-256=:<32 bytes in base64>: and nothing else");
  }
  const id = IDEMPOTENCY_KEY.exec(idempotencyKey);
  if (id === null) {
    return malformed(`Idempotency-Key must be a random UUID (version 4), lower case, in double quotes`);
  }
  return {
    keyId: input[2]!,
    created: Number(input[1]),
    idempotencyKey: id[1]!,
    digest: hashOf(digest[1]!),
    signature: hashOf(mac[1]!),
    base: voteBase(path, contentType, digestHeader, idempotencyKey, signatureInput.slice("vote=".length)),
  };
}

/** The 32 bytes of a base64 text that has the right form. */
function hashOf(base64: string): Uint8Array {
  const hash = newBytes(KEY_BYTES);
  hash.setFromBase64(base64);
  return hash;
}

/**
 * Checks a claim except for the body: first the signature, then its age. So a body is read only from senders with the key.
 * The order matters: nobody without the key learns anything from the answer.
 *
 * @param nowMs Milliseconds since 1970.
 * @returns what is wrong, or `undefined`.
 */
export function verifyHead(
  claim: SignatureClaim,
  key: Uint8Array,
  nowMs: number,
): SignatureFault | undefined {
  if (!equalBytes(hmacOfText(key, claim.base), claim.signature)) {
    return {
      reason: "signature-invalid",
      detail: "the signature does not match method, path, headers and the key that it names",
    };
  }
  const ageS = nowMs / 1_000 - claim.created;
  if (ageS > SIGNATURE_WINDOW_S) {
    return {
      reason: "signature-stale",
      detail: `the signature is ${Math.round(ageS)} s old: sign again with the current time`,
    };
  }
  if (ageS < -SIGNATURE_WINDOW_S) {
    return {
      reason: "signature-early",
      detail: `the signature is ${Math.round(-ageS)} s ahead: sign again with the current time`,
    };
  }
  return undefined;
}

/**
 * Checks the body against the digest that was signed. Returns what is wrong, or `undefined`.
 *
 * @param hash SHA-256, by whatever the runtime has.
 */
export function verifyBody(
  { digest }: Pick<SignatureClaim, "digest">,
  body: Uint8Array,
  hash: (body: Uint8Array) => Uint8Array = sha256,
): SignatureFault | undefined {
  if (equalBytes(hash(body), digest)) return undefined;
  return { reason: "digest-mismatch", detail: "Content-Digest is not the SHA-256 of the received body" };
}

/** Checks a whole claim: {@link verifyHead}, then {@link verifyBody}. */
export function verifyClaim(
  claim: SignatureClaim,
  key: Uint8Array,
  body: Uint8Array,
  nowMs: number,
): SignatureFault | undefined {
  return verifyHead(claim, key, nowMs) ?? verifyBody(claim, body);
}

/** Whether reading or checking went wrong. */
export function isFault(result: SignatureClaim | SignatureFault): result is SignatureFault {
  return "reason" in result;
}

function missing(header: string): SignatureFault {
  return { reason: "signature-missing", detail: `the request has no ${header} header` };
}

function malformed(detail: string): SignatureFault {
  return { reason: "signature-malformed", detail };
}
