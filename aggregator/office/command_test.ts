import assert from "assert";
import { UsageError } from "../../cli/command.ts";
import { withDirectory } from "../../tests/directory.ts";
import { MASTER, NOON_MS, testDefinition, testVoterKey } from "../../tests/fixture.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { checkProvisionOptions, type ProvisionOptions, runOffice } from "./command.ts";
import { removeProvisioned } from "./provision.ts";
import { deviceKeys, publishManifest } from "../registry/elections.ts";
import { newestManifest } from "../registry/manifests.ts";
import { OfficeError } from "../registry/office_error.ts";
import { Keyring } from "../registry/keyring.ts";

const db = await testDatabase();
const BARE = { aggregator: ["http://aggregator:8000"], overlap: 86_400 };
const ROLL = "voter_id,region,station,birth_date,gender\nA-1,north,,1990-05-17,female\nB-2,south,,,male\n";

for (
  const [what, options, message] of [
    ["nothing", {}, /^give one of --definition/],
    ["two things at once", { definition: "a", close: true, election: "e" }, /^give one of --definition/],
    ["two keys at once", { rotate: "a", revoke: "a.1", election: "e" }, /^give one of --definition/],
    ["a new election and a key's rotation", { definition: "d", rotate: "a" }, /^give one of --definition/],
    ["an election and nothing to do with it", { election: "e" }, /^give one of --definition/],
    ["closing, and not what", { close: true }, /^--election is missing/],
    ["a roll, and not whose", { roll: "r" }, /^--election is missing/],
    [
      "a device without a version",
      { revoke: "n-1-a", election: "e" },
      /^--revoke takes a device and a key version/,
    ],
    ["a version that is none", { revoke: "n-1-a.0", election: "e" }, /^--revoke takes/],
    ["a version that no key has", { revoke: "n-1-a.1000000", election: "e" }, /^--revoke takes/],
    ["a version without a device", { revoke: ".1", election: "e" }, /^--revoke takes/],
    ["a new election and a gateway's key", { definition: "d", rotateGateway: "g-1" }, /^give one of/],
    ["a gateway's key and closing", { close: true, revokeGateway: "g-1.1", election: "e" }, /^give one of/],
    ["a gateway's key, and not of which election", { rotateGateway: "g-1" }, /^--election is missing/],
    [
      "a gateway without a version",
      { revokeGateway: "g-1", election: "e" },
      /^--revoke-gateway takes a gateway and a key version/,
    ],
  ] as const
) {
  Deno.test(`checkProvisionOptions() refuses ${what}`, () => {
    assert.throws(
      () => checkProvisionOptions({ ...BARE, ...options }),
      (error) => error instanceof UsageError && message.test(error.message),
    );
  });
}

for (
  const [what, options] of [
    ["a definition", { definition: "d" }],
    ["a definition and its roll", { definition: "d", roll: "r" }],
    ["a roll of an election", { roll: "r", election: "e" }],
    ["closing an election", { close: true, election: "e" }],
    ["a definition and a key that is lost already", { definition: "d", revoke: "n-1-a.1" }],
    ["a device's next key", { rotate: "n-1-a", election: "e" }],
    ["a device's key that is lost", { revoke: "n-1-a.12", election: "e" }],
    ["a gateway's next key", { rotateGateway: "g-1", election: "e" }],
    ["the key files of roles", { writeKeys: true, election: "e" }],
    ["a gateway's key that is stolen", { revokeGateway: "g-1.2", election: "e" }],
  ] as const
) {
  Deno.test(`checkProvisionOptions() takes ${what}`, () => checkProvisionOptions({ ...BARE, ...options }));
}

/** An office with a directory of its own, and what it says. */
class Office {
  readonly said: string[] = [];
  readonly keyring: Keyring;

  constructor(readonly directory: string) {
    this.keyring = new Keyring(`${directory}/keys`);
  }

