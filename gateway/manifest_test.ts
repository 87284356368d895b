import assert from "assert";
import { utf8 } from "../shared/bytes.ts";
import { type Manifest, signManifest } from "../shared/election.ts";
import { gatewayKey, manifestKeyPair, seal } from "../shared/keys.ts";
import { type GatewayFile, revisionOf, syncKey } from "../shared/sync.ts";
import { withDirectory } from "../tests/directory.ts";
import { FakeAggregator, testGatewayFile } from "../tests/fake_aggregator.ts";
import { MASTER, NOON_MS, testDefinition, testManifest } from "../tests/fixture.ts";
import { DEVICE, testDevice, testSync } from "../tests/gateway_fixture.ts";
import { ElectionStore } from "./manifest.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTION = "test-2026";
const GATEWAY = { election: ELECTION, id: "g-1", version: 1 };

const gatewayFile = (...elections: string[]) =>
  testGatewayFile(["http://aggregator.test:8000"], ...elections);

function manifestOf(version: number, change: Partial<Manifest> = {}): Manifest {
  return { ...testManifest(testDefinition(), version), ...change };
}

type Bench = { aggregator: FakeAggregator; directory: string; store(file?: GatewayFile): ElectionStore };

async function withAggregator(work: (bench: Bench) => Promise<void>): Promise<void> {
  await withDirectory(async (root) => {
    const directory = `${root}/data/keys`;
    const aggregator = new FakeAggregator(() => NOON_MS);
    aggregator.tell(testSync(manifestOf(3)));
    await work({
      aggregator,
      directory,
      store: (file = gatewayFile()) => new ElectionStore(file, directory, aggregator.fetch),
    });
  });
}

const CHANGED = { changed: [ELECTION], faults: [] };
const SAME = { changed: [], faults: [] };

function versionIn(store: ElectionStore, election = ELECTION): number | undefined {
  return store.get(election)?.index.manifest.version;
}

Deno.test("ElectionStore.sync() takes up what the aggregator tells", async () => {
  await withAggregator(async ({ aggregator, store }) => {
    const elections = store();
    assert.deepEqual([elections.ids(), elections.get(ELECTION)], [[], undefined]);
    assert.deepEqual(await elections.sync(NOON_MS), CHANGED);
    assert.deepEqual(elections.ids(), [ELECTION]);
    const { index, stations, receiptName, signedManifest, deviceKey } = elections.get(ELECTION)!;
    assert.deepEqual(index.manifest, manifestOf(3));
    assert.deepEqual([...stations].sort(), ["n-1", "n-2", "s-1"]);
    assert.equal(receiptName, "g-1.1");
    assert.deepEqual(signedManifest, testSync(manifestOf(3)).manifest);
    assert.deepEqual(deviceKey(DEVICE), {
      key: Uint8Array.fromHex(testDevice("n-1").key),
      station: "n-1",
      validUntilMs: Infinity,
    });
    assert.equal(deviceKey({ ...DEVICE, version: 2 }), undefined);
    assert.equal(aggregator.asked[0].have, null);
  });
});

Deno.test("ElectionStore.sync() says what it has, and takes nothing up twice", async () => {
  await withAggregator(async ({ aggregator, store }) => {
    const elections = store();
    await elections.sync(NOON_MS);
    const before = elections.get(ELECTION);
    assert.deepEqual(await elections.sync(NOON_MS), SAME);
    assert.equal(aggregator.asked[1].have, revisionOf(aggregator.texts.get(ELECTION)!));
    aggregator.meddle = (_, asked) => aggregator.seal(aggregator.texts.get(ELECTION)!, asked);
    assert.deepEqual(await elections.sync(NOON_MS), SAME, "the same answer again");
    assert.equal(elections.get(ELECTION), before);
    assert.notEqual(aggregator.asked[1].id, aggregator.asked[2].id);
  });
});

