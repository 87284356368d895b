import assert from "assert";
import {
  createElection,
  publishManifest,
  revokeDeviceKey,
  rotateDeviceKey,
} from "../aggregator/registry/elections.ts";
import { Elections } from "../aggregator/registry/election_names.ts";
import { gatewaySync } from "../aggregator/registry/gateway_sync.ts";
import { syncKeysFromMaster } from "../aggregator/registry/role_keys.ts";
import { writeDeviceFile, writeGatewayFiles } from "../aggregator/office/provision.ts";
import { unpackChunk } from "../gateway/chunk.ts";
import { gatewayConfig } from "../gateway/config.ts";
import { Spool } from "../gateway/spool.ts";
import { ElectionStore } from "../gateway/manifest.ts";
import type { Manifest } from "../shared/election.ts";
import { judge } from "../shared/judge.ts";
import { pseudonymKey } from "../shared/keys.ts";
import { SYNC_PATH } from "../shared/sync.ts";
import { withDirectory } from "./directory.ts";
import { MASTER, NOON_MS, testDefinition, testHistory } from "./fixture.ts";
import { recordsRun, testRecords } from "./spool_fixture.ts";
import { tamper, testDatabase } from "./test_database.ts";
import { openTestOffice } from "./test_office.ts";

const db = await testDatabase();
const NOW = new Date(NOON_MS);

/** An aggregator that gateways can ask over HTTP, and the files of those that it was provisioned for. */
class Aggregator {
  #server?: Deno.HttpServer<Deno.NetAddr>;
  #port = 0;

  /** The master key of its elections. */
  master = MASTER;

  constructor(readonly directory: string) {}

  start(): void {
    const handle = gatewaySync({
      reading: db,
      writing: db,
      elections: new Elections(),
      keysOf: (election) => syncKeysFromMaster(this.master, election),
      now: () => NOON_MS,
    });
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: this.#port, onListen() {} }, (request) => {
      const { pathname } = new URL(request.url);
      return pathname === SYNC_PATH ? handle(request) : new Response(null, { status: 404 });
    });
    this.#port = this.#server.addr.port;
  }

  async stop(): Promise<void> {
    await this.#server?.shutdown();
    this.#server = undefined;
  }

  /**
   * Creates an election and writes the files of its gateways.
   *
   * @param before Addresses that gateways are to ask before this one.
   */
  async create(election: string, ...before: string[]): Promise<Manifest> {
    const manifest = await createElection(db, testDefinition({ election }), this.master, NOW);
    writeGatewayFiles(manifest, this.master, this.directory, [...before, this.origin]);
    return manifest;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** A gateway's process: what it was provisioned with, and what its disk has kept. */
  gateway(id = "g-1"): ElectionStore {
    const { file } = gatewayConfig({ GATEWAY_FILE: `${this.directory}/gateways/${id}.json` });
    return new ElectionStore(file, `${this.directory}/${id}`);
  }
}

async function withAggregator(work: (aggregator: Aggregator) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const aggregator = new Aggregator(directory);
    aggregator.start();
    try {
      await work(aggregator);
    } finally {
      await aggregator.stop();
    }
  });
}

const NOTHING_NEW = { changed: [], faults: [] };
const taken = (...elections: string[]) => ({ changed: elections, faults: [] });

Deno.test("a gateway that was provisioned gets all that it needs, once", async () => {
  await withAggregator(async (aggregator) => {
    const manifest = await aggregator.create("fresh");
    const gateway = aggregator.gateway();
    assert.deepEqual(gateway.loadKept(), NOTHING_NEW);
    assert.equal(gateway.get("fresh"), undefined);
    assert.deepEqual(await gateway.sync(NOON_MS), taken("fresh"));
    const election = gateway.get("fresh")!;
    assert.deepEqual(election.index.manifest, manifest);
    assert.deepEqual([...election.stations], ["n-1", "n-2", "s-1"]);
    assert.deepEqual(election.pseudonymKey, pseudonymKey(MASTER, "fresh"));
    assert.deepEqual(await gateway.sync(NOON_MS), NOTHING_NEW);
  });
});

