/**
 * Holds docs/vectors.json to node:crypto and to an independent library, and Pollwire to docs/vectors.json. A gateway is
 * held to its requests in gateway_vectors_test.ts.
 */
import assert from "assert";
import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  hkdfSync,
  type KeyObject,
  verify,
} from "node:crypto";
import { createSigner, httpbis } from "http-message-signatures";
import sodium from "libsodium-wrappers-sumo";
import { openAnswers } from "../shared/answers.ts";
import { contentDigest, isFault, readClaim, signRequest, verifyClaim } from "../shared/signature.ts";
import { fromHex, utf8 } from "../shared/bytes.ts";
import { FATES, HELD_REASONS, outcomeName, REJECTION_REASONS } from "../shared/outcome.ts";
import { isProofOf, proofLeaf } from "../shared/proof.ts";
import { isGenuine } from "../shared/receipt.ts";
import { decodeRecord, encodeRecord } from "../shared/record.ts";
import { decodeStatement } from "../shared/statement.ts";
import type { Outcome } from "../shared/outcome.ts";
import { countLog, type Fated, keptHistory } from "./kept_history.ts";
import { vectorsText } from "./vectors/make.ts";
import { readVectors, storedEntry, type VectorEntry, type VectorRequest } from "./vectors/schema.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const { text, vectors } = await readVectors();
const { device, receipt, log } = vectors;
const gatewayMs = Date.parse(vectors.gatewayTime);
const createdS = gatewayMs / 1_000;

Deno.test("docs/vectors.json is what tests/vectors/make.ts makes", () => {
  assert.ok(text === vectorsText(), "Run deno run -A tests/vectors/make.ts, and look at the difference");
});

function hmac(key: string, ...parts: (string | Uint8Array)[]): string {
  const mac = createHmac("sha256", fromHex(key));
  for (const part of parts) mac.update(part);
  return mac.digest("hex");
}

/** Each part behind its length in four bytes, big-endian. */
function prefixed(...parts: (string | Uint8Array)[]): Buffer {
  return Buffer.concat(parts.flatMap((part) => {
    const bytes = Buffer.from(part);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return [length, bytes];
  }));
}

const keyOf = (name: string) => vectors.keys.derived.find((each) => each.name === name)!;

// RFC 8410's PKCS #8 frames of a bare key of 32 bytes.
const FRAMES = { x25519: "302e020100300506032b656e04220420", ed25519: "302e020100300506032b657004220420" };

function privateKeyOf(kind: keyof typeof FRAMES, key: string): KeyObject {
  const der = Buffer.from(FRAMES[kind] + key, "hex");
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
}

function publicHalf(key: KeyObject): string {
  const { x } = createPublicKey(key).export({ format: "jwk" });
  return Buffer.from(x!, "base64url").toString("hex");
}

for (const { name, secret, info, key, publicKey } of vectors.keys.derived) {
  Deno.test(`vector of a key, ${name}: node:crypto derives it`, () => {
    const derived = hkdfSync("sha256", fromHex(secret), new Uint8Array(0), fromHex(info), 32);
    assert.equal(new Uint8Array(derived).toHex(), key);
    if (publicKey === undefined) return;
    const kind = name.includes("X25519") ? "x25519" : "ed25519";
    assert.equal(publicHalf(privateKeyOf(kind, key)), publicKey);
  });
}

