/**
 * Holds docs/vectors.json to node:crypto and to an independent library, and Pollwire to docs/vectors.json.
 */
import assert from "assert";
import { createHash, createHmac, hkdfSync } from "node:crypto";
import { createSigner, httpbis } from "http-message-signatures";
import { z } from "zod";
import { checkReceipts } from "../aggregator/public/receipts.ts";
import { problemSchema } from "../shared/problem.ts";
import { isGenuine, receiptKey, receiptSchema } from "../shared/receipt.ts";
import { contentDigest, isFault, readClaim, signRequest, verifyClaim } from "../shared/signature.ts";
import { fromHex, utf8 } from "../shared/bytes.ts";
import { testGateway } from "./gateway_fixture.ts";
import { MASTER } from "./fixture.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const requestSchema = z.strictObject({
  method: z.literal("POST"),
  path: z.string(),
  headers: z.record(z.string(), z.string()),
  body: z.string(),
});
type VectorRequest = z.infer<typeof requestSchema>;

const lineSchema = z.strictObject({
  line: z.int(),
  voteId: z.string().optional(),
  status: z.int(),
  type: z.string().optional(),
  receipt: receiptSchema.optional(),
});

const vectors = z.strictObject({
  about: z.string(),
  gatewayTime: z.iso.datetime(),
  device: z.strictObject({ keyid: z.string(), key: z.string(), station: z.string() }),
  accepted: z.array(z.strictObject({
    name: z.string(),
    signatureBase: z.string(),
    request: requestSchema,
    answer: z.union([
      z.strictObject({ status: z.literal(202), body: z.strictObject({ receipt: receiptSchema }) }),
      z.strictObject({ status: z.literal(207), lines: z.array(lineSchema) }),
    ]),
  })),
  receipt: z.strictObject({
    about: z.string(),
    pseudonymKey: z.string(),
    gatewayKey: z.string(),
    receiptKey: z.string(),
    voterId: z.string(),
    macInput: z.string(),
    receipt: receiptSchema,
    check: z.strictObject({
      request: requestSchema,
      answers: z.array(
        z.strictObject({ voteId: z.string(), outcome: z.string().optional(), type: z.string().optional() }),
      ),
    }),
  }),
  refused: z.array(z.strictObject({
    name: z.string(),
    request: requestSchema,
    answer: z.strictObject({ status: z.int(), type: z.string() }),
  })),
}).parse(JSON.parse(await Deno.readTextFile(new URL("../docs/vectors.json", import.meta.url))));

const { device, receipt, gatewayTime } = vectors;
const gatewayMs = Date.parse(gatewayTime);
const createdS = gatewayMs / 1_000;

/** The headers of a request by their names in lower case. */
function headersOf({ headers }: VectorRequest): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

/** What a gateway at {@link gatewayTime} answers. */
async function answerTo({ path, ...init }: VectorRequest) {
  const gateway = testGateway({ now: () => gatewayMs });
  return await gateway.send(new Request(`http://gateway.test${path}`, init));
}

function hmac(key: string, text: string | Uint8Array): string {
  return createHmac("sha256", fromHex(key)).update(text).digest("hex");
}

/** Each text behind its length in four bytes, big-endian. */
function prefixed(...texts: string[]): Uint8Array {
  return Buffer.concat(texts.flatMap((text) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(Buffer.byteLength(text));
    return [length, Buffer.from(text)];
  }));
}

function derived(secret: Uint8Array, ...context: string[]): string {
  const info = prefixed("pollwire/1", ...context);
  return new Uint8Array(hkdfSync("sha256", secret, new Uint8Array(0), info, 32)).toHex();
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

for (const { name, request, answer } of vectors.accepted) {
  Deno.test(`vector "${name}": a gateway answers as it says`, async () => {
    const { status, body } = await answerTo(request);
    assert.equal(status, answer.status);
    if (answer.status === 202) return assert.deepEqual(body, answer.body);
    const lines = body.results.map(({ problem, ...line }: { problem?: { type: string } }) =>
      problem === undefined ? line : { ...line, type: problem.type }
    );
    assert.deepEqual(lines, answer.lines);
  });
}

for (const { name, request, answer } of vectors.refused) {
  Deno.test(`vector of a request that is refused: ${name}`, async () => {
    const { status, body } = await answerTo(request);
    const { type } = problemSchema.parse(body);
    assert.deepEqual({ status, type }, answer);
  });
}

Deno.test("the vectors' receipt is what node:crypto and Pollwire make of it", () => {
  assert.equal(receipt.gatewayKey, derived(MASTER, "gateway", "test-2026", "g-1", "1"));
  assert.equal(receipt.receiptKey, derived(fromHex(receipt.gatewayKey), "receipt"));
  assert.equal(receiptKey(fromHex(receipt.gatewayKey)).toHex(), receipt.receiptKey);
  const { election, voteId, voterKey, gateway, minute, mac } = receipt.receipt;
  assert.equal(voterKey, hmac(receipt.pseudonymKey, receipt.voterId));
  assert.equal(
    receipt.macInput,
    Buffer.from(prefixed(election, voteId, voterKey, gateway, minute)).toString("hex"),
  );
  assert.equal(mac, hmac(receipt.receiptKey, fromHex(receipt.macInput)));
  assert.ok(isGenuine(fromHex(receipt.receiptKey), receipt.receipt));
  const [{ answer }] = vectors.accepted;
  assert.deepEqual("body" in answer && answer.body.receipt, receipt.receipt);
});

Deno.test("the aggregator answers the vectors' question as they say", async () => {
  const { request, answers } = receipt.check;
  const { receipts } = z.strictObject({ receipts: z.array(receiptSchema) }).parse(JSON.parse(request.body));
  const nothingKnown = () => Promise.resolve([{ counted_id: null, rejected_for: null }] as any[]);
  const found = await checkReceipts(nothingKnown, () => fromHex(receipt.receiptKey), receipts);
  const told = found.map((each) =>
    "problem" in each ? { voteId: each.voteId, type: each.problem.type } : each
  );
  assert.deepEqual(told, answers);
});