Deno.test("ElectionStore.sync() follows a new manifest, and new keys under the same one", async () => {
  await withAggregator(async ({ aggregator, store }) => {
    const elections = store();
    await elections.sync(NOON_MS);
    const validUntil = new Date(NOON_MS).toISOString();
    aggregator.tell(
      testSync(manifestOf(3), [testDevice("n-1", { validUntil }), testDevice("n-1", { version: 2 })]),
    );
    assert.deepEqual(await elections.sync(NOON_MS), CHANGED);
    const { deviceKey } = elections.get(ELECTION)!;
    assert.equal(deviceKey(DEVICE)!.validUntilMs, NOON_MS);
    assert.equal(deviceKey({ ...DEVICE, version: 2 })!.validUntilMs, Infinity);
    aggregator.tell(testSync(manifestOf(4, { denied: ["n-1-a.1"] })));
    assert.deepEqual(await elections.sync(NOON_MS), CHANGED);
    assert.ok(elections.get(ELECTION)!.index.denied.has("n-1-a.1"));
    const later = store();
    later.loadKept();
    assert.equal(versionIn(later), 4, "and the disk follows");
  });
});

Deno.test("ElectionStore serves no station of a manifest that does not name the gateway", async () => {
  await withAggregator(async ({ aggregator, store }) => {
    const [first, second] = testDefinition().gateways;
    const gateways = [{ ...second, stations: [...first.stations, ...second.stations], fallbackFor: [] }];
    aggregator.tell(testSync(manifestOf(1, { gateways })));
    const elections = store();
    await elections.sync(NOON_MS);
    assert.equal(elections.get(ELECTION)!.stations.size, 0);
  });
});

