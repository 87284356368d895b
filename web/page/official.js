/**
 * An official's key file, and the request for a token that its key signs (RFC 7523). The public page and the office page both have
 * this file. The key stays in the browser.
 */

/** How long an assertion is good, in seconds. */
const ASSERTION_S = 60;
const OFFICE = "urn:pollwire:office";

const base64url = (bytes) => {
  const text = btoa(String.fromCharCode(...new Uint8Array(bytes)));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
};
const encoded = (value) => base64url(new TextEncoder().encode(JSON.stringify(value)));

/**
 * Reads a key file of `deno task office key`. The key can sign, and can be read by nobody. Throws when it is no key file, and where
 * the page came over plain HTTP from another machine: browsers have no keys there.
 */
export async function openKey(text) {
  const { account, key: { kty, crv, x, d } } = JSON.parse(text);
  const key = await crypto.subtle.importKey("jwk", { kty, crv, x, d }, "Ed25519", false, ["sign"]);
  // RFC 7638: the members of a public key in the order of the alphabet.
  const thumbprint = await crypto.subtle.digest(
    "SHA-256",
    new TextEncoder().encode(JSON.stringify({ crv, kty, x })),
  );
  return { account, key, keyId: base64url(thumbprint) };
}

/** The body of `POST /v1/office/token`. `nowMs` is the server's time: a computer's own may be wrong. */
export async function tokenRequest({ account, key, keyId }, nowMs) {
  const nowS = Math.floor(nowMs / 1_000);
  const head = encoded({ alg: "EdDSA", typ: "JWT", kid: keyId });
  const claims = encoded({
    iss: account,
    sub: account,
    aud: OFFICE,
    jti: crypto.randomUUID(),
    iat: nowS,
    exp: nowS + ASSERTION_S,
  });
  const signature = await crypto.subtle.sign("Ed25519", key, new TextEncoder().encode(`${head}.${claims}`));
  return new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
    assertion: `${head}.${claims}.${base64url(signature)}`,
  });
}
