import assert from "assert";
import { fromHex } from "./bytes.ts";
import { testManifest, testSealer } from "../tests/fixture.ts";
import { MAX_SEQUENCE } from "./record.ts";
import {
  gatewayFileSchema,
  revisionOf,
  statementEntrySchema,
  SYNC_LIMITS,
  syncKey,
  syncRequestSchema,
  writeStatementEntry,
} from "./sync.ts";

Deno.test("revisionOf() is the SHA-256 of the text, in hex", () => {
  assert.equal(revisionOf("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});

Deno.test("syncKey() is another key than the gateway's, and another for each gateway", () => {
  const [one, two] = ["11", "22"].map((byte) => fromHex(byte.repeat(32)));
  assert.notDeepEqual(syncKey(one), one);
  assert.notDeepEqual(syncKey(one), syncKey(two));
  assert.deepEqual(syncKey(one), syncKey(one));
});

Deno.test("syncRequestSchema takes a revision or null, and nothing beside", () => {
  assert.ok(syncRequestSchema.safeParse({ have: null }).success);
  assert.ok(syncRequestSchema.safeParse({ have: revisionOf("x") }).success);
  assert.ok(!syncRequestSchema.safeParse({ have: "x" }).success);
  assert.ok(!syncRequestSchema.safeParse({}).success);
  assert.ok(!syncRequestSchema.safeParse({ have: null, more: 1 }).success);
});

Deno.test("syncRequestSchema takes keys and statements, none when they are left out, and no more than the limits", () => {
  assert.deepEqual(syncRequestSchema.parse({ have: null }), { have: null, senderKeys: [], statements: [] });
  const keys = (count: number) => Array<string>(count).fill("ab".repeat(32));
  const takes = (change: object) => syncRequestSchema.safeParse({ have: null, ...change }).success;
  assert.ok(takes({ senderKeys: keys(SYNC_LIMITS.senderKeys), listedKeys: [] }));
  assert.ok(!takes({ senderKeys: keys(SYNC_LIMITS.senderKeys + 1) }));
  assert.ok(takes({ listedKeys: keys(SYNC_LIMITS.listedKeys) }));
  assert.ok(!takes({ listedKeys: keys(SYNC_LIMITS.listedKeys + 1) }));
  assert.ok(!takes({ senderKeys: ["AB".repeat(32)] }));
});

/** A statement as a gateway sends it with a sync. */
const stated = (records: number) => writeStatementEntry(testSealer(testManifest()).state(records));

Deno.test("statementEntrySchema takes every statement that a gateway seals", () => {
  for (const records of [0, 1, MAX_SEQUENCE]) {
    const entry = stated(records);
    assert.deepEqual(statementEntrySchema.parse(entry), entry);
  }
});

for (
  const [what, change] of [
    ["half a byte", { value: "0".repeat(113) }],
    ["a byte less", { value: "00".repeat(55) }],
    ["a byte more", { value: "00".repeat(57) }],
    ["capitals", { value: "AB".repeat(56) }],
    ["a number past the limit", { sequence: MAX_SEQUENCE + 1 }],
    ["a negative number", { sequence: -1 }],
    ["half a number", { sequence: 0.5 }],
    ["a signature that is too short", { signature: "00".repeat(31) }],
    ["a field too many", { kind: "vote" }],
  ] as const
) {
  Deno.test(`statementEntrySchema refuses ${what}`, () => {
    assert.ok(!statementEntrySchema.safeParse({ ...stated(3), ...change }).success);
  });
}

Deno.test("gatewayFileSchema names what is wrong with a gateway's file", () => {
  const election = { election: "e-1", keyVersion: 1, key: "00".repeat(32), manifestKey: "11".repeat(32) };
  const file = {
    gateway: "g-1",
    aggregators: ["http://127.0.0.1:8000", "https://aggregator.test"],
    elections: [election],
  };
  assert.ok(gatewayFileSchema.safeParse(file).success);
  const wrong = gatewayFileSchema.safeParse({ ...file, elections: [{ ...election, key: "secret" }] });
  assert.deepEqual(wrong.error?.issues.map(({ path, message }) => [path.join("."), message]), [
    ["elections.0.key", "must be 32 bytes in lower-case hex"],
  ]);
  assert.ok(!gatewayFileSchema.safeParse({ ...file, elections: [] }).success);
  for (const aggregators of [[], ["aggregator"], ["ftp://aggregator.test"], "http://127.0.0.1:8000"]) {
    assert.ok(!gatewayFileSchema.safeParse({ ...file, aggregators }).success, JSON.stringify(aggregators));
  }
});
