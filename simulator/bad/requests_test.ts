import assert from "assert";
import { isFault, readClaim, verifyClaim } from "../../shared/signature.ts";
import { BAD_KINDS, describeKind, type RequestKind } from "./kinds.ts";
import { type BadRequest, badRequest, type RequestContext } from "./requests.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const identity = (device: string, byte: number) => ({
  election: "e",
  device,
  version: 1,
  station: "s",
  key: new Uint8Array(32).fill(byte),
  proofKey: new Uint8Array(32).fill(byte + 10),
});
const device = identity("d", 1);
const revoked = identity("lost", 2);
const nowMs = Date.parse("2026-11-03T08:00:00.000Z");
const voteId = "11111111-1111-4111-8111-111111111111";
const batchId = "22222222-2222-4222-8222-222222222222";
const environment = (batch: boolean): RequestContext => ({
  vote: {
    voteId,
    vote: `{"voteId":"${voteId}"}`,
    proof: "00".repeat(32),
    proofKey: "d.1",
    scheme: "hmac-sha256",
  },
  device,
  revoked,
  batch,
  nowMs,
  uuid: () => batchId,
});

/** What is wrong with a request's signature, by the key that it names. */
function signatureFault({ path, headers, body }: BadRequest): string | undefined {
  const claim = readClaim(path, {
    contentType: headers["content-type"] ?? null,
    contentDigest: headers["content-digest"] ?? null,
    idempotencyKey: headers["idempotency-key"] ?? null,
    signatureInput: headers["signature-input"] ?? null,
    signature: headers["signature"] ?? null,
  });
  if (isFault(claim)) return claim.reason;
  const known = [device, revoked].find((each) => claim.keyId === `e/${each.device}.1`);
  if (known === undefined) return "unknown-key";
  return verifyClaim(claim, known.key, body, nowMs)?.reason;
}

/** Kinds with which the signature itself is at fault; with all others it fits, so that only the fault is refused. */
const OF_SIGNATURE: readonly RequestKind[] = [
  "unsigned",
  "malformed-signature",
  "forged",
  "stale",
  "early",
  "altered",
  "unknown-device",
];
const kinds = BAD_KINDS.filter((kind) => describeKind(kind).way === "request") as RequestKind[];

for (const kind of kinds) {
  for (const batch of [false, true]) {
    Deno.test(`badRequest() is wrong by just one thing: ${kind}${batch ? ", in a batch" : ""}`, () => {
      const request = badRequest(kind, environment(batch));
      const { fate } = describeKind(kind);
      const found = signatureFault({ ...request, path: request.path.split("?")[0]! });
      if (OF_SIGNATURE.includes(kind)) assert.deepEqual({ refusedAs: found }, fate);
      else assert.equal(found, undefined);
    });
  }
}

Deno.test("badRequest() is wrong where its kind says", () => {
  const make = (kind: RequestKind, batch = false) => badRequest(kind, environment(batch));
  assert.equal(make("empty").body.length, 0);
  for (const batch of [false, true]) {
    const { proofKey, ...rest } = JSON.parse(new TextDecoder().decode(make("foreign-proof", batch).body));
    const { voteId: _, proofKey: own, ...expected } = environment(batch).vote;
    assert.deepEqual([proofKey, own, rest], ["no-such-device.1", "d.1", expected]);
  }
  assert.equal(make("query").path, "/v1/votes?at=once");
  assert.equal(make("query", true).path, "/v1/votes/batch?at=once");
  assert.equal(make("wrong-path").path, "/v1/ballots");
  assert.equal(make("wrong-method").method, "PUT");
  assert.equal(make("wrong-type").headers["content-type"], "text/plain");
  assert.equal(make("encoded").headers["content-encoding"], "gzip");
  assert.equal(make("other-id").headers["idempotency-key"], `"${batchId}"`);
  assert.match(make("revoked-device").headers["signature-input"]!, /keyid="e\/lost\.1"/);
  const lines = make("too-many-lines");
  assert.deepEqual([lines.path, lines.body.length], ["/v1/votes/batch", 1_001]);
  assert.equal(make("stale", true).headers["idempotency-key"], `"${batchId}"`);
});
