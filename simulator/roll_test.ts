import assert from "assert";
import { readRoll, ROLL_HEADER, type Voter, writeRoll } from "./roll.ts";

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
