import assert from "assert";
import { fromHex } from "../../shared/bytes.ts";
import { ephemeralKeyPair, gatewayKey, recordKey, sealingKeyPair } from "../../shared/keys.ts";
import { openBallotBox, testVoters } from "../../tests/ballot_box.ts";
import { MASTER, NOON_MS, testDefinition } from "../../tests/fixture.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { openHistory, RegisteredHistory } from "./history.ts";
import { createElection, publishManifest } from "../registry/elections.ts";
import { recount } from "./recount.ts";
import { readTables } from "./tables.ts";

const db = await testDatabase();
const NOW = new Date(NOON_MS);

const create = (election: string) => createElection(db, testDefinition({ election }), MASTER, NOW);

const rename = (election: string, name: string) =>
  publishManifest(db, election, MASTER, NOW, (newest) => ({ ...newest, name }));

Deno.test("openHistory() says that the registry has no such election", async () => {
  assert.equal(await openHistory(db.query, "nowhere", MASTER), undefined);
});

Deno.test("openHistory() knows the manifests of all versions", async () => {
  const first = await create("versions");
  const second = await rename("versions", "Second");
  const history = (await openHistory(db.query, "versions", MASTER))!;
  assert.deepEqual([history.election, history.partitions, history.recordBytes], [
    "versions",
    first.partitions,
    first.recordBytes,
  ]);
  assert.deepEqual([1, 2, 3, 0].map((version) => history.manifest(version)?.manifest), [
    first,
    second,
    undefined,
    undefined,
  ]);
  assert.deepEqual(history.newest.manifest, second);
});

Deno.test("openHistory() refuses a master key that is not the election's, by which all would seem forged", async () => {
  await create("other-key");
  await assert.rejects(
    openHistory(db.query, "other-key", new Uint8Array(32)),
    /^Error: Cannot use the master key of election other-key: its records are sealed to another one/,
  );
});

Deno.test("reload() takes up what the registry has gained, and says whether there was anything", async () => {
  await create("grows");
  const history = (await openHistory(db.query, "grows", MASTER))!;
  assert.equal(await history.reload(db.query), false);
  const second = await rename("grows", "Second");
  assert.equal(history.newest.manifest.version, 1);
  const third = await rename("grows", "Third");
  assert.equal(await history.reload(db.query), true);
  assert.deepEqual([1, 2, 3].map((version) => history.manifest(version)?.manifest.name), [
    "A test",
    "Second",
    "Third",
  ]);
  assert.deepEqual([history.manifest(2)?.manifest, history.newest.manifest], [second, third]);
  assert.equal(await history.reload(db.query), false);
});

Deno.test("newest() throws before anything was read", () => {
  const history = new RegisteredHistory("empty", 3, 1_024, MASTER);
  assert.throws(() => history.newest, /^Error: Cannot use election empty: it has no manifest$/);
});

Deno.test("signingKey() gives the keys of gateways that a manifest has named, of every version so far", async () => {
  await create("gateways");
  await publishManifest(db, "gateways", MASTER, NOW, (newest) => ({
    ...newest,
    gateways: [{ id: "g-3", stations: ["n-1", "n-2", "s-1", "s-2"], fallbackFor: [] }],
  }));
  const history = (await openHistory(db.query, "gateways", MASTER))!;
  const name = (id: string, version = 1) => ({ election: "gateways", id, version });
  for (const id of ["g-1", "g-2", "g-3"]) {
    assert.deepEqual(history.signingKey(name(id)), gatewayKey(MASTER, name(id)), id);
    assert.equal(history.signingKey(name(id, 2)), undefined);
  }
  assert.equal(history.signingKey(name("g-4")), undefined);
  assert.equal(history.signingKey(name("n-1-a")), undefined, "a device is no gateway");
  await db.query(
    "UPDATE registry.gateways SET key_version = 2 WHERE election = 'gateways' AND gateway = 'g-1'",
  );
  await history.reload(db.query);
  for (const version of [1, 2]) {
    assert.deepEqual(history.signingKey(name("g-1", version)), gatewayKey(MASTER, name("g-1", version)));
  }
  assert.equal(history.signingKey(name("g-1", 3)), undefined);
});

Deno.test("sealingKey() agrees with a gateway's key, and is none for what is no key", async () => {
  await create("sealing");
  const history = (await openHistory(db.query, "sealing", MASTER))!;
  const { publicKey: aggregator } = sealingKeyPair(MASTER, "sealing");
  const gateway = ephemeralKeyPair();
  const agreed = recordKey(gateway.privateKey, aggregator, "sealing", gateway.publicKey, aggregator);
  for (let time = 0; time < 2; time++) assert.deepEqual(history.sealingKey(gateway.publicKey), agreed);
  // Points of low order, whose agreed secret anyone knows.
  for (
    const hex of [
      "00".repeat(32),
      `01${"00".repeat(31)}`,
      "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    ]
  ) {
    assert.equal(history.sealingKey(fromHex(hex)), undefined, hex);
    assert.equal(history.sealingKey(fromHex(hex)), undefined, "and it stays none");
  }
});

Deno.test("counting takes up a manifest and a gateway that were published after it began", async () => {
  const box = await openBallotBox(db, "counts-on");
  await box.enrol(testVoters(2));
  await box.cast("voter-0");
  await box.count();
  await publishManifest(db, "counts-on", MASTER, NOW, ({ contests: [mayor, ...others], ...newest }) => ({
    ...newest,
    contests: [{ ...mayor, candidates: [...mayor.candidates, { id: "dee", name: "Dee" }] }, ...others],
    gateways: [{ id: "g-3", stations: ["n-1", "n-2", "s-1", "s-2"], fallbackFor: [] }],
  }));
  const dee = [{ contest: "mayor", candidate: "dee" }];
  await box.cast("voter-1", { manifestVersion: 2, selections: dee }, "g-3");
  await box.count();
  const { votes } = await readTables(db.query, "counts-on");
  assert.deepEqual(
    new Map([...votes].sort()),
    new Map([["mayor/ann/n-1/in_person", 1], ["mayor/dee/n-1/in_person", 1]]),
  );
  const late = (await openHistory(db.query, "counts-on", MASTER))!;
  assert.equal((await recount(db, box.log, late)).differences, 0);
});
