import assert from "assert";
import { mock } from "node:test";
import sodium from "libsodium-wrappers-sumo";
import { fromUtf8, utf8 } from "../../shared/bytes.ts";
import { openManifest } from "../../shared/election.ts";
import { deviceKey, gatewayKey, manifestKeyPair, pseudonymKey, sha256, unseal } from "../../shared/keys.ts";
import type { ProblemType } from "../../shared/problem.ts";
import { SIGNATURE_WINDOW_S } from "../../shared/signature.ts";
import {
  revisionOf,
  type Sync,
  SYNC_PATH,
  syncKey,
  type SyncRequest,
  syncSchema,
  TIME_HEADER,
} from "../../shared/sync.ts";
import { MASTER, NOON_MS, testDefinition } from "../../tests/fixture.ts";
import { testDatabase } from "../../tests/test_database.ts";
import type { Database } from "../database/database.ts";
import { Elections } from "./election_names.ts";
import { createElection, publishManifest, revokeDeviceKey, rotateDeviceKey } from "./elections.ts";
import { revokeGatewayKey, rotateGatewayKey } from "./gateway_keys.ts";
import { gatewaySync } from "./gateway_sync.ts";
import { syncKeysOfMasters } from "./role_keys.ts";
import { importRoll } from "./roll.ts";
import { testVoter } from "../../tests/ballot_box.ts";
import { signedSync } from "../../tests/signed_sync.ts";

const db = await testDatabase();
const NOW = new Date(NOON_MS);
const VOTE_ID = "5f0c1f6e-0b1a-4c3d-8e2f-000000000001";

let nowMs = NOON_MS;
let statements = 0;
/** The same database, which counts what it is asked. */
const counted: Database = {
  ...db,
  query: (sql, params) => {
    statements++;
    return db.query(sql, params);
  },
  transaction: (work, isolation) =>
    db.transaction((query) => {
      statements++;
      return work(query);
    }, isolation),
};
const ignored: string[] = [];
const handle = gatewaySync({
  reading: counted,
  writing: counted,
  elections: new Elections(),
  keysOf: syncKeysOfMasters({ master: () => MASTER }),
  now: () => nowMs,
  onIgnored: ({ election, id }, { senderKeys, statements }) =>
    ignored.push(`${election}/${id}: ${senderKeys} keys, ${statements} statements`),
});

async function create(election: string): Promise<string> {
  nowMs = NOON_MS;
  await createElection(db, testDefinition({ election }), MASTER, NOW);
  return election;
}

type Asking = Partial<{
  gateway: string;
  version: number;
  key: Uint8Array;
  have: string | null;
  /** What the gateway says besides. */
  says: Partial<SyncRequest>;
  body: Uint8Array<ArrayBuffer>;
  idempotencyKey: string;
  createdS: number;
  path: string;
}>;

const keyOf = (election: string, id: string, version = 1) => gatewayKey(MASTER, { election, id, version });

/** A gateway's request, as ElectionStore makes it. */
function request(election: string, asking: Asking = {}): Request {
  const { gateway = "g-1", version = 1, have = null } = asking;
  return new Request(
    `http://aggregator${asking.path ?? SYNC_PATH}`,
    signedSync(
      `${election}/${gateway}.${version}`,
      asking.key ?? keyOf(election, gateway, version),
      { have, ...asking.says },
      { idempotencyKey: VOTE_ID, createdS: nowMs / 1_000, ...asking },
    ),
  );
}

/** What the aggregator answers, opened as the gateway does; `undefined` when it has nothing new. */
async function ask(election: string, asking: Asking = {}): Promise<{ text: string; sync: Sync } | undefined> {
  const response = await handle(request(election, asking));
  assert.equal(response.headers.get(TIME_HEADER), String(nowMs));
  if (response.status === 204) {
    assert.equal(response.body, null);
    return undefined;
  }
  assert.equal(response.status, 200, await response.clone().text());
  const sealed = new Uint8Array(await response.arrayBuffer());
  const key = syncKey(keyOf(election, asking.gateway ?? "g-1", asking.version));
  const text = fromUtf8(unseal(key, sealed, utf8(asking.idempotencyKey ?? VOTE_ID))!);
  return { text, sync: syncSchema.parse(JSON.parse(text)) };
}