  async run(options: Partial<ProvisionOptions>, nowMs = NOON_MS): Promise<void> {
    const { log, error } = console;
    console.log = (line: string) => void this.said.push(line);
    console.error = () => {}; // The roll's progress, which looks different on a terminal.
    try {
      await runOffice(db, this.keyring, this.directory, { ...BARE, ...options }, () => nowMs);
    } finally {
      Object.assign(console, { log, error });
    }
  }

  /** Creates an election, from a file as a person would write it. */
  async create(election: string, roll?: string): Promise<void> {
    const { devices: _, ...definition } = testDefinition({ election });
    await Deno.writeTextFile(`${this.directory}/definition.json`, JSON.stringify(definition));
    if (roll !== undefined) await Deno.writeTextFile(`${this.directory}/roll.csv`, roll);
    const rolls = roll === undefined ? {} : { roll: `${this.directory}/roll.csv` };
    await this.run({ definition: `${this.directory}/definition.json`, ...rolls }, NOON_MS - 86_400_000);
    this.said.length = 0;
  }

  files(): string[] {
    return [...walk(this.directory)].map((path) => path.slice(this.directory.length + 1)).sort();
  }
}

function* walk(directory: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(directory)) {
    if (isDirectory) yield* walk(`${directory}/${name}`);
    else yield `${directory}/${name}`;
  }
}

async function withOffice(work: (office: Office) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    await work(new Office(directory));
  });
}

const refusal = (message: string | RegExp) => (error: unknown) => {
  assert.ok(error instanceof OfficeError, String(error));
  if (typeof message === "string") assert.equal(error.message, message);
  else assert.match(error.message, message);
  return true;
};

async function keysOnRoll(election: string): Promise<string[]> {
  const rows = await db.query<{ key: string }>(
    "SELECT encode(voter_key, 'hex') AS key FROM counting.roll WHERE election = $1",
    [election],
  );
  return rows.map(({ key }) => key);
}

Deno.test("runOffice() creates an election with its key, its roll and its files, and names them", async () => {
  await withOffice(async (office) => {
    const { directory } = office;
    const { devices: _, ...definition } = testDefinition({ election: "created" });
    await Deno.writeTextFile(`${directory}/d.json`, JSON.stringify(definition));
    await Deno.writeTextFile(`${directory}/r.csv`, ROLL);
    await office.run({ definition: `${directory}/d.json`, roll: `${directory}/r.csv` });
    assert.deepEqual(office.files(), [
      "d.json",
      "devices/created.json",
      "gateways/g-1.json",
      "gateways/g-2.json",
      "keys/created.key",
      "keys/receipts/created.json",
      "keys/sync/created.json",
      "r.csv",
    ]);
    assert.deepEqual(office.said, [
      "election created: 4 stations, 2 contests",
      `wrote ${directory}/keys/receipts/created.json`,
      `wrote ${directory}/keys/sync/created.json`,
      `wrote ${directory}/gateways/g-1.json`,
      `wrote ${directory}/gateways/g-2.json`,
      `wrote ${directory}/devices/created.json`,
    ]);
    assert.equal((await newestManifest(db.query, "created"))!.version, 1);
    assert.equal((await keysOnRoll("created")).length, 2);
    // The keys are the election's own, from the master key that was made.
    assert.notDeepEqual(office.keyring.master("created"), MASTER);
    assert.ok(!(await keysOnRoll("created")).includes(testVoterKey("A-1", "created")));
  });
});

Deno.test("runOffice() creates a draft, of which gateways take nothing, and removeProvisioned() removes its files alone", async () => {
  await withOffice(async (office) => {
    const { directory } = office;
    for (const election of ["sketch", "other"]) {
      const { devices: _, ...definition } = testDefinition({ election });
      await Deno.writeTextFile(`${directory}/${election}.json`, JSON.stringify(definition));
      await office.run({ definition: `${directory}/${election}.json`, draft: election === "sketch" });
    }
    assert.equal((await newestManifest(db.query, "sketch"))!.inactive, "draft");
    assert.equal((await newestManifest(db.query, "other"))!.inactive, undefined);
    for (let i = 0; i < 2; i++) removeProvisioned(directory, "sketch");
    assert.ok(
      !office.files().includes("devices/sketch.json") && office.files().includes("devices/other.json"),
    );
    const { elections } = JSON.parse(await Deno.readTextFile(`${directory}/gateways/g-1.json`));
    assert.deepEqual(elections.map(({ election }: { election: string }) => election), ["other"]);
    removeProvisioned(directory, "other");
    assert.ok(!office.files().some((file) => file.startsWith("gateways/")));
  });
});

