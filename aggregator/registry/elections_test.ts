import assert from "assert";
import { ELECTION_LIMITS, type Manifest, openManifest } from "../../shared/election.ts";
import { manifestKeyPair, sealingKeyPair } from "../../shared/keys.ts";
import { voteBytesFor } from "../../shared/record.ts";
import { definitionWithFacts, MASTER, NOON_MS, testDefinition } from "../../tests/fixture.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { verifyTrail } from "../audit/verify.ts";
import {
  createElection,
  deviceKeys,
  electionIds,
  publishManifest,
  revokeDeviceKey,
  rotateDeviceKey,
} from "./elections.ts";
import { revokeGatewayKey, rotateGatewayKey } from "./gateway_keys.ts";
import { newestManifest, readSignedManifest } from "./manifests.ts";
import { OfficeError } from "./office_error.ts";

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

/** Every version of every gateway's key; `-` marks one that was revoked. */
async function gatewayKeys(election: string): Promise<string[]> {
  const rows = await db.query<{ key: string }>(
    `SELECT gateway || '.' || version || CASE WHEN revoked_at IS NULL THEN '' ELSE '-' END AS key
     FROM registry.gateway_keys WHERE election = $1 ORDER BY gateway, version`,
    [election],
  );
  return rows.map(({ key }) => key);
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
    voteBytes: voteBytesFor(definition),
    sealingKey: sealingKeyPair(MASTER, "new").publicKey.toHex(),
    denied: [],
  });
  const signed = await readSignedManifest(db.query, "new", 1);
  const key = (election: string) => manifestKeyPair(MASTER, election).publicKey.toHex();
  assert.deepEqual(openManifest(signed, key("new")), manifest);
  assert.throws(() => openManifest(signed, key("other")), /its signature is not the aggregator's/);
  assert.deepEqual(await newestManifest(db.query, "new"), manifest);
  assert.deepEqual(await versions("new"), [{ version: 1, at: iso(NOON_MS) }]);
});

Deno.test("createElection() registers gateways, one device a station, and that it was done", async () => {
  await create("parts");
  assert.deepEqual(
    await gatewayKeys("parts"),
    ["g-1.1", "g-2.1"],
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

Deno.test("createElection() accepts ids that are SQL keywords", async () => {
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
  assert.deepEqual(await gatewayKeys("null"), ["null.1"]);
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
  assert.deepEqual(await gatewayKeys("taken"), ["g-1.1", "g-2.1"]);
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
        `^Cannot fit a vote of this election into a record: it may take \\d+ bytes, and ${ELECTION_LIMITS.voteBytes} is the limit$`,
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
  const signed = await readSignedManifest(db.query, "grows", 2);
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
  for (const _ of [2, 3]) await rotateGatewayKey(db, "moves", "g-2", NOW);
  await publish("moves", (newest) => ({
    ...newest,
    gateways: [
      { id: "g-2", stations: ["n-1", "n-2"], fallbackFor: [] },
      { id: "g-3", stations: ["s-1", "s-2"], fallbackFor: [] },
    ],
  }));
  assert.deepEqual(await gatewayKeys("moves"), ["g-1.1", "g-2.1", "g-2.2", "g-2.3", "g-3.1"]);
});

for (
  const [field, change] of [
    ["election", { election: "other" }],
    ["partitions", { partitions: 4 }],
    ["voteBytes", { voteBytes: 1_024 }],
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

Deno.test("publishManifest() refuses votes that are longer than voteBytes", async () => {
  const { voteBytes } = await create("sized");
  await assert.rejects(
    publish("sized", (newest) => ({ ...newest, contests: [...newest.contests, ...wideContests(1)] })),
    refusal(
      new RegExp(
        `^Cannot publish election sized: a vote may take \\d+ bytes, and voteBytes is frozen at ${voteBytes}; use shorter ids$`,
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
      "a region that does not exist",
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
      "a party that does not exist",
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

Deno.test("rotateGatewayKey() adds a version, and keeps those before", async () => {
  await create("gateway-rotates");
  assert.equal(await rotateGatewayKey(db, "gateway-rotates", "g-1", NOW), 2);
  assert.equal(await rotateGatewayKey(db, "gateway-rotates", "g-1", NOW), 3);
  assert.deepEqual(await gatewayKeys("gateway-rotates"), ["g-1.1", "g-1.2", "g-1.3", "g-2.1"]);
  assert.deepEqual((await events("gateway-rotates")).slice(1), [
    ["gateway_key_rotated", { gateway: "g-1", version: 2 }],
    ["gateway_key_rotated", { gateway: "g-1", version: 3 }],
  ]);
  for (const [election, gateway] of [["gateway-rotates", "g-9"], ["nowhere", "g-1"]]) {
    await assert.rejects(
      rotateGatewayKey(db, election, gateway, NOW),
      refusal(`Cannot rotate the key of gateway ${gateway}: election ${election} has no such gateway`),
    );
  }
});

Deno.test("revokeGatewayKey() revokes one version, once, and the registry keeps it", async () => {
  await create("gateway-revokes");
  await rotateGatewayKey(db, "gateway-revokes", "g-1", NOW);
  await revokeGatewayKey(db, "gateway-revokes", "g-1", 1, NOW);
  assert.deepEqual(await gatewayKeys("gateway-revokes"), ["g-1.1-", "g-1.2", "g-2.1"]);
  assert.deepEqual((await events("gateway-revokes")).at(-1), [
    "gateway_key_revoked",
    { gateway: "g-1", version: 1 },
  ]);
  for (
    const [gateway, version, message] of [
      ["g-1", 1, "Cannot revoke g-1.1: it has been revoked already"],
      ["g-1", 3, "Cannot revoke g-1.3: election gateway-revokes has no such gateway key"],
      ["g-9", 1, "Cannot revoke g-9.1: election gateway-revokes has no such gateway key"],
    ] as const
  ) {
    await assert.rejects(
      revokeGatewayKey(db, "gateway-revokes", gateway, version, NOW),
      refusal(message),
    );
  }
  // A gateway that a manifest drops and names again does not get its first key back.
  const gateways = (await newestManifest(db.query, "gateway-revokes"))!.gateways;
  await publish("gateway-revokes", (newest) => ({
    ...newest,
    gateways: [{ id: "g-2", stations: ["n-1", "n-2", "s-1", "s-2"], fallbackFor: [] }],
  }));
  await publish("gateway-revokes", (newest) => ({ ...newest, gateways }));
  assert.deepEqual(await gatewayKeys("gateway-revokes"), ["g-1.1-", "g-1.2", "g-2.1"]);
});

Deno.test("the office's events make one unbroken trail", async () => {
  assert.deepEqual((await verifyTrail(db.query, [])).faults, []);
});
