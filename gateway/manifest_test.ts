import assert from "assert";
import { utf8 } from "../shared/bytes.ts";
import { type Manifest, signManifest } from "../shared/election.ts";
import { gatewayKey, manifestKeyPair, seal } from "../shared/keys.ts";
import { problem, problemResponse } from "../shared/problem.ts";
import { type GatewayFile, revisionOf, type StatementEntry, SYNC_LIMITS, syncKey } from "../shared/sync.ts";
import { withDirectory } from "../tests/directory.ts";
import { FakeAggregator, testGatewayFile } from "../tests/fake_aggregator.ts";
import { MASTER, NOON_MS, testDefinition, testManifest } from "../tests/fixture.ts";
import { DEVICE, testDevice, testSync } from "../tests/gateway_fixture.ts";
import { ElectionStore, type KeyLedger } from "./manifest.ts";
import type { ElectionKeys, SenderElection } from "./sender_keys.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTION = "test-2026";
const GATEWAY = { election: ELECTION, id: "g-1", version: 1 };

const gatewayFile = (...elections: string[]) =>
  testGatewayFile(["http://aggregator.test:8000"], ...elections);

function manifestOf(version: number, change: Partial<Manifest> = {}): Manifest {
  return { ...testManifest(testDefinition(), version), ...change };
}

type Bench = {
  aggregator: FakeAggregator;
  directory: string;
  store(file?: GatewayFile, ledger?: KeyLedger): ElectionStore;
};

async function withAggregator(work: (bench: Bench) => Promise<void>): Promise<void> {
  await withDirectory(async (root) => {
    const directory = `${root}/data/keys`;
    const aggregator = new FakeAggregator(() => NOON_MS);
    aggregator.announce(testSync(manifestOf(3)));
    await work({
      aggregator,
      directory,
      store: (file = gatewayFile(), ledger) => new ElectionStore(file, directory, aggregator.fetch, ledger),
    });
  });
}

const CHANGED = { changed: [ELECTION], faults: [] };
const SAME = { changed: [], faults: [] };

function versionIn(store: ElectionStore, election = ELECTION): number | undefined {
  return store.get(election)?.index.manifest.version;
}

