import assert from "assert";
import fc from "fast-check";
import { fromHex } from "../../shared/bytes.ts";
import type { HistoryView } from "../../shared/history.ts";
import {
  ephemeralKeyPair,
  gatewayKey,
  proofKey,
  pseudonymKey,
  recordKey,
  sealingKeyPair,
} from "../../shared/keys.ts";
import { testVoter } from "../../tests/ballot_box.ts";
import { MASTER, NOON_MS, testDefinition } from "../../tests/fixture.ts";
import { reachesAll } from "../../tests/reaches_all.ts";
import { testDatabase } from "../../tests/test_database.ts";
import type { Query } from "../database/database.ts";
import { changeHistory } from "../registry/changes.ts";
import { createElection, publishManifest, revokeDeviceKey, rotateDeviceKey } from "../registry/elections.ts";
import { revokeGatewayKey, rotateGatewayKey } from "../registry/gateway_keys.ts";
import { OfficeError } from "../registry/office_error.ts";
import { importRoll } from "../registry/roll.ts";
import { openHistory, RegisteredHistory } from "./history.ts";

const db = await testDatabase();
const NOW = new Date(NOON_MS);

const create = (election: string) => createElection(db, testDefinition({ election }), MASTER, NOW);

const rename = (election: string, name: string, at = NOW) =>
  publishManifest(db, election, MASTER, at, (newest) => ({ ...newest, name }));

const open = async (election: string) => (await openHistory(db.query, election, MASTER))!;

/** Moves counting on, as a counting transaction does. */
async function countUpTo(election: string, ...offsets: number[]): Promise<void> {
  for (const [partition, offset] of offsets.entries()) {
    await db.query(
      "UPDATE counting.log_positions SET next_offset = $3 WHERE election = $1 AND partition = $2",
      [election, partition, offset],
    );
  }
}

/** The same database, and how many statements it was asked. */
function counting(): { query: Query; statements: () => number } {
  let statements = 0;
  return {
    query: (sql, params) => {
      statements++;
      return db.query(sql, params);
    },
    statements: () => statements,
  };
}

Deno.test("reload() twice at once, with a change between, reads each change once and in order", async () => {
  const election = "reload-at-once";
  await create(election);
  const history = await open(election);
  await rename(election, "Second");
  const { promise: isRead, resolve: goOn } = Promise.withResolvers<void>();
  const slow: Query = async (sql, params) => {
    const rows = await db.query(sql, params);
    if (sql.includes("registry.changes")) await isRead;
    return rows as never;
  };
  const first = history.reload(slow);
  await rename(election, "Third");
  await history.reload(db.query);
  goOn();
  assert.equal(await first, true);
  assert.equal(history.revision, 3);
  assert.deepEqual(names(history.at(0, 0)), ["A test", "Second", "Third"]);
  assert.equal(history.newest.manifest.name, "Third");
});

const names = (view: HistoryView) => view.manifests.map(({ index }) => index.manifest.name);

Deno.test("openHistory() says that the registry has no such election", async () => {
  assert.equal(await openHistory(db.query, "nowhere", MASTER), undefined);
});

Deno.test("openHistory() refuses an election of record format 1, and says what to do", async () => {
  await db.query(
    `INSERT INTO registry.elections (election, name, partitions, record_bytes, created_at, format)
     VALUES ('old', 'Old', 3, 1024, now(), 1)`,
  );
  await assert.rejects(openHistory(db.query, "old", MASTER), (error) => {
    assert.ok(error instanceof OfficeError);
    assert.equal(
      error.message,
      "Cannot count election old: its log has record format 1; finish this election with Pollwire 0.1",
    );
    return true;
  });
});

Deno.test("openHistory() knows the manifests of all versions, and when each took effect", async () => {
  const first = await create("versions");
  const second = await rename("versions", "Second", new Date(NOON_MS + 60_000));
  const history = await open("versions");
  assert.deepEqual(
    [history.election, history.partitions, history.voteBytes, history.revision],
    ["versions", first.partitions, first.voteBytes, 2],
  );
  assert.deepEqual(history.pseudonymKey, pseudonymKey(MASTER, "versions"));
  assert.deepEqual(
    history.at(0, 0).manifests.map(({ effectiveAtMs, index }) => [effectiveAtMs, index.manifest]),
    [[NOON_MS, first], [NOON_MS + 60_000, second]],
  );
  assert.deepEqual(history.newest.manifest, second);
});