Deno.test("runOffice() writes the key files of processes without a master key again", async () => {
  await withOffice(async (office) => {
    await office.create("keyed");
    const paths = ["receipts", "sync"].map((role) => `${office.directory}/keys/${role}/keyed.json`);
    const before = paths.map((path) => Deno.readTextFileSync(path));
    for (const path of paths) Deno.removeSync(path);
    await office.run({ election: "keyed", writeKeys: true });
    assert.deepEqual(office.said, paths.map((path) => `wrote ${path}`));
    assert.deepEqual(paths.map((path) => Deno.readTextFileSync(path)), before);
  });
});

Deno.test("runOffice() refuses an election that there is, and makes no key for it", async () => {
  await withOffice(async (office) => await office.create("there"));
  await withOffice(async (elsewhere) => {
    await assert.rejects(
      elsewhere.create("there"),
      refusal("Cannot create election there: there is one of that name; choose another id"),
    );
    assert.deepEqual(elsewhere.files(), ["definition.json"]);
  });
});

Deno.test("runOffice() names what is wrong with a definition or a roll", async () => {
  await withOffice(async (office) => {
    await assert.rejects(
      office.run({ definition: "/no/such" }),
      refusal(/^Cannot read the definition \/no\/such/),
    );
    await assert.rejects(
      office.create("bad-roll", ROLL.replace("south", "west")),
      refusal(
        /1 values are wrong, and nothing was written; all are in .*roll.csv.findings.csv:\n {2}line 3: region "west" must/,
      ),
    );
    assert.equal(
      await newestManifest(db.query, "bad-roll"),
      undefined,
      "a roll that is refused leaves nothing",
    );
    await office.create("bad-roll");
    await assert.rejects(
      office.run({ election: "bad-roll", roll: "/no/such" }),
      refusal(/^Cannot read the roll \/no\/such/),
    );
    await assert.rejects(
      office.run({ election: "nowhere", roll: `${office.directory}/roll.csv` }),
      refusal(/^Cannot import a roll: there is no election nowhere/),
    );
  });
});

Deno.test("runOffice() says which voters are given twice, and who is on the roll with other data", async () => {
  await withOffice(async (office) => {
    await office.create("twice");
    await Deno.writeTextFile(
      `${office.directory}/roll.csv`,
      `${ROLL}A-1,north,n-2,1990-05-17,female\na-1,north,,,male\n`,
    );
    await office.run({ election: "twice", roll: `${office.directory}/roll.csv` });
    const said = office.said.join("\n");
    assert.match(
      said,
      /1 lines give a voter again; .*findings.csv\):\n {2}line 4: voter_id "A-1" is on line 2 already, .*station is "n-2" here and "" there/,
    );
    assert.match(
      said,
      /1 voter ids are easily confused .*:\n {2}line 5: voter_id "a-1" differs from "A-1" on line 2/,
    );
    assert.equal((await keysOnRoll("twice")).length, 3);
    await Deno.writeTextFile(`${office.directory}/more.csv`, ROLL.replace("north,,", "north,n-1,"));
    await office.run({ election: "twice", roll: `${office.directory}/more.csv` });
    assert.match(office.said.join("\n"), /voter A-1: station is "" on the roll and "n-1" in the file/);
  });
});

Deno.test("runOffice() adds voters later", async () => {
  await withOffice(async (office) => {
    await office.create("adds", ROLL);
    await Deno.writeTextFile(`${office.directory}/more.csv`, `${ROLL}C-3,north,,,other\n`);
    await office.run({ election: "adds", roll: `${office.directory}/more.csv` });
    assert.equal((await keysOnRoll("adds")).length, 3);
  });
});

