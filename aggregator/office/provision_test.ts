import assert from "assert";
import { answerKeyPair, deviceKey, gatewayKey, manifestKeyPair, proofKey } from "../../shared/keys.ts";
import { gatewayFileSchema } from "../../shared/sync.ts";
import { MASTER, NOON_MS, testDefinition, testManifest } from "../../tests/fixture.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { createElection, revokeDeviceKey, rotateDeviceKey } from "../registry/elections.ts";
import { OfficeError } from "../registry/office_error.ts";
import { readDefinition, writeDeviceFile, writeGatewayFile, writeGatewayFiles } from "./provision.ts";
import { withDirectory } from "../../tests/directory.ts";

const db = await testDatabase();
const AGGREGATORS = ["http://aggregator-1:8000", "http://aggregator-2:8000"];

/** Runs with a file of this content. */
async function withFile(content: string | Uint8Array, work: (path: string) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const path = `${directory}/file`;
    await Deno.writeFile(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
    await work(path);
  });
}

const refusal = (message: string | RegExp) => (error: unknown) => {
  assert.ok(error instanceof OfficeError, String(error));
  if (typeof message === "string") assert.equal(error.message, message);
  else assert.match(error.message, message);
  return true;
};

const modeOf = (path: string) => Deno.statSync(path).mode! & 0o777;
const readJson = (path: string) => JSON.parse(Deno.readTextFileSync(path));

Deno.test("readDefinition() reads a definition and gives what is left out its default", async () => {
  const { partitions: _, devices: __, ...written } = testDefinition();
  await withFile(JSON.stringify(written), async (path) => {
    assert.deepEqual(await readDefinition(path), { ...written, partitions: 12 });
  });
});

Deno.test("readDefinition() names every fault by its path", async () => {
  const definition = testDefinition();
  const stations = definition.stations.map((station) => ({ ...station, region: "west" }));
  await withFile(JSON.stringify({ ...definition, name: "", stations }), async (path) => {
    await assert.rejects(
      readDefinition(path),
      refusal(/^Cannot use the definition .*\/file: line 1, column \d+: name: /),
    );
  });
  const text = JSON.stringify({ ...definition, stations }, null, 1);
  await withFile(text, async (path) => {
    const lines = text.split("\n").flatMap((line, i) => line.includes('"west"') ? [i + 1] : []);
    const faults = lines.map((line, i) =>
      `line ${line}, column 14: stations.${i}.region: there is no region west`
    );
    assert.equal(faults.length, 4);
    await assert.rejects(
      readDefinition(path),
      refusal(`Cannot use the definition ${path}: ${faults.join("; ")}`),
    );
  });
});

Deno.test("readDefinition() reads what is not UTF-8, says so, and refuses names that nobody can see", async () => {
  const definition = testDefinition({ name: "Élection" });
  const latin1 = Uint8Array.from([...JSON.stringify(definition)].map((c) => c.charCodeAt(0)));
  await withFile(latin1, async (path) => {
    const said: string[] = [];
    assert.equal((await readDefinition(path, (text) => said.push(text))).name, "Élection");
    assert.match(said.join(), /not UTF-8; read as/);
  });
  await withFile(JSON.stringify({ ...definition, name: "\u200b" }), async (path) => {
    await assert.rejects(
      readDefinition(path),
      refusal(/: line 1, column \d+: name: U\+200B is invisible at character 1/),
    );
  });
});

Deno.test("readDefinition() names a file that is missing, or is no JSON", async () => {
  await assert.rejects(readDefinition("/no/such"), refusal(/^Cannot read the definition \/no\/such: /));
  await withFile("{", async (path) => {
    await assert.rejects(readDefinition(path), refusal(new RegExp(`^Cannot read the definition ${path}: `)));
  });
});

Deno.test("readDefinition() names the line on which begins what a file that was cut off does not close", async () => {
  const text = JSON.stringify(testDefinition(), undefined, 2);
  const lineOf = (part: string) => text.slice(0, text.indexOf(part)).split("\n").length;
  const cutIn = (part: string) => text.slice(0, text.indexOf(part) + part.length);
  for (
    const [cut, line, what] of [
      [cutIn('"name": "'), lineOf('"name": "'), "a quote opens here and is not closed"],
      [
        cutIn('"partitions":'),
        lineOf('"partitions":'),
        'the field "partitions" begins here, and the file ends in it',
      ],
      [
        cutIn('"contests": ['),
        lineOf('"contests": ['),
        "an array begins here and is not closed: the file was cut off, or a ] is missing",
      ],
      [
        text.slice(0, -1),
        1,
        "an object begins here and is not closed: the file was cut off, or a } is missing",
      ],
      [text.replace('"name": "', '"name": '), lineOf('"name": "'), "a quote opens here and is not closed"],
    ] as const
  ) {
    await withFile(cut, async (path) => {
      await assert.rejects(
        readDefinition(path),
        refusal(`Cannot read the definition ${path}: line ${line}: ${what}`),
      );
    });
  }
});