Deno.test("ElectionStore.sync() applies what the aggregator answers", async () => {
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
    aggregator.announce(
      testSync(manifestOf(3), [testDevice("n-1", { validUntil }), testDevice("n-1", { version: 2 })]),
    );
    assert.deepEqual(await elections.sync(NOON_MS), CHANGED);
    const { deviceKey } = elections.get(ELECTION)!;
    assert.equal(deviceKey(DEVICE)!.validUntilMs, NOON_MS);
    assert.equal(deviceKey({ ...DEVICE, version: 2 })!.validUntilMs, Infinity);
    aggregator.announce(testSync(manifestOf(4, { denied: ["n-1-a.1"] })));
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
    aggregator.announce(testSync(manifestOf(1, { gateways })));
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
    aggregator.announce({ ...testSync(), manifest: signManifest(other, privateKey) });
  }, /the manifest is of election other-2026, not test-2026/],
  ["with an older manifest", (aggregator) => {
    aggregator.announce(testSync(manifestOf(2)));
  }, /the manifest has version 2, and 3 is in force/],
  ["whose manifest another key signed", (aggregator) => {
    const { privateKey } = manifestKeyPair(MASTER, "other-2026");
    aggregator.announce({ ...testSync(), manifest: signManifest(manifestOf(4), privateKey) });
  }, /its signature is not the aggregator's/],
  ["whose manifest was changed after it was signed", (aggregator) => {
    const sync = testSync(manifestOf(4));
    const manifest = { ...sync.manifest, manifest: sync.manifest.manifest.replace("Ann", "Eve") };
    aggregator.announce({ ...sync, manifest });
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
      aggregator.announce(testSync(manifestOf(4)));
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
      aggregator.announce(testSync(manifestOf(5)));
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
    aggregator.announce(testSync(testManifest(testDefinition({ election: "other-2026" }))), "other-2026");
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

Deno.test("ElectionStore keeps the aggregator's answer sealed, so that nobody else can read it", async () => {
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

Deno.test("ElectionStore replaces its file, whatever a crash has left beside it", async () => {
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

Deno.test("ElectionStore.loadKept() loads the elections that can be read, when another cannot", async () => {
  await withAggregator(async ({ aggregator, directory, store }) => {
    aggregator.announce(testSync(testManifest(testDefinition({ election: "other-2026" }))), "other-2026");
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

/** Keys as a spool would report them. */
class FakeLedger implements KeyLedger {
  readonly keys = new Map<string, ElectionKeys>();
  readonly heard: [election: string, senderKeys: readonly string[]][] = [];
  readonly used: SenderElection[] = [];

  use(election: SenderElection): void {
    this.used.push(election);
  }

  keysOf(election: string): ElectionKeys | undefined {
    return this.keys.get(election);
  }

  told(election: string, senderKeys: readonly string[]): void {
    if (senderKeys.length > 0) this.heard.push([election, senderKeys]);
  }
}

Deno.test("ElectionStore gives the spool an election before votes can come, and every change of it", async () => {
  await withAggregator(async ({ aggregator, store }) => {
    const ledger = new FakeLedger();
    const elections = store(gatewayFile(), ledger);
    const readyBefore: boolean[] = [];
    ledger.use = (election) => {
      readyBefore.push(elections.get(ELECTION) !== undefined);
      ledger.used.push(election);
    };
    await elections.sync(NOON_MS);
    aggregator.announce(testSync(manifestOf(4, { acceptsUntil: "2026-11-03T22:00:00.000Z" })));
    await elections.sync(NOON_MS);
    const sender = {
      name: GATEWAY,
      signingKey: gatewayKey(MASTER, GATEWAY),
      sealingKey: Uint8Array.fromHex(manifestOf(3).sealingKey),
      partitions: 3,
      acceptsUntilMs: Date.parse("2026-11-03T23:00:00.000Z"),
    };
    const later = { ...sender, acceptsUntilMs: Date.parse("2026-11-03T22:00:00.000Z") };
    assert.deepEqual([ledger.used, readyBefore], [[sender, later], [false, true]]);
    assert.deepEqual(elections.get(ELECTION)!.sender, later);
    const again = store(gatewayFile(), ledger);
    again.loadKept();
    assert.deepEqual(ledger.used[2], later);
  });
});

const keyHex = (n: number) => n.toString(16).padStart(64, "0");

function statement(n: number): StatementEntry {
  return {
    keyId: "test-2026/g-1.1",
    senderKey: keyHex(n),
    sequence: n,
    signature: keyHex(n),
    value: "ab".repeat(56),
  };
}

Deno.test("ElectionStore.sync() reports sender keys and statements, and notes what the aggregator has", async () => {
  await withAggregator(async ({ aggregator, store }) => {
    const ledger = new FakeLedger();
    const elections = store(gatewayFile(), ledger);
    await elections.sync(NOON_MS);
    const { senderKeys, statements, listedKeys } = aggregator.asked[0];
    assert.deepEqual([senderKeys, statements, listedKeys], [[], [], undefined]);
    ledger.keys.set(ELECTION, {
      election: ELECTION,
      current: keyHex(3),
      all: [1, 2, 3].map(keyHex),
      untold: [statement(2)],
      statementsDue: 1,
    });
    await elections.sync(NOON_MS);
    assert.deepEqual(aggregator.asked[1].senderKeys, [keyHex(2), keyHex(3)]);
    assert.deepEqual(aggregator.asked[1].statements, [statement(2)]);
    assert.deepEqual(ledger.heard, [[ELECTION, [keyHex(2)]]]);
    aggregator.meddle = () => new Response("away", { status: 502 });
    await elections.sync(NOON_MS);
    assert.equal(ledger.heard.length, 1, "a refused report is sent again");
  });
});

Deno.test("ElectionStore.sync() reports how many records wait in the spool", async () => {
  await withAggregator(async ({ aggregator, store }) => {
    const ledger = Object.assign(new FakeLedger(), { state: { records: 12 } });
    await store(gatewayFile(), ledger).sync(NOON_MS);
    assert.equal(aggregator.asked[0].spoolRecords, 12);
    await store().sync(NOON_MS);
    assert.equal(aggregator.asked[1].spoolRecords, undefined, "without a spool it says nothing");
  });
});

Deno.test("ElectionStore.sync() tells an aggregator that was not upgraded yet only what it knows", async () => {
  await withAggregator(async ({ aggregator, store }) => {
    const ledger = Object.assign(new FakeLedger(), { state: { records: 12 } });
    aggregator.meddle = (answer, { spoolRecords }) =>
      spoolRecords === undefined ? answer : problemResponse(problem("invalid-request", "must not have it"));
    assert.deepEqual(await store(gatewayFile(), ledger).sync(NOON_MS), CHANGED);
    assert.deepEqual(aggregator.asked.map(({ spoolRecords }) => spoolRecords), [12, undefined]);
  });
});

Deno.test("ElectionStore.sync() reports a limited number of statements, the oldest first, and the current key", async () => {
  await withAggregator(async ({ aggregator, store }) => {
    const ledger = new FakeLedger();
    const untold = Array.from({ length: 250 }, (_, i) => statement(i + 1));
    const all = untold.map(({ senderKey }) => senderKey);
    ledger.keys.set(ELECTION, {
      election: ELECTION,
      current: keyHex(999),
      all,
      untold,
      statementsDue: 250,
    });
    assert.deepEqual(await store(gatewayFile(), ledger).sync(NOON_MS), CHANGED);
    const { statements, senderKeys } = aggregator.asked[0];
    assert.deepEqual(statements, untold.slice(0, SYNC_LIMITS.statements - 1));
    assert.deepEqual(senderKeys, [...all.slice(0, SYNC_LIMITS.senderKeys - 1), keyHex(999)]);
  });
});

Deno.test("ElectionStore.sync() lists every key once the acceptance window is over and none numbers, once a minute", async () => {
  await withAggregator(async ({ aggregator, store }) => {
    const ledger = new FakeLedger();
    const elections = store(gatewayFile(), ledger);
    const overMs = Date.parse("2026-11-03T23:00:00.001Z");
    let nowMs = overMs - 1;
    aggregator.now = () => nowMs;
    const listed = async () => {
      assert.deepEqual((await elections.sync(nowMs)).faults, []);
      return aggregator.asked.at(-1)!.listedKeys;
    };
    const keys = { election: ELECTION, all: [1, 2].map(keyHex), untold: [], statementsDue: 0 };
    ledger.keys.set(ELECTION, keys);
    assert.equal(await listed(), undefined, "its manifest is not known yet");
    assert.equal(await listed(), undefined, "the last moment belongs to the window");
    nowMs = overMs;
    ledger.keys.set(ELECTION, { ...keys, current: keyHex(2) });
    assert.equal(await listed(), undefined, "a key still numbers");
    ledger.keys.set(ELECTION, keys);
    aggregator.meddle = () => new Response("away", { status: 502 });
    await elections.sync(nowMs);
    aggregator.meddle = (response) => response;
    assert.deepEqual(await listed(), keys.all);
    assert.equal(await listed(), undefined);
    nowMs += 59_999;
    assert.equal(await listed(), undefined);
    nowMs += 1;
    ledger.keys.delete(ELECTION);
    assert.deepEqual(await listed(), [], "a gateway that used none says so");
  });
});

Deno.test("ElectionStore.sync() lists no keys that one request cannot hold", async () => {
  await withAggregator(async ({ aggregator, store }) => {
    const ledger = new FakeLedger();
    const all = Array.from({ length: SYNC_LIMITS.listedKeys + 1 }, (_, i) => keyHex(i));
    const overMs = Date.parse("2026-11-03T23:00:00.001Z");
    aggregator.now = () => overMs;
    ledger.keys.set(ELECTION, { election: ELECTION, all, untold: [], statementsDue: 0 });
    const elections = store(gatewayFile(), ledger);
    await elections.sync(overMs);
    await elections.sync(overMs);
    assert.equal(aggregator.asked[1].listedKeys, undefined);
    ledger.keys.set(ELECTION, { election: ELECTION, all: all.slice(1), untold: [], statementsDue: 0 });
    await elections.sync(overMs);
    assert.equal(aggregator.asked[2].listedKeys!.length, SYNC_LIMITS.listedKeys);
  });
});

for (const [minutes, direction] of [[6, "ahead of"], [-6, "behind"]] as const) {
  Deno.test(`ElectionStore.sync() says that its clock is six minutes ${direction} the aggregator's, and blames neither`, async () => {
    await withAggregator(async ({ aggregator, store }) => {
      const elections = store();
      assert.deepEqual([elections.clock.differenceMs, elections.clock.fault], [undefined, undefined]);
      const { changed, faults } = await elections.sync(NOON_MS + minutes * 60_000);
      assert.deepEqual(changed, []);
      assert.match(faults[0], new RegExp(`this gateway's clock is 360 s ${direction} the aggregator's`));
      assert.doesNotMatch(faults[0], /device/);
      assert.ok(elections.clock.fault);
      assert.deepEqual(await elections.sync(NOON_MS), CHANGED);
      assert.equal(elections.clock.fault, undefined);
      // The aggregator still answers when the clocks differ by two minutes.
      assert.deepEqual(await elections.sync(NOON_MS + 120_000), SAME);
      assert.match(elections.clock.fault!, /120 s ahead/);
      aggregator.meddle = () => Promise.reject(new TypeError("connection refused"));
      await elections.sync(NOON_MS);
      assert.ok(elections.clock.fault, "an aggregator that is away says nothing new");
    });
  });
}

Deno.test("ElectionStore that has never reached the aggregator goes on with what the disk has, whatever the clock", async () => {
  await withAggregator(async ({ directory, store }) => {
    await store().sync(NOON_MS);
    const away: typeof fetch = () => Promise.reject(new TypeError("connection refused"));
    const elections = new ElectionStore(gatewayFile(), directory, away);
    assert.deepEqual(elections.loadKept(), CHANGED);
    assert.equal((await elections.sync(NOON_MS + 360_000)).faults.length, 1);
    assert.equal(versionIn(elections), 3);
    assert.deepEqual([elections.clock.differenceMs, elections.clock.fault], [undefined, undefined]);
  });
});

Deno.test("a gateway file with a newer key signs with it, and opens no more what was kept under the old one", async () => {
  await withAggregator(async ({ aggregator, store }) => {
    await store().sync(NOON_MS);
    const [own] = gatewayFile().elections;
    const key = gatewayKey(MASTER, { ...GATEWAY, version: 2 });
    const rotated = { ...gatewayFile(), elections: [{ ...own, keyVersion: 2, key: key.toHex() }] };
    const elections = store(rotated);
    assert.equal(elections.loadKept().faults.length, 1);
    assert.deepEqual(await elections.sync(NOON_MS), CHANGED);
    assert.equal(aggregator.asked.at(-1)!.version, 2);
    const { sender, receiptName } = elections.get(ELECTION)!;
    assert.deepEqual([sender.name.version, sender.signingKey, receiptName], [2, key, "g-1.2"]);
  });
});