async function refusal(asked: Request): Promise<{ status: number; reason: ProblemType; detail?: string }> {
  const response = await handle(asked);
  assert.equal(response.headers.get(TIME_HEADER), String(nowMs), "a refusal says the time as well");
  const { type, detail } = await response.json();
  return { status: response.status, reason: type.replace("urn:pollwire:problem:", ""), detail };
}

Deno.test("gatewaySync() gives a gateway manifest, pseudonym key and the keys of its devices", async () => {
  const election = await create("whole");
  const { sync } = (await ask(election))!;
  const manifest = openManifest(sync.manifest, manifestKeyPair(MASTER, election).publicKey.toHex());
  assert.deepEqual([manifest.election, manifest.version], [election, 1]);
  assert.equal(sync.pseudonymKey, pseudonymKey(MASTER, election).toHex());
  // n-1 and n-2 are its own, s-1 may turn to it, s-2 may not.
  assert.deepEqual(
    sync.devices,
    ["n-1", "n-2", "s-1"].map((station) => ({
      device: `${station}-a`,
      version: 1,
      station,
      key: deviceKey(MASTER, { election, id: `${station}-a`, version: 1 }).toHex(),
      validUntil: null,
    })),
  );
  const other = (await ask(election, { gateway: "g-2" }))!.sync;
  assert.deepEqual(other.devices.map(({ station }) => station), ["n-1", "n-2", "s-1", "s-2"]);
});

Deno.test("gatewaySync() seals its answer to this gateway and this request", async () => {
  const election = await create("sealed");
  const response = await handle(request(election));
  assert.equal(response.headers.get("content-type"), "application/octet-stream");
  const sealed = new Uint8Array(await response.arrayBuffer());
  assert.ok(!new TextDecoder().decode(sealed).includes("pseudonymKey"));
  const open = (key: Uint8Array, id: string) => unseal(syncKey(key), sealed, utf8(id));
  assert.ok(open(keyOf(election, "g-1"), VOTE_ID));
  assert.equal(open(keyOf(election, "g-2"), VOTE_ID), undefined, "another gateway cannot open it");
  assert.equal(open(keyOf(election, "g-1", 2), VOTE_ID), undefined, "nor another version of its key");
  assert.equal(open(keyOf("other", "g-1"), VOTE_ID), undefined, "nor the gateway's key of another election");
  const other = VOTE_ID.replace("1", "2");
  assert.equal(open(keyOf(election, "g-1"), other), undefined, "it does not answer another request");
  assert.equal(unseal(keyOf(election, "g-1"), sealed, utf8(VOTE_ID)), undefined, "a key for each purpose");
});

Deno.test("gatewaySync() gives each gateway its own election's keys", async () => {
  const [one, two] = [await create("one"), await create("two")];
  assert.notEqual((await ask(one))!.sync.pseudonymKey, (await ask(two))!.sync.pseudonymKey);
  assert.equal((await refusal(request(two, { key: keyOf(one, "g-1") }))).reason, "signature-invalid");
});

Deno.test("gatewaySync() says nothing to a gateway that has everything already", async () => {
  const election = await create("known");
  const { text } = (await ask(election))!;
  assert.equal(await ask(election, { have: revisionOf(text) }), undefined);
  assert.equal((await ask(election, { have: "00".repeat(32) }))!.text, text);
});