Deno.test("the vectors' keys stand on one another as wire-format.md says", () => {
  const { derived, master, voter } = vectors.keys;
  const infos: Record<string, string[]> = {
    "a device's key for requests": ["device", "test-2026", "n-1-a", "1"],
    "a device's key for proofs": ["device-proof", "test-2026", "n-1-a", "1"],
    "a gateway's key": ["gateway", "test-2026", "g-1", "1"],
    "the key of a gateway's receipts": ["receipt"],
    "the key of answers to a gateway's sync": ["gateway-sync"],
    "the key of voter keys": ["pseudonym", "test-2026"],
    "the aggregator's X25519 key": ["sealing", "test-2026"],
    "the seed of the Ed25519 key for manifests": ["manifest", "test-2026"],
    "the seed of the Ed25519 key for answers": ["answers", "test-2026"],
  };
  assert.deepEqual(derived.map(({ name }) => name), Object.keys(infos));
  const ofGateway = ["the key of a gateway's receipts", "the key of answers to a gateway's sync"];
  for (const { name, secret, info } of derived) {
    assert.equal(info, prefixed("pollwire/2", ...infos[name]).toString("hex"));
    assert.equal(secret, ofGateway.includes(name) ? keyOf("a gateway's key").key : master);
  }
  assert.equal(voter.voterKey, hmac(keyOf("the key of voter keys").key, voter.voterId));
  assert.equal(device.key, keyOf("a device's key for requests").key);
  assert.equal(device.proofKey, keyOf("a device's key for proofs").key);
  assert.equal(log.pseudonymKey, keyOf("the key of voter keys").key);
  assert.equal(log.aggregatorPrivateKey, keyOf("the aggregator's X25519 key").key);
});

for (const { name, message, leaf, body } of vectors.signedVotes) {
  Deno.test(`vector of a vote ${name}: node:crypto and Pollwire come to its proof and leaf`, () => {
    const expected = prefixed("pollwire/2 vote", "test-2026", body.proofKey, body.vote);
    assert.equal(message, expected.toString("hex"));
    assert.equal(body.proof, hmac(device.proofKey, expected));
    assert.equal(leaf, createHash("sha256").update(fromHex(`00${body.proof}`)).digest("hex").slice(0, 32));
    assert.equal(proofLeaf(fromHex(body.proof)), leaf);
    const key = fromHex(device.proofKey);
    assert.ok(isProofOf(fromHex(body.proof), key, "test-2026", body.proofKey, body.vote));
  });
}

/** The headers of a request by their names in lower case. */
function headersOf({ headers }: VectorRequest): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

for (const { name, request, signatureBase } of vectors.accepted) {
  const headers = headersOf(request);

  Deno.test(`vector "${name}": node:crypto comes to the same digest, base and signature`, () => {
    const digest = createHash("sha256").update(request.body).digest("base64");
    assert.equal(headers["content-digest"], `sha-256=:${digest}:`);
    const lines = ["content-type", "content-digest", "idempotency-key"].map((each) =>
      `"${each}": ${headers[each]}`
    );
    const params = headers["signature-input"].replace(/^vote=/, "");
    const base = [`"@method": POST`, `"@path": ${request.path}`, ...lines, `"@signature-params": ${params}`];
    assert.equal(signatureBase, base.join("\n"));
    const mac = fromHex(hmac(device.key, signatureBase)).toBase64();
    assert.equal(headers.signature, `vote=:${mac}:`);
  });

  Deno.test(`vector "${name}": http-message-signatures comes to the same headers`, async () => {
    const { signature: _, "signature-input": __, ...unsigned } = headers;
    const { headers: signed } = await httpbis.signMessage({
      key: createSigner(Buffer.from(device.key, "hex"), "hmac-sha256", device.keyid),
      name: "vote",
      fields: ["@method", "@path", "content-type", "content-digest", "idempotency-key"],
      params: ["created", "keyid", "alg", "tag"],
      paramValues: { created: new Date(gatewayMs), tag: "pollwire" },
    }, { method: "POST", url: `https://gateway.example${request.path}`, headers: unsigned });
    const theirs = Object.entries(signed).map(([name, value]) => [name.toLowerCase(), value]);
    assert.deepEqual(Object.fromEntries(theirs), headers);
  });

  Deno.test(`vector "${name}": signRequest() writes it, readClaim() and verifyClaim() take it`, () => {
    const idempotencyKey = headers["idempotency-key"].slice(1, -1);
    const body = utf8(request.body);
    const key = fromHex(device.key);
    const contentType = headers["content-type"];
    assert.deepEqual(
      signRequest({
        path: request.path,
        contentType,
        body,
        idempotencyKey,
        keyId: device.keyid,
        key,
        createdS,
      }),
      headers,
    );
    assert.equal(contentDigest(body), headers["content-digest"]);
    const claim = readClaim(request.path, {
      contentType,
      contentDigest: headers["content-digest"],
      idempotencyKey: headers["idempotency-key"],
      signatureInput: headers["signature-input"],
      signature: headers.signature,
    });
    assert.ok(!isFault(claim));
    assert.equal(claim.base, signatureBase);
    assert.equal(verifyClaim(claim, key, body, gatewayMs), undefined);
  });
}

