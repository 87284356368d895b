/**
 * Signing in. A person sends an assertion that is signed with their own key (RFC 7523) and gets an access token (RFC 9068) for 15
 * minutes. The token says who asks; what they may do, the database says at each request.
 *
 * @module
 */
import { decodeProtectedHeader, errors, importJWK, jwtVerify, SignJWT } from "jose";
import { z } from "zod";
import type { KeyPair } from "../../../shared/keys.ts";
import type { Query } from "../../database/database.ts";
import { jwkOf, type KeyFile, publicKeyOf } from "./keys.ts";

/** How long an access token is good, in seconds. */
export const TOKEN_LIFETIME_S = 900;
/** How long an assertion may be good at the most, in seconds. */
export const ASSERTION_LIFETIME_S = 300;
/** How recent a sign-in must be for an approval, in seconds. */
export const RECENT_LOGIN_S = 300;
/** How far clocks may differ, in seconds. */
export const CLOCK_SKEW_S = 5;
/** Longest token or assertion that is looked at, in characters. */
export const MAX_TOKEN_CHARS = 4_096;

/** Signatures of both are Ed25519: no other algorithm is ever tried, whatever a token's header says. */
const ALGORITHM = "EdDSA";
export const TOKEN_TYPE = "at+jwt";

/** The issuer of access tokens, and the audience of tokens and assertions. */
export const ISSUER = "urn:pollwire:office";

/** What a token proves. */
export type Identity = Readonly<{
  account: string;
  /** The key that signed the assertion; `undefined` when an OpenID provider says who it is (issuers.ts). */
  keyId: string | undefined;
  /** When the person signed in, milliseconds since 1970; `undefined` when a provider does not say. */
  signedInAtMs: number | undefined;
  /** The token's own id. */
  tokenId: string;
}>;

/** Why a token or an assertion is refused. */
export type TokenFault = Readonly<{ fault: string }>;

const claimsSchema = z.object({
  sub: z.string().min(1),
  jti: z.string().min(1).max(128),
  iat: z.int(),
  exp: z.int(),
});
const tokenClaimsSchema = claimsSchema.extend({ auth_time: z.int(), key_id: z.string() });

/** Makes an assertion, as a person's program does. */
export async function signAssertion({ account, key }: KeyFile, now: Date): Promise<string> {
  const { keyId } = await publicKeyOf(key);
  const atS = Math.floor(now.getTime() / 1_000);
  return await new SignJWT()
    .setProtectedHeader({ alg: ALGORITHM, typ: "JWT", kid: keyId })
    .setIssuer(account).setSubject(account).setAudience(ISSUER).setJti(crypto.randomUUID())
    .setIssuedAt(atS).setExpirationTime(atS + 60)
    .sign(await importJWK(key, ALGORITHM));
}

/**
 * Takes an assertion, once, and gives an access token for it.
 *
 * @param query Of a transaction: it remembers the assertion.
 */
export async function takeAssertion(
  query: Query,
  assertion: string,
  { tokens }: Readonly<{ tokens: KeyPair }>,
  now: Date,
): Promise<Readonly<{ token: string; account: string }> | TokenFault> {
  const keyId = keyIdOf(assertion);
  if (keyId === undefined) {
    return { fault: "the assertion must be a JWT whose header names its key by `kid`" };
  }
  const [key] = await query<{ account: string; publicKey: string }>(
    `SELECT account, encode(public_key, 'hex') AS "publicKey" FROM office.account_keys
     WHERE key_id = $1 AND granted_at IS NOT NULL AND revoked_at IS NULL`,
    [keyId],
  );
  if (key === undefined) return { fault: `no account has a key ${keyId} that is good` };
  const read = await verify(assertion, Uint8Array.fromHex(key.publicKey), now, {
    issuer: key.account,
    type: "JWT",
    maxLifetimeS: ASSERTION_LIFETIME_S,
  });
  if ("fault" in read) return read;
  const { sub, jti, exp, iat } = read.claims;
  if (sub !== key.account) return { fault: "the assertion's `sub` must be its `iss`" };
  await query("DELETE FROM office.used_assertions WHERE account = $1 AND expires_at < $2::timestamptz", [
    key.account,
    new Date(now.getTime() - 2 * CLOCK_SKEW_S * 1_000).toISOString(),
  ]);
  const used = await query(
    `INSERT INTO office.used_assertions (account, assertion_id, expires_at) VALUES ($1, $2, $3::timestamptz)
     ON CONFLICT DO NOTHING RETURNING 1`,
    [key.account, jti, new Date(exp * 1_000).toISOString()],
  );
  if (used.length === 0) return { fault: "the assertion was used before; each is good for one token" };
  const token = await signToken(tokens, { account: key.account, keyId, signedInAtS: iat }, now);
  return { token, account: key.account };
}