Deno.test("openHistory() reads any number of versions, and keeps what they share once", async () => {
  const election = "many-versions";
  await create(election);
  for (let version = 2; version <= 20; version++) await rename(election, `Name ${version}`);
  const known = await open(election);
  await rename(election, "Name 21");
  await known.reload(db.query);
  for (const history of [known, await open(election)]) {
    const { manifests } = history.at(0, 0);
    assert.deepEqual(names(history.at(0, 0)).slice(1), Array.from({ length: 20 }, (_, i) => `Name ${i + 2}`));
    assert.equal(new Set(manifests.map(({ index }) => index.stations)).size, 1);
    assert.equal(new Set(manifests.map(({ index }) => index.manifest.stations)).size, 1);
    assert.equal(new Set(manifests.map(({ index }) => index)).size, 21);
  }
});

Deno.test("manifests take effect in their order, also when the office's clocks differ", async () => {
  await create("clocks");
  await rename("clocks", "Second", new Date(NOON_MS + 60_000));
  await rename("clocks", "Third", new Date(NOON_MS + 1_000));
  const { manifests } = (await open("clocks")).at(0, 0);
  assert.deepEqual(manifests.map(({ effectiveAtMs }) => effectiveAtMs - NOON_MS), [0, 60_000, 60_000]);
});

Deno.test("openHistory() refuses a master key that is not the election's, by which all would seem forged", async () => {
  await create("other-key");
  await assert.rejects(
    openHistory(db.query, "other-key", new Uint8Array(32)),
    /^Error: Cannot use the master key of election other-key: its records are sealed to another one/,
  );
});

Deno.test("at() gives what applies at a position, and nothing newer", async () => {
  await create("positions");
  await countUpTo("positions", 5, 0, 7);
  await rename("positions", "Second");
  await countUpTo("positions", 9, 2, 7);
  await rename("positions", "Third");
  const history = await open("positions");
  const at = (partition: number, offset: number) => {
    const view = history.at(partition, offset);
    return [view.revision, ...names(view)];
  };
  const [one, two, three] = [[1, "A test"], [2, "A test", "Second"], [3, "A test", "Second", "Third"]];
  assert.deepEqual([0, 4, 5, 8, 9, 100].map((offset) => at(0, offset)), [one, one, two, two, three, three]);
  assert.deepEqual([0, 1, 2].map((offset) => at(1, offset)), [two, two, three]);
  assert.deepEqual([6, 7].map((offset) => at(2, offset)), [one, three], "two changes at one position");
  assert.equal(history.at(0, 4), history.at(0, 0), "a view is made once");
});

Deno.test("reload() reads what is newer, and asks one statement when nothing is", async () => {
  await create("grows");
  const history = await open("grows");
  const idle = counting();
  assert.equal(await history.reload(idle.query), false);
  assert.equal(idle.statements(), 1);
  const before = history.at(0, 0);
  await countUpTo("grows", 3, 3, 3);
  await rename("grows", "Second");
  assert.deepEqual([history.revision, history.newest.manifest.version], [1, 1]);
  const third = await rename("grows", "Third");
  assert.equal(await history.reload(db.query), true);
  assert.deepEqual(names(history.at(0, 3)), ["A test", "Second", "Third"]);
  assert.equal(history.at(0, 2), before, "what was read before stays as it is");
  assert.deepEqual([history.revision, history.newest.manifest], [3, third]);
  assert.equal(await history.reload(db.query), false);
});

Deno.test("newest() throws before anything was read", () => {
  const history = new RegisteredHistory("empty", 3, 512, MASTER);
  assert.throws(() => history.newest, /^Error: Cannot use election empty: it has no manifest$/);
  assert.throws(() => history.at(0, 0), /^Error: Cannot judge offset 0 of partition 0: no history applies/);
});