Deno.test("the vectors' receipt is what node:crypto and Pollwire make of it", () => {
  const { key } = keyOf("the key of a gateway's receipts");
  const { mac, ...fields } = receipt.receipt;
  const { election, voteId, voterKey, proof, gateway, minute } = fields;
  const expected = prefixed("pollwire/2 receipt", election, voteId, voterKey, proof, gateway, minute);
  assert.equal(receipt.macInput, expected.toString("hex"));
  assert.equal(mac, hmac(key, expected).slice(0, 32));
  assert.ok(isGenuine(fromHex(key), receipt.receipt));
  assert.equal(voterKey, vectors.keys.voter.voterKey);
  assert.equal(proof, vectors.signedVotes[0].leaf);
  const [{ answer }] = vectors.accepted;
  assert.deepEqual("body" in answer && answer.body.receipt, receipt.receipt);
});

Deno.test("the vectors' answer to a receipt is signed as node:crypto and Pollwire check it", () => {
  const { request, answer, signedMessage, publicKey } = receipt.check;
  const message = Buffer.from(`pollwire/2 answers\n${answer.signed}`);
  assert.equal(signedMessage, message.toString("hex"));
  const seed = keyOf("the seed of the Ed25519 key for answers");
  assert.equal(publicKey, seed.publicKey);
  const key = createPublicKey(privateKeyOf("ed25519", seed.key));
  assert.ok(verify(null, message, key, fromHex(answer.signature)));
  assert.ok(!verify(null, Buffer.from(answer.signed), key, fromHex(answer.signature)));
  const { election, nonce } = JSON.parse(request.body);
  assert.deepEqual(openAnswers(answer, publicKey, { election, nonce }), JSON.parse(answer.signed));
});

const stored = log.entries.map(storedEntry);

for (const { name, partition, offset, ...opened } of vectors.openedEntries) {
  Deno.test(`vector of an entry, ${name}: another composition comes to its context, seal and signature`, () => {
    const entry = stored.find((each) => each.partition === partition && each.offset === offset)!;
    const number = Buffer.alloc(8);
    number.writeBigUInt64BE(BigInt(entry.sequence));
    const domain = entry.kind === "vote" ? "pollwire/2 record" : "pollwire/2 statement";
    const context = prefixed(domain, "test-2026", "2", entry.keyId, entry.senderKey, number);
    assert.equal(opened.context, context.toString("hex"));
    const aggregator = keyOf("the aggregator's X25519 key");
    const agreed = sodium.crypto_scalarmult(fromHex(aggregator.key), entry.senderKey);
    const info = prefixed(
      "pollwire/2",
      "record",
      "test-2026",
      entry.senderKey,
      fromHex(aggregator.publicKey!),
    );
    const sealingKey = new Uint8Array(hkdfSync("sha256", agreed, new Uint8Array(0), info, 32));
    assert.equal(opened.sealingKey, sealingKey.toHex());
    const [nonce, plaintext] = [fromHex(opened.nonce), fromHex(opened.plaintext)];
    const sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
      plaintext,
      context,
      null,
      nonce,
      sealingKey,
    );
    assert.equal(entry.value.toHex(), opened.nonce + sealed.toHex());
    const { key } = keyOf("a gateway's key");
    assert.equal(hmac(key, context, prefixed(entry.value)), entry.signature.toHex());
  });

  Deno.test(`vector of an entry, ${name}: Pollwire reads its plaintext and writes the same again`, () => {
    const entry = log.entries.find((each) => each.partition === partition && each.offset === offset)!;
    const plaintext = fromHex(opened.plaintext);
    if (entry.headers.kind === "statement") {
      assert.equal(decodeStatement(plaintext)?.records, Number(entry.headers.sequence));
      return;
    }
    const bytes = 122 + log.voteBytes;
    assert.equal(plaintext.length, entry.expected.length * bytes);
    for (let at = 0; at < plaintext.length; at += bytes) {
      const part = plaintext.subarray(at, at + bytes);
      assert.deepEqual(encodeRecord(decodeRecord(part)!, log.voteBytes), part);
    }
  });
}

