import assert from "assert";
import { readEvents } from "../../audit/verify.ts";
import { createElection } from "../../registry/elections.ts";
import { MASTER, NOON_MS, testDefinition } from "../../../tests/fixture.ts";
import { testDatabase } from "../../../tests/test_database.ts";
import { MemoryLog } from "../../../tests/memory_log.ts";
import { openTestOffice } from "../../../tests/test_office.ts";
import { newKeyFile } from "../access/keys.ts";
import type { OfficeRole } from "../access/roles.ts";
import { signAssertion } from "../access/tokens.ts";

const db = await testDatabase();
const office = openTestOffice(db, () => Promise.resolve(new MemoryLog(3)));
for (const election of ["mine", "other"]) {
  await createElection(db, testDefinition({ election }), MASTER, new Date(NOON_MS - 86_400_000));
}
const root = await office.enrol("root", ["admin", null]);
const second = await office.enrol("second", ["admin", null]);

/** Who may ask each endpoint, and a request for it. An endpoint that is not here fails the test below. */
const ENDPOINTS: Record<string, readonly OfficeRole[] | "anyone" | "member"> = {
  "POST /v1/office/token": "anyone",
  "GET /v1/office/me": "member",
  "GET /v1/office/accounts": ["admin"],
  "POST /v1/office/accounts": ["admin"],
  "POST /v1/office/accounts/{account}/keys": ["admin"],
  "POST /v1/office/accounts/{account}/keys/{key}/approve": ["admin"],
  "DELETE /v1/office/accounts/{account}/keys/{key}": ["admin"],
  "GET /v1/office/identities": "member",
  "POST /v1/office/identities": "member",
  "DELETE /v1/office/identities/{identity}": "member",
  "DELETE /v1/office/accounts/{account}/identities/{identity}": ["admin"],
  "POST /v1/office/grants": ["admin"],
  "POST /v1/office/grants/{grant}/approve": ["admin"],
  "DELETE /v1/office/grants/{grant}": ["admin"],
  "GET /v1/office/audit": ["admin"],
  "GET /v1/office/audit/head": ["admin"],
  "GET /v1/elections/{election}/audit": ["official", "auditor"],
  "GET /v1/elections/{election}/audit/head": ["official", "auditor", "observer"],
  "GET /v1/elections/{election}/quality": ["official", "auditor"],
  "POST /v1/elections/{election}/quality": ["official", "auditor"],
  "POST /v1/elections/{election}/recount": ["official", "auditor"],
  "GET /v1/elections/{election}/exports/openelections.csv": "anyone",
  "GET /v1/elections/{election}/exports/err-v2.json": "anyone",
  "GET /v1/elections/{election}/exports/turnout.csv": "anyone",
  "GET /v1/elections/{election}/exports/comparison.csv": "anyone",
  "GET /v1/elections/{election}/exports/SHA256SUMS": "anyone",
  "GET /v1/elections/{election}/exports/event-log.json": ["official", "auditor"],
  "GET /v1/elections/{election}/exports/cvr-v1.json": ["official"],
  "GET /v1/office/elections": "member",
  "GET /v1/elections/{election}/lifecycle": ["registrar", "official", "auditor", "observer"],
  "PUT /v1/elections/{election}/definition": ["official"],
  "POST /v1/elections/{election}/actions": ["official"],
  "POST /v1/elections/{election}/proposals": ["official"],
  "POST /v1/elections/{election}/proposals/{proposal}/approve": ["official"],
  "DELETE /v1/elections/{election}/proposals/{proposal}": ["official"],
  "GET /v1/elections/{election}/certified": "anyone",
  "GET /v1/elections/{election}/alerts": ["official", "auditor", "observer"],
  "GET /v1/elections/{election}/pipeline": ["official", "auditor", "observer"],
  "POST /v1/elections/{election}/alerts/{alert}/acknowledge": ["official"],
  "GET /v1/elections/{election}/roll-imports": ["registrar", "official", "auditor"],
  "POST /v1/elections/{election}/roll-imports": ["registrar"],
  "GET /v1/elections/{election}/roll-imports/{import}": ["registrar", "official", "auditor"],
  "DELETE /v1/elections/{election}/roll-imports/{import}": ["registrar"],
  "POST /v1/elections/{election}/roll-imports/{import}/parts": ["registrar"],
  "POST /v1/elections/{election}/roll-imports/{import}/check": ["registrar"],
  "POST /v1/elections/{election}/roll-imports/{import}/commit": ["registrar"],
  "POST /v1/elections/{election}/roll-imports/{import}/revert": ["registrar"],
  "GET /v1/elections/{election}/roll-imports/{import}/report": ["registrar", "auditor"],
  "GET /v1/elections/{election}/roll-imports/{import}/report.csv": ["registrar", "auditor"],
  "GET /v1/elections/{election}/roll-imports/{import}/voted": ["registrar", "auditor"],
  "POST /v1/elections/{election}/voters": ["registrar"],
  "GET /v1/elections/{election}/devices": ["registrar", "official", "auditor"],
  "POST /v1/elections/{election}/devices": ["registrar"],
  "POST /v1/elections/{election}/devices/{device}/codes": ["registrar"],
  "POST /v1/elections/{election}/devices/{device}/rotate": ["registrar"],
  "POST /v1/elections/{election}/devices/{device}/revoke": ["registrar", "official"],
  "POST /v1/office/enrolments": "anyone",
  "GET /v1/elections/{election}/candidacies": ["registrar", "official", "auditor"],
  "POST /v1/elections/{election}/parties": ["registrar"],
  "POST /v1/elections/{election}/parties/{party}/state": ["registrar"],
  "POST /v1/elections/{election}/candidates": ["registrar"],
  "POST /v1/elections/{election}/candidates/{contest}/{candidate}/state": ["registrar"],
  "POST /v1/elections/{election}/sign-ins": ["registrar", "official"],
  "GET /v1/elections/{election}/sign-ins": ["registrar", "official", "auditor"],
  "POST /v1/office/device-statements": "anyone",
  "GET /v1/elections/{election}/device-statements": ["official", "auditor"],
  "POST /v1/elections/{election}/device-notes": ["official"],
  "GET /v1/elections/{election}/rehearsals": ["official", "auditor"],
  "POST /v1/elections/{election}/rehearsals": ["official"],
  "GET /v1/elections/{election}/rehearsals/{number}/reports": ["official", "auditor"],
  "GET /v1/elections/{election}/rehearsal-deck.yaml": ["official", "auditor"],
  "POST /v1/elections/{election}/rehearsals/{number}/zero": ["official"],
  "POST /v1/elections/{election}/rehearsals/{number}/close": ["official"],
  "POST /v1/elections/{election}/rehearsals/{number}/comparison": ["official", "auditor"],
  "POST /v1/elections/{election}/rehearsals/{number}/reset": ["official"],
  "POST /v1/elections/{election}/voter-searches": ["registrar"],
  "POST /v1/elections/{election}/voter-changes": ["registrar"],
  "POST /v1/elections/{election}/voter-strikes": ["registrar"],
};

