import assert from "assert";
import { readCsv } from "../../cli/csv.ts";
import {
  FULL_ROLL_HEADER,
  type Profile,
  readRoll,
  ROLL_HEADER,
  type Voter,
  writeFullRoll,
  writeRoll,
} from "./roll.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

/** Voters of all kinds. */
function* voters(n: number): Generator<Voter> {
  for (let i = 0; i < n; i++) {
    const known = i % 3 > 0;
    yield {
      id: `voter-${i}`,
      region: `region-${i % 5}`,
      station: known ? `station-${i % 7}` : "",
      birthDate: known ? `19${10 + i % 90}-07-14` : "",
      gender: known ? "female" : "unknown",
    };
  }
}

Deno.test("writeRoll() writes what readRoll() reads", strict, async () => {
  const path = await Deno.makeTempFile();
  try {
    assert.equal(await writeRoll(path, voters(3_000)), 3_000);
    assert.deepEqual(await Array.fromAsync(readRoll(path)), [...voters(3_000)]);
    assert.equal((await Deno.readTextFile(path)).split("\n")[0], ROLL_HEADER);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("readRoll() refuses a line with fewer cells than a voter has, and says which", strict, async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, `${ROLL_HEADER}\nvoter-1,region-1,,,unknown\nvoter-2,region-1\n`);
    await assert.rejects(
      Array.fromAsync(readRoll(path)),
      /Cannot read the roll .*: line 3 has 2 cells, and must have at least 5/,
    );
  } finally {
    await Deno.remove(path);
  }
});

Deno.test(
  "readRoll() refuses who can vote nowhere, by line and region, and names no voter",
  strict,
  async () => {
    const path = await Deno.makeTempFile();
    const stations = [{ id: "n-1", region: "north" }];
    try {
      for (
        const [line, fault] of [
          ["voter-2,south,,,unknown", "region south has no station: each of its voters must have one"],
          ["voter-2,north,s-9,,unknown", "the election has no station s-9"],
        ] as const
      ) {
        await Deno.writeTextFile(path, `${ROLL_HEADER}\nvoter-1,north,,,unknown\n${line}\n`);
        await assert.rejects(
          Array.fromAsync(readRoll(path, stations)),
          { message: `Cannot read the roll ${path}: line 3: ${fault}` },
        );
        assert.equal((await Array.fromAsync(readRoll(path))).length, 2);
      }
    } finally {
      await Deno.remove(path);
    }
  },
);

Deno.test("writeFullRoll() quotes what needs it, and readRoll() passes over profiles", strict, async () => {
  const path = await Deno.makeTempFile();
  const profile: Profile = {
    name: 'Ann "A." O’Dea',
    nationality: "IE",
    registrationNumber: "R1",
    street: "1, High\nStreet",
    city: "Ely",
    state: "England",
    country: "United Kingdom",
    postcode: "EL1 1AA",
    email: "a@example.com",
    phone: "1",
    cell: "2",
    picture: '<svg a="b,c"></svg>',
    registeredOn: "2020-01-01",
    age: 30,
  };
  try {
    const full = [...voters(2)].map((voter) => ({ ...voter, profile }));
    assert.equal(await writeFullRoll(path, full), 2);
    assert.deepEqual(await Array.fromAsync(readRoll(path)), [...voters(2)]);
    const [header, first] = (await Array.fromAsync(readCsv(path))).map(({ cells }) => cells);
    assert.ok(header && first);
    assert.equal(header.join(","), FULL_ROLL_HEADER);
    const { age: _, ...written } = profile;
    assert.deepEqual(first.slice(5), Object.values(written));
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("readRoll() names a header that is not a roll's", strict, async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, "id,region\n1,a\n");
    await assert.rejects(
      Array.fromAsync(readRoll(path)),
      /its first line is id,region, and must be voter_id,region/,
    );
    await assert.rejects(
      Array.fromAsync(readRoll("/nowhere.csv")),
      /Cannot read \/nowhere.csv: .*no such file/,
    );
  } finally {
    await Deno.remove(path);
  }
});
