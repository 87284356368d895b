import assert from "assert";
import fc from "fast-check";
import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import { createSigner, createVerifier, httpbis } from "http-message-signatures";
import { fromHex, utf8 } from "./bytes.ts";
import { hmac } from "./keys.ts";
import {
  contentDigest,
  isFault,
  readClaim,
  SIGNATURE_WINDOW_S,
  signatureBase,
  type SignatureFault,
  type SignedHeaders,
  signRequest,
  verifyClaim,
} from "./signature.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const KEY = fromHex("3b07709c8d088ce832eec2484d447493a7285b103e461315e1663b790556c43a");
const CREATED_S = 1_793_700_000;
const REQUEST = {
  path: "/v1/votes",
  contentType: "application/json",
  body: utf8(`{"voteId":"5f0c1f6e-0b1a-4c3d-8e2f-000000000001"}`),
  idempotencyKey: "5f0c1f6e-0b1a-4c3d-8e2f-000000000001",
  keyId: "ri-2020/station-12-a.1",
  key: KEY,
  createdS: CREATED_S,
};
const FIELDS = ["@method", "@path", "content-type", "content-digest", "idempotency-key"];

function headersOf(headers: Record<string, string>): SignedHeaders {
  const read = new Headers(headers);
  return {
    contentType: read.get("content-type"),
    contentDigest: read.get("content-digest"),
    idempotencyKey: read.get("idempotency-key"),
    signatureInput: read.get("signature-input"),
    signature: read.get("signature"),
  };
}

/** What the gateway would say of a request: `undefined` when it takes it. */
function faultOf(
  path: string,
  headers: SignedHeaders,
  body: Uint8Array,
  { key = KEY, nowMs = CREATED_S * 1_000 } = {},
): SignatureFault["reason"] | undefined {
  const claim = readClaim(path, headers);
  return isFault(claim) ? claim.reason : verifyClaim(claim, key, body, nowMs)?.reason;
}

function faultWith(change: Partial<SignedHeaders>): SignatureFault["reason"] | undefined {
  return faultOf(REQUEST.path, { ...headersOf(signRequest(REQUEST)), ...change }, REQUEST.body);
}

// RFC 9421, appendix B.2.5. Its key has 64 bytes and Pollwire's have 32, so hmac() itself is checked against
// node:crypto, and to RFC 4231, in keys_test.ts.
Deno.test("signatureBase() under HMAC-SHA256 gives RFC 9421's signature of B.2.5", () => {
  const key = Uint8Array.fromBase64(
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==",
  );
  const base = signatureBase(
    [["date", "Tue, 20 Apr 2021 02:07:55 GMT"], ["@authority", "example.com"], [
      "content-type",
      "application/json",
    ]],
    `("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`,
  );
  assert.equal(
    createHmac("sha256", key).update(base).digest("base64"),
    "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=",
  );
});

Deno.test("signRequest() signs the profile's signature base", () => {
  const headers = signRequest(REQUEST);
  const params = headers["signature-input"].slice("vote=".length);
  const base = signatureBase(
    [
      ["@method", "POST"],
      ["@path", REQUEST.path],
      ["content-type", REQUEST.contentType],
      ["content-digest", headers["content-digest"]],
      ["idempotency-key", headers["idempotency-key"]],
    ],
    params,
  );
  assert.equal(headers.signature, `vote=:${hmac(KEY, utf8(base)).toBase64()}:`);
});

// Digest and signature computed with Python's hashlib and hmac.
Deno.test("signRequest() writes the headers of the profile, byte for byte", () => {
  assert.deepEqual(signRequest(REQUEST), {
    "content-type": "application/json",
    "content-digest": "sha-256=:e1vH9TqIyl9hRdaFSuw6x18Zn7rDFgR1f9DFVSCnuDE=:",
    "idempotency-key": `"5f0c1f6e-0b1a-4c3d-8e2f-000000000001"`,
    "signature-input":
      `vote=("@method" "@path" "content-type" "content-digest" "idempotency-key");created=1793700000;keyid="ri-2020/station-12-a.1";alg="hmac-sha256";tag="pollwire"`,
    "signature": "vote=:N194U6EH3BO5G26fUmz6reLKKvQYtBKcj1zAb3jwdHY=:",
  });
});