async function signToken(
  tokens: KeyPair,
  { account, keyId, signedInAtS }: Readonly<{ account: string; keyId: string; signedInAtS: number }>,
  now: Date,
): Promise<string> {
  const atS = Math.floor(now.getTime() / 1_000);
  const { keyId: kid } = await publicKeyOf(jwkOf(tokens.publicKey));
  const seed = tokens.privateKey.subarray(0, 32).toBase64({ alphabet: "base64url", omitPadding: true });
  return await new SignJWT({ client_id: account, auth_time: signedInAtS, key_id: keyId })
    .setProtectedHeader({ alg: ALGORITHM, typ: TOKEN_TYPE, kid })
    .setIssuer(ISSUER).setSubject(account).setAudience(ISSUER).setJti(crypto.randomUUID())
    .setIssuedAt(atS).setExpirationTime(atS + TOKEN_LIFETIME_S)
    .sign(await importJWK({ ...jwkOf(tokens.publicKey), d: seed }, ALGORITHM));
}

/** Checks an access token. The database must still be asked for the account's key and roles. */
export async function checkToken(token: string, tokens: KeyPair, now: Date): Promise<Identity | TokenFault> {
  const keyId = keyIdOf(token);
  const own = await publicKeyOf(jwkOf(tokens.publicKey));
  if (keyId !== own.keyId) return { fault: "the token must name the office's key by `kid`" };
  const read = await verify(token, tokens.publicKey, now, {
    issuer: ISSUER,
    type: TOKEN_TYPE,
    maxLifetimeS: TOKEN_LIFETIME_S,
  });
  if ("fault" in read) return read;
  const claims = tokenClaimsSchema.safeParse(read.payload);
  if (!claims.success) return { fault: "the token must have `auth_time` and `key_id`" };
  const { sub, jti, auth_time: signedInAtS, key_id } = claims.data;
  return { account: sub, keyId: key_id, signedInAtMs: signedInAtS * 1_000, tokenId: jti };
}

/** Whether a sign-in is recent enough for an approval. */
export function isRecent({ signedInAtMs }: Identity, now: Date): boolean {
  return signedInAtMs !== undefined && now.getTime() - signedInAtMs <= RECENT_LOGIN_S * 1_000;
}

function keyIdOf(token: string): string | undefined {
  if (token.length > MAX_TOKEN_CHARS) return undefined;
  try {
    return decodeProtectedHeader(token).kid;
  } catch {
    return undefined;
  }
}

type Expected = Readonly<{ issuer: string; type: string; maxLifetimeS: number }>;

/** Signature, type, issuer, audience and times; each of the claims is required. */
async function verify(
  token: string,
  publicKey: Uint8Array,
  now: Date,
  { issuer, type, maxLifetimeS }: Expected,
): Promise<{ claims: z.infer<typeof claimsSchema>; payload: unknown } | TokenFault> {
  try {
    const { payload } = await jwtVerify(token, await importJWK(jwkOf(publicKey), ALGORITHM), {
      algorithms: [ALGORITHM],
      typ: type,
      issuer,
      audience: ISSUER,
      currentDate: now,
      clockTolerance: CLOCK_SKEW_S,
      requiredClaims: ["iss", "aud", "sub", "exp", "iat", "jti"],
    });
    const claims = claimsSchema.safeParse(payload);
    if (!claims.success) {
      return { fault: `\`${claims.error.issues[0]!.path.join(".")}\` is not in the right form` };
    }
    const { iat, exp } = claims.data;
    const nowS = now.getTime() / 1_000;
    if (iat > nowS + CLOCK_SKEW_S) return { fault: "`iat` is in the future" };
    if (exp - iat > maxLifetimeS) return { fault: `it is good for more than ${maxLifetimeS} s` };
    return { claims: claims.data, payload };
  } catch (error) {
    if (error instanceof errors.JOSEError || error instanceof TypeError) return { fault: error.message };
    throw error;
  }
}
