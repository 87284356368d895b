import assert from "assert";
import { importJWK, type JWTPayload, SignJWT } from "jose";
import { openBallotBox } from "../../../tests/ballot_box.ts";
import { AUDIENCE, newJwk, startOpenIdProvider } from "../../../tests/openid_provider.ts";
import { testDatabase } from "../../../tests/test_database.ts";
import { openTestOffice } from "../../../tests/test_office.ts";
import { readEvents } from "../../audit/verify.ts";
import { Issuers, readIssuers } from "./issuers.ts";

const db = await testDatabase();
const provider = await startOpenIdProvider();
Deno.test.afterAll(() => provider.close());
const ELECTION = "joined";
const at = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString();
const box = await openBallotBox(db, ELECTION, { opensAt: at(-2), closesAt: at(2), acceptsUntil: at(3) });
const office = openTestOffice(db, () => Promise.resolve(box.log), new Issuers([provider.settings]));
// The provider's clock is the machine's: the office's is set to it whenever the provider makes a token.
office.nowMs = Date.now();
const nowS = () => Math.floor(office.nowMs / 1_000);
async function tokenFor(subject: string, claims: Record<string, unknown> = {}): Promise<string> {
  const token = await provider.accessToken(subject, claims);
  office.nowMs = Date.now();
  return token;
}
const ann = await office.enrol("ann", ["official", ELECTION]);
const ben = await office.enrol("ben", ["official", ELECTION]);
const root = await office.enrol("root", ["admin", null]);
await office.enrol("second", ["admin", null]);

const me = (bearer: string) => office.ask(bearer, "GET", "/v1/office/me");
const join = async (account: string, subject: string) =>
  await office.as(account)("POST", "/v1/office/identities", {
    accessToken: await tokenFor(subject),
  });
await join("ann", "ann@idp");
await join("ben", "ben@idp");
const fresh = (subject: string) => tokenFor(subject, { auth_time: Math.floor(Date.now() / 1_000) });
const proposals = `/v1/elections/${ELECTION}/proposals`;

/** Ann proposes, with her key or a token. Returns the path to approve it, and the state that it is bound to. */
async function propose(token?: string) {
  const lifecycle = await ann("GET", `/v1/elections/${ELECTION}/lifecycle`);
  const seen = { "if-match": lifecycle.headers.get("etag")! };
  const closesAt = new Date(Date.parse(lifecycle.body.state.closesAt) + 60_000).toISOString();
  const body = { action: "extend", parameters: { closesAt }, reason: "Snow" };
  const proposed = token === undefined
    ? await ann("POST", proposals, body, seen)
    : await office.ask(token, "POST", proposals, body, seen);
  assert.equal(proposed.status, 201, proposed.text);
  return { approve: `${proposals}/${proposed.body.proposal}/approve`, seen };
}

Deno.test("a token of a provider is for the account that its subject was joined to, and for nobody before", async () => {
  const token = await tokenFor("ann@idp");
  const { status, body } = await me(token);
  assert.deepEqual([status, body.account], [200, "ann"]);
  const stranger = await me(await tokenFor("eve@idp"));
  assert.deepEqual([stranger.status, stranger.body.type], [401, "urn:pollwire:problem:token-invalid"]);
  assert.match(stranger.body.detail, /no account has this identity/);
  const added = (await readEvents(db.query, null)).find(({ event }) => event === "account_identity_added")!;
  assert.deepEqual([added.actor, added.details], ["official:ann", {
    account: "ann",
    issuer: provider.settings.issuer,
  }]);
});

const good = (): JWTPayload => ({
  iss: provider.settings.issuer,
  aud: AUDIENCE,
  sub: "ann@idp",
  client_id: "office",
  jti: "one",
  iat: nowS(),
  exp: nowS() + 600,
});
const claims = (change: Record<string, unknown>): JWTPayload => ({ ...good(), ...change });
const without = (name: string): JWTPayload =>
  Object.fromEntries(Object.entries(good()).filter(([key]) => key !== name));
const base64url = (value: unknown) =>
  new TextEncoder().encode(JSON.stringify(value)).toBase64({ alphabet: "base64url", omitPadding: true });
/** A token of a key that the provider has not, that says it is the provider's. */
async function ofAnotherKey(algorithm: string, jwk: unknown): Promise<string> {
  return await new SignJWT(good()).setProtectedHeader({ alg: algorithm, typ: "at+jwt", kid: "provider-1" })
    .sign(await importJWK(jwk as never, algorithm));
}

