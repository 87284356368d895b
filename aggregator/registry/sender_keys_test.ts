import assert from "assert";
import { fromHex } from "../../shared/bytes.ts";
import { ephemeralKeyPair, gatewayKey, parseKeyName } from "../../shared/keys.ts";
import { entryContext, entrySealer, entrySignature } from "../../shared/record.ts";
import { encodeStatement } from "../../shared/statement.ts";
import { type StatementEntry, type SyncRequest, writeStatementEntry } from "../../shared/sync.ts";
import { MASTER, NOON_MS, testDefinition, testManifest, testSealer } from "../../tests/fixture.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { type Claimant, SenderKeys, takeDelivered } from "./sender_keys.ts";
import { syncKeysFromMaster } from "./role_keys.ts";

const db = await testDatabase();
const HOUR_MS = 3_600_000;
const CLOSES_MS = NOON_MS + 11 * HOUR_MS;

/** What a gateway says of an election. */
function gatewayOf(election: string, gateway = "g-1", keys = new SenderKeys(db)) {
  return (says: Partial<SyncRequest>, nowMs = NOON_MS) => {
    const claimant: Claimant = { election, gateway, nowMs, acceptsUntilMs: CLOSES_MS };
    return keys.take(
      { have: null, senderKeys: [], statements: [], ...says },
      claimant,
      syncKeysFromMaster(MASTER, election),
    );
  };
}

const sealerOf = (election: string, gateway = "g-1", version = 1) =>
  testSealer(testManifest(testDefinition({ election })), gateway, MASTER, version);

/** A thief's signature, with the gateway's key, over a statement with another number. */
function resigned({ keyId, senderKey, value }: StatementEntry, sequence: number): string {
  const name = parseKeyName(keyId)!;
  const head = { version: "2", kind: "statement", keyId, senderKey: fromHex(senderKey), sequence };
  return entrySignature(gatewayKey(MASTER, name), entryContext(name.election, head), fromHex(value)).toHex();
}

/** Made-up sender keys, of which nobody has the private half. */
const madeUp = (count: number, first = 0) =>
  Array.from({ length: count }, (_, i) => (first + i).toString(16).padStart(64, "0"));

type Row = { gateway: string; by: string; stated: number | null; listed: boolean };

async function registered(election: string): Promise<Map<string, Row>> {
  const rows = await db.query<Row & { key: string }>(
    `SELECT encode(sender_key, 'hex') AS key, gateway, registered_by AS by, stated::float8 AS stated, is_listed AS listed
     FROM counting.sender_keys WHERE election = $1`,
    [election],
  );
  return new Map(rows.map(({ key, ...row }) => [key, row]));
}

async function closed(election: string): Promise<string[]> {
  const rows = await db.query<{ gateway: string }>(
    "SELECT gateway FROM counting.closed_gateways WHERE election = $1 ORDER BY gateway",
    [election],
  );
  return rows.map(({ gateway }) => gateway);
}

const NOTHING = { senderKeys: 0, statements: 0 };

Deno.test("take() registers sender keys, each once", async () => {
  const say = gatewayOf("registers");
  const [one, two] = madeUp(2);
  assert.deepEqual(await say({ senderKeys: [one, one] }), NOTHING);
  assert.deepEqual(await say({ senderKeys: [one, two] }), NOTHING);
  const row = { gateway: "g-1", by: "sync", stated: null, listed: false };
  assert.deepEqual(await registered("registers"), new Map([[one, row], [two, row]]));
  // Another gateway cannot take a key over by naming it.
  assert.deepEqual(await gatewayOf("registers", "g-2")({ senderKeys: [one] }), NOTHING);
  assert.equal((await registered("registers")).get(one)!.gateway, "g-1");
});

Deno.test("take() registers 60 keys of a gateway an hour, and ignores a thief's others", async () => {
  const say = gatewayOf("limit");
  assert.deepEqual(await say({ senderKeys: madeUp(59) }), NOTHING);
  assert.deepEqual(await say({ senderKeys: madeUp(5, 100) }, NOON_MS + 1_000), {
    senderKeys: 4,
    statements: 0,
  });
  assert.equal((await registered("limit")).size, 60);
  // What is registered is not ignored when it is named again, nor does another gateway pay for it.
  assert.deepEqual(await say({ senderKeys: madeUp(59) }, NOON_MS + 120_000), NOTHING);
  assert.deepEqual(await gatewayOf("limit", "g-2")({ senderKeys: madeUp(3, 200) }), NOTHING);
  // An hour later the first 59 count no more.
  const later = NOON_MS + HOUR_MS;
  assert.deepEqual(await say({ senderKeys: madeUp(60, 300) }, later), { senderKeys: 1, statements: 0 });
  assert.equal((await registered("limit")).size, 60 + 3 + 59);
});