/** Answers that must not be taken, and what is said of them. */
const forged: [what: string, meddle: (aggregator: FakeAggregator) => void, fault: RegExp][] = [
  ["that is not sealed", (aggregator) => {
    aggregator.meddle = () => new Response(aggregator.texts.get(ELECTION)!);
  }, /not sealed to this gateway and this request/],
  ["sealed with another key", (aggregator) => {
    aggregator.meddle = (_, { id }) =>
      new Response(
        seal(
          syncKey(gatewayKey(MASTER, { ...GATEWAY, version: 2 })),
          utf8(aggregator.texts.get(ELECTION)!),
          utf8(id),
        ),
      );
  }, /not sealed/],
  ["of which one bit differs", (aggregator) => {
    aggregator.meddle = async (response) => {
      const bytes = await response.bytes();
      bytes[bytes.length >> 1] ^= 1;
      return new Response(bytes);
    };
  }, /not sealed/],
  ["that is cut off", (aggregator) => {
    aggregator.meddle = async (response) => new Response((await response.bytes()).slice(0, -1));
  }, /not sealed/],
  ["that is empty", (aggregator) => {
    aggregator.meddle = () => new Response("");
  }, /not sealed/],
  ["to an earlier request", (aggregator) => {
    aggregator.meddle = (_, { election }) =>
      aggregator.seal(aggregator.texts.get(ELECTION)!, { ...aggregator.asked[0], election });
  }, /not sealed/],
  ["that is no JSON", (aggregator) => {
    aggregator.meddle = (_, asked) => aggregator.seal("{", asked);
  }, /JSON/],
  ["of another form", (aggregator) => {
    aggregator.meddle = (_, asked) => aggregator.seal(JSON.stringify({ ...testSync(), master: "ab" }), asked);
  }, /master/],
  ["with a manifest of another election", (aggregator) => {
    const other = manifestOf(9, { election: "other-2026" });
    const { privateKey } = manifestKeyPair(MASTER, ELECTION);
    aggregator.tell({ ...testSync(), manifest: signManifest(other, privateKey) });
  }, /the manifest is of election other-2026, not test-2026/],
  ["with an older manifest", (aggregator) => {
    aggregator.tell(testSync(manifestOf(2)));
  }, /the manifest has version 2, and 3 is in force/],
  ["whose manifest another key signed", (aggregator) => {
    const { privateKey } = manifestKeyPair(MASTER, "other-2026");
    aggregator.tell({ ...testSync(), manifest: signManifest(manifestOf(4), privateKey) });
  }, /its signature is not the aggregator's/],
  ["whose manifest was changed after it was signed", (aggregator) => {
    const sync = testSync(manifestOf(4));
    const manifest = { ...sync.manifest, manifest: sync.manifest.manifest.replace("Ann", "Eve") };
    aggregator.tell({ ...sync, manifest });
  }, /its signature is not the aggregator's/],
  ["that refuses", (aggregator) => {
    aggregator.meddle = () => new Response("no such gateway".padEnd(9_000, "!"), { status: 401 });
  }, /the aggregator answers 401: no such gateway!{485}$/],
  ["that never begins", (aggregator) => {
    aggregator.meddle = () => Promise.reject(new TypeError("connection refused"));
  }, /connection refused/],
  ["that breaks off", (aggregator) => {
    aggregator.meddle = () =>
      new Response(new ReadableStream({ start: (controller) => controller.error(new Error("cut")) }));
  }, /cut/],
];
for (const [what, meddle, fault] of forged) {
  Deno.test(`ElectionStore.sync() does not take an answer ${what}, and goes on with what it has`, async () => {
    await withAggregator(async ({ aggregator, directory, store }) => {
      const elections = store();
      await elections.sync(NOON_MS);
      const before = elections.get(ELECTION);
      const kept = await Deno.readFile(`${directory}/${ELECTION}.sealed`);
      const right = aggregator.texts.get(ELECTION)!;
      // An answer that says nothing new would be 204.
      aggregator.tell(testSync(manifestOf(4)));
      meddle(aggregator);
      const { changed, faults } = await elections.sync(NOON_MS);
      assert.deepEqual([changed, faults.length], [[], 1]);
      assert.match(faults[0], fault);
      assert.match(faults[0], /^test-2026: /);
      assert.equal(elections.get(ELECTION), before);
      assert.deepEqual(await Deno.readFile(`${directory}/${ELECTION}.sealed`), kept);
      aggregator.meddle = (response) => response;
      aggregator.texts.set(ELECTION, right);
      assert.deepEqual(await elections.sync(NOON_MS), SAME);
      aggregator.tell(testSync(manifestOf(5)));
      assert.deepEqual(await elections.sync(NOON_MS), CHANGED);
    });
  });
}

Deno.test("ElectionStore.sync() gives up on an aggregator that does not answer, when it is told to stop", async () => {
  await withAggregator(async ({ directory }) => {
    const stop = new AbortController();
    const silent: typeof fetch = (_, init) =>
      new Promise((_, reject) => init!.signal!.addEventListener("abort", () => reject(init!.signal!.reason)));
    const syncing = new ElectionStore(gatewayFile(), directory, silent).sync(NOON_MS, stop.signal);
    stop.abort(new Error("stopping"));
    assert.deepEqual(await syncing, {
      changed: [],
      faults: ["test-2026: http://aggregator.test:8000: stopping"],
    });
  });
});

Deno.test("ElectionStore.sync() goes on with the address of the aggregator that answered last", async () => {
  await withAggregator(async ({ aggregator, directory }) => {
    const asked: string[] = [];
    const away = new Set(["a.test"]);
    const fetcher: typeof fetch = (input, init) => {
      const { hostname } = new URL(String(input));
      asked.push(hostname);
      if (away.has(hostname)) return Promise.resolve(new Response("starting", { status: 503 }));
      return aggregator.fetch(input, init);
    };
    const file = testGatewayFile(["http://a.test", "http://b.test", "http://c.test"], ELECTION);
    const elections = new ElectionStore(file, directory, fetcher);
    assert.deepEqual(await elections.sync(NOON_MS), CHANGED);
    assert.deepEqual(await elections.sync(NOON_MS), SAME);
    assert.deepEqual(asked, ["a.test", "b.test", "b.test"]);
    away.add("b.test").add("c.test");
    const { faults } = await elections.sync(NOON_MS);
    const said = (host: string) => `http://${host}: the aggregator answers 503: starting`;
    assert.deepEqual(faults, [`test-2026: ${["b.test", "c.test", "a.test"].map(said).join("; ")}`]);
  });
});

Deno.test("ElectionStore.sync() follows the other elections when the aggregator refuses one", async () => {
  await withAggregator(async ({ aggregator, store }) => {
    aggregator.texts.delete(ELECTION);
    aggregator.tell(testSync(testManifest(testDefinition({ election: "other-2026" }))), "other-2026");
    const elections = store(gatewayFile(ELECTION, "other-2026"));
    const { changed, faults } = await elections.sync(NOON_MS);
    assert.deepEqual(changed, ["other-2026"]);
    assert.match(
      faults.join(),
      /^test-2026: http:\/\/aggregator.test:8000: the aggregator answers 401: no such gateway$/,
    );
    assert.deepEqual(elections.ids(), ["other-2026"]);
    assert.ok(elections.expects(ELECTION) && !elections.expects("third-2026"));
  });
});

Deno.test("ElectionStore keeps what it was told sealed, for nobody else to read", async () => {
  await withAggregator(async ({ directory, store }) => {
    await store().sync(NOON_MS);
    const names = [...Deno.readDirSync(directory)].map(({ name }) => name);
    assert.deepEqual(names, [`${ELECTION}.sealed`]);
    const path = `${directory}/${ELECTION}.sealed`;
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    assert.equal(Deno.statSync(directory).mode! & 0o777, 0o700);
    const bytes = await Deno.readFile(path);
    const text = new TextDecoder("latin1").decode(bytes);
    const { pseudonymKey, devices } = testSync();
    for (const secret of [pseudonymKey, ...devices.map(({ key }) => key)]) {
      assert.ok(!text.includes(secret));
      assert.ok(!bytes.toHex().includes(secret));
    }
    assert.doesNotMatch(text, /manifest|mayor|n-1/);
  });
});

Deno.test("ElectionStore writes its file anew, whatever a crash has left beside it", async () => {
  await withAggregator(async ({ directory, store }) => {
    const elections = store();
    await Deno.writeTextFile(`${directory}/${ELECTION}.sealed.new`, "half of it".repeat(9_999), {
      mode: 0o644,
    });
    assert.deepEqual(await elections.sync(NOON_MS), CHANGED);
    assert.equal(Deno.statSync(`${directory}/${ELECTION}.sealed`).mode! & 0o777, 0o600);
    assert.deepEqual(store().loadKept(), CHANGED);
  });
});

Deno.test("ElectionStore.loadKept() starts from the disk while the aggregator is away", async () => {
  await withAggregator(async ({ aggregator, store }) => {
    await store().sync(NOON_MS);
    aggregator.meddle = () => Promise.reject(new TypeError("connection refused"));
    const elections = store();
    assert.deepEqual(elections.loadKept(), CHANGED);
    assert.equal(versionIn(elections), 3);
    assert.ok(elections.get(ELECTION)!.deviceKey(DEVICE));
    assert.equal((await elections.sync(NOON_MS)).faults.length, 1);
    assert.equal(versionIn(elections), 3);
    aggregator.meddle = (response) => response;
    assert.deepEqual(await elections.sync(NOON_MS), SAME);
    assert.equal(
      aggregator.asked.at(-1)!.have,
      revisionOf(aggregator.texts.get(ELECTION)!),
      "it asks for news only",
    );
  });
});

Deno.test("ElectionStore.loadKept() finds nothing at the first start, and has nothing against that", async () => {
  await withAggregator(async ({ store }) => {
    assert.deepEqual(store().loadKept(), SAME);
  });
});

const damages: [what: string, damage: (bytes: Uint8Array) => Uint8Array, fault: RegExp][] = [
  ["cut off", (bytes) => bytes.slice(0, 100), /it does not open with this gateway's key/],
  ["empty", () => new Uint8Array(0), /it does not open/],
  ["changed in one bit", (bytes) => bytes.map((byte, i) => i === 500 ? byte ^ 1 : byte), /it does not open/],
  [
    "another gateway's",
    () => seal(syncKey(gatewayKey(MASTER, GATEWAY)), utf8(JSON.stringify(testSync())), utf8(ELECTION)),
    /it does not open/,
  ],
];
for (const [what, damage, fault] of damages) {
  Deno.test(`ElectionStore.loadKept() reports a file that is ${what}, and the aggregator puts it right`, async () => {
    await withAggregator(async ({ directory, store }) => {
      await store().sync(NOON_MS);
      const path = `${directory}/${ELECTION}.sealed`;
      await Deno.writeFile(path, damage(await Deno.readFile(path)));
      const elections = store();
      const { changed, faults } = elections.loadKept();
      assert.deepEqual([changed, faults.length], [[], 1]);
      assert.match(faults[0], fault);
      assert.ok(faults[0].includes(path));
      assert.equal(elections.get(ELECTION), undefined);
      assert.deepEqual(await elections.sync(NOON_MS), CHANGED);
      assert.deepEqual(store().loadKept(), CHANGED);
    });
  });
}

Deno.test("ElectionStore.loadKept() takes up the elections that can be read beside one that cannot", async () => {
  await withAggregator(async ({ aggregator, directory, store }) => {
    aggregator.tell(testSync(testManifest(testDefinition({ election: "other-2026" }))), "other-2026");
    const file = gatewayFile(ELECTION, "other-2026");
    await store(file).sync(NOON_MS);
    // One election's file under the other's name.
    await Deno.copyFile(`${directory}/other-2026.sealed`, `${directory}/${ELECTION}.sealed`);
    const { changed, faults } = store(file).loadKept();
    assert.deepEqual([changed, faults.length], [["other-2026"], 1]);
  });
});

Deno.test("ElectionStore.sync() works with what it cannot keep, says so, and keeps it when it can", async () => {
  await withAggregator(async ({ directory, store }) => {
    const elections = store();
    await Deno.mkdir(`${directory}/${ELECTION}.sealed`);
    const { changed, faults } = await elections.sync(NOON_MS);
    assert.deepEqual([changed, faults.length], [[ELECTION], 1]);
    assert.equal(versionIn(elections), 3);
    assert.equal((await elections.sync(NOON_MS)).faults.length, 1, "it tries again");
    await Deno.remove(`${directory}/${ELECTION}.sealed`);
    assert.deepEqual(await elections.sync(NOON_MS), SAME);
    assert.deepEqual(store().loadKept(), CHANGED);
  });
});

Deno.test("two starts of a gateway seal under different keys", async () => {
  await withAggregator(async ({ store }) => {
    const senders = [store(), store()].map((elections) => {
      elections.loadKept();
      return elections;
    });
    for (const elections of senders) await elections.sync(NOON_MS);
    const record = {
      voteId: crypto.randomUUID(),
      station: "n-1",
      mode: "in_person",
      selections: [],
      castAt: new Date(NOON_MS).toISOString(),
      voterKey: "ab".repeat(32),
      manifestVersion: 3,
      acceptedAt: new Date(NOON_MS).toISOString(),
    } as const;
    const keys = senders.map((elections) =>
      elections.get(ELECTION)!.sealer.seal({ ...record, selections: [] }).senderKey.toHex()
    );
    assert.notEqual(keys[0], keys[1]);
  });
});