Deno.test("gatewayKey() knows a gateway's keys from the position at which they were made, and revoked from there on", async () => {
  await create("gateways");
  await countUpTo("gateways", 10, 10, 10);
  await publishManifest(db, "gateways", MASTER, NOW, (newest) => ({
    ...newest,
    gateways: [{ id: "g-3", stations: ["n-1", "n-2", "s-1", "s-2"], fallbackFor: [] }],
  }));
  await countUpTo("gateways", 20, 20, 20);
  await rotateGatewayKey(db, "gateways", "g-1", NOW);
  await countUpTo("gateways", 30, 30, 30);
  const history = await open("gateways");
  await revokeGatewayKey(db, "gateways", "g-1", 1, NOW);
  await history.reload(db.query);
  const name = (id: string, version = 1, election = "gateways") => ({ election, id, version });
  const known = (offset: number, id: string, version?: number) => {
    const found = history.at(0, offset).gatewayKey(name(id, version));
    if (found !== undefined) assert.deepEqual(found.key, gatewayKey(MASTER, name(id, version)));
    return found?.isRevoked;
  };
  assert.deepEqual([0, 9, 10, 29, 30].map((offset) => known(offset, "g-1")), [
    false,
    false,
    false,
    false,
    true,
  ]);
  assert.deepEqual([19, 20, 30].map((offset) => known(offset, "g-1", 2)), [undefined, false, false]);
  assert.deepEqual([9, 10].map((offset) => known(offset, "g-3")), [undefined, false]);
  assert.equal(known(30, "g-2"), false, "a gateway that no manifest names any more keeps its key");
  assert.equal(known(30, "g-1", 3), undefined);
  assert.equal(known(30, "n-1-a"), undefined, "a device is no gateway");
  assert.equal(history.at(0, 30).gatewayKey(name("g-1", 1, "another")), undefined);
});