Deno.test("take() keeps to the limit when a thief asks many times at once, of several aggregators", async () => {
  const [one, other] = [new SenderKeys(db), new SenderKeys(db)];
  const said = await Promise.all(
    Array.from(
      { length: 10 },
      (_, i) => gatewayOf("at-once", "g-1", i % 2 === 0 ? one : other)({ senderKeys: madeUp(20, i * 20) }),
    ),
  );
  assert.equal((await registered("at-once")).size, 60);
  assert.equal(said.reduce((sum, { senderKeys }) => sum + senderKeys, 0), 140);
});

Deno.test("take() registers keys that the log brought by the sync's limit alone", async () => {
  await db.query(
    `INSERT INTO counting.sender_keys (election, sender_key, gateway, registered_at, registered_by)
     SELECT 'by-log', sha256(n::text::bytea), 'g-1', $1::timestamptz, 'log' FROM generate_series(1, 70) AS n`,
    [new Date(NOON_MS).toISOString()],
  );
  assert.deepEqual(await gatewayOf("by-log")({ senderKeys: madeUp(60) }), NOTHING);
});

Deno.test("take() ignores new keys after the acceptance window", async () => {
  const say = gatewayOf("late");
  const [known, fresh] = madeUp(2);
  assert.deepEqual(await say({ senderKeys: [known] }, CLOSES_MS), NOTHING);
  assert.deepEqual(await say({ senderKeys: [known, fresh] }, CLOSES_MS + 120_000), {
    senderKeys: 1,
    statements: 0,
  });
  assert.deepEqual([...(await registered("late")).keys()], [known]);
});

Deno.test("take() stores what a gateway states, at its highest", async () => {
  const say = gatewayOf("states");
  const sealer = sealerOf("states");
  const key = sealer.senderKey.toHex();
  const stated = async () => (await registered("states")).get(key)?.stated;
  assert.deepEqual(await say({ senderKeys: [key] }), NOTHING);
  for (
    const [records, expected] of [[[0], 0], [[12], 12], [[7], 12], [[13, 15, 14], 15], [[15], 15]] as const
  ) {
    const statements = records.map((n) => writeStatementEntry(sealer.state(n)));
    assert.deepEqual(await say({ statements }), NOTHING);
    assert.equal(await stated(), expected, `after ${records}`);
  }
});

Deno.test("take() registers the key of a statement, where it may", async () => {
  const say = gatewayOf("states-new");
  const [one, two] = [sealerOf("states-new"), sealerOf("states-new")];
  assert.deepEqual(await say({ statements: [writeStatementEntry(one.state(3))] }), NOTHING);
  assert.deepEqual(await say({ statements: [writeStatementEntry(two.state(4))] }, CLOSES_MS + 1), {
    senderKeys: 0,
    statements: 1,
  });
  const rows = await registered("states-new");
  assert.deepEqual([...rows.values()].map(({ stated, by }) => [stated, by]), [[3, "sync"]]);
  // One that is registered already may still be stated then.
  assert.deepEqual(await say({ statements: [writeStatementEntry(one.state(5))] }, CLOSES_MS + 1), NOTHING);
  assert.equal((await registered("states-new")).get(one.senderKey.toHex())!.stated, 5);
});

Deno.test("take() takes a statement under an earlier version of the gateway's key", async () => {
  const sealer = sealerOf("states-old", "g-1", 2);
  assert.deepEqual(
    await gatewayOf("states-old")({ statements: [writeStatementEntry(sealer.state(2))] }),
    NOTHING,
  );
  assert.equal((await registered("states-old")).get(sealer.senderKey.toHex())!.stated, 2);
});

Deno.test("take() gives a key to the gateway that states for it, even if another had registered it", async () => {
  const sealer = sealerOf("whose");
  const key = sealer.senderKey.toHex();
  await gatewayOf("whose", "g-2")({ senderKeys: [key] });
  await gatewayOf("whose")({ statements: [writeStatementEntry(sealer.state(9))] });
  assert.deepEqual(
    await registered("whose"),
    new Map([[key, { gateway: "g-1", by: "sync", stated: 9, listed: false }]]),
  );
});

