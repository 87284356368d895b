/**
 * A real OpenID provider for tests, on a port of its own (npm's `oidc-provider`), whose access tokens are JWTs of RFC 9068.
 *
 * @module
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, importJWK, type JWK, type JWTPayload, SignJWT } from "jose";
import type { IssuerSettings } from "../aggregator/office/access/issuers.ts";

/** The office, as tokens name it. */
export const AUDIENCE = "https://office.test";

/** A running provider. */
export type OpenIdProvider = Readonly<{
  settings: IssuerSettings;
  /** An access token as the provider makes it. */
  accessToken(subject: string, claims?: Record<string, unknown>): Promise<string>;
  /** A token signed with the provider's key, with whatever header and claims. */
  sign(claims: JWTPayload, header?: Record<string, unknown>): Promise<string>;
  /** Its public key. */
  publicJwk: JWK;
  close(): Promise<void>;
}>;

/** Makes a key pair as a private JSON Web Key. */
export async function newJwk(kid: string): Promise<JWK> {
  const { privateKey } = await generateKeyPair("ES256", { extractable: true });
  return { ...await exportJWK(privateKey), kid, alg: "ES256", use: "sig" };
}

/** Starts one on 127.0.0.1. */
export async function startOpenIdProvider(): Promise<OpenIdProvider> {
  // Its warning about the runtime is for those who run it for others.
  const { warn } = console;
  console.warn = () => {};
  // deno-lint-ignore no-explicit-any
  const { default: Provider }: { default: any } = await import("oidc-provider");
  const jwk = await newJwk("provider-1");
  let answer: (request: unknown, response: unknown) => void = () => {};
  const server = createServer((request, response) => answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: "office",
      client_secret: "not-used",
      redirect_uris: ["https://office.test/cb"],
      id_token_signed_response_alg: "ES256",
    }],
    jwks: { keys: [jwk] },
    features: { devInteractions: { enabled: false }, resourceIndicators: { enabled: true } },
    extraTokenClaims: (_: unknown, token: { extra?: Record<string, unknown> }) => token.extra,
  });
  console.warn = warn;
  answer = provider.callback();
  const client = await provider.Client.find("office");
  const key = await importJWK(jwk, "ES256");
  return {
    settings: { issuer, jwks: `${issuer}/jwks`, algorithm: "ES256", audience: AUDIENCE },
    async accessToken(subject, claims = {}) {
      const token = new provider.AccessToken({
        accountId: subject,
        client,
        scope: "office",
        gty: "authorization_code",
        extra: claims,
      });
      token.resourceServer = new provider.ResourceServer(AUDIENCE, {
        scope: "office",
        audience: AUDIENCE,
        accessTokenTTL: 600,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: "ES256" } },
      });
      return await token.save();
    },
    sign: (claims, header = {}) =>
      new SignJWT(claims).setProtectedHeader({ alg: "ES256", typ: "at+jwt", kid: "provider-1", ...header })
        .sign(key),
    publicJwk: { kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