Deno.test("runOffice() names the key of an election that is not here", async () => {
  await withOffice(async (office) => {
    await assert.rejects(office.run({ election: "nowhere", close: true }), /master key of election nowhere/);
  });
});

/** The hours of an election, after it was asked to close at a time. */
async function closedAt(office: Office, election: string, at: string): Promise<string[]> {
  await office.run({ election, close: true }, Date.parse(at));
  const { closesAt, acceptsUntil } = (await newestManifest(db.query, election))!;
  return [closesAt, acceptsUntil];
}

Deno.test("runOffice() closes an election now, and votes that were cast in time may come for as long as before", async () => {
  await withOffice(async (office) => {
    await office.create("closes");
    const at = "2026-11-03T12:00:00.000Z";
    // It was to close at 21:00 and to take votes in until 23:00: they have two hours still.
    const until = "2026-11-03T14:00:00.000Z";
    assert.deepEqual(await closedAt(office, "closes", at), [at, until]);
    assert.deepEqual(office.said, [
      `election closes closed at ${at}, takes votes in until ${until}, manifest version 2`,
    ]);
  });
});

Deno.test("runOffice() refuses to close an election that has closed", async () => {
  await withOffice(async (office) => {
    await office.create("closing-late");
    // Also while votes may come that were cast in time: their window is not cut short.
    for (const late of ["2026-11-03T21:00:00.000Z", "2026-11-03T22:00:00.000Z", "2026-11-04T22:00:00.000Z"]) {
      await assert.rejects(
        closedAt(office, "closing-late", late),
        refusal(
          "Cannot close election closing-late: it has been closed since 2026-11-03T21:00:00.000Z; votes that were cast in time are taken until 2026-11-03T23:00:00.000Z",
        ),
      );
    }
    assert.equal((await newestManifest(db.query, "closing-late"))!.version, 1);
  });
});

Deno.test("runOffice() closes an election that was closed before, and now runs longer", async () => {
  await withOffice(async (office) => {
    await office.create("reopened");
    await closedAt(office, "reopened", "2026-11-03T12:00:00.000Z");
    await publishManifest(db, "reopened", office.keyring.master("reopened"), new Date(NOON_MS), (newest) => ({
      ...newest,
      closesAt: "2026-11-03T20:00:00.000Z",
      acceptsUntil: "2026-11-03T20:30:00.000Z",
    }));
    assert.deepEqual(await closedAt(office, "reopened", "2026-11-03T13:00:00.000Z"), [
      "2026-11-03T13:00:00.000Z",
      "2026-11-03T13:30:00.000Z",
    ]);
  });
});

Deno.test("runOffice() refuses to close an election that has not opened", async () => {
  await withOffice(async (office) => {
    await office.create("unopened");
    await assert.rejects(
      closedAt(office, "unopened", "2026-11-03T06:59:59.999Z"),
      refusal("Cannot publish election unopened: closesAt must be later than opensAt"),
    );
  });
});

Deno.test("runOffice() gives a device its next key, and writes it to the devices' file", async () => {
  await withOffice(async (office) => {
    await office.create("rotating");
    await office.run({ election: "rotating", rotate: "n-1-a", overlap: 600 });
    const path = `${office.directory}/devices/rotating.json`;
    assert.deepEqual(office.said, [
      "device n-1-a has key version 2; the one before is good for 600 s",
      `wrote ${office.directory}/keys/receipts/rotating.json`,
      `wrote ${office.directory}/keys/sync/rotating.json`,
      `wrote ${path}`,
    ]);
    const { devices } = JSON.parse(await Deno.readTextFile(path)) as {
      devices: { device: string; version: number }[];
    };
    assert.deepEqual(devices.map(({ device, version }) => `${device}.${version}`), [
      "n-1-a.2",
      "n-2-a.1",
      "s-1-a.1",
      "s-2-a.1",
    ]);
    const [old] = await deviceKeys(db.query, "rotating", new Date(NOON_MS));
    assert.equal(old.validUntil, new Date(NOON_MS + 600_000).toISOString());
  });
});