Deno.test("a thief with a gateway's file cannot state anything for a live sender key", async (t) => {
  const election = "thief";
  const say = gatewayOf(election);
  const honest = sealerOf(election);
  const key = honest.senderKey.toHex();
  await say({ senderKeys: [key] });
  const genuine = writeStatementEntry(honest.state(10));
  // He has the gateway's key, so he can sign whatever he likes; of the sender key he has the public half only.
  const name = { election, id: "g-1", version: 1 };
  const forger = entrySealer({
    name,
    signingKey: gatewayKey(MASTER, name),
    sealingKey: crypto.getRandomValues(new Uint8Array(32)),
    senderKey: honest.senderKey,
  });
  const forged = writeStatementEntry(
    forger.seal("statement", 2, encodeStatement({ records: 2, statedAtMs: NOON_MS })),
  );
  const foreign = writeStatementEntry(sealerOf(election, "g-2").state(2));
  const flipped = (hex: string) => `${hex.startsWith("0") ? "1" : "0"}${hex.slice(1)}`;
  for (
    const [what, statement] of [
      ["a statement that he signed and sealed, under the live key's name", forged],
      ["the genuine seal under a number that he signed", {
        ...genuine,
        sequence: 2_000,
        signature: resigned(genuine, 2_000),
      }],
      ["a statement of his own sender key, under the live key's name", {
        ...writeStatementEntry(sealerOf(election).state(2)),
        senderKey: key,
      }],
      ["the genuine statement with another number", { ...genuine, sequence: 2_000 }],
      ["the genuine statement with another signature", { ...genuine, signature: flipped(genuine.signature) }],
      ["another value", { ...genuine, value: flipped(genuine.value) }],
      ["a value that is too short", { ...genuine, value: genuine.value.slice(2) }],
      ["a value of half a byte", { ...genuine, value: genuine.value.slice(1) }],
      ["another gateway's statement", foreign],
      ["a statement of another election", writeStatementEntry(sealerOf("thief-2").state(2))],
      ["a key that is none", { ...genuine, keyId: "g-1.1" }],
      ["a sender key of low order", { ...genuine, senderKey: "00".repeat(32) }],
    ] as const
  ) {
    await t.step(what, async () => {
      assert.deepEqual(await say({ statements: [statement] }), { senderKeys: 0, statements: 1 });
    });
  }
  assert.deepEqual([...(await registered(election)).entries()].map(([each, { stated }]) => [each, stated]), [[
    key,
    null,
  ]]);
  // A forgery beside it does not keep the genuine one out.
  const beside = { ...genuine, sequence: 2_000 };
  assert.deepEqual(await say({ statements: [beside, genuine] }), { senderKeys: 0, statements: 1 });
  assert.equal((await registered(election)).get(key)!.stated, 10);
});

Deno.test("take() takes a gateway's list after the acceptance window, and not before", async () => {
  const say = gatewayOf("lists");
  const [known, unheard] = madeUp(2);
  await say({ senderKeys: [known] });
  assert.deepEqual(await say({ listedKeys: [known] }, CLOSES_MS), NOTHING);
  assert.deepEqual(await closed("lists"), []);
  assert.equal((await registered("lists")).get(known)!.listed, false);
  // The list names a key of which the aggregator has not heard: so it is waited for.
  assert.deepEqual(await say({ listedKeys: [known, unheard] }, CLOSES_MS + 1), NOTHING);
  assert.deepEqual(await closed("lists"), ["g-1"]);
  const row = { gateway: "g-1", by: "sync", stated: null, listed: true };
  assert.deepEqual(await registered("lists"), new Map([[known, row], [unheard, row]]));
});

Deno.test("take() does not close a gateway whose list names more keys than may be registered", async () => {
  const say = gatewayOf("long-list");
  const list = madeUp(100);
  assert.deepEqual(await say({ listedKeys: list }, CLOSES_MS + 1), { senderKeys: 40, statements: 0 });
  assert.deepEqual(await closed("long-list"), []);
  assert.deepEqual(await say({ listedKeys: list }, CLOSES_MS + 1 + HOUR_MS), NOTHING);
  assert.deepEqual(await closed("long-list"), ["g-1"]);
  assert.ok([...(await registered("long-list")).values()].every(({ listed }) => listed));
});