const BAD: Record<string, () => Promise<string>> = {
  "the algorithm none": () =>
    Promise.resolve(`${base64url({ alg: "none", typ: "at+jwt", kid: "provider-1" })}.${base64url(good())}.`),
  "HS256 with the public key": () =>
    new SignJWT(good()).setProtectedHeader({ alg: "HS256", typ: "at+jwt", kid: "provider-1" })
      .sign(new TextEncoder().encode(JSON.stringify(provider.publicJwk))),
  "another algorithm than the issuer's": async () => ofAnotherKey("EdDSA", { ...office.fileOf("ann").key }),
  "the signature of another key": async () => ofAnotherKey("ES256", await newJwk("provider-1")),
  "an ID token's type": () => provider.sign(good(), { typ: "JWT" }),
  "the claims of an ID token": () =>
    provider.sign({ ...without("jti"), aud: "office", nonce: "n", auth_time: nowS() }, { typ: "JWT" }),
  "no type": () => provider.sign(good(), { typ: undefined }),
  "another audience": () => provider.sign(claims({ aud: "https://other.test" })),
  "an issuer that the office does not take": () => provider.sign(claims({ iss: "https://other.test" })),
  "an issuer that differs by a slash": () => provider.sign(claims({ iss: `${provider.settings.issuer}/` })),
  "a key id that nobody has": () => provider.sign(good(), { kid: "x" }),
  "no key id": () => provider.sign(good(), { kid: undefined }),
  "an issue time in the future": () => provider.sign(claims({ iat: nowS() + 60 })),
  "an expiry in the past": () => provider.sign(claims({ iat: nowS() - 600, exp: nowS() - 60 })),
  "a lifetime of an hour": () => provider.sign(claims({ exp: nowS() + 3_600 })),
  "a sign-in in the future": () => provider.sign(claims({ auth_time: nowS() + 60 })),
  "a sign-in time that is a text": () => provider.sign(claims({ auth_time: "now" })),
  ...Object.fromEntries(
    ["exp", "iat", "jti", "sub", "aud", "client_id"].map((name) => [
      `no ${name}`,
      () => provider.sign(without(name)),
    ]),
  ),
};

Deno.test("a token with what an access token must have is taken", async () => {
  assert.equal((await me(await provider.sign(good()))).status, 200);
});

for (const [what, make] of Object.entries(BAD)) {
  Deno.test(`a provider's token with ${what} is refused`, async () => {
    const { status, body } = await me(await make());
    assert.deepEqual([status, body.type], [401, "urn:pollwire:problem:token-invalid"]);
  });
}

Deno.test("only the person joins an identity, with a token of each and a recent sign-in, and it stays with the account", async () => {
  const accessToken = await tokenFor("cyd@idp");
  const withProvider = await office.ask(await fresh("ann@idp"), "POST", "/v1/office/identities", {
    accessToken,
  });
  assert.deepEqual([withProvider.status, withProvider.body.type], [403, "urn:pollwire:problem:not-allowed"]);
  const bad = await ann("POST", "/v1/office/identities", { accessToken: `${accessToken}x` });
  assert.equal(bad.status, 422, bad.text);
  const taken = await join("ben", "ann@idp");
  assert.deepEqual([taken.status, /belongs to an account already/.test(taken.body.detail)], [409, true]);
  const token = await office.signIn("ann");
  office.nowMs += 301_000;
  const stale = await office.ask(token, "POST", "/v1/office/identities", { accessToken });
  office.nowMs -= 301_000;
  assert.deepEqual([stale.status, stale.body.type], [401, "urn:pollwire:problem:login-too-old"]);
});

Deno.test("an approval takes an auth_time of the last five minutes", async () => {
  const { approve, seen } = await propose();
  const approvedAt = (auth_time?: number) =>
    tokenFor("ben@idp", auth_time === undefined ? {} : { auth_time })
      .then((token) => office.ask(token, "POST", approve, undefined, seen));
  for (const auth_time of [undefined, nowS() - 301]) {
    const refused = await approvedAt(auth_time);
    assert.deepEqual([refused.status, refused.body.type], [401, "urn:pollwire:problem:login-too-old"]);
  }
  const approved = await approvedAt(nowS() - 200);
  assert.equal(approved.status, 200, approved.text);
});

