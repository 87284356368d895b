import assert from "assert";
import { fromHex } from "./bytes.ts";
import { gatewayFileSchema, revisionOf, syncKey, syncRequestSchema } from "./sync.ts";

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
