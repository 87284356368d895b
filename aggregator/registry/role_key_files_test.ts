import assert from "assert";
import { answerKeyPair, deviceKey, gatewayKey, pseudonymKey } from "../../shared/keys.ts";
import { receiptKey } from "../../shared/receipt.ts";
import { withDirectory } from "../../tests/directory.ts";
import { MASTER, NOON_MS, testDefinition } from "../../tests/fixture.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { createElection, rotateDeviceKey } from "./elections.ts";
import { revokeGatewayKey, rotateGatewayKey } from "./gateway_keys.ts";
import { OfficeError } from "./office_error.ts";
import { receiptKeyFiles, syncKeyFiles, writeRoleKeyFiles } from "./role_key_files.ts";

const db = await testDatabase();
const NOW = new Date(NOON_MS);

/** An election with second versions of a device's and a gateway's key, the gateway's first one revoked. */
async function electionWithKeys(election: string): Promise<void> {
  await createElection(db, testDefinition({ election }), MASTER, NOW);
  await rotateDeviceKey(db, election, "n-1-a", 0, NOW);
  await rotateGatewayKey(db, election, "g-1", NOW);
  await revokeGatewayKey(db, election, "g-1", 1, NOW);
}

const modeOf = (path: string) => Deno.statSync(path).mode! & 0o777;

Deno.test("writeRoleKeyFiles() gives receipts and sync every key version that they need, derived as from the master key", async () => {
  await electionWithKeys("both");
  await withDirectory(async (directory) => {
    await writeRoleKeyFiles(db.query, "both", MASTER, directory);
    const receipts = receiptKeyFiles(`${directory}/receipts`, () => NOON_MS)("both");
    const sync = syncKeyFiles(`${directory}/sync`, () => NOON_MS)("both");
    assert.deepEqual(receipts.answerKey, answerKeyPair(MASTER, "both").privateKey);
    assert.deepEqual(sync.pseudonymKey, pseudonymKey(MASTER, "both"));
    for (const version of [1, 2]) {
      const gateway = { election: "both", id: "g-1", version };
      assert.deepEqual(receipts.receiptKey(`g-1.${version}`), receiptKey(gatewayKey(MASTER, gateway)));
      assert.deepEqual(sync.gatewayKey(gateway), gatewayKey(MASTER, gateway));
      const device = { election: "both", id: "n-1-a", version };
      assert.deepEqual(sync.deviceKey(device), deviceKey(MASTER, device));
    }
    assert.equal(receipts.receiptKey("g-1.3"), undefined);
    assert.equal(sync.gatewayKey({ election: "both", id: "g-1", version: 3 }), undefined);
    assert.equal(sync.sealing, undefined);
  });
});

Deno.test("writeRoleKeyFiles() writes no master, sealing or proof key, and lets only the owner read", async () => {
  await electionWithKeys("secret");
  await withDirectory(async (directory) => {
    const paths = await writeRoleKeyFiles(db.query, "secret", MASTER, directory);
    assert.deepEqual(paths, [`${directory}/receipts/secret.json`, `${directory}/sync/secret.json`]);
    const [receipts, sync] = paths.map((path) => JSON.parse(Deno.readTextFileSync(path)));
    assert.deepEqual(Object.keys(receipts), ["election", "answerKey", "receiptKeys"]);
    assert.deepEqual(Object.keys(sync), ["election", "pseudonymKey", "gateways", "devices"]);
    for (const path of paths) {
      assert.equal(modeOf(path), 0o600);
      assert.ok(!Deno.readTextFileSync(path).includes(MASTER.toHex()));
    }
    // Receipts' process cannot sign as a gateway.
    const key = gatewayKey(MASTER, { election: "secret", id: "g-1", version: 2 }).toHex();
    assert.ok(!Deno.readTextFileSync(paths[0]).includes(key));
    for (const role of ["receipts", "sync"]) assert.equal(modeOf(`${directory}/${role}`), 0o700);
  });
});

Deno.test("syncKeyFiles() reads a file again once it has changed, and keeps its keys while it is missing", async () => {
  await createElection(db, testDefinition({ election: "grows" }), MASTER, NOW);
  await withDirectory(async (directory) => {
    let nowMs = NOON_MS;
    const keysOf = syncKeyFiles(`${directory}/sync`, () => nowMs);
    await writeRoleKeyFiles(db.query, "grows", MASTER, directory);
    const second = { election: "grows", id: "g-1", version: 2 };
    assert.equal(keysOf("grows").gatewayKey(second), undefined);
    await rotateGatewayKey(db, "grows", "g-1", NOW);
    await writeRoleKeyFiles(db.query, "grows", MASTER, directory);
    nowMs += 1_000;
    assert.deepEqual(keysOf("grows").gatewayKey(second), gatewayKey(MASTER, second));
    Deno.removeSync(`${directory}/sync/grows.json`);
    nowMs += 1_000;
    assert.deepEqual(keysOf("grows").gatewayKey(second), gatewayKey(MASTER, second));
  });
});

Deno.test("a missing file, another election's, and one that is no key file are refused by name, and no key is quoted", async () => {
  await createElection(db, testDefinition({ election: "refused" }), MASTER, NOW);
  await withDirectory(async (directory) => {
    const refusal = (election: string, message: RegExp) =>
      assert.throws(
        () => receiptKeyFiles(`${directory}/receipts`, () => NOON_MS)(election),
        (error) => error instanceof OfficeError && message.test(error.message),
      );
    refusal(
      "refused",
      /^Cannot read the receipts keys of election refused from .*\/receipts\/refused\.json \(.*\); RECEIPT_KEYS_DIRECTORY must name .* `deno task provision --election refused --write-keys` writes it$/,
    );
    const [path] = await writeRoleKeyFiles(db.query, "refused", MASTER, directory);
    Deno.copyFileSync(path, `${directory}/receipts/other.json`);
    refusal("other", /^Cannot use .*\/other\.json: it has keys of refused, and must have those of other$/);
    const cut = Deno.readTextFileSync(path).replace('"answerKey": "', '"answerKey": "zz');
    Deno.writeTextFileSync(path, cut);
    refusal("refused", /^Cannot use .*\/refused\.json: it must be a file of receipts keys[^"]*$/);
  });
});
