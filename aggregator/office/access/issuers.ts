/**
 * OpenID providers whose access tokens (RFC 9068) the office takes beside its own. Which, and with which algorithm, a file says; who a
 * token's subject is, the database says (identities.ts).
 *
 * @module
 */
import { decodeJwt, decodeProtectedHeader, errors, jwtVerify } from "jose";
import { z } from "zod";
import { OfficeError } from "../../registry/office_error.ts";
import { KeySet } from "./key_set.ts";
import { CLOCK_SKEW_S, MAX_TOKEN_CHARS, TOKEN_LIFETIME_S, TOKEN_TYPE, type TokenFault } from "./tokens.ts";

/** Signatures with a key pair. One with a shared secret would let whoever can check a token make one. */
const ALGORITHMS = ["ES256", "ES384", "EdDSA", "PS256", "PS384", "RS256", "RS384"] as const;

/** Most providers, and the longest name of a subject (OpenID Connect Core, section 2). */
const MAX_ISSUERS = 16;
export const MAX_SUBJECT_CHARS = 255;

const addressSchema = z.url().max(500).refine((text) => {
  const { protocol, hostname, username, password } = new URL(text);
  const isLocal = ["127.0.0.1", "[::1]", "localhost"].includes(hostname);
  return username === "" && password === "" && (protocol === "https:" || protocol === "http:" && isLocal);
}, "must be an https:// address without a user");

const issuerSchema = z.strictObject({
  /** As tokens name it in `iss`, letter by letter. */
  issuer: addressSchema,
  /** Where its public keys are (JWKS, RFC 7517). */
  jwks: addressSchema,
  /** The only algorithm that its tokens may be signed with. */
  algorithm: z.enum(ALGORITHMS),
  /** The office, as the provider's tokens name it in `aud`. */
  audience: z.string().min(1).max(500),
});
const fileSchema = z.strictObject({ issuers: z.array(issuerSchema).max(MAX_ISSUERS) })
  .refine(
    ({ issuers }) => new Set(issuers.map(({ issuer }) => issuer)).size === issuers.length,
    { path: ["issuers"], message: "an issuer is there twice" },
  );

/** One provider, as the file has it. */
export type IssuerSettings = z.infer<typeof issuerSchema>;

/** Who a provider's token is for. */
export type ForeignIdentity = Readonly<{
  issuer: string;
  subject: string;
  /** When the person signed in, milliseconds since 1970; `undefined` when the token does not say. */
  signedInAtMs: number | undefined;
  tokenId: string;
}>;

/** The provider's keys are needed, and cannot be read now. */
export type IssuerAway = Readonly<{ away: string }>;

const claimsSchema = z.object({
  sub: z.string().min(1).max(MAX_SUBJECT_CHARS),
  jti: z.string().min(1).max(255),
  client_id: z.string().min(1),
  iat: z.int(),
  exp: z.int(),
  auth_time: z.int().optional(),
});

/** Reads the file of providers. @throws {OfficeError} when it is none. */
export function readIssuers(path: string): IssuerSettings[] {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw new OfficeError(`Cannot read the OpenID providers from ${path}: ${(error as Error).message}`);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new OfficeError(`Cannot use ${path}: it must be JSON: ${(error as Error).message}`);
  }
  const read = fileSchema.safeParse(json);
  if (read.success) return read.data.issuers;
  const { path: at, message } = read.error.issues[0]!;
  throw new OfficeError(`Cannot use ${path}: ${at.join(".") || "the file"}: ${message}`);
}

/** The providers that the office takes tokens of. */
export class Issuers {
  readonly #issuers: ReadonlyMap<string, IssuerSettings & Readonly<{ keys: KeySet }>>;

  constructor(settings: readonly IssuerSettings[], fetchKeys?: typeof fetch) {
    this.#issuers = new Map(settings.map((each) => [
      each.issuer,
      { ...each, keys: new KeySet(each.jwks, each.algorithm, fetchKeys) },
    ]));
  }

  /** Whether a token says that it is of one of them. Nothing of it has been checked. */
  has(token: string): boolean {
    return this.#issuers.has(issuerOf(token) ?? "");
  }

  /** Checks a token of one of them: signature, type, issuer, audience, times. */
  async check(token: string, now: Date): Promise<ForeignIdentity | TokenFault | IssuerAway> {
    if (token.length > MAX_TOKEN_CHARS) {
      return { fault: `the token is longer than ${MAX_TOKEN_CHARS} characters` };
    }
    const found = this.#issuers.get(issuerOf(token) ?? "");
    if (found === undefined) return { fault: "the token is of an issuer that the office does not take" };
    const { issuer, algorithm, audience, keys } = found;
    const { alg, kid } = headerOf(token);
    // Before a key is looked for: nobody makes the office ask a provider with a token that it never takes.
    if (alg !== algorithm) return { fault: `the token must be signed with ${algorithm}` };
    if (kid === undefined) return { fault: "the token must name its key by `kid`" };
    const key = await keys.find(kid, now.getTime());
    if (key === "unknown") return { fault: `${issuer} has no key ${kid}` };
    if (key === "away") return { away: `the keys of ${issuer} cannot be read now; ask again` };
    try {
      const { payload } = await jwtVerify(token, key.key, {
        algorithms: [algorithm],
        typ: TOKEN_TYPE,
        issuer,
        audience,
        currentDate: now,
        clockTolerance: CLOCK_SKEW_S,
        requiredClaims: ["iss", "aud", "sub", "exp", "iat", "jti", "client_id"],
      });
      return identityOf(issuer, claimsSchema.safeParse(payload), now);
    } catch (error) {
      if (error instanceof errors.JOSEError || error instanceof TypeError) return { fault: error.message };
      throw error;
    }
  }
}

function identityOf(
  issuer: string,
  claims: ReturnType<typeof claimsSchema.safeParse>,
  now: Date,
): ForeignIdentity | TokenFault {
  if (!claims.success) {
    return { fault: `\`${claims.error.issues[0]!.path.join(".")}\` is not in the right form` };
  }
  const { sub, jti, iat, exp, auth_time: signedInAtS } = claims.data;
  const nowS = now.getTime() / 1_000;
  if (iat > nowS + CLOCK_SKEW_S) return { fault: "`iat` is in the future" };
  if (exp - iat > TOKEN_LIFETIME_S) return { fault: `it is good for more than ${TOKEN_LIFETIME_S} s` };
  if (signedInAtS !== undefined && signedInAtS > nowS + CLOCK_SKEW_S) {
    return { fault: "`auth_time` is in the future" };
  }
  return {
    issuer,
    subject: sub,
    tokenId: jti,
    signedInAtMs: signedInAtS === undefined ? undefined : signedInAtS * 1_000,
  };
}

function issuerOf(token: string): string | undefined {
  if (token.length > MAX_TOKEN_CHARS) return undefined;
  try {
    return decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}

function headerOf(token: string): Readonly<{ alg?: string; kid?: string }> {
  try {
    return decodeProtectedHeader(token);
  } catch {
    return {};
  }
}
