import assert from "assert";
import { ELECTION_LIMITS, type Manifest, openManifest } from "../../shared/election.ts";
import { manifestKeyPair, sealingKeyPair } from "../../shared/keys.ts";
import { recordBytesFor } from "../../shared/record.ts";
import { definitionWithFacts, MASTER, NOON_MS, testDefinition } from "../../tests/fixture.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { findBrokenLink } from "../audit/events.ts";
import {
  createElection,
  deviceKeys,
  electionIds,
  newestManifest,
  newestSignedManifest,
  OfficeError,
  publishManifest,
  revokeDeviceKey,
  rotateDeviceKey,
} from "./elections.ts";

const db = await testDatabase();
const NOW = new Date(NOON_MS);
const iso = (ms: number) => new Date(ms).toISOString();

function create(election: string, change: Parameters<typeof testDefinition>[0] = {}): Promise<Manifest> {
  return createElection(db, testDefinition({ election, ...change }), MASTER, NOW);
}

const publish = (election: string, change: (newest: Manifest) => Manifest, now = NOW) =>
  publishManifest(db, election, MASTER, now, change);

const refusal = (message: string | RegExp) => (error: unknown) => {
  assert.ok(error instanceof OfficeError, String(error));
  if (typeof message === "string") assert.equal(error.message, message);
  else assert.match(error.message, message);
  return true;
};

/** An election's events, oldest first. */
async function events(election: string): Promise<[event: string, details: unknown][]> {
  const rows = await db.query<{ event: string; details: unknown }>(
    "SELECT event, (details #>> '{}')::json AS details FROM audit.events WHERE election = $1 ORDER BY number",
    [election],
  );
  return rows.map(({ event, details }) => [event, details]);
}

async function versions(election: string): Promise<{ version: number; at: string }[]> {
  return await db.query(
    `SELECT version, to_char(effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at
     FROM registry.manifests WHERE election = $1 ORDER BY version`,
    [election],
  );
}