// RFC 9530, appendix B.1 and D: the digests of its examples.
for (
  const [body, digest] of [
    [`{"hello": "world"}\n`, "RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg="],
    ["", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="],
  ]
) {
  Deno.test(`contentDigest() gives RFC 9530's digest of ${JSON.stringify(body)}`, () => {
    assert.equal(contentDigest(utf8(body)), `sha-256=:${digest}:`);
  });
}

const requests = fc.record({
  path: fc.constantFrom("/v1/votes", "/v1/votes/batch", "/v1/receipts/check"),
  contentType: fc.constantFrom("application/json", "application/x-ndjson", "application/json; charset=utf-8"),
  body: fc.uint8Array({ maxLength: 400 }),
  idempotencyKey: fc.uuid({ version: 4 }),
  keyId: fc.stringMatching(/^[a-z0-9-]{1,20}\/[a-z0-9-]{1,20}\.[1-9][0-9]{0,5}$/),
  key: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  createdS: fc.integer({ min: 1, max: 9_999_999_999 }),
});

Deno.test("verifyClaim() takes what signRequest() signed", () => {
  fc.assert(
    fc.property(requests, (request) => {
      const headers = headersOf(signRequest(request));
      const at = { key: request.key, nowMs: request.createdS * 1_000 };
      assert.equal(faultOf(request.path, headers, request.body, at), undefined);
      const claim = readClaim(request.path, headers);
      assert.ok(!isFault(claim));
      assert.equal(claim.keyId, request.keyId);
      assert.equal(claim.created, request.createdS);
      assert.equal(claim.idempotencyKey, request.idempotencyKey);
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("verifyClaim() takes what http-message-signatures signed, header for header", async () => {
  await fc.assert(
    fc.asyncProperty(requests, async (request) => {
      const own = signRequest(request);
      const { headers } = await httpbis.signMessage({
        key: createSigner(Buffer.from(request.key), "hmac-sha256", request.keyId),
        name: "vote",
        fields: FIELDS,
        params: ["created", "keyid", "alg", "tag"],
        paramValues: { created: new Date(request.createdS * 1_000), tag: "pollwire" },
      }, {
        method: "POST",
        url: `https://gateway.example${request.path}`,
        headers: {
          "content-type": request.contentType,
          "content-digest": contentDigest(request.body),
          "idempotency-key": `"${request.idempotencyKey}"`,
        },
      });
      const theirs = Object.fromEntries(
        Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value as string]),
      );
      assert.deepEqual(theirs, own);
      const at = { key: request.key, nowMs: request.createdS * 1_000 };
      assert.equal(faultOf(request.path, headersOf(theirs), request.body, at), undefined);
    }),
    { numRuns: 300 },
  );
});

Deno.test("http-message-signatures takes what signRequest() signed", async () => {
  const createdS = Math.floor(Date.now() / 1_000);
  await fc.assert(
    fc.asyncProperty(requests, async (request) => {
      const verify = (path: string) =>
        httpbis.verifyMessage({
          keyLookup: ({ keyid }) =>
            Promise.resolve(
              keyid === request.keyId
                ? {
                  algs: ["hmac-sha256"],
                  verify: createVerifier(Buffer.from(request.key), "hmac-sha256"),
                }
                : null,
            ),
          requiredFields: FIELDS,
          requiredParams: ["created", "keyid", "alg", "tag"],
        }, {
          method: "POST",
          url: `https://gateway.example${path}`,
          headers: signRequest({ ...request, createdS }),
        });
      assert.equal(await verify(request.path), true);
      assert.equal(await verify(`${request.path}x`), false);
    }),
    { numRuns: 200 },
  );
});

for (
  const [field, header] of [
    ["signatureInput", "Signature-Input"],
    ["signature", "Signature"],
    ["contentDigest", "Content-Digest"],
    ["idempotencyKey", "Idempotency-Key"],
    ["contentType", "Content-Type"],
  ] as const
) {
  Deno.test(`readClaim() refuses a request without ${header}, and names it`, () => {
    const headers = { ...headersOf(signRequest(REQUEST)), [field]: null };
    assert.deepEqual(readClaim(REQUEST.path, headers), {
      reason: "signature-missing",
      detail: `the request has no ${header} header`,
    });
  });
}

const INPUT = headersOf(signRequest(REQUEST)).signatureInput!;
const COMPONENTS = `("@method" "@path" "content-type" "content-digest" "idempotency-key")`;

for (
  const [what, signatureInput] of [
    ["parameters in another order", INPUT.replace(/(;created=\d+)(;keyid="[^"]+")/, "$2$1")],
    ["an extra parameter", `${INPUT};nonce="a"`],
    ["an expiry", INPUT.replace(";keyid", ";expires=1793700300;keyid")],
    ["a parameter twice", INPUT.replace(";keyid", `;created=${CREATED_S};keyid`)],
    ["no created", INPUT.replace(/;created=\d+/, "")],
    ["no keyid", INPUT.replace(/;keyid="[^"]+"/, "")],
    ["no alg", INPUT.replace(`;alg="hmac-sha256"`, "")],
    ["no tag", INPUT.replace(`;tag="pollwire"`, "")],
    ["another tag", INPUT.replace("pollwire", "other")],
    ["another algorithm", INPUT.replace("hmac-sha256", "ed25519")],
    ["another label", INPUT.replace("vote=", "sig1=")],
    ["a second signature", `${INPUT}, sig1=${INPUT.slice(5)}`],
    ["a second signature before it", `sig1=${INPUT.slice(5)}, ${INPUT}`],
    ["components in another order", INPUT.replace(`"@method" "@path"`, `"@path" "@method"`)],
    ["a component less", INPUT.replace(` "idempotency-key"`, "")],
    ["a component more", INPUT.replace(`("@method"`, `("@authority" "@method"`)],
    ["a component twice", INPUT.replace(`"@path"`, `"@path" "@path"`)],
    ["a component with a parameter", INPUT.replace(`"content-type"`, `"content-type";sf`)],
    ["no components", INPUT.replace(COMPONENTS, "()")],
    ["extra whitespace between components", INPUT.replace(`" "`, `"  "`)],
    ["extra whitespace before a parameter", INPUT.replace(";keyid", "; keyid")],
    ["whitespace around the equals sign", INPUT.replace("created=", "created =")],
    ["whitespace at the end", `${INPUT} `],
    ["a line break at the end", `${INPUT}\n`],
    ["whitespace at the beginning", ` ${INPUT}`],
    ["a component in capitals", INPUT.replace("content-type", "Content-Type")],
    ["created as a decimal", INPUT.replace(/created=\d+/, "created=1793700000.0")],
    ["created in milliseconds", INPUT.replace(/created=\d+/, "created=1793700000000")],
    ["created with a leading zero", INPUT.replace(/created=\d+/, "created=0793700000")],
    ["created below zero", INPUT.replace(/created=\d+/, "created=-793700000")],
    ["created as a string", INPUT.replace(/created=\d+/, `created="1793700000"`)],
    ["a keyid that is no key name", INPUT.replace("ri-2020/", "")],
    ["a keyid in capitals", INPUT.replace("ri-2020", "RI-2020")],
    ["a key version of zero", INPUT.replace(`a.1"`, `a.0"`)],
    ["nothing in it", ""],
  ]
) {
  Deno.test(`readClaim() refuses a Signature-Input with ${what}`, () => {
    assert.notEqual(signatureInput, INPUT, "the test changes something");
    // Signed as it stands, so that only its form can be the reason.
    const headers = headersOf(signRequest(REQUEST));
    const base = signatureBase(
      [
        ["@method", "POST"],
        ["@path", REQUEST.path],
        ["content-type", REQUEST.contentType],
        ["content-digest", headers.contentDigest!],
        ["idempotency-key", headers.idempotencyKey!],
      ],
      signatureInput.slice("vote=".length),
    );
    const signature = `vote=:${hmac(KEY, utf8(base)).toBase64()}:`;
    assert.equal(faultWith({ signatureInput, signature }), "signature-malformed");
  });
}

const MAC = headersOf(signRequest(REQUEST)).signature!;

for (
  const [what, signature] of [
    ["another label", MAC.replace("vote=", "sig1=")],
    ["a second signature", `${MAC}, sig1=${MAC.slice(5)}`],
    ["no colons", MAC.replaceAll(":", "")],
    ["quotes for colons", MAC.replaceAll(":", `"`)],
    ["a byte less", `vote=:${new Uint8Array(31).toBase64()}:`],
    ["a byte more", `vote=:${new Uint8Array(33).toBase64()}:`],
    ["base64url", `vote=:${new Uint8Array(32).fill(0xff).toBase64({ alphabet: "base64url" })}:`],
    ["no padding", MAC.replace("=:", ":")],
    ["whitespace inside", MAC.replace("=:", "= :")],
    ["a line break at the end", `${MAC}\n`],
    ["a parameter", `${MAC};a`],
    ["nothing in it", ""],
  ]
) {
  Deno.test(`readClaim() refuses a Signature with ${what}`, () => {
    assert.equal(faultWith({ signature }), "signature-malformed");
  });
}

Deno.test("readClaim() refuses the other spellings of the same 32 bytes", () => {
  // The 43rd character of 44 has two bits to spare: base64 decoders read four spellings of it alike.
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const at = MAC.length - 3;
  const own = alphabet.indexOf(MAC[at]);
  for (const other of [1, 2, 3]) {
    const signature = MAC.slice(0, at) + alphabet[own + other] + MAC.slice(at + 1);
    assert.deepEqual(Uint8Array.fromBase64(signature.slice(6, -1)), Uint8Array.fromBase64(MAC.slice(6, -1)));
    assert.equal(faultWith({ signature }), "signature-malformed");
  }
});

const DIGEST = contentDigest(REQUEST.body);

for (
  const [what, digest] of [
    ["SHA-512", `sha-512=:${new Uint8Array(64).toBase64()}:`],
    ["SHA-512 beside SHA-256", `${DIGEST}, sha-512=:${new Uint8Array(64).toBase64()}:`],
    ["SHA-256 beside SHA-512", `sha-512=:${new Uint8Array(64).toBase64()}:, ${DIGEST}`],
    ["the algorithm in capitals", DIGEST.replace("sha", "SHA")],
    ["31 bytes", `sha-256=:${new Uint8Array(31).toBase64()}:`],
    ["hex", `sha-256=:${"0".repeat(64)}:`],
    ["the old Digest's form", DIGEST.replaceAll(":", "")],
    ["a line break at the end", `${DIGEST}\n`],
    ["nothing in it", ""],
  ]
) {
  Deno.test(`readClaim() refuses a Content-Digest with ${what}`, () => {
    assert.equal(faultWith({ contentDigest: digest }), "signature-malformed");
  });
}

for (
  const [what, id] of [
    ["no quotes", "5f0c1f6e-0b1a-4c3d-8e2f-000000000001"],
    ["capitals", `"5F0C1F6E-0B1A-4C3D-8E2F-000000000001"`],
    ["a UUID that tells the time (version 1)", `"5f0c1f6e-0b1a-1c3d-8e2f-000000000001"`],
    ["a UUID that tells the time (version 7)", `"5f0c1f6e-0b1a-7c3d-8e2f-000000000001"`],
    ["another variant", `"5f0c1f6e-0b1a-4c3d-ce2f-000000000001"`],
    ["something before it", `a"5f0c1f6e-0b1a-4c3d-8e2f-000000000001"`],
    ["something that is no UUID", `"1"`],
    ["a parameter", `"5f0c1f6e-0b1a-4c3d-8e2f-000000000001";a`],
    ["a line break at the end", `"5f0c1f6e-0b1a-4c3d-8e2f-000000000001"\n`],
    ["nothing in it", ""],
  ]
) {
  Deno.test(`readClaim() refuses an Idempotency-Key with ${what}`, () => {
    assert.equal(faultWith({ idempotencyKey: id }), "signature-malformed");
  });
}

Deno.test("verifyClaim() refuses another key", () => {
  const headers = headersOf(signRequest(REQUEST));
  assert.equal(
    faultOf(REQUEST.path, headers, REQUEST.body, { key: new Uint8Array(32) }),
    "signature-invalid",
  );
});

Deno.test("verifyClaim() refuses another path", () => {
  const headers = headersOf(signRequest(REQUEST));
  assert.equal(faultOf("/v1/votes/batch", headers, REQUEST.body), "signature-invalid");
});

Deno.test("verifyClaim() refuses another body", () => {
  const headers = headersOf(signRequest(REQUEST));
  assert.equal(faultOf(REQUEST.path, headers, utf8("{}")), "digest-mismatch");
  assert.equal(faultOf(REQUEST.path, headers, new Uint8Array(0)), "digest-mismatch");
});

Deno.test("verifyClaim() refuses another body under its own digest", () => {
  assert.equal(faultWith({ contentDigest: contentDigest(utf8("{}")) }), "signature-invalid");
});

for (
  const [what, ageMs, fault] of [
    ["takes a signature of now", 0, undefined],
    ["takes a signature exactly as old as the window", SIGNATURE_WINDOW_S * 1_000, undefined],
    [
      "refuses a stale signature, a millisecond past the window",
      SIGNATURE_WINDOW_S * 1_000 + 1,
      "signature-stale",
    ],
    ["refuses a signature of the day before", 86_400_000, "signature-stale"],
    ["takes a signature exactly as early as the window", -SIGNATURE_WINDOW_S * 1_000, undefined],
    [
      "refuses an early signature, a millisecond past the window",
      -SIGNATURE_WINDOW_S * 1_000 - 1,
      "signature-early",
    ],
  ] as const
) {
  Deno.test(`verifyClaim() ${what}`, () => {
    const headers = headersOf(signRequest(REQUEST));
    const nowMs = CREATED_S * 1_000 + ageMs;
    assert.equal(faultOf(REQUEST.path, headers, REQUEST.body, { nowMs }), fault);
  });
}

Deno.test("verifyClaim() says how far off a signature's time is", () => {
  const claim = readClaim(REQUEST.path, headersOf(signRequest(REQUEST)));
  assert.ok(!isFault(claim));
  assert.match(verifyClaim(claim, KEY, REQUEST.body, (CREATED_S + 400) * 1_000)!.detail, /is 400 s old/);
  assert.match(verifyClaim(claim, KEY, REQUEST.body, (CREATED_S - 400) * 1_000)!.detail, /is 400 s ahead/);
});

Deno.test("verifyClaim() says nothing of age or body to a caller without the key", () => {
  const headers = headersOf(signRequest(REQUEST));
  const at = { key: new Uint8Array(32), nowMs: 0 };
  assert.equal(faultOf(REQUEST.path, headers, utf8("{}"), at), "signature-invalid");
});

type Mutable = { path: string; body: string } & { -readonly [Name in keyof SignedHeaders]: string };

const mutations = fc.record({
  part: fc.constantFrom<(keyof Mutable)[]>(
    "path",
    "body",
    "contentType",
    "contentDigest",
    "idempotencyKey",
    "signatureInput",
    "signature",
  ),
  kind: fc.constantFrom("replace", "insert", "delete", "flip"),
  at: fc.nat({ max: 1_000 }),
  byte: fc.nat({ max: 255 }),
});

function mutate(text: string, { kind, at, byte }: { kind: string; at: number; byte: number }): string {
  const bytes = Array.from(text, (char) => char.charCodeAt(0));
  const index = at % bytes.length;
  if (kind === "insert") bytes.splice(index, 0, byte);
  if (kind === "delete") bytes.splice(index, 1);
  if (kind === "replace") bytes[index] = byte;
  if (kind === "flip") bytes[index] ^= 1 << (byte & 7);
  return String.fromCharCode(...bytes);
}

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

Deno.test("verifyClaim() refuses any mutation of a single byte of path, headers or body", () => {
  fc.assert(
    fc.property(requests, mutations, (request, mutation) => {
      const body = request.body.length === 0 ? utf8("{}") : request.body;
      const sent = {
        path: request.path,
        body: String.fromCharCode(...body),
        ...headersOf(signRequest({ ...request, body })),
      } as Mutable;
      const came = { ...sent, [mutation.part]: mutate(sent[mutation.part], mutation) };
      fc.pre(came[mutation.part] !== sent[mutation.part]);
      const at = { key: request.key, nowMs: request.createdS * 1_000 };
      assert.equal(faultOf(sent.path, sent, latin1(sent.body), at), undefined);
      assert.notEqual(faultOf(came.path, came, latin1(came.body), at), undefined);
    }),
    { numRuns: 3_000 },
  );
});

Deno.test("verifyClaim() refuses a mutation at every place of every header", () => {
  const sent = headersOf(signRequest(REQUEST));
  for (const [name, value] of Object.entries(sent) as [keyof SignedHeaders, string][]) {
    for (let at = 0; at < value.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const came = { ...sent, [name]: mutate(value, { kind: "flip", at, byte: bit }) };
        assert.notEqual(faultOf(REQUEST.path, came, REQUEST.body), undefined, `${name} at ${at}, bit ${bit}`);
      }
    }
  }
});

Deno.test("readClaim() never throws", () => {
  const header = fc.option(fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom(INPUT, MAC, DIGEST)));
  fc.assert(
    fc.property(
      fc.string(),
      fc.record({
        contentType: header,
        contentDigest: header,
        idempotencyKey: header,
        signatureInput: header,
        signature: header,
      }),
      (path, headers) => {
        assert.ok(isFault(readClaim(path, headers)));
      },
    ),
    { numRuns: 1_000 },
  );
});
