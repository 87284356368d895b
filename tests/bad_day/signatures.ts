/**
 * Requests whose signature is missing, malformed, of another time, of another hand, or over something else.
 *
 * @module
 */
import { sha512 } from "./digests.ts";
import { contentDigest } from "../../shared/signature.ts";
import { deviceKey } from "../../shared/keys.ts";
import { fromHex, utf8 } from "../../shared/bytes.ts";
import { MASTER } from "../fixture.ts";
import { DEVICE, signedText } from "../gateway_fixture.ts";
import { type Endpoint, ENDPOINTS, headerOf, honest, post, type Row, vote, withHeader } from "./scene.ts";

const PROFILE =
  /must be exactly vote=\("@method" "@path" "content-type" "content-digest" "idempotency-key"\)/;

/** What each header of the profile must look like, as a problem's detail says it. */
const FORMS = {
  "content-digest": /Content-Digest must be sha-256=:<32 bytes in base64>:/,
  "idempotency-key": /Idempotency-Key must be a random UUID \(version 4\), lower case, in double quotes/,
  "signature-input": PROFILE,
  "signature": /Signature must be vote=:<32 bytes in base64>:/,
} as const;

const GARBAGE = ["", " ", "?1", "=:AA==:", "(", '"', "a".repeat(500), "vote", "sha-256=::", "vote=::"];

/** Every header of the profile: missing, twice, and garbage. */
export function headers(endpoint: Endpoint): Row[] {
  const rows: Row[] = [];
  for (const [name, form] of Object.entries(FORMS)) {
    const request = honest(endpoint);
    const own = headerOf(request, name);
    rows.push({
      what: `no ${name}`,
      request: withHeader(request, name, undefined),
      reason: "signature-missing",
      says: new RegExp(`has no ${name} header`, "i"),
    });
    const twice = withHeader(request, name, [own, own]);
    rows.push({ what: `${name} twice`, request: twice, reason: "signature-malformed", says: form });
    for (const value of GARBAGE) {
      const spoilt = withHeader(request, name, value);
      rows.push({
        what: `${name}: ${value.slice(0, 20)}`,
        request: spoilt,
        reason: "signature-malformed",
        says: form,
      });
    }
  }
  const { contentType } = ENDPOINTS[endpoint];
  for (
    const type of [
      undefined,
      "",
      "text/plain",
      `${contentType}; charset=latin1`,
      `${contentType},${contentType}`,
    ]
  ) {
    rows.push({
      what: `content-type ${type}`,
      request: withHeader(honest(endpoint), "content-type", type),
      reason: "unsupported-media-type",
      says: new RegExp(`must be ${contentType}, alone or with charset=utf-8`),
    });
  }
  return rows;
}

/** Spellings of Signature-Input that the RFC knows, and the profile does not. */
export function inputs(endpoint: Endpoint): Row[] {
  const changes: [what: string, from: string | RegExp, to: string][] = [
    ["parameters in another order", /;created=(\d+);(keyid="[^"]+")/, ";$2;created=$1"],
    ["another label", "vote=", "sig1="],
    ["another component besides", ` "idempotency-key")`, ` "idempotency-key" "@authority")`],
    ["a component less", ` "idempotency-key")`, ")"],
    ["components in another order", `"@method" "@path"`, `"@path" "@method"`],
    ["no tag", `;tag="pollwire"`, ""],
    ["another tag", `tag="pollwire"`, `tag="other"`],
    ["another algorithm", "hmac-sha256", "rsa-v1_5-sha256"],
    ["no created", /;created=\d+/, ""],
    ["created with a sign", /created=/, "created=-"],
    ["created with a fraction", /(created=\d+)/, "$1.5"],
    ["created in milliseconds", /(created=\d+)/, "$1000"],
    ["a nonce", `;alg=`, `;nonce="1";alg=`],
    ["an expiry", `;keyid=`, `;expires=9999999999;keyid=`],
    ["keyid without version", /\.1"/, `"`],
    ["keyid of version 0", /\.1"/, `.0"`],
    ["keyid in capitals", /keyid="([^"]+)"/, `keyid="TEST-2026/n-1-a.1"`],
    ["keyid that climbs", /keyid="([^"]+)"/, `keyid="../n-1-a.1"`],
    ["a space more", `" "@path"`, `"  "@path"`],
    ["a second signature", /$/, `, other=("@method");created=1`],
  ];
  return changes.map(([what, from, to]) => {
    const request = honest(endpoint);
    const input = headerOf(request, "signature-input").replace(from, to);
    return {
      what: `Signature-Input with ${what}`,
      request: withHeader(request, "signature-input", input),
      reason: "signature-malformed",
      says: PROFILE,
    };
  });
}