const document = office.app.getOpenAPI31Document({
  openapi: "3.1.0",
  info: { title: "office", version: "1" },
});
const described = Object.entries(document.paths ?? {}).flatMap(([path, methods]) =>
  Object.keys(methods as object).map((method) => `${method.toUpperCase()} ${path}`)
);
const ROLES: readonly OfficeRole[] = ["admin", "registrar", "official", "auditor", "observer"];
const people = new Map(
  await Promise.all(
    ROLES.map(async (role) =>
      [role, await office.enrol(`one-${role}`, [role, role === "admin" ? null : "mine"])] as const
    ),
  ),
);

Deno.test("every endpoint of the office's OpenAPI document is in the table of who may ask, and none else", () => {
  assert.deepEqual(described.toSorted(), Object.keys(ENDPOINTS).toSorted());
});

Deno.test("every route that the app answers is in its OpenAPI document", () => {
  const routed = office.app.routes.filter(({ method }) => method !== "ALL")
    .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)(\{[^}]*\})?/g, "{$1}")}`);
  assert.deepEqual([...new Set(routed)].toSorted(), described.toSorted());
});

for (const [endpoint, askedBy] of Object.entries(ENDPOINTS)) {
  const [method, path] = endpoint.split(" ");
  const at = (election: string) =>
    path.replace("{election}", election).replace("{account}", "nobody").replace("{grant}", "999999")
      .replace("{proposal}", "7d9e1b1e-6f58-4c0c-8c8c-1f7c1e0b2a11")
      .replaceAll(/\{\w+\}/g, "none");
  const body = method === "POST" ? {} : undefined;

  Deno.test(`${endpoint} is refused without a token, unless it is for anyone`, async () => {
    const { status, headers } = await office.ask(undefined, method, at("mine"), body);
    if (askedBy === "anyone") return assert.notEqual(status, 401);
    assert.equal(status, 401);
    assert.match(headers.get("www-authenticate")!, /^Bearer /);
  });

  for (const role of ROLES) {
    Deno.test(`${endpoint} asked by ${role}, of its own and of another election`, async () => {
      const ask = people.get(role)!;
      const own = await ask(method, at("mine"), body);
      const isAllowed = !Array.isArray(askedBy) || askedBy.includes(role);
      const ofElection = path.includes("{election}");
      if (isAllowed) assert.ok(![401, 403].includes(own.status), `${own.status} ${own.text}`);
      else assert.equal(own.status, ofElection && role === "admin" ? 404 : 403, own.text);
      if (isAllowed) assert.notEqual(own.body?.type, "urn:pollwire:problem:unknown-election");
      if (!ofElection) return;
      if (askedBy === "anyone") return;
      for (const election of ["other", "no-such"]) {
        const answer = await ask(method, at(election), body);
        assert.equal(answer.status, 404);
        assert.equal(answer.body.type, "urn:pollwire:problem:unknown-election");
      }
      const [other, missing] = [await ask(method, at("other"), body), await ask(method, at("no-such"), body)];
      assert.equal(
        other.text,
        missing.text,
        "an election that one has no role in looks as one that there is not",
      );
    });
  }
}

Deno.test("an official's role takes two administrators, and nobody is admin and official", async () => {
  const key = (await newKeyFile("ann")).key;
  const { kty, crv, x } = key;
  const jwk = { kty, crv, x };
  assert.equal(
    (await root("POST", "/v1/office/accounts", { account: "ann", name: "Ann", key: jwk })).status,
    201,
  );
  assert.equal(
    (await root("POST", "/v1/office/accounts", { account: "ann", name: "Ann", key: jwk })).status,
    409,
  );
  const twice = await root("POST", "/v1/office/accounts", { account: "ann-too", name: "Ann", key: jwk });
  assert.match(twice.body.detail, /every account needs a key of its own/);
  const asked = await root("POST", "/v1/office/grants", {
    account: "ann",
    role: "official",
    election: "mine",
  });
  assert.deepEqual([asked.status, asked.body.grantedAt], [201, null]);
  const approve = `/v1/office/grants/${asked.body.grant}/approve`;
  assert.match(
    (await root("POST", approve)).body.detail,
    /is root's own; another administrator must approve it/,
  );
  const granted = await second("POST", approve);
  assert.deepEqual([granted.status, granted.body.approvedBy], [200, "second"]);
  assert.equal((await second("POST", approve)).status, 409, "once");
  const admin = await root("POST", "/v1/office/grants", { account: "ann", role: "admin" });
  assert.match(admin.body.detail, /ann is official, and nobody may be admin and official/);
  const official = await root("POST", "/v1/office/grants", {
    account: "second",
    role: "official",
    election: "mine",
  });
  assert.match(official.body.detail, /second is admin, and nobody may be admin and official/);
  const events = (await readEvents(db.query, "mine")).slice(-2);
  assert.deepEqual(events.map(({ event, actor, address }) => [event, actor, address]), [
    ["role_requested", "official:root", "192.0.2.7"],
    ["role_granted", "official:second", "192.0.2.7"],
  ]);
});

Deno.test("one administrator cannot act as an official or another administrator by adding a key", async () => {
  await office.enrol("oda", ["official", "mine"]);
  for (const account of ["oda", "second"]) {
    const file = await newKeyFile(account);
    const { kty, crv, x } = file.key;
    const keys = `/v1/office/accounts/${account}/keys`;
    const asked = await root("POST", keys, { key: { kty, crv, x } });
    assert.deepEqual(
      [asked.status, asked.body.requestedBy, asked.body.grantedAt],
      [201, "root", null],
      asked.text,
    );
    const signIn = async () => await office.exchange(await signAssertion(file, new Date(office.nowMs)));
    assert.equal((await signIn()).status, 401, "the key signs nobody in before it is approved");
    const approve = `${keys}/${asked.body.keyId}/approve`;
    assert.match((await root("POST", approve)).body.detail, /root asked for key .*another administrator/);
    const approved = await second("POST", approve);
    assert.deepEqual([approved.status, approved.body.approvedBy], [200, "second"], approved.text);
    assert.equal((await signIn()).status, 200);
    assert.equal((await second("POST", approve)).status, 409, "once");
  }
  const seen = (await readEvents(db.query, "mine")).slice(-2);
  assert.deepEqual(seen.map(({ event, actor }) => [event, actor]), [
    ["account_key_requested", "official:root"],
    ["account_key_added", "official:second"],
  ], "officials see it on their election's trail");
});

Deno.test("a key waits when its account is to be an official; it can be taken back; others need one administrator", async () => {
  await office.enrol("to-be");
  const keyFor = async () => {
    const { kty, crv, x } = (await newKeyFile("to-be")).key;
    return { key: { kty, crv, x } };
  };
  const keys = "/v1/office/accounts/to-be/keys";
  assert.notEqual((await root("POST", keys, await keyFor())).body.grantedAt, null);
  await root("POST", "/v1/office/grants", { account: "to-be", role: "official", election: "mine" });
  const asked = await root("POST", keys, await keyFor());
  assert.equal(asked.body.grantedAt, null);
  assert.equal((await root("DELETE", `${keys}/${asked.body.keyId}`)).status, 200);
  assert.equal((await second("POST", `${keys}/${asked.body.keyId}/approve`)).status, 404);
});

Deno.test("a role that is taken away is away for a token that lives", async () => {
  await office.enrol("leaver");
  const grant = await office.give("leaver", "auditor", "mine");
  const token = await office.signIn("leaver");
  assert.equal((await office.ask(token, "GET", "/v1/elections/mine/audit")).status, 200);
  assert.equal((await root("DELETE", `/v1/office/grants/${grant}`)).status, 200);
  assert.equal((await office.ask(token, "GET", "/v1/elections/mine/audit")).status, 404);
});

Deno.test("a revoked key ends its tokens, and takes no more assertions", async () => {
  await office.enrol("loser", ["auditor", "mine"]);
  const token = await office.signIn("loser");
  const { keys } = (await root("GET", "/v1/office/accounts")).body.accounts.find(
    ({ account }: { account: string }) => account === "loser",
  );
  assert.equal((await root("DELETE", `/v1/office/accounts/loser/keys/${keys[0].keyId}`)).status, 200);
  const refused = await office.ask(token, "GET", "/v1/office/me");
  assert.deepEqual([refused.status, refused.body.type], [401, "urn:pollwire:problem:token-invalid"]);
  await assert.rejects(office.signIn("loser"), /no account has a key/);
});

Deno.test("the office keeps two administrators", async () => {
  const { accounts } = (await root("GET", "/v1/office/accounts")).body;
  const grants = accounts.flatMap(({ roles }: any) => roles).filter(({ role }: any) => role === "admin");
  const statuses = [];
  for (const { grant, account } of grants.filter(({ account }: any) => account !== "root")) {
    statuses.push([account, (await root("DELETE", `/v1/office/grants/${grant}`)).status]);
  }
  assert.deepEqual(statuses.map(([, status]) => status), [200, 409]);
});

Deno.test("an approval takes a sign-in of the last five minutes", async () => {
  const token = await office.signIn("root");
  office.nowMs += 301_000;
  try {
    const stale = await office.ask(token, "POST", "/v1/office/grants/999999/approve");
    assert.deepEqual([stale.status, stale.body.type], [401, "urn:pollwire:problem:login-too-old"]);
    assert.equal((await root("POST", "/v1/office/grants/999999/approve")).status, 404);
  } finally {
    office.nowMs = NOON_MS;
  }
});

Deno.test("a body that is not strict JSON, of another type, or with fields of its own is refused", async () => {
  const token = await office.signIn("root");
  const send = async (type: string, body: string) =>
    (await office.send("POST", "/v1/office/grants", {
      headers: { authorization: `Bearer ${token}`, "content-type": type },
      body,
    })).status;
  assert.equal(await send("text/plain", "{}"), 415);
  assert.equal(await send("application/json", "{"), 400);
  assert.equal(await send("application/json", `{"role":"auditor","role":"admin"}`), 400);
  assert.equal(await send("application/json", `{"account":"root","role":"king"}`), 422);
  assert.equal(
    await send("application/json", `{"account":"root","role":"auditor","election":"mine","x":1}`),
    422,
  );
  assert.equal(await send("application/json", " ".repeat(300_000)), 413);
});