Deno.test("a gateway asks the next address of the aggregator while one is away, and the first again when it is alone", async () => {
  await withAggregator(async (first) => {
    const second = new Aggregator(first.directory);
    second.start();
    try {
      await second.create("several", first.origin);
      await first.stop();
      const gateway = second.gateway();
      assert.deepEqual(await gateway.sync(NOON_MS), taken("several"));
      await rotateDeviceKey(db, "several", "n-1-a", 600, NOW);
      assert.deepEqual(await gateway.sync(NOON_MS), taken("several"));
      await second.stop();
      const { changed, faults } = await gateway.sync(NOON_MS);
      assert.deepEqual([changed, faults.length], [[], 1]);
      for (const { origin } of [first, second]) assert.ok(faults[0].includes(`${origin}: `), faults[0]);
      first.start();
      await rotateDeviceKey(db, "several", "n-1-a", 600, NOW);
      assert.deepEqual(await gateway.sync(NOON_MS), taken("several"));
    } finally {
      await second.stop();
    }
  });
});

Deno.test("a gateway holds the keys that the devices of its stations were provisioned with, and no others", async () => {
  await withAggregator(async (aggregator) => {
    await aggregator.create("devices");
    const path = await writeDeviceFile(db.query, "devices", MASTER, aggregator.directory, NOW);
    const { devices } = JSON.parse(await Deno.readTextFile(path)) as {
      devices: { device: string; version: number; station: string; key: string }[];
    };
    const gateway = aggregator.gateway();
    await gateway.sync(NOON_MS);
    for (const { device, version, station, key } of devices) {
      const held = gateway.get("devices")!.deviceKey({ election: "devices", id: device, version });
      if (station === "s-2") assert.equal(held, undefined, "s-2 does not turn to g-1");
      else assert.deepEqual([held?.key.toHex(), held?.station, held?.validUntilMs], [key, station, Infinity]);
    }
  });
});

Deno.test("a record that a gateway's spool seals with what it got is acceptable to the aggregator", async () => {
  await withAggregator(async (aggregator) => {
    const manifest = await aggregator.create("seals");
    const gateway = aggregator.gateway("g-2");
    await gateway.sync(NOON_MS);
    const { sender } = gateway.get("seals")!;
    const spool = new Spool({
      path: `${aggregator.directory}/spool.sqlite`,
      maxBytes: 1e9,
      now: () => NOON_MS,
    });
    spool.senderKeys.use(sender);
    const [record] = testRecords(1, { station: "s-2" }, "seals");
    spool.append([recordsRun([record], "seals")]);
    const [entry] = spool.oldest(1, 1).flatMap(unpackChunk);
    spool.close();
    const [judgement] = judge({ ...entry, offset: 0, appendedAtMs: NOON_MS }, testHistory(manifest));
    assert.ok(judgement.fate === "acceptable", judgement.fate);
    assert.deepEqual([judgement.region, judgement.gateway, judgement.sequence], ["south", "g-2", 1]);
  });
});