/** Signed rightly, and still not to be believed. */
export function hands(endpoint: Endpoint): Row[] {
  const invalid = /does not match method, path, headers and the key that it names/;
  const unknown = /no device is known under .*election, device and key version must be right/;
  const other = endpoint === "vote" ? ENDPOINTS.batch.path : ENDPOINTS.vote.path;
  const flipped = (header: string) => {
    const request = honest(endpoint);
    const value = headerOf(request, header);
    const at = value.indexOf(":") + 3;
    const letter = value[at] === "A" ? "B" : "A";
    return withHeader(request, header, value.slice(0, at) + letter + value.slice(at + 1));
  };
  return [
    {
      what: "signed 301 s ago",
      request: honest(endpoint, { ageS: 310 }),
      reason: "signature-stale",
      says: /s old: sign again with the current time/,
    },
    {
      what: "signed in 301 s",
      request: honest(endpoint, { ageS: -310 }),
      reason: "signature-early",
      says: /s ahead: sign again with the current time/,
    },
    {
      what: "a revoked key",
      request: honest(endpoint, { device: { ...DEVICE, id: "s-1-a" } }),
      reason: "revoked-key",
      says: /was revoked: ask the election office for another/,
    },
    {
      what: "an unknown device",
      request: honest(endpoint, { device: { ...DEVICE, id: "x-1-a" } }),
      reason: "unknown-key",
      says: unknown,
    },
    {
      what: "an unknown version",
      request: honest(endpoint, { device: { ...DEVICE, version: 2 } }),
      reason: "unknown-key",
      says: unknown,
    },
    {
      what: "a device of another gateway",
      request: honest(endpoint, { device: { ...DEVICE, id: "s-2-a" } }),
      reason: "unknown-key",
      says: unknown,
    },
    {
      what: "another election",
      request: honest(endpoint, { device: { ...DEVICE, election: "other-2026" } }),
      reason: "unknown-key",
      says: unknown,
    },
    {
      what: "another election's key of the same device",
      request: honest(endpoint, { key: deviceKey(MASTER, { ...DEVICE, election: "other-2026" }) }),
      reason: "signature-invalid",
      says: invalid,
    },
    {
      what: "another device's key",
      request: honest(endpoint, { key: deviceKey(MASTER, { ...DEVICE, id: "n-2-a" }) }),
      reason: "signature-invalid",
      says: invalid,
    },
    {
      what: "a key of zeros",
      request: honest(endpoint, { key: fromHex("00".repeat(32)) }),
      reason: "signature-invalid",
      says: invalid,
    },
    {
      what: "signed for the other address",
      request: honest(endpoint, { path: other }),
      reason: "signature-invalid",
      says: invalid,
    },
    {
      what: "a signature with a bit changed",
      request: flipped("signature"),
      reason: "signature-invalid",
      says: invalid,
    },
    {
      what: "a digest with a bit changed",
      request: flipped("content-digest"),
      reason: "signature-invalid",
      says: invalid,
    },
    {
      what: "another request's signature",
      request: withHeader(honest(endpoint), "signature", headerOf(honest(endpoint), "signature")),
      reason: "signature-invalid",
      says: invalid,
    },
    {
      what: "another request's id",
      request: withHeader(honest(endpoint), "idempotency-key", `"${crypto.randomUUID()}"`),
      reason: "signature-invalid",
      says: invalid,
    },
    {
      what: "other bytes",
      request: { ...honest(endpoint), body: signedText(vote()) },
      reason: "digest-mismatch",
      says: /not the SHA-256 of the received body/,
    },
    {
      what: "a space more",
      request: { ...honest(endpoint), body: `${signedText(vote())} ` },
      reason: "digest-mismatch",
      says: /not the SHA-256/,
    },
    {
      what: "the digest of other bytes put in after signing",
      request: withHeader(honest(endpoint), "content-digest", contentDigest(utf8("{}"))),
      reason: "signature-invalid",
      says: invalid,
    },
    {
      what: "a sha-512 digest",
      request: withHeader(honest(endpoint), "content-digest", sha512("{}")),
      reason: "signature-malformed",
      says: FORMS["content-digest"],
    },
    {
      what: "two digests",
      request: withHeader(
        honest(endpoint),
        "content-digest",
        `${contentDigest(utf8("{}"))}, ${sha512("{}")}`,
      ),
      reason: "signature-malformed",
      says: FORMS["content-digest"],
    },
    {
      what: "an id of version 1",
      request: post(endpoint, signedText(vote()), {
        idempotencyKey: "5f0c1f6e-7a53-1d0e-9b1c-0c8a4b7f2e11",
      }),
      reason: "signature-malformed",
      says: FORMS["idempotency-key"],
    },
    {
      what: "an id in capitals",
      request: post(endpoint, signedText(vote()), { idempotencyKey: crypto.randomUUID().toUpperCase() }),
      reason: "signature-malformed",
      says: FORMS["idempotency-key"],
    },
  ];
}
