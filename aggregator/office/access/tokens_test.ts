import assert from "assert";
import { importJWK, type JWTPayload, SignJWT } from "jose";
import { NOON_MS } from "../../../tests/fixture.ts";
import { testDatabase } from "../../../tests/test_database.ts";
import { openTestOffice } from "../../../tests/test_office.ts";
import { jwkOf, newKeyFile, publicKeyOf } from "./keys.ts";
import { ISSUER, signAssertion } from "./tokens.ts";

const db = await testDatabase();
const office = openTestOffice(db);
await office.enrol("ann");
const NOW_S = NOON_MS / 1_000;
const own = office.keys.tokens;
const ownId = (await publicKeyOf(jwkOf(own.publicKey))).keyId;
const ann = office.fileOf("ann");
const annId = (await publicKeyOf(ann.key)).keyId;
const privateJwk = {
  ...jwkOf(own.publicKey),
  d: own.privateKey.subarray(0, 32).toBase64({ alphabet: "base64url", omitPadding: true }),
};

const CLAIMS: JWTPayload = {
  iss: ISSUER,
  aud: ISSUER,
  sub: "ann",
  jti: "one",
  iat: NOW_S,
  exp: NOW_S + 900,
  auth_time: NOW_S,
  client_id: "ann",
  key_id: annId,
};

type Change = {
  header?: Record<string, unknown>;
  claims?: Record<string, unknown>;
  without?: string[];
  jwk?: unknown;
};

/** A token of the office's own key, as it gives them, but for what is changed. */
async function token(
  { header = {}, claims = {}, without = [], jwk = privateJwk }: Change = {},
): Promise<string> {
  const payload: JWTPayload = { ...CLAIMS, ...claims };
  for (const name of without) delete payload[name];
  return await new SignJWT(payload)
    .setProtectedHeader({ alg: "EdDSA", typ: "at+jwt", kid: ownId, ...header })
    .sign(await importJWK(jwk as never, "EdDSA"));
}

const me = (bearer: string) => office.ask(bearer, "GET", "/v1/office/me");
const base64url = (value: unknown) =>
  new TextEncoder().encode(JSON.stringify(value)).toBase64({ alphabet: "base64url", omitPadding: true });

Deno.test("a token as the office gives it is taken", async () => {
  assert.equal((await me(await token())).status, 200);
  assert.equal((await me(await office.signIn("ann"))).body.account, "ann");
});

/** Signed with the public key as if it were a shared secret: RFC 8725, section 2.1. */
async function hs256(): Promise<string> {
  return await new SignJWT(CLAIMS).setProtectedHeader({ alg: "HS256", typ: "at+jwt", kid: ownId })
    .sign(own.publicKey);
}

const BAD: Record<string, () => Promise<string>> = {
  "the algorithm none": () =>
    Promise.resolve(`${base64url({ alg: "none", typ: "at+jwt", kid: ownId })}.${base64url(CLAIMS)}.`),
  "HS256 with the public key": hs256,
  "an ID token's type": () => token({ header: { typ: "JWT" } }),
  "no type": () => token({ header: { typ: undefined } }),
  "another audience": () => token({ claims: { aud: "urn:other" } }),
  "another issuer": () => token({ claims: { iss: "urn:other" } }),
  "another key id": () => token({ header: { kid: annId } }),
  "no key id": () => token({ header: { kid: undefined } }),
  "the key of a person": async () => await token({ jwk: ann.key }),
  "no expiry": () => token({ without: ["exp"] }),
  "no id": () => token({ without: ["jti"] }),
  "no issue time": () => token({ without: ["iat"] }),
  "no subject": () => token({ without: ["sub"] }),
  "no sign-in time": () => token({ without: ["auth_time"] }),
  "an issue time in the future": () => token({ claims: { iat: NOW_S + 60, exp: NOW_S + 900 } }),
  "an expiry in the past": () => token({ claims: { iat: NOW_S - 900, exp: NOW_S - 60 } }),
  "a lifetime of an hour": () => token({ claims: { exp: NOW_S + 3_600 } }),
  "a start in the future": () => token({ claims: { nbf: NOW_S + 60 } }),
  "an assertion in its place": () => signAssertion(ann, new Date(NOON_MS)),
  "a text that is no token": () => Promise.resolve("abc"),
  "a token that is too long": async () => (await token({ claims: { x: "x".repeat(5_000) } })),
  "an altered payload": async () => {
    const [head, , signature] = (await token()).split(".");
    return `${head}.${base64url({ ...CLAIMS, sub: "root" })}.${signature}`;
  },
  "an account that there is not": () => token({ claims: { sub: "nobody" } }),
};

for (const [what, make] of Object.entries(BAD)) {
  Deno.test(`a token with ${what} is refused`, async () => {
    const { status, body } = await me(await make());
    assert.deepEqual([status, body.type], [401, "urn:pollwire:problem:token-invalid"]);
  });
}

async function assertion(
  { header = {}, claims = {}, without = [], jwk = ann.key }: Change = {},
): Promise<string> {
  const payload: JWTPayload = {
    iss: "ann",
    sub: "ann",
    aud: ISSUER,
    jti: crypto.randomUUID(),
    iat: NOW_S,
    exp: NOW_S + 60,
    ...claims,
  };
  for (const name of without) delete payload[name];
  return await new SignJWT(payload)
    .setProtectedHeader({ alg: "EdDSA", typ: "JWT", kid: annId, ...header })
    .sign(await importJWK(jwk as never, "EdDSA"));
}

Deno.test("an assertion is good for one token", async () => {
  const once = await assertion();
  assert.equal((await office.exchange(once)).status, 200);
  const again = await office.exchange(once);
  assert.deepEqual([again.status, again.body.detail], [
    401,
    "the assertion was used before; each is good for one token",
  ]);
  const many = await assertion();
  const all = await Promise.all(Array.from({ length: 20 }, () => office.exchange(many)));
  assert.equal(all.filter(({ status }) => status === 200).length, 1);
});

const BAD_ASSERTIONS: Record<string, Change> = {
  "another issuer": { claims: { iss: "root" } },
  "another subject": { claims: { sub: "root" } },
  "another audience": { claims: { aud: "urn:other" } },
  "no id": { without: ["jti"] },
  "no expiry": { without: ["exp"] },
  "an hour's lifetime": { claims: { exp: NOW_S + 3_600 } },
  "an expiry in the past": { claims: { iat: NOW_S - 120, exp: NOW_S - 60 } },
  "an issue time in the future": { claims: { iat: NOW_S + 60, exp: NOW_S + 120 } },
  "an access token's type": { header: { typ: "at+jwt" } },
  "a key that nobody has": { header: { kid: "x" } },
  "the signature of another key": { jwk: (await newKeyFile("eve")).key },
};

for (const [what, change] of Object.entries(BAD_ASSERTIONS)) {
  Deno.test(`an assertion with ${what} is refused`, async () => {
    const { status, body } = await office.exchange(await assertion(change));
    assert.deepEqual([status, body.type], [401, "urn:pollwire:problem:token-invalid"]);
  });
}

Deno.test("a token is good for 15 minutes", async () => {
  const bearer = await office.signIn("ann");
  try {
    office.nowMs = NOON_MS + 899_000;
    assert.equal((await me(bearer)).status, 200);
    office.nowMs = NOON_MS + 910_000;
    assert.equal((await me(bearer)).status, 401);
  } finally {
    office.nowMs = NOON_MS;
  }
});