Deno.test("take() takes an empty list of a gateway that never used a key", async () => {
  assert.deepEqual(await gatewayOf("empty-list", "g-2")({ listedKeys: [] }, CLOSES_MS + 1), NOTHING);
  assert.deepEqual(await closed("empty-list"), ["g-2"]);
});

Deno.test("take() marks a gateway's own keys only", async () => {
  const [own, others] = [ephemeralKeyPair(), ephemeralKeyPair()].map(({ publicKey }) => publicKey.toHex());
  await gatewayOf("own-list")({ senderKeys: [own] });
  await gatewayOf("own-list", "g-2")({ senderKeys: [others] });
  await gatewayOf("own-list")({ listedKeys: [own, others] }, CLOSES_MS + 1);
  const rows = await registered("own-list");
  assert.deepEqual([rows.get(own)!.listed, rows.get(others)!.listed], [true, false]);
});

/** What a gateway says to a process that has its keys from a file, without the sealing key. */
function saysWithoutSealingKey(election: string, gateway = "g-1") {
  const keys = { ...syncKeysFromMaster(MASTER, election), sealing: undefined };
  return (says: Partial<SyncRequest>, nowMs = NOON_MS) => {
    const claimant: Claimant = { election, gateway, nowMs, acceptsUntilMs: CLOSES_MS };
    return new SenderKeys(db).take({ have: null, senderKeys: [], statements: [], ...says }, claimant, keys);
  };
}

async function takenIn(election: string): Promise<{ taken: number; refused: [string, number][] }> {
  const refused: [string, number][] = [];
  const keys = syncKeysFromMaster(MASTER, election);
  const taken = await takeDelivered(db.query, election, keys, (...each) => refused.push(each));
  return { taken, refused };
}

Deno.test("without the sealing key, take() leaves statements to a process that counts, which takes each in once", async () => {
  const say = saysWithoutSealingKey("delivered");
  const sealer = sealerOf("delivered");
  const key = sealer.senderKey.toHex();
  const stated = async () => (await registered("delivered")).get(key)!.stated;
  for (const n of [12, 7, 15]) {
    assert.deepEqual(await say({ statements: [writeStatementEntry(sealer.state(n))] }), NOTHING);
  }
  assert.equal(await stated(), null);
  assert.deepEqual(await takenIn("delivered"), { taken: 3, refused: [] });
  assert.equal(await stated(), 15);
  assert.deepEqual(await takenIn("delivered"), { taken: 0, refused: [] });
  // What is stated already, or higher, is not delivered again.
  await say({ statements: [writeStatementEntry(sealer.state(15))] });
  assert.deepEqual(await takenIn("delivered"), { taken: 0, refused: [] });
});

Deno.test("without the sealing key, a forged statement states nothing, and a true one of the same key still does", async () => {
  const election = "delivered-forged";
  const say = saysWithoutSealingKey(election);
  const sealer = sealerOf(election);
  const genuine = writeStatementEntry(sealer.state(10));
  const forged = { ...genuine, sequence: 2_000, signature: resigned(genuine, 2_000) };
  const unsigned = { ...genuine, sequence: 3_000 };
  assert.deepEqual(await say({ statements: [unsigned] }), { senderKeys: 0, statements: 1 });
  assert.deepEqual(await say({ statements: [forged] }), NOTHING);
  assert.deepEqual(await say({ statements: [genuine] }), NOTHING);
  assert.deepEqual(await takenIn(election), { taken: 2, refused: [["g-1", 1]] });
  assert.equal((await registered(election)).get(sealer.senderKey.toHex())!.stated, 10);
});

Deno.test("without the sealing key, no more than 1,000 statements of a gateway wait", async () => {
  const election = "delivered-many";
  await db.query(
    `INSERT INTO counting.delivered_statements
     SELECT $1, 'g-1', sha256(n::text::bytea), 1, '{}', now() FROM generate_series(1, 999) AS n`,
    [election],
  );
  const statements = [1, 2].map(() => writeStatementEntry(sealerOf(election).state(3)));
  assert.deepEqual(await saysWithoutSealingKey(election)({ statements }), NOTHING);
  const [{ waiting }] = await db.query<{ waiting: number }>(
    "SELECT count(*)::float8 AS waiting FROM counting.delivered_statements WHERE election = $1",
    [election],
  );
  assert.equal(waiting, 1_000);
});