Deno.test("a gateway knows a device with its next sync that was enrolled over HTTP, rotated and revoked", async () => {
  await withAggregator(async (aggregator) => {
    await aggregator.create("enrols");
    const office = openTestOffice(db);
    const ask = await office.enrol("enrols-registrar", ["registrar", "enrols"]);
    const gateway = aggregator.gateway("g-1");
    await gateway.sync(NOON_MS);
    const held = (version: number) =>
      gateway.get("enrols")!.deviceKey({ election: "enrols", id: "new", version });
    const devices = "/v1/elections/enrols/devices";
    const { code } = (await ask("POST", devices, { device: "new", station: "n-1" })).body;
    const { body: identity } = await office.ask(undefined, "POST", "/v1/office/enrolments", { code });
    assert.equal(held(1), undefined);
    assert.deepEqual(await gateway.sync(NOON_MS), taken("enrols"));
    assert.deepEqual([held(1)?.key.toHex(), held(1)?.station], [identity.key, "n-1"]);
    await ask("POST", `${devices}/new/rotate`, { overlapS: 60 });
    assert.deepEqual(await gateway.sync(NOON_MS), taken("enrols"));
    assert.deepEqual([held(1)?.validUntilMs, held(2)?.validUntilMs], [NOON_MS + 60_000, Infinity]);
    await ask("POST", `${devices}/new/revoke`, { version: 1, reason: "Stolen" });
    assert.deepEqual(await gateway.sync(NOON_MS), taken("enrols"));
    assert.ok(gateway.get("enrols")!.index.denied.has("new.1"));
  });
});

Deno.test("a gateway follows what the office does to keys and manifest", async () => {
  await withAggregator(async (aggregator) => {
    await aggregator.create("follows");
    const [one, two] = [aggregator.gateway("g-1"), aggregator.gateway("g-2")];
    await one.sync(NOON_MS);
    await two.sync(NOON_MS);
    const held = (version: number) =>
      one.get("follows")!.deviceKey({ election: "follows", id: "n-1-a", version });

    await rotateDeviceKey(db, "follows", "n-1-a", 600, NOW);
    assert.equal(held(2), undefined);
    assert.deepEqual(await one.sync(NOON_MS), taken("follows"));
    assert.deepEqual([held(1)?.validUntilMs, held(2)?.validUntilMs], [NOON_MS + 600_000, Infinity]);
    assert.notDeepEqual(held(1)?.key, held(2)?.key);
    assert.deepEqual(await one.sync(NOON_MS), NOTHING_NEW);

    await revokeDeviceKey(db, "follows", MASTER, "n-1-a", 1, NOW);
    assert.deepEqual(await one.sync(NOON_MS), taken("follows"));
    assert.ok(one.get("follows")!.index.denied.has("n-1-a.1"));

    await publishManifest(db, "follows", MASTER, NOW, (newest) => ({
      ...newest,
      gateways: [
        { id: "g-1", stations: ["n-1", "n-2", "s-1"], fallbackFor: [] },
        { id: "g-2", stations: ["s-2"], fallbackFor: ["n-1"] },
      ],
    }));
    assert.deepEqual([await one.sync(NOON_MS), await two.sync(NOON_MS)], [
      taken("follows"),
      taken("follows"),
    ]);
    assert.deepEqual([...two.get("follows")!.stations], ["s-2", "n-1"]);
    assert.equal(two.get("follows")!.deviceKey({ election: "follows", id: "n-2-a", version: 1 }), undefined);
  });
});

Deno.test("a gateway serves several elections from one file, each with its own keys", async () => {
  await withAggregator(async (aggregator) => {
    await aggregator.create("town");
    await aggregator.create("county");
    const gateway = aggregator.gateway();
    assert.deepEqual((await gateway.sync(NOON_MS)).changed.sort(), ["county", "town"]);
    assert.notDeepEqual(gateway.get("town")!.pseudonymKey, gateway.get("county")!.pseudonymKey);
    await rotateDeviceKey(db, "county", "n-1-a", 600, NOW);
    assert.deepEqual(await gateway.sync(NOON_MS), taken("county"));
  });
});

Deno.test("a gateway starts from its disk while the aggregator is away, and asks again when it is back", async () => {
  await withAggregator(async (aggregator) => {
    const manifest = await aggregator.create("away");
    await aggregator.gateway().sync(NOON_MS);
    await aggregator.stop();
    const restarted = aggregator.gateway();
    assert.deepEqual(restarted.loadKept(), taken("away"));
    assert.deepEqual(restarted.get("away")!.index.manifest, manifest);
    const { changed, faults } = await restarted.sync(NOON_MS);
    assert.deepEqual([changed.length, faults.length], [0, 1]);
    assert.deepEqual(restarted.ids(), ["away"], "it goes on with what it has");
    aggregator.start();
    assert.deepEqual(await restarted.sync(NOON_MS), NOTHING_NEW);
    await rotateDeviceKey(db, "away", "n-1-a", 600, NOW);
    assert.deepEqual(await restarted.sync(NOON_MS), taken("away"));
  });
});