Deno.test("nobody approves their own proposal, whatever issuer they come through", async () => {
  const withKey = await propose();
  const byProvider = await office.ask(
    await fresh("ann@idp"),
    "POST",
    withKey.approve,
    undefined,
    withKey.seen,
  );
  assert.deepEqual([byProvider.status, byProvider.body.detail], [
    409,
    "ann proposed it, and nobody approves their own proposal",
  ]);
  const withProvider = await propose(await fresh("ann@idp"));
  const byKey = await ann("POST", withProvider.approve, undefined, withProvider.seen);
  assert.deepEqual([byKey.status, byKey.body.detail], [
    409,
    "ann proposed it, and nobody approves their own proposal",
  ]);
});

Deno.test("of 20 approvals at once, by key and by provider, one does it", async () => {
  const { approve, seen } = await propose();
  const token = await fresh("ben@idp");
  const answers = await Promise.all(
    Array.from(
      { length: 20 },
      (_, i) =>
        i % 2 === 0
          ? ben("POST", approve, undefined, seen)
          : office.ask(token, "POST", approve, undefined, seen),
    ),
  );
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, ...Array(19).fill(409)]);
});

Deno.test("a role, and an identity, that is taken away is away for a provider's token that lives", async () => {
  await office.enrol("leaver");
  const grant = await office.give("leaver", "auditor", ELECTION);
  const joined = await join("leaver", "leaver@idp");
  assert.equal(joined.status, 201, joined.text);
  const token = await tokenFor("leaver@idp");
  const audit = () => office.ask(token, "GET", `/v1/elections/${ELECTION}/audit`);
  assert.equal((await audit()).status, 200);
  assert.equal((await root("DELETE", `/v1/office/grants/${grant}`)).status, 200);
  assert.equal((await audit()).status, 404);
  const { body } = await office.ask(token, "GET", "/v1/office/identities");
  assert.deepEqual(body.identities.map(({ subject }: any) => subject), ["leaver@idp"]);
  const path = `/v1/office/accounts/leaver/identities/${joined.body.identity}`;
  assert.equal((await ann("DELETE", path)).status, 403);
  assert.equal((await root("DELETE", path)).status, 200);
  assert.equal((await me(token)).status, 401);
  assert.equal((await root("DELETE", path)).status, 404, "once");
  assert.equal((await join("ben", "leaver@idp")).status, 409, "it stays with its account");
  assert.equal((await join("leaver", "leaver@idp")).status, 201, "and may come back");
});

Deno.test("while a provider is away and its keys are not known, the office says so, and its own tokens are taken", async () => {
  const away = new Issuers([provider.settings], () => Promise.reject(new TypeError("connection refused")));
  const other = openTestOffice(db, undefined, away);
  const token = await tokenFor("ann@idp");
  other.nowMs = office.nowMs;
  const answer = await other.ask(token, "GET", "/v1/office/me");
  assert.deepEqual([answer.status, answer.body.type], [503, "urn:pollwire:problem:not-ready"]);
  assert.match(answer.body.detail, /keys of http:.* cannot be read now; ask again/);
  assert.equal((await ann("GET", "/v1/office/me")).status, 200);
});

Deno.test("readIssuers() says what is wrong with the file, and what would be right", async () => {
  const path = await Deno.makeTempFile();
  const read = async (text: string) => {
    await Deno.writeTextFile(path, text);
    return readIssuers(path);
  };
  const valid = { ...provider.settings, issuer: "https://login.test", jwks: "https://login.test/jwks" };
  try {
    assert.deepEqual(await read(JSON.stringify({ issuers: [valid] })), [valid]);
    const faults: [unknown, RegExp][] = [
      [{ issuers: [{ ...valid, algorithm: "HS256" }] }, /issuers.0.algorithm: .*ES256/],
      [
        { issuers: [{ ...valid, jwks: "http://login.test/jwks" }] },
        /issuers.0.jwks: must be an https:\/\/ address/,
      ],
      [{ issuers: [{ ...valid, jwks: "https://a:b@login.test/jwks" }] }, /issuers.0.jwks: must be an https:/],
      [{ issuers: [valid, valid] }, /issuers: an issuer is there twice/],
      [{ issuers: [{ ...valid, more: 1 }] }, /issuers.0: .*more/],
    ];
    for (const [value, message] of faults) await assert.rejects(read(JSON.stringify(value)), message);
    await assert.rejects(read("{"), /it must be JSON/);
  } finally {
    await Deno.remove(path);
  }
  assert.throws(() => readIssuers(path), /Cannot read the OpenID providers from/);
});