Deno.test("deviceKey() gives a device's proof key and station, and revoked ones from their position on", async () => {
  await create("devices");
  await countUpTo("devices", 10, 10, 10);
  await rotateDeviceKey(db, "devices", "n-1-a", 600, NOW);
  await countUpTo("devices", 20, 20, 20);
  await revokeDeviceKey(db, "devices", MASTER, "n-1-a", 1, NOW);
  await countUpTo("devices", 30, 30, 30);
  // A later manifest that does not deny it any more does not bring it back.
  await publishManifest(db, "devices", MASTER, NOW, (newest) => ({ ...newest, denied: [] }));
  const history = await open("devices");
  const known = (offset: number, version: number) => {
    const found = history.at(0, offset).deviceKey("n-1-a", version);
    if (found === undefined) return undefined;
    assert.deepEqual(found.key, proofKey(MASTER, { election: "devices", id: "n-1-a", version }));
    assert.equal(found.station, "n-1");
    return found.isRevoked;
  };
  assert.deepEqual([0, 19, 20, 30].map((offset) => known(offset, 1)), [false, false, true, true]);
  assert.deepEqual([9, 10, 30].map((offset) => known(offset, 2)), [undefined, false, false]);
  assert.equal(history.at(0, 30).deviceKey("g-1", 1), undefined);
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

/** What happens in an election, one thing after the other. */
const happening = fc.oneof(
  fc.record({
    what: fc.constantFrom(
      "manifest",
      "gateway",
      "device",
      "roll",
      "decision",
      "revoke-gateway",
      "revoke-device",
    ),
  }),
  fc.record({ what: fc.constant("count"), offsets: fc.array(fc.nat(5), { minLength: 2, maxLength: 2 }) }),
  fc.record({ what: fc.constant("append"), records: fc.array(fc.nat(5), { minLength: 2, maxLength: 2 }) }),
) as fc.Arbitrary<{ what: string; offsets?: number[]; records?: number[] }>;

/** An election's whole history in plain values: each change, and everything that was known once it was made. */
class Model {
  next = [0, 0];
  ends = [0, 0];
  readonly #changes: { positions: number[]; known: Record<string, unknown> }[] = [];
  #manifests = ["A test"];
  #gateways: Record<string, boolean> = { "g-1.1": false };
  #devices: Record<string, boolean> = { "n-1-a.1": false };
  #revision = 0;

  constructor() {
    this.#add([0, 0]);
  }

  #add(positions: number[]): void {
    const known = {
      revision: ++this.#revision,
      manifests: [...this.#manifests],
      gateways: { ...this.#gateways },
      devices: { ...this.#devices },
    };
    this.#changes.push({ positions, known });
  }

  change(what: string, knowsEnds: boolean): void {
    const version = this.#revision + 1;
    const newest = (keys: Record<string, boolean>) => Object.keys(keys).length;
    if (what === "decision") return void this.#revision++;
    if (what === "manifest") this.#manifests.push(`Named ${version}`);
    if (what === "revoke-device") this.#manifests.push(this.#manifests.at(-1)!);
    if (what === "gateway") this.#gateways[`g-1.${newest(this.#gateways) + 1}`] = false;
    if (what === "device") this.#devices[`n-1-a.${newest(this.#devices) + 1}`] = false;
    if (what === "revoke-gateway") this.#gateways[`g-1.${newest(this.#gateways)}`] = true;
    if (what === "revoke-device") this.#devices[`n-1-a.${newest(this.#devices)}`] = true;
    const before = this.#changes.at(-1)!.positions;
    this.#add(this.next.map((next, i) => Math.max(next, before[i], knowsEnds ? this.ends[i] : 0)));
  }

  /** What applies at a position: the last change that does, found by looking at all of them. */
  at(partition: number, offset: number): unknown {
    return this.#changes.filter(({ positions }) => positions[partition] <= offset).at(-1)!.known;
  }

  get newestGateway(): number {
    return Object.keys(this.#gateways).length;
  }

  get newestDevice(): number {
    return Object.keys(this.#devices).length;
  }

  get isGatewayRevoked(): boolean {
    return this.#gateways[`g-1.${this.newestGateway}`];
  }

  get revision(): number {
    return this.#revision;
  }
}

/** What a view says, in the model's words. */
function described(view: HistoryView, election: string, model: Model): unknown {
  const keys = (
    name: string,
    versions: number,
    find: (version: number) => { isRevoked: boolean } | undefined,
  ) => {
    const found: Record<string, boolean> = {};
    for (let version = 1; version <= versions + 1; version++) {
      const key = find(version);
      if (key !== undefined) found[`${name}.${version}`] = key.isRevoked;
    }
    return found;
  };
  return {
    revision: view.revision,
    manifests: names(view),
    gateways: keys(
      "g-1",
      model.newestGateway,
      (version) => view.gatewayKey({ election, id: "g-1", version }),
    ),
    devices: keys("n-1-a", model.newestDevice, (version) => view.deviceKey("n-1-a", version)),
  };
}

Deno.test("at() agrees with a history that is kept whole, whatever changed while counting went on", async () => {
  let run = 0;
  const reached = new Set<string>();
  const property = () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(happening, { minLength: 4, maxLength: 14 }),
        fc.boolean(),
        async (happenings, knowsEnds) => {
          const election = `model-${run++}`;
          await createElection(db, testDefinition({ election, partitions: 2 }), MASTER, NOW);
          const followed = await open(election);
          const model = new Model();
          for (const { what, offsets, records } of happenings) {
            if (records !== undefined) model.ends = model.ends.map((end, i) => end + records[i]);
            else if (offsets !== undefined) {
              model.next = model.next.map((next, i) => Math.min(next + offsets[i], model.ends[i]));
              await countUpTo(election, ...model.next);
            } else {
              // A key is revoked once.
              if (what === "revoke-gateway" && model.isGatewayRevoked) continue;
              const ends = knowsEnds ? model.ends : undefined;
              const version = model.revision + 1;
              if (what === "manifest") {
                const named = `Named ${version}`;
                await publishManifest(
                  db,
                  election,
                  MASTER,
                  NOW,
                  (newest) => ({ ...newest, name: named }),
                  ends,
                );
              } else if (what === "gateway") await rotateGatewayKey(db, election, "g-1", NOW, ends);
              else if (what === "device") await rotateDeviceKey(db, election, "n-1-a", 600, NOW, ends);
              else if (what === "revoke-gateway") {
                await revokeGatewayKey(db, election, "g-1", model.newestGateway, NOW, ends);
              } else if (what === "revoke-device") {
                await revokeDeviceKey(db, election, MASTER, "n-1-a", model.newestDevice, NOW, ends);
              } else if (what === "roll") {
                const voters = [testVoter(`voter-${version}`)];
                await importRoll(
                  db,
                  election,
                  MASTER,
                  voters,
                  () => NOON_MS,
                  { logEnds: () => Promise.resolve(ends ?? [0, 0]) },
                );
              } else await db.transaction((query) => changeHistory(query, election, "decision", NOW));
              model.change(what, knowsEnds);
              reached.add(what);
              if (version % 2 === 0) await followed.reload(db.query);
            }
          }
          await followed.reload(db.query);
          const opened = await open(election);
          assert.deepEqual([followed.revision, opened.revision], [model.revision, model.revision]);
          for (const [partition, end] of model.ends.entries()) {
            for (let offset = 0; offset <= end + 1; offset++) {
              const expected = model.at(partition, offset);
              for (const history of [followed, opened]) {
                const view = history.at(partition, offset);
                assert.deepEqual(described(view, election, model), expected, `${partition}/${offset}`);
              }
            }
          }
        },
      ),
      { numRuns: 50 },
    );
  const changes = ["manifest", "gateway", "device", "revoke-gateway", "revoke-device", "roll", "decision"];
  await reachesAll(property, () => changes.filter((what) => !reached.has(what)));
});
