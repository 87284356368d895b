import assert from "assert";
import { answerKeyPair, deviceKey, gatewayKey, manifestKeyPair, proofKey } from "../../shared/keys.ts";
import { gatewayFileSchema } from "../../shared/sync.ts";
import { MASTER, NOON_MS, testDefinition, testManifest } from "../../tests/fixture.ts";
import { testDatabase } from "../../tests/test_database.ts";
import { createElection, revokeDeviceKey, rotateDeviceKey } from "../registry/elections.ts";
import { OfficeError } from "../registry/office_error.ts";
import {
  readDefinition,
  readRoll,
  writeDeviceFile,
  writeGatewayFile,
  writeGatewayFiles,
} from "./provision.ts";
import type { Voter } from "../registry/roll.ts";
import { withDirectory } from "../../tests/directory.ts";

const db = await testDatabase();
const AGGREGATORS = ["http://aggregator-1:8000", "http://aggregator-2:8000"];
const HEADER = "voter_id,region,station,birth_date,gender";

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
    assert.deepEqual(readDefinition(path), { ...written, partitions: 12 });
  });
});

Deno.test("readDefinition() names every fault by its path", async () => {
  const definition = testDefinition();
  const stations = definition.stations.map((station) => ({ ...station, region: "west" }));
  await withFile(JSON.stringify({ ...definition, name: "", stations }), async (path) => {
    assert.throws(() => readDefinition(path), refusal(/^Cannot use the definition .*\/file: name: /));
  });
  await withFile(JSON.stringify({ ...definition, stations }), async (path) => {
    const faults = [0, 1, 2, 3].map((i) => `stations.${i}.region: there is no region west`);
    assert.throws(
      () => readDefinition(path),
      refusal(`Cannot use the definition ${path}: ${faults.join("; ")}`),
    );
  });
});

Deno.test("readDefinition() names a file that is missing, or is no JSON", async () => {
  assert.throws(() => readDefinition("/no/such"), refusal(/^Cannot read the definition \/no\/such: /));
  await withFile("{", async (path) => {
    assert.throws(() => readDefinition(path), refusal(new RegExp(`^Cannot read the definition ${path}: `)));
  });
});

/** All voters of a roll file with these lines. */
async function votersIn(content: string | Uint8Array): Promise<Voter[]> {
  let voters: Voter[] = [];
  await withFile(content, async (path) => {
    voters = await Array.fromAsync(readRoll(path));
  });
  return voters;
}

const ANN: Voter = {
  voter_id: "A-1",
  region: "north",
  station: "n-1",
  birth_date: "1990-05-17",
  gender: "female",
};
const BOB: Voter = { voter_id: "B-2", region: "south", station: "", birth_date: "", gender: "unknown" };
const ANN_LINE = "A-1,north,n-1,1990-05-17,female";
const BOB_LINE = "B-2,south,,,unknown";

for (
  const [what, content, voters] of [
    ["lines", `${HEADER}\n${ANN_LINE}\n${BOB_LINE}\n`, [ANN, BOB]],
    ["a last line without an end", `${HEADER}\n${ANN_LINE}\n${BOB_LINE}`, [ANN, BOB]],
    ["lines that end as on Windows", `${HEADER}\r\n${ANN_LINE}\r\n${BOB_LINE}\r\n`, [ANN, BOB]],
    ["a byte order mark", `\ufeff${HEADER}\n${ANN_LINE}\n`, [ANN]],
    ["empty lines", `${HEADER}\n\n${ANN_LINE}\n\n\n${BOB_LINE}\n`, [ANN, BOB]],
    ["quotes", `${HEADER}\n"A-1","north","n-1","1990-05-17","female"\n`, [ANN]],
    ["quotes in quotes", `${HEADER}\n"A""1",north,n-1,1990-05-17,female\n`, [{ ...ANN, voter_id: `A"1` }]],
    ["a comma in quotes", `${HEADER}\n"A,1",north,n-1,1990-05-17,female\n`, [{ ...ANN, voter_id: "A,1" }]],
    [
      "columns in another order",
      "gender,voter_id,station,region,birth_date\nfemale,A-1,n-1,north,1990-05-17\n",
      [ANN],
    ],
    [
      "columns of a profile, some of them, and drops what is empty",
      `name,${HEADER},email,picture\n"Ash, Ann",${ANN_LINE},,"<svg id=""a"">\n</svg>"\n,${BOB_LINE},,\n`,
      [{ ...ANN, profile: { name: "Ash, Ann", picture: '<svg id="a">\n</svg>' } }, BOB],
    ],
    ["no voters", `${HEADER}\n`, []],
  ] as const
) {
  Deno.test(`readRoll() takes ${what}`, async () => {
    assert.deepEqual(await votersIn(content), voters);
  });
}