Deno.test("gatewaySync() gives a new answer once a key was rotated or revoked, or a manifest published", async () => {
  const election = await create("follows");
  let have = revisionOf((await ask(election))!.text);
  /** What is new; and after it nothing. */
  const news = async () => {
    const { text, sync } = (await ask(election, { have }))!;
    have = revisionOf(text);
    assert.equal(await ask(election, { have }), undefined);
    return {
      ...sync,
      newest: openManifest(sync.manifest, manifestKeyPair(MASTER, election).publicKey.toHex()),
    };
  };
  const keysOf = (sync: Sync, device: string) =>
    sync.devices.filter((key) => key.device === device).map((
      { version, validUntil },
    ) => [version, validUntil]);

  await rotateDeviceKey(db, election, "n-1-a", 600, NOW);
  const until = new Date(NOON_MS + 600_000).toISOString();
  assert.deepEqual(keysOf(await news(), "n-1-a"), [[1, until], [2, null]]);

  await revokeDeviceKey(db, election, MASTER, "n-1-a", 1, NOW);
  assert.deepEqual((await news()).newest.denied, ["n-1-a.1"]);

  await publishManifest(db, election, MASTER, NOW, (newest) => ({
    ...newest,
    gateways: [
      { id: "g-1", stations: ["n-1"], fallbackFor: [] },
      { id: "g-2", stations: ["n-2", "s-1", "s-2"], fallbackFor: [] },
    ],
  }));
  const moved = await news();
  assert.equal(moved.newest.version, 3);
  assert.deepEqual(new Set(moved.devices.map(({ station }) => station)), new Set(["n-1"]));

  nowMs = NOON_MS + 600_000;
  assert.deepEqual(keysOf(await news(), "n-1-a"), [[2, null]], "the old key has expired");

  await rotateDeviceKey(db, election, "s-1-a", 600, new Date(nowMs));
  assert.equal(await ask(election, { have }), undefined, "a device of another's station is nothing new");
});

Deno.test("gatewaySync() gives a gateway that the manifest names no longer no device's key", async () => {
  const election = await create("removed");
  await publishManifest(db, election, MASTER, NOW, (newest) => ({
    ...newest,
    gateways: [{ id: "g-2", stations: ["n-1", "n-2", "s-1", "s-2"], fallbackFor: [] }],
  }));
  assert.deepEqual((await ask(election))!.sync.devices, []);
});

Deno.test("gatewaySync() does not know the gateways of an election whose records were destroyed", async () => {
  const election = await create("destroyed");
  assert.ok(await ask(election));
  await db.query("UPDATE registry.elections SET destroyed_at = now() WHERE election = $1", [election]);
  assert.equal((await refusal(request(election, {}))).reason, "unknown-gateway");
});

Deno.test("gatewaySync() takes every version of a gateway's key that is not revoked", async () => {
  const election = await create("versions");
  assert.equal((await refusal(request(election, { version: 2 }))).reason, "unknown-gateway");
  await rotateGatewayKey(db, election, "g-1", NOW);
  for (const version of [1, 2]) assert.ok(await ask(election, { version }));
  assert.equal((await refusal(request(election, { version: 3 }))).reason, "unknown-gateway");
  await revokeGatewayKey(db, election, "g-1", 1, NOW);
  assert.deepEqual(await refusal(request(election)), {
    status: 401,
    reason: "revoked-key",
    detail: "versions/g-1.1 has been revoked; start the gateway with the file of its next key",
  });
  assert.ok(await ask(election, { version: 2 }));
  // Who does not have the key learns nothing.
  assert.equal((await refusal(request(election, { key: new Uint8Array(32) }))).reason, "signature-invalid");
});

