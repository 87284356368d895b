import assert from "assert";
import { utf8 } from "../shared/bytes.ts";
import { deviceKey, type KeyName, sha256 } from "../shared/keys.ts";
import type { Problem } from "../shared/problem.ts";
import { SIGNATURE_WINDOW_S, type SignedHeaders } from "../shared/signature.ts";
import { MASTER, NOON_MS, testManifest } from "../tests/fixture.ts";
import { DEVICE, signedRequest, type Signing, testDevice, testElection } from "../tests/gateway_fixture.ts";
import { authenticate, type Authenticated, checkBody } from "./authenticate.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const BODY = utf8(`{"a":1}`);
const BATCH_ID = "7c0c5a4e-9a5c-4b8e-8d1f-0a1b2c3d4e5f";
const election = testElection();

function headersOf(signing: Signing = {}): SignedHeaders {
  const { headers } = signedRequest(BODY, { idempotencyKey: BATCH_ID, ...signing });
  return {
    contentType: headers.get("content-type"),
    contentDigest: headers.get("content-digest"),
    idempotencyKey: headers.get("idempotency-key"),
    signatureInput: headers.get("signature-input"),
    signature: headers.get("signature"),
  };
}

function ask(
  signing: Signing = {},
  { path = "/v1/votes", known = election, nowMs = NOON_MS } = {},
): Authenticated | Problem {
  const lookup = (id: string) => id === known.index.manifest.election ? known : undefined;
  return authenticate(path, headersOf(signing), lookup, nowMs);
}

function refusal(result: Authenticated | Problem): Problem & { reason: string } {
  assert.ok("status" in result, "the request was authenticated");
  assert.equal(result.status, 401);
  return { ...result, reason: result.type.replace("urn:pollwire:problem:", "") };
}

Deno.test("authenticate() finds the device, its station and its election", () => {
  const found = ask({ createdMs: NOON_MS - 2_000 });
  assert.deepEqual(found, {
    name: DEVICE,
    station: "n-1",
    election,
    idempotencyKey: BATCH_ID,
    digest: sha256(BODY),
    skewS: 2,
  });
});

Deno.test("authenticate() finds the station of the key, whatever the device is called", () => {
  const elsewhere = testElection(testManifest(), [testDevice("n-1", { station: "n-2" })]);
  assert.equal((ask({}, { known: elsewhere }) as Authenticated).station, "n-2");
});

for (const header of ["content-digest", "idempotency-key", "signature-input", "signature"]) {
  Deno.test(`authenticate() refuses a request without ${header}`, () => {
    assert.equal(refusal(ask({ headers: { [header]: null } })).reason, "signature-missing");
  });

  Deno.test(`authenticate() refuses a ${header} of another form`, () => {
    const value = headersOf()[
      header.replace(/-(.)/, (_, letter) => letter.toUpperCase()) as keyof SignedHeaders
    ]!;
    for (const other of [`${value},`, `${value}, ${value}`, ` ;${value}`, value.slice(0, -1), "x"]) {
      assert.equal(refusal(ask({ headers: { [header]: other } })).reason, "signature-malformed", other);
    }
  });
}

Deno.test("authenticate() refuses a signature of another path, content type, id or key", () => {
  const others: Signing[] = [
    { path: "/v1/votes/batch" },
    { headers: { "content-type": "text/plain" } },
    { headers: { "idempotency-key": `"${crypto.randomUUID()}"` } },
    { key: deviceKey(MASTER, { ...DEVICE, id: "n-2-a" }) },
    { headers: { "signature-input": headersOf({ createdMs: NOON_MS + 1_000 }).signatureInput } },
  ];
  for (const other of others) {
    assert.equal(refusal(ask(other)).reason, "signature-invalid", JSON.stringify(other));
  }
});

Deno.test("checkBody() refuses another body than the one that was signed", () => {
  const device = ask() as Authenticated;
  assert.equal(checkBody(device, BODY), undefined);
  assert.equal(checkBody(device, utf8(`{"a":2}`))!.type, "urn:pollwire:problem:digest-mismatch");
});

Deno.test("authenticate() accepts signatures that differ by up to five minutes, and gives its time beyond", () => {
  const nowMs = NOON_MS;
  const now = new Date(nowMs).toISOString();
  const limitMs = SIGNATURE_WINDOW_S * 1_000;
  assert.equal((ask({ createdMs: nowMs - limitMs }) as Authenticated).skewS, 300);
  assert.equal((ask({ createdMs: nowMs + limitMs }) as Authenticated).skewS, -300);
  const stale = refusal(ask({ createdMs: nowMs - limitMs - 1_000 }));
  assert.deepEqual([stale.reason, stale.now], ["signature-stale", now]);
  const early = refusal(ask({ createdMs: nowMs + limitMs + 1_000 }));
  assert.deepEqual([early.reason, early.now], ["signature-early", now]);
});

Deno.test("authenticate() gives its time with no other refusal", () => {
  assert.equal(refusal(ask({ key: new Uint8Array(32) })).now, undefined);
});

const unknown: [what: string, device: KeyName][] = [
  ["election", { ...DEVICE, election: "other-2026" }],
  ["device", { ...DEVICE, id: "x-1-a" }],
  ["key version", { ...DEVICE, version: 2 }],
];
for (const [what, device] of unknown) {
  Deno.test(`authenticate() refuses an unknown ${what}, and says no more than that`, () => {
    const { reason, detail } = refusal(ask({ device }));
    assert.equal(reason, "unknown-key");
    assert.equal(
      detail,
      `no device is known under ${device.election}/${device.id}.${device.version}: election, device and key version must be right`,
    );
  });
}

Deno.test("authenticate() asks a device to retry while the gateway has no manifest of its election", () => {
  const found = authenticate("/v1/votes", headersOf(), () => "awaited", NOON_MS);
  assert.ok("status" in found, "the request was authenticated");
  assert.deepEqual([found.status, found.type], [503, "urn:pollwire:problem:not-ready"]);
});

Deno.test("authenticate() believes an old key until its time is up, and the new one beside it", () => {
  const validUntil = new Date(NOON_MS).toISOString();
  const rotated = testElection(testManifest(), [
    testDevice("n-1", { validUntil }),
    testDevice("n-1", { version: 2 }),
  ]);
  assert.ok("station" in ask({}, { known: rotated, nowMs: NOON_MS - 1 }));
  assert.ok("station" in ask({ device: { ...DEVICE, version: 2 } }, { known: rotated }));
  assert.equal(refusal(ask({}, { known: rotated })).reason, "unknown-key");
});

Deno.test("authenticate() refuses a key that was denied, and only to who holds it", () => {
  const known = testElection({ ...testManifest(), denied: ["n-1-a.1", "n-2-a.2"] });
  assert.equal(refusal(ask({}, { known })).reason, "revoked-key");
  assert.equal(refusal(ask({ key: new Uint8Array(32) }, { known })).reason, "signature-invalid");
  assert.ok("station" in ask({ device: { ...DEVICE, id: "n-2-a" } }, { known }), "another version of a key");
});

Deno.test("authenticate() never finds a device by a name that an object has of itself", () => {
  for (const id of ["constructor", "__proto__", "tostring"]) {
    assert.ok("status" in ask({ device: { ...DEVICE, id }, key: new Uint8Array(32) }));
  }
});