Deno.test("writeGatewayFiles() writes one file a gateway, with its own key, for its owner alone", async () => {
  await withDirectory(async (directory) => {
    const manifest = testManifest();
    const paths = writeGatewayFiles(manifest, MASTER, directory, AGGREGATORS);
    assert.deepEqual(paths, ["g-1", "g-2"].map((id) => `${directory}/gateways/${id}.json`));
    for (const [i, id] of ["g-1", "g-2"].entries()) {
      assert.deepEqual(gatewayFileSchema.parse(readJson(paths[i])), {
        gateway: id,
        aggregators: AGGREGATORS,
        elections: [{
          election: "test-2026",
          keyVersion: 1,
          key: gatewayKey(MASTER, { election: "test-2026", id, version: 1 }).toHex(),
          manifestKey: manifestKeyPair(MASTER, "test-2026").publicKey.toHex(),
        }],
      });
      assert.equal(modeOf(paths[i]), 0o600);
    }
    assert.equal(modeOf(`${directory}/gateways`), 0o700);
    const names = [...Deno.readDirSync(`${directory}/gateways`)].map(({ name }) => name).sort();
    assert.deepEqual(names, ["g-1.json", "g-2.json"]);
  });
});

Deno.test("writeGatewayFiles() keeps a gateway's other elections, and writes the same one once", async () => {
  await withDirectory(async (directory) => {
    const [first, second] = ["first", "second"].map((election) => testManifest(testDefinition({ election })));
    writeGatewayFiles(first, MASTER, directory, AGGREGATORS);
    writeGatewayFiles(second, MASTER, directory, AGGREGATORS);
    const [path] = writeGatewayFiles(first, MASTER, directory, ["http://moved:8000"]);
    const { aggregators, elections } = gatewayFileSchema.parse(readJson(path));
    assert.deepEqual(aggregators, ["http://moved:8000"]);
    assert.deepEqual(elections.map(({ election }) => election).sort(), ["first", "second"]);
    assert.equal(modeOf(path), 0o600);
  });
});

Deno.test("writeGatewayFile() replaces one election's key, and keeps other elections and the addresses", async () => {
  await withDirectory(async (directory) => {
    for (const election of ["first", "second"]) {
      writeGatewayFiles(testManifest(testDefinition({ election })), MASTER, directory, AGGREGATORS);
    }
    const before = readJson(`${directory}/gateways/g-2.json`);
    const name = { election: "first", id: "g-1", version: 7 };
    const path = writeGatewayFile(name, MASTER, directory, ["http://default:8000"]);
    const { gateway, aggregators, elections } = gatewayFileSchema.parse(readJson(path));
    assert.deepEqual([gateway, aggregators], ["g-1", AGGREGATORS]);
    assert.deepEqual(
      elections.map(({ election, keyVersion, key }) => [election, keyVersion, key]).sort(),
      [
        ["first", 7, gatewayKey(MASTER, name).toHex()],
        ["second", 1, gatewayKey(MASTER, { ...name, election: "second", version: 1 }).toHex()],
      ],
    );
    assert.equal(modeOf(path), 0o600);
    assert.deepEqual(readJson(`${directory}/gateways/g-2.json`), before);
  });
});

Deno.test("writeGatewayFile() writes a file that is not there with the addresses that are given", async () => {
  await withDirectory((directory) => {
    const path = writeGatewayFile({ election: "e", id: "g-1", version: 2 }, MASTER, directory, AGGREGATORS);
    assert.deepEqual(gatewayFileSchema.parse(readJson(path)).aggregators, AGGREGATORS);
    return Promise.resolve();
  });
});

Deno.test("writeGatewayFiles() lets nobody read a file by way of what a crash has left", async () => {
  await withDirectory(async (directory) => {
    await Deno.mkdir(`${directory}/gateways`);
    await Deno.writeTextFile(`${directory}/gateways/g-1.json.new`, "x".repeat(10_000), { mode: 0o666 });
    const [path] = writeGatewayFiles(testManifest(), MASTER, directory, AGGREGATORS);
    assert.equal(modeOf(path), 0o600);
    assert.equal(gatewayFileSchema.parse(readJson(path)).gateway, "g-1");
  });
});

Deno.test("writeGatewayFiles() does not write over what is no gateway's file", async () => {
  await withDirectory(async (directory) => {
    await Deno.mkdir(`${directory}/gateways`);
    const path = `${directory}/gateways/g-1.json`;
    for (const content of ["{", "{}", JSON.stringify({ gateway: "g-1", elections: [] })]) {
      await Deno.writeTextFile(path, content);
      assert.throws(
        () => writeGatewayFiles(testManifest(), MASTER, directory, AGGREGATORS),
        refusal(`Cannot add to ${path}: it is not a gateway's file; move it away and provision again`),
      );
      assert.equal(await Deno.readTextFile(path), content);
    }
  });
});

Deno.test("writeDeviceFile() writes each device's newest key, for its owner alone", async () => {
  const election = "devices";
  const now = new Date(NOON_MS);
  await createElection(db, testDefinition({ election }), MASTER, now);
  await rotateDeviceKey(db, election, "n-1-a", 600, now);
  await rotateDeviceKey(db, election, "n-2-a", 0, now);
  await revokeDeviceKey(db, election, MASTER, "s-1-a", 1, now);
  await withDirectory(async (directory) => {
    const path = await writeDeviceFile(db.query, election, MASTER, directory, now);
    assert.equal(path, `${directory}/devices/devices.json`);
    assert.deepEqual(readJson(path), {
      election,
      devices: ([["n-1", 2], ["n-2", 2], ["s-1", 1], ["s-2", 1]] as const).map(([station, version]) => ({
        device: `${station}-a`,
        version,
        station,
        key: deviceKey(MASTER, { election, id: `${station}-a`, version }).toHex(),
        proofKey: proofKey(MASTER, { election, id: `${station}-a`, version }).toHex(),
        answerKey: answerKeyPair(MASTER, election).publicKey.toHex(),
      })),
    });
    assert.equal(modeOf(path), 0o600);
    assert.equal(modeOf(`${directory}/devices`), 0o700);
  });
});