Deno.test("gatewaySync() asks the database one statement for a poll when nothing changed", async () => {
  const election = await create("polls");
  const senderKey = "ab".repeat(32);
  const { text } = (await ask(election, { says: { senderKeys: [senderKey] } }))!;
  const poll = { have: revisionOf(text), says: { senderKeys: [senderKey] } };
  const asked = async (): Promise<[answer: unknown, statements: number]> => {
    statements = 0;
    return [await ask(election, poll), statements];
  };
  assert.deepEqual(await asked(), [undefined, 1]);
  // What gateways are not told of costs nothing either.
  await importRoll(db, election, MASTER, [testVoter("a")], () => NOON_MS);
  await rotateGatewayKey(db, election, "g-2", NOW);
  assert.deepEqual(await asked(), [undefined, 1]);
  await rotateDeviceKey(db, election, "s-2-a", 0, NOW);
  assert.equal((await asked())[0], undefined, "a device of another's station");
  assert.deepEqual(await asked(), [undefined, 1]);
});

Deno.test("gatewaySync() derives no key for a poll when nothing changed", async () => {
  const election = await create("derives");
  const { text } = (await ask(election))!;
  const answer = { have: revisionOf(text) };
  await ask(election, answer);
  const poll = request(election, answer);
  const hmac = mock.method(sodium, "crypto_auth_hmacsha256");
  try {
    assert.equal((await handle(poll)).status, 204);
    // A derivation begins with the HMAC of the key that it derives from.
    const fromMaster = () => hmac.mock.calls.filter(({ arguments: [message] }) => message === MASTER).length;
    assert.equal(fromMaster(), 0);
    hmac.mock.resetCalls();
    await handle(request(election, { have: null }));
    assert.equal(
      fromMaster(),
      4,
      "for an answer: three devices' keys, and the test's own for its request",
    );
  } finally {
    hmac.mock.restore();
  }
});

Deno.test("gatewaySync() knows a sender key for ten minutes, and looks it up again after them", async () => {
  const election = await create("sender");
  const says = { senderKeys: ["cd".repeat(32)] };
  const { text } = (await ask(election, { says }))!;
  const asked = async () => {
    statements = 0;
    await ask(election, { have: revisionOf(text), says });
    return statements;
  };
  nowMs += 599_000;
  assert.equal(await asked(), 2, "one of them notes that the gateway was seen");
  nowMs += 2_000;
  assert.equal(await asked(), 2);
  assert.equal(await asked(), 1);
});

Deno.test("gatewaySync() notes when a gateway asked, its spool and its clock, and not more often than every 5 s", async () => {
  const election = await create("seen");
  const seen = async () =>
    await db.query(
      `SELECT gateway, (extract(epoch FROM seen_at) * 1000)::float8 AS at, spool_records::float8 AS spool,
         clock_ahead_ms::float8 AS ahead
       FROM counting.gateway_syncs WHERE election = $1 ORDER BY gateway`,
      [election],
    );
  await ask(election);
  const first = { gateway: "g-1", at: NOON_MS, spool: null, ahead: 500 };
  assert.deepEqual(await seen(), [first]);
  nowMs += 4_000;
  await ask(election, { says: { spoolRecords: 7 } });
  await ask(election, { gateway: "g-2", says: { spoolRecords: 3 }, createdS: nowMs / 1_000 + 100 });
  const second = { gateway: "g-2", at: nowMs, spool: 3, ahead: 100_500 };
  assert.deepEqual(await seen(), [first, second]);
  nowMs += 1_000;
  await ask(election, { says: { spoolRecords: 8 }, createdS: nowMs / 1_000 - 40 });
  assert.deepEqual(await seen(), [{ gateway: "g-1", at: nowMs, spool: 8, ahead: -39_500 }, second]);
  nowMs += 5_000;
  await handle(request(election, { key: new Uint8Array(32), says: { spoolRecords: 9 } }));
  assert.equal((await seen())[0]!.spool, 8, "nothing is noted of who does not have its key");
});