Deno.test("what a gateway keeps on its disk opens with its own key alone, and shows nothing", async () => {
  await withAggregator(async (aggregator) => {
    await aggregator.create("kept");
    await aggregator.gateway("g-1").sync(NOON_MS);
    const path = `${aggregator.directory}/g-1/kept.sealed`;
    const sealed = await Deno.readFile(path);
    assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600);
    const readable = new TextDecoder().decode(sealed);
    for (const secret of ["kept", "n-1", pseudonymKey(MASTER, "kept").toHex()]) {
      assert.ok(!readable.includes(secret));
    }
    await Deno.mkdir(`${aggregator.directory}/g-2`);
    await Deno.writeFile(`${aggregator.directory}/g-2/kept.sealed`, sealed);
    const { changed, faults } = aggregator.gateway("g-2").loadKept();
    assert.deepEqual(changed, []);
    assert.match(faults[0], /^Cannot use .*kept\.sealed: it does not open with this gateway's key$/);
  });
});

Deno.test("a gateway stays with what it has when another answers for the aggregator", async () => {
  await withAggregator(async (aggregator) => {
    const manifest = await aggregator.create("guarded");
    const gateway = aggregator.gateway();
    await gateway.sync(NOON_MS);
    await publishManifest(db, "guarded", MASTER, NOW, (newest) => ({ ...newest, name: "Renamed" }));
    // At the aggregator's address stands one that has its registry, and not its master key.
    aggregator.master = new Uint8Array(32);
    const { changed, faults } = await gateway.sync(NOON_MS);
    assert.deepEqual(changed, []);
    assert.match(faults[0], /^guarded: \S+: the aggregator answers 401: .*signature-invalid/);
    assert.deepEqual(gateway.get("guarded")!.index.manifest, manifest);
  });
});

Deno.test("a gateway refuses a manifest older than its own, which an aggregator restored from a backup would give", async () => {
  await withAggregator(async (aggregator) => {
    await aggregator.create("restored");
    const gateway = aggregator.gateway();
    await publishManifest(db, "restored", MASTER, NOW, (newest) => ({ ...newest, name: "Renamed" }));
    await gateway.sync(NOON_MS);
    // The backup has neither the second manifest nor the change that made it.
    await db.query("DELETE FROM registry.manifests WHERE election = 'restored' AND version = 2");
    await tamper(db, "DELETE FROM registry.changes WHERE election = $1 AND revision = 2", ["restored"]);
    await tamper(db, "UPDATE registry.revisions SET revision = 1 WHERE election = $1", ["restored"]);
    await aggregator.stop();
    aggregator.start();
    const { changed, faults } = await gateway.sync(NOON_MS);
    assert.deepEqual(changed, []);
    assert.deepEqual(faults, ["restored: the manifest has version 1, and 2 is in force"]);
    assert.equal(gateway.get("restored")!.index.manifest.name, "Renamed");
  });
});

Deno.test("a gateway whose clock is wrong is told by how much", async () => {
  await withAggregator(async (aggregator) => {
    await aggregator.create("clock");
    const gateway = aggregator.gateway();
    const { faults } = await gateway.sync(NOON_MS - 360_000);
    assert.match(faults[0], /^clock: \S+: this gateway's clock is 360 s behind the aggregator's/);
    assert.ok(gateway.clock.fault);
    assert.deepEqual(await gateway.sync(NOON_MS), taken("clock"));
    assert.equal(gateway.clock.fault, undefined);
  });
});