for (
  const [what, content, message] of [
    [
      "a header that lacks columns",
      "voter_id,region,station\nA-1,north,n-1\n",
      /^Cannot read the roll .*\/file: the header lacks birth_date, gender; it must name voter_id,region,station,birth_date,gender, and may name name,nationality,.*,picture,registered_on$/,
    ],
    ["a header in upper case", `${HEADER.toUpperCase()}\n${ANN_LINE}\n`, /the header lacks voter_id, region/],
    [
      "an empty file",
      "",
      /^Cannot read the roll .*file.* must name voter_id,region,station,birth_date,gender, and may/,
    ],
    [
      "a column that it does not know",
      `${HEADER},note,Email\n`,
      /the header names "note", "Email"; it must name voter_id,.*, and may name name,.*email/,
    ],
    ["a column that is there twice", `${HEADER},email,email\n`, /the header names email twice; it must/],
    ["a birthday's column twice", `${HEADER},birth_date\n`, /the header names birth_date twice/],
    [
      "a wrong day of registration",
      `${HEADER},registered_on\n${ANN_LINE},1 May\n`,
      /^Cannot read the roll .*\/file, line 2: registered_on /,
    ],
    [
      "a picture that is too large",
      `${HEADER},picture\n${ANN_LINE},${"x".repeat(16_385)}\n`,
      /^Cannot read the roll .*\/file, line 2: picture /,
    ],
    ["a NUL in a name", `${HEADER},name\n${ANN_LINE},a\0b\n`, /line 2: name must not hold a NUL$/],
    [
      "a line that does not end",
      `${HEADER},name\n${ANN_LINE},"${"x".repeat(70_000)}\n`,
      /^Cannot read the roll .*\/file: /,
    ],
    [
      "a wrong value",
      `${HEADER}\n${ANN_LINE}\n${BOB_LINE.replace("unknown", "f")}\n`,
      /^Cannot read the roll .*\/file, line 3: gender /,
    ],
    [
      "a wrong value behind empty lines and quoted ones",
      `${HEADER}\n\n"A\n1",x,,,\n`,
      /^Cannot read the roll .*\/file, line [34]: voter_id must be 1 to 64 visible ASCII characters$/,
    ],
    ["too few columns", `${HEADER}\n${ANN_LINE}\nB-2,south\n`, /^Cannot read the roll .*\/file: .*line 3/],
    ["too many columns", `${HEADER}\n${ANN_LINE},more\n`, /^Cannot read the roll .*\/file: .*line 2/],
    [
      "a quote that does not end",
      `${HEADER}\n"A-1,north,n-1,1990-05-17,female\n`,
      /^Cannot read the roll .*\/file: /,
    ],
  ] as const
) {
  Deno.test(`readRoll() refuses ${what}, and says where`, async () => {
    await assert.rejects(votersIn(content), refusal(message));
  });
}

Deno.test("readRoll() refuses bytes that are no UTF-8 where they stand", async () => {
  const bytes = new TextEncoder().encode(`${HEADER}\n${ANN_LINE}\nB?2,south,,,unknown\n`);
  bytes[bytes.indexOf(0x3f)] = 0xe9; // é as Latin-1 has it.
  await assert.rejects(
    votersIn(bytes),
    refusal(/line 3: voter_id must be 1 to 64 visible ASCII characters$/),
  );
});

Deno.test("readRoll() says that there is no such file", async () => {
  await assert.rejects(
    Array.fromAsync(readRoll("/no/such")),
    refusal(/^Cannot read the roll \/no\/such: .*no such file/i),
  );
});

Deno.test("readRoll() gives voters before it has read the file to its end, and lets go of it when they are enough", async () => {
  const lines = Array.from({ length: 50_000 }, (_, i) => `V-${i},north,,1990-05-17,male`).join("\n");
  await withFile(`${HEADER}\n${lines}\nbad\n`, async (path) => {
    let voters = 0;
    for await (const _ of readRoll(path)) if (++voters === 10) break;
    assert.equal(voters, 10);
    const deadlineMs = Date.now() + 10_000;
    while (isOpen(path)) {
      assert.ok(Date.now() < deadlineMs, "the file is still open");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
});

/** Whether this process has a file open. */
function isOpen(path: string): boolean {
  return [...Deno.readDirSync("/proc/self/fd")].some(({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/self/fd/${name}`) === path;
    } catch {
      return false; // It was closed meanwhile.
    }
  });
}

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