Deno.test("gatewaySync() reads a changed manifest once, however many gateways ask", async () => {
  const election = await create("crowd");
  const known = await Promise.all(["g-1", "g-2"].map((gateway) => ask(election, { gateway })));
  await publishManifest(db, election, MASTER, NOW, (newest) => ({ ...newest, name: "Renamed" }));
  statements = 0;
  const answers = await Promise.all(
    ["g-1", "g-2", "g-1", "g-2"].map((gateway, i) =>
      ask(election, { gateway, have: revisionOf(known[i % 2]!.text) })
    ),
  );
  for (const answer of answers) assert.match(answer!.sync.manifest.manifest, /"name":"Renamed"/);
  assert.equal(
    statements,
    1 + 2 + 4,
    "the gateways' keys together, the manifest's version and text, each gateway's devices",
  );
});

Deno.test("gatewaySync() looks gateways up together, stores when they were seen together, and tells them apart", async () => {
  const [election, other] = [await create("together"), await create("apart")];
  await revokeGatewayKey(db, other, "g-2", 1, NOW);
  statements = 0;
  const settled = await Promise.all([
    handle(request(election)),
    handle(request(election, { gateway: "g-2" })),
    handle(request(other)),
    handle(request(other, { gateway: "g-2" })),
    handle(request(election, { gateway: "g-9" })),
    handle(request(election, { version: 99_999 })),
  ]);
  assert.deepEqual(settled.map(({ status }) => status), [200, 200, 200, 401, 401, 401]);
  const seen = await db.query<{ name: string }>(
    "SELECT election || '/' || gateway AS name FROM counting.gateway_syncs WHERE election = ANY ($1) ORDER BY name",
    [`{${election},${other}}`],
  );
  assert.deepEqual(seen.map(({ name }) => name), ["apart/g-1", "together/g-1", "together/g-2"]);
  // Of each of three answers: its devices. Of each election: manifest's version and text.
  assert.equal(statements, 1 + 1 + 3 + 2 * 2);
});

Deno.test("gatewaySync() tells what it ignored, and answers all the same", async () => {
  const election = await create("ignored");
  ignored.length = 0;
  const senderKeys = Array.from({ length: 62 }, (_, i) => i.toString(16).padStart(64, "0"));
  assert.ok(await ask(election, { says: { senderKeys } }));
  assert.deepEqual(ignored, ["ignored/g-1: 2 keys, 0 statements"]);
});

Deno.test("gatewaySync() refuses gateways that it does not know, and says which", async () => {
  const election = await create("unknown");
  for (
    const asked of [
      request(election, { gateway: "g-9" }),
      request("nowhere", {}),
      request(election, { gateway: "n-1-a" }),
    ]
  ) {
    const { status, reason, detail } = await refusal(asked);
    assert.deepEqual([status, reason], [401, "unknown-gateway"]);
    assert.match(detail!, /^no gateway is known under (unknown|nowhere)\/[a-z0-9-]+\.1$/);
  }
});

Deno.test("gatewaySync() refuses a signature that does not fit, is too old or too early, or is of another body", async () => {
  const election = await create("signatures");
  const at = (seconds: number) => request(election, { createdS: NOON_MS / 1_000 + seconds });
  assert.equal((await refusal(request(election, { key: new Uint8Array(32) }))).reason, "signature-invalid");
  assert.equal(
    (await refusal(request(election, { key: deviceKey(MASTER, { election, id: "g-1", version: 1 }) })))
      .reason,
    "signature-invalid",
  );
  assert.equal((await refusal(at(-SIGNATURE_WINDOW_S - 1))).reason, "signature-stale");
  assert.equal((await refusal(at(SIGNATURE_WINDOW_S + 1))).reason, "signature-early");
  for (const seconds of [-SIGNATURE_WINDOW_S, SIGNATURE_WINDOW_S]) {
    assert.equal((await handle(at(seconds))).status, 200);
  }
  const { headers } = request(election);
  const other = new Request(`http://aggregator${SYNC_PATH}`, {
    method: "POST",
    headers,
    body: `{"have": null }`,
  });
  assert.equal((await refusal(other)).reason, "digest-mismatch");
});

Deno.test("gatewaySync() tells a gateway whose clock is wrong what time it is", async () => {
  const election = await create("clock");
  const response = await handle(request(election, { createdS: NOON_MS / 1_000 - 3_600 }));
  assert.equal((await response.json()).now, NOW.toISOString());
});