Deno.test("createElection() publishes version 1, which opens with the election's manifest key and no other", async () => {
  const definition = definitionWithFacts({ election: "new" });
  const manifest = await createElection(db, definition, MASTER, NOW);
  const { devices: _, ...rest } = testDefinition({ election: "new" });
  assert.deepEqual(manifest, {
    ...rest,
    version: 1,
    recordBytes: recordBytesFor(definition),
    sealingKey: sealingKeyPair(MASTER, "new").publicKey.toHex(),
    denied: [],
  });
  const signed = (await newestSignedManifest(db.query, "new"))!;
  const key = (election: string) => manifestKeyPair(MASTER, election).publicKey.toHex();
  assert.deepEqual(openManifest(signed, key("new")), manifest);
  assert.throws(() => openManifest(signed, key("other")), /its signature is not the aggregator's/);
  assert.deepEqual(await newestManifest(db.query, "new"), manifest);
  assert.deepEqual(await versions("new"), [{ version: 1, at: iso(NOON_MS) }]);
});

Deno.test("createElection() registers gateways, one device a station, and that it was done", async () => {
  await create("parts");
  assert.deepEqual(
    await db.query(
      "SELECT gateway, key_version FROM registry.gateways WHERE election = 'parts' ORDER BY gateway",
    ),
    [{ gateway: "g-1", key_version: 1 }, { gateway: "g-2", key_version: 1 }],
  );
  const stations = ["n-1", "n-2", "s-1", "s-2"];
  assert.deepEqual(
    await deviceKeys(db.query, "parts", NOW),
    stations.map((station) => ({ device: `${station}-a`, version: 1, station, validUntil: null })),
  );
  assert.deepEqual(await events("parts"), [["election_created", { stations: 4, contests: 2, gateways: 2 }]]);
  assert.ok((await electionIds(db.query)).includes("parts"));
});

Deno.test("createElection() registers the devices that the definition names, and no others", async () => {
  await create("devices", { devices: [{ id: "b", station: "n-1" }, { id: "a", station: "n-1" }] });
  assert.deepEqual(await deviceKeys(db.query, "devices", NOW), [
    { device: "a", version: 1, station: "n-1", validUntil: null },
    { device: "b", version: 1, station: "n-1", validUntil: null },
  ]);
});

Deno.test("createElection() takes ids that SQL has a meaning for", async () => {
  const stations = [{ id: "null", name: "Null", region: "north" }, {
    id: "true",
    name: "T",
    region: "north",
  }];
  const { contests } = testDefinition();
  await create("null", {
    contests,
    stations,
    gateways: [{ id: "null", stations: ["null", "true"], fallbackFor: [] }],
    devices: [{ id: "null", station: "null" }],
  });
  assert.deepEqual(await db.query("SELECT gateway FROM registry.gateways WHERE election = 'null'"), [
    { gateway: "null" },
  ]);
  assert.deepEqual(await deviceKeys(db.query, "null", NOW), [
    { device: "null", version: 1, station: "null", validUntil: null },
  ]);
});

Deno.test("createElection() refuses a second election of a name, and leaves the first as it is", async () => {
  const first = await create("taken");
  await assert.rejects(
    create("taken", {
      name: "Another",
      gateways: [{ id: "g-9", stations: ["n-1", "n-2", "s-1", "s-2"], fallbackFor: [] }],
    }),
    refusal("Cannot create election taken: there is one of that name; choose another id"),
  );
  assert.deepEqual(await newestManifest(db.query, "taken"), first);
  assert.equal((await events("taken")).length, 1);
  const gateways = await db.query("SELECT FROM registry.gateways WHERE election = 'taken'");
  assert.equal(gateways.length, 2);
});

Deno.test("createElection() refuses a station whose device would have too long an id, and says what helps", async () => {
  const id = "s".repeat(63);
  const stations = [{ id, name: "Long", region: "north" }];
  const gateways = [{ id: "g-1", stations: [id], fallbackFor: [] }];
  await assert.rejects(
    create("long-station", { stations, gateways }),
    refusal(
      /^Cannot create election long-station: s{63}-a would be too long.*name devices, or use a shorter id/,
    ),
  );
  assert.equal(await newestManifest(db.query, "long-station"), undefined);
  await create("long-station", { stations, gateways, devices: [{ id: "d", station: id }] });
});

/** Contests of so many candidates with long names, of which all may be selected. */
function wideContests(contests: number): Manifest["contests"] {
  return Array.from({ length: contests }, (_, i) => ({
    id: `contest-${i}`.padEnd(64, "x"),
    name: "Wide",
    votesAllowed: 5,
    candidates: Array.from({ length: 5 }, (_, j) => ({ id: `${j}`.padEnd(64, "y"), name: "C" })),
  }));
}

Deno.test("createElection() refuses an election whose votes fit into no record", async () => {
  await assert.rejects(
    create("wide", {
      contests: wideContests(50),
      stations: [{ id: "n-1", name: "N", region: "north" }],
      gateways: [{ id: "g-1", stations: ["n-1"], fallbackFor: [] }],
    }),
    refusal(
      new RegExp(
        `^Cannot fit a vote of this election into a record: it may take \\d+ bytes, and ${ELECTION_LIMITS.recordBytes} is the limit$`,
      ),
    ),
  );
});

Deno.test("publishManifest() adds a version, signed, and keeps those before", async () => {
  const first = await create("grows");
  const second = await publish(
    "grows",
    (newest) => ({ ...newest, name: "Renamed" }),
    new Date(NOON_MS + 60_000),
  );
  assert.deepEqual(second, { ...first, version: 2, name: "Renamed" });
  assert.deepEqual(await newestManifest(db.query, "grows"), second);
  const signed = (await newestSignedManifest(db.query, "grows"))!;
  assert.deepEqual(openManifest(signed, manifestKeyPair(MASTER, "grows").publicKey.toHex()), second);
  assert.deepEqual(await versions("grows"), [
    { version: 1, at: iso(NOON_MS) },
    { version: 2, at: iso(NOON_MS + 60_000) },
  ]);
  assert.deepEqual((await events("grows")).at(-1), ["manifest_published", { version: 2 }]);
});

Deno.test("publishManifest() gives the next version, whatever the change says", async () => {
  await create("numbers");
  assert.equal((await publish("numbers", (newest) => ({ ...newest, version: 70 }))).version, 2);
  const both = await Promise.all([1, 2].map(() => publish("numbers", (newest) => newest)));
  assert.deepEqual(both.map(({ version }) => version).sort(), [3, 4]);
});

Deno.test("publishManifest() registers gateways that are new, and keeps the others' keys", async () => {
  await create("moves");
  await db.query("UPDATE registry.gateways SET key_version = 3 WHERE election = 'moves' AND gateway = 'g-2'");
  await publish("moves", (newest) => ({
    ...newest,
    gateways: [
      { id: "g-2", stations: ["n-1", "n-2"], fallbackFor: [] },
      { id: "g-3", stations: ["s-1", "s-2"], fallbackFor: [] },
    ],
  }));
  assert.deepEqual(
    await db.query(
      "SELECT gateway, key_version FROM registry.gateways WHERE election = 'moves' ORDER BY gateway",
    ),
    [
      { gateway: "g-1", key_version: 1 },
      { gateway: "g-2", key_version: 3 },
      { gateway: "g-3", key_version: 1 },
    ],
  );
});

for (
  const [field, change] of [
    ["election", { election: "other" }],
    ["partitions", { partitions: 4 }],
    ["recordBytes", { recordBytes: 1_024 }],
    ["sealingKey", { sealingKey: "00".repeat(32) }],
  ] as const
) {
  Deno.test(`publishManifest() refuses to change ${field}, and says at what it is frozen`, async () => {
    const election = `frozen-${field.toLowerCase()}`;
    const manifest = await create(election);
    await assert.rejects(
      publish(election, (newest) => ({ ...newest, ...change })),
      refusal(`Cannot publish election ${election}: ${field} is frozen at ${manifest[field]}`),
    );
    assert.equal((await versions(election)).length, 1);
    assert.equal((await events(election)).length, 1);
  });
}

Deno.test("publishManifest() refuses votes that do not fit into the records as they were sized", async () => {
  const { recordBytes } = await create("sized");
  await assert.rejects(
    publish("sized", (newest) => ({ ...newest, contests: [...newest.contests, ...wideContests(1)] })),
    refusal(
      new RegExp(
        `^Cannot publish election sized: a vote may take \\d+ bytes, and its records were sized to ${recordBytes}; use shorter ids$`,
      ),
    ),
  );
  await assert.rejects(
    publish("sized", (newest) => ({ ...newest, contests: [...newest.contests, ...wideContests(50)] })),
    refusal(/^Cannot fit a vote .* is the limit$/),
  );
  await publish("sized", ({ contests: [mayor, ...others], ...newest }) => ({
    ...newest,
    contests: [{ ...mayor, candidates: [...mayor.candidates, { id: "dee", name: "Dee" }] }, ...others],
  }));
});

for (
  const [what, change, message] of [
    [
      "a region that there is not",
      ({ stations: [first, ...others] }: Manifest) => ({
        stations: [{ ...first, region: "west" }, ...others],
      }),
      "stations.0.region there is no region west",
    ],
    [
      "a station without a gateway",
      ({ stations }: Manifest) => ({ stations: [...stations, { id: "s-3", name: "S", region: "south" }] }),
      "stations.4.id station s-3 has no gateway",
    ],
    [
      "a party that there is not",
      () => ({ parties: [] }),
      "contests.0.candidates.0.party there is no party red",
    ],
    [
      "a time that is before the opening",
      () => ({ closesAt: "2026-11-03T06:00:00.000Z" }),
      "closesAt must be later than opensAt",
    ],
  ] as const
) {
  Deno.test(`publishManifest() refuses ${what}, and names it`, async () => {
    const election = `bad-${what.split(" ")[1]}`;
    await create(election);
    await assert.rejects(
      publish(election, (newest) => ({ ...newest, ...change(newest) })),
      refusal(`Cannot publish election ${election}: ${message}`),
    );
    assert.equal((await versions(election)).length, 1);
  });
}

Deno.test("publishManifest() says that there is no such election", async () => {
  await assert.rejects(
    publish("nowhere", (newest) => newest),
    refusal("Cannot publish election nowhere: there is none of that name"),
  );
});

Deno.test("rotateDeviceKey() gives the next version, and ends the one before after the overlap", async () => {
  await create("rotates");
  const own = async (ms: number) =>
    (await deviceKeys(db.query, "rotates", new Date(ms))).filter(({ device }) => device === "n-1-a");
  const [old] = await own(NOON_MS);
  assert.equal(await rotateDeviceKey(db, "rotates", "n-1-a", 600, NOW), 2);
  const ended = { ...old, validUntil: iso(NOON_MS + 600_000) };
  const fresh = { ...old, version: 2 };
  assert.deepEqual(await own(NOON_MS), [ended, fresh]);
  assert.deepEqual(await own(NOON_MS + 599_999), [ended, fresh]);
  assert.deepEqual(await own(NOON_MS + 600_000), [fresh]);
  // The next rotation does not lengthen the first key's life.
  assert.equal(await rotateDeviceKey(db, "rotates", "n-1-a", 600, new Date(NOON_MS + 300_000)), 3);
  assert.deepEqual(await own(NOON_MS + 300_000), [
    ended,
    { ...fresh, validUntil: iso(NOON_MS + 900_000) },
    { ...fresh, version: 3 },
  ]);
  const others = (await deviceKeys(db.query, "rotates", NOW)).filter(({ device }) => device !== "n-1-a");
  assert.ok(others.every(({ version, validUntil }) => version === 1 && validUntil === null));
  assert.deepEqual((await events("rotates")).slice(1), [
    ["device_key_rotated", { device: "n-1-a", version: 2, overlapS: 600 }],
    ["device_key_rotated", { device: "n-1-a", version: 3, overlapS: 600 }],
  ]);
});

Deno.test("rotateDeviceKey() without an overlap ends the key before at once", async () => {
  await create("abrupt");
  await rotateDeviceKey(db, "abrupt", "n-1-a", 0, NOW);
  const keys = await deviceKeys(db.query, "abrupt", NOW);
  assert.deepEqual(keys.filter(({ device }) => device === "n-1-a").map(({ version }) => version), [2]);
});

Deno.test("rotateDeviceKey() says that there is no such device", async () => {
  await create("rotates-none");
  for (const [election, device] of [["rotates-none", "n-9-a"], ["nowhere", "n-1-a"]]) {
    await assert.rejects(
      rotateDeviceKey(db, election, device, 600, NOW),
      refusal(`Cannot rotate the key of ${device}: election ${election} has no such device`),
    );
  }
  assert.equal((await events("rotates-none")).length, 1);
});

Deno.test("revokeDeviceKey() puts the key on the next manifest's deny list, once", async () => {
  await create("revokes");
  await rotateDeviceKey(db, "revokes", "n-1-a", 600, NOW);
  const manifest = await revokeDeviceKey(db, "revokes", MASTER, "n-1-a", 1, NOW);
  assert.deepEqual([manifest.version, manifest.denied], [2, ["n-1-a.1"]]);
  assert.deepEqual((await newestManifest(db.query, "revokes"))!.denied, ["n-1-a.1"]);
  await revokeDeviceKey(db, "revokes", MASTER, "s-1-a", 1, NOW);
  const again = await revokeDeviceKey(db, "revokes", MASTER, "n-1-a", 1, NOW);
  assert.deepEqual(again.denied, ["n-1-a.1", "s-1-a.1"]);
  assert.deepEqual((await events("revokes")).slice(2, 4), [
    ["manifest_published", { version: 2 }],
    ["device_key_revoked", { device: "n-1-a", version: 1 }],
  ]);
});

Deno.test("revokeDeviceKey() says that there is no such key, and publishes nothing", async () => {
  await create("revokes-none");
  for (const [device, version] of [["n-1-a", 2], ["n-9-a", 1]] as const) {
    await assert.rejects(
      revokeDeviceKey(db, "revokes-none", MASTER, device, version, NOW),
      refusal(`Cannot revoke ${device}.${version}: election revokes-none has no such device key`),
    );
  }
  assert.equal((await versions("revokes-none")).length, 1);
});

Deno.test("revokeDeviceKey() publishes nothing that it cannot put on the audit trail", async () => {
  await create("unaudited");
  const failing: typeof db = {
    ...db,
    transaction: (work, isolation) =>
      db.transaction((query) =>
        work((sql, params) => {
          if (params?.includes("device_key_revoked")) throw new Error("the disk is full");
          return query(sql, params);
        }), isolation),
  };
  await assert.rejects(revokeDeviceKey(failing, "unaudited", MASTER, "n-1-a", 1, NOW), /the disk is full/);
  assert.deepEqual(await versions("unaudited"), [{ version: 1, at: iso(NOON_MS) }]);
});

Deno.test("the office's events make one unbroken trail", async () => {
  assert.equal(await findBrokenLink(db.query), undefined);
});
