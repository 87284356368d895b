import assert from "assert";
import { fromHex } from "./bytes.ts";
import { isGenuine, minuteOf, type Receipt, receiptKey, receiptSchema, writeReceipt } from "./receipt.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const GATEWAY_KEY = fromHex("ee4ce006eb9c57f55f439dea1aa1c7148957477003513a988f9d2df300bed7d3");
const KEY = receiptKey(GATEWAY_KEY);
const TAKEN = {
  election: "ri-2020",
  voteId: "5f0c1f6e-0b1a-4c3d-8e2f-000000000001",
  voterKey: "01".repeat(32),
  proof: "0f".repeat(16),
  gateway: "gateway-1.1",
  minute: "2020-11-03T15:04Z",
};

// Computed with Python's hmac.
Deno.test("writeReceipt() gives the MAC that another implementation gives", () => {
  assert.equal(KEY.toHex(), "0154f2bcc0bf8cf9e9c1a3b275bb2cfe5091b12a3f09af9b215e50b72de56647");
  const { mac } = writeReceipt(KEY, TAKEN);
  assert.equal(mac, "6b6b0d55af2fc2dfcf45edba423845dc");
});

Deno.test("isGenuine() knows a receipt after it travelled as JSON", () => {
  const receipt = receiptSchema.parse(JSON.parse(JSON.stringify(writeReceipt(KEY, TAKEN))));
  assert.ok(isGenuine(KEY, receipt));
});

for (
  const [field, value] of Object.entries({
    election: "ri-2021",
    voteId: "5f0c1f6e-0b1a-4c3d-8e2f-000000000002",
    voterKey: "02" + "01".repeat(31),
    proof: "0e" + "0f".repeat(15),
    gateway: "gateway-1.2",
    minute: "2020-11-03T15:05Z",
    mac: "00".repeat(16),
  })
) {
  Deno.test(`isGenuine() refuses a receipt with another ${field}`, () => {
    const receipt = { ...writeReceipt(KEY, TAKEN), [field]: value };
    assert.ok(receiptSchema.safeParse(receipt).success);
    assert.ok(!isGenuine(KEY, receipt));
  });
}

Deno.test("isGenuine() refuses a flipped bit anywhere in the MAC", () => {
  const receipt = writeReceipt(KEY, TAKEN);
  for (let bit = 0; bit < 128; bit++) {
    const mac = fromHex(receipt.mac);
    mac[bit >> 3] ^= 1 << (bit & 7);
    assert.ok(!isGenuine(KEY, { ...receipt, mac: mac.toHex() }));
  }
});

Deno.test("isGenuine() refuses a MAC made with another gateway's key, or the gateway's signing key", () => {
  const receipt = writeReceipt(KEY, TAKEN);
  assert.ok(!isGenuine(receiptKey(new Uint8Array(32)), receipt));
  assert.ok(!isGenuine(GATEWAY_KEY, receipt));
});

Deno.test("writeReceipt() writes who and when, and nothing else that its caller had", () => {
  const receipt = writeReceipt(KEY, { ...TAKEN, selections: [], castAt: "" } as Omit<Receipt, "mac">);
  assert.deepEqual(Object.keys(receipt), [
    "election",
    "voteId",
    "voterKey",
    "proof",
    "gateway",
    "minute",
    "mac",
  ]);
});

Deno.test("a receipt has at most 402 characters: a QR code of version 13 holds it", () => {
  const longest = { ...TAKEN, election: "e".repeat(64), gateway: `${"g".repeat(64)}.999999` };
  const text = JSON.stringify(writeReceipt(KEY, longest));
  assert.ok(receiptSchema.safeParse(JSON.parse(text)).success);
  // ISO/IEC 18004, table 7: version 13 holds 425 bytes with error correction L.
  assert.equal(text.length, 402);
});

Deno.test("minuteOf() leaves seconds out, and what it gives is a receipt's minute", () => {
  assert.equal(minuteOf("2020-11-03T15:04:59.999Z"), "2020-11-03T15:04Z");
  assert.ok(receiptSchema.shape.minute.safeParse(minuteOf(new Date(0).toISOString())).success);
});

for (
  const [field, value] of [
    ["election", "RI"],
    ["voteId", "5f0c1f6e-0b1a-1c3d-8e2f-000000000001"],
    ["voterKey", "01".repeat(31)],
    ["voterKey", "AB".repeat(32)],
    ["proof", "0f".repeat(32)],
    ["proof", "0F".repeat(16)],
    ["gateway", "gateway-1"],
    ["gateway", "gateway-1.0"],
    ["minute", "2020-11-03T15:04:05Z"],
    ["mac", "0g".repeat(16)],
    ["mac", "00".repeat(32)],
    ["selections", []],
  ] as const
) {
  Deno.test(`receiptSchema refuses ${field} ${JSON.stringify(value)}`, () => {
    const { error } = receiptSchema.safeParse({ ...writeReceipt(KEY, TAKEN), [field]: value });
    assert.ok(error);
    const [issue] = error.issues;
    assert.equal(issue.code === "unrecognized_keys" ? issue.keys[0] : issue.path[0], field);
  });
}