const privateKey = fromHex(log.aggregatorPrivateKey);
const { count, fates } = countLog(
  keptHistory({
    election: log.election,
    partitions: log.partitions,
    voteBytes: log.voteBytes,
    pseudonymKey: fromHex(log.pseudonymKey),
    aggregator: { privateKey, publicKey: sodium.crypto_scalarmult_base(privateKey) },
  }, log.changes),
  log.changes,
  stored,
);

/** What became of a record, in the vectors' words. */
function found({ judgement, counted, decided }: Fated): VectorEntry["expected"][number] {
  return {
    outcome: outcomeName(counted.outcome),
    ..."sequence" in judgement && judgement.sequence !== undefined && { sequence: judgement.sequence },
    ..."clockAheadMs" in judgement && judgement.clockAheadMs !== undefined &&
      { clockAheadMs: judgement.clockAheadMs },
    ...counted.altered && { altered: true },
    ...decided !== undefined && { decided: outcomeName(decided.outcome) },
  };
}

for (const { name, partition, offset, expected } of log.entries) {
  Deno.test(`vector of the log, ${name}: ${expected.map(({ outcome }) => outcome).join(", ")}`, () => {
    const records = [...fates].filter(([position]) => position.startsWith(`${partition}/${offset}/`));
    assert.deepEqual(
      records.map(([position]) => position),
      expected.map((_, i) => `${partition}/${offset}/${i}`),
    );
    assert.deepEqual(records.map(([, fated]) => found(fated)), expected);
  });
}

Deno.test("the vectors' log comes to the totals that they say", () => {
  for (const name of ["outcomes", "votes", "turnout", "groups"] as const) {
    assert.deepEqual(
      Object.fromEntries([...count[name]].toSorted(([a], [b]) => a < b ? -1 : 1)),
      log.count[name],
    );
  }
});

/** It takes a history that ends with certification: shared/judge_test.ts has one. */
const CERTIFIED = "after_certification";

Deno.test("the vectors' log has every outcome there is, each rejection alone and with all that is checked later", () => {
  const outcomes = new Set(
    log.entries.flatMap(({ expected }) => expected.flatMap(({ outcome, decided }) => [outcome, decided])),
  );
  const reasons = {
    rejected: Object.keys(REJECTION_REASONS).filter((reason) => reason !== CERTIFIED),
    held: Object.keys(HELD_REASONS),
    duplicate: ["retransmission", "double_vote"],
  };
  const all = FATES.flatMap((fate: Outcome["fate"]) =>
    fate in reasons ? reasons[fate as keyof typeof reasons].map((reason) => `${fate}/${reason}`) : [fate]
  );
  assert.deepEqual(all.filter((outcome) => !outcomes.has(outcome)), []);
  const byRoll = [CERTIFIED, "unknown_voter", "wrong_station", "wrong_region", "by_decision"];
  for (const reason of Object.keys(REJECTION_REASONS).filter((each) => !byRoll.includes(each))) {
    for (const name of [`${reason}, and nothing else wrong`, `${reason}, and all that is checked later`]) {
      assert.ok(log.entries.some((entry) => entry.name === name), name);
    }
  }
});

Deno.test("the vectors' log stands in order, with a gap and several records in an entry", () => {
  for (let partition = 0; partition < log.partitions; partition++) {
    const offsets = stored.filter((entry) => entry.partition === partition).map(({ offset }) => offset);
    assert.deepEqual(offsets, offsets.toSorted((a, b) => a - b));
    assert.equal(new Set(offsets).size, offsets.length);
    assert.equal(offsets.at(-1)! >= offsets.length, partition === 1, "partition 1 leaves an offset out");
  }
  assert.ok(log.entries.some(({ expected }) => expected.length > 1));
});