Deno.test("runOffice() revokes a device's key", async () => {
  await withOffice(async (office) => {
    await office.create("revoking");
    await office.run({ election: "revoking", revoke: "n-1-a.1" });
    assert.deepEqual(office.said, ["device key n-1-a.1 has been revoked"]);
    assert.deepEqual((await newestManifest(db.query, "revoking"))!.denied, ["n-1-a.1"]);
    await assert.rejects(
      office.run({ election: "revoking", revoke: "n-1-a.2" }),
      refusal(/^Cannot revoke n-1-a\.2: /),
    );
  });
});

Deno.test("runOffice() gives a gateway its next key, writes its file, and revokes the one before", async () => {
  await withOffice(async (office) => {
    await office.create("gateway-keys");
    const path = `${office.directory}/gateways/g-1.json`;
    const read = async () => JSON.parse(await Deno.readTextFile(path));
    const first = await read();
    await office.run({ election: "gateway-keys", rotateGateway: "g-1", aggregator: ["http://elsewhere:1"] });
    await office.run({ election: "gateway-keys", revokeGateway: "g-1.1" });
    assert.deepEqual(office.said, [
      "gateway g-1 has key version 2; the ones before are good until they are revoked",
      `wrote ${office.directory}/keys/receipts/gateway-keys.json`,
      `wrote ${office.directory}/keys/sync/gateway-keys.json`,
      `wrote ${path}`,
      "gateway key g-1.1 has been revoked: records that it signed are held from now on",
    ]);
    const second = await read();
    assert.deepEqual(second.aggregators, first.aggregators);
    assert.equal(second.elections[0].keyVersion, 2);
    assert.notEqual(second.elections[0].key, first.elections[0].key);
    await assert.rejects(
      office.run({ election: "gateway-keys", revokeGateway: "g-1.1" }),
      refusal("Cannot revoke g-1.1: it has been revoked already"),
    );
    await assert.rejects(
      office.run({ election: "gateway-keys", rotateGateway: "g-9" }),
      refusal("Cannot rotate the key of gateway g-9: election gateway-keys has no such gateway"),
    );
  });
});

Deno.test("runOffice() creates an election of which a device's key is revoked from the beginning", async () => {
  await withOffice(async (office) => {
    const { directory } = office;
    const { devices: _, ...definition } = testDefinition({ election: "lost-early" });
    await Deno.writeTextFile(`${directory}/d.json`, JSON.stringify(definition));
    await Deno.writeTextFile(`${directory}/r.csv`, ROLL);
    await office.run({ definition: `${directory}/d.json`, roll: `${directory}/r.csv`, revoke: "n-1-a.1" });
    assert.equal(office.said.at(-1), "device key n-1-a.1 has been revoked");
    const { version, denied } = (await newestManifest(db.query, "lost-early"))!;
    assert.deepEqual([version, denied], [2, ["n-1-a.1"]]);
    assert.equal((await keysOnRoll("lost-early")).length, 2);
  });
});

Deno.test("runOffice() never says a key", async () => {
  await withOffice(async (office) => {
    const { directory } = office;
    const { devices: _, ...definition } = testDefinition({ election: "secret" });
    await Deno.writeTextFile(`${directory}/d.json`, JSON.stringify(definition));
    await office.run({ definition: `${directory}/d.json` });
    await office.run({ election: "secret", rotate: "n-1-a" });
    await office.run({ election: "secret", revoke: "n-1-a.1" });
    await office.run({ election: "secret", rotateGateway: "g-1" });
    await office.run({ election: "secret", revokeGateway: "g-1.1" });
    await office.run({ election: "secret", close: true });
    assert.doesNotMatch(office.said.join("\n"), /[0-9a-f]{32}/);
  });
});