Deno.test("gatewaySync() refuses what is not signed at all", async () => {
  const election = await create("unsigned");
  const headers = { "content-type": "application/json" };
  const bare = new Request(`http://aggregator${SYNC_PATH}`, {
    method: "POST",
    headers,
    body: `{"have":null}`,
  });
  assert.equal((await refusal(bare)).reason, "signature-missing");
  const signed = request(election);
  signed.headers.set("signature", "vote=:AAAA:");
  assert.equal((await refusal(signed)).reason, "signature-malformed");
});

const form =
  "the body must have `have`, and may have `senderKeys`, `statements` and `listedKeys`: see docs/wire-format.md";
const wrongBodies: [body: string, status: number, reason: string, says: string | RegExp][] = [
  ["", 400, "body-empty", "the request has no body"],
  ...[
    "null",
    "{}",
    `{"have":1}`,
    `{"have":"x"}`,
    `{"have":null,"more":1}`,
    `{"have":null,"senderKeys":["x"]}`,
  ].map(
    (body): [string, number, string, string] => [body, 422, "invalid-request", form],
  ),
  ["{", 400, "not-json", /must be JSON/],
  ["\xff", 400, "not-utf8", /must be UTF-8/],
  [`{"have":null,"have":null}`, 400, "duplicate-key", /every key must be there once/],
];
for (const [body, status, reason, says] of wrongBodies) {
  Deno.test(`gatewaySync() refuses the signed body ${JSON.stringify(body)}: ${reason}`, async () => {
    const bytes = Uint8Array.from(body, (char) => char.charCodeAt(0));
    const election = `body${sha256(bytes).toHex().slice(0, 32)}`;
    await create(election);
    const found = await refusal(request(election, { body: bytes }));
    assert.deepEqual([found.status, found.reason], [status, reason]);
    assert.match(found.detail!, says instanceof RegExp ? says : new RegExp(RegExp.escape(says)));
  });
}

Deno.test("gatewaySync() refuses a query string, which nobody signed", async () => {
  const election = await create("query");
  const { status, reason } = await refusal(request(election, { path: `${SYNC_PATH}?have=all` }));
  assert.deepEqual([status, reason], [400, "query-not-allowed"]);
});

Deno.test("gatewaySync() takes its content type as it was signed", async () => {
  const election = await create("type");
  const other = request(election);
  other.headers.set("content-type", "application/json; charset=latin1");
  assert.equal((await refusal(other)).reason, "unsupported-media-type");
  const changed = request(election);
  changed.headers.set("content-type", "application/json; charset=utf-8");
  assert.equal((await refusal(changed)).reason, "signature-invalid");
});

Deno.test("gatewaySync() reads no body before it has checked who signed the head", async () => {
  const election = await create("unread");
  const endless = () => {
    let pulled = 0;
    const body = new ReadableStream({
      pull(controller) {
        pulled++;
        controller.enqueue(new Uint8Array(512));
      },
    });
    return { body, pulled: () => pulled };
  };
  const post = (headers: Headers, body: ReadableStream) =>
    new Request(`http://aggregator${SYNC_PATH}`, { method: "POST", headers, body });
  // What is thrown away to let a refusal through is bounded; nothing of it is kept.
  const stranger = endless();
  const forged = request(election, { key: new Uint8Array(32) });
  assert.equal((await refusal(post(forged.headers, stranger.body))).reason, "signature-invalid");
  assert.ok(stranger.pulled() < 3_000, `${stranger.pulled()} pieces were read`);
  const known = endless();
  assert.deepEqual(await refusal(post(request(election).headers, known.body)), {
    status: 413,
    reason: "body-too-large",
    detail: "the body may have 1048576 bytes",
  });
  assert.ok(known.pulled() < 5_000, `${known.pulled()} pieces were read`);
});
