import assert from "assert";
import { withDirectory } from "../../tests/directory.ts";
import { OfficeError } from "./office_error.ts";
import { Keyring } from "./keyring.ts";

Deno.test.sanitizer({ ops: true, resources: true });

async function withKeys(work: (directory: string) => void | Promise<void>): Promise<void> {
  await withDirectory(async (parent) => {
    await work(`${parent}/keys`);
  });
}

const modeOf = (path: string) => Deno.statSync(path).mode! & 0o777;

Deno.test("Keyring makes a key of 32 random bytes, kept in a file that its owner alone can read", async () => {
  await withKeys((directory) => {
    const key = new Keyring(directory).create("one");
    assert.equal(key.length, 32);
    assert.notDeepEqual(key, new Uint8Array(32));
    assert.equal(Deno.readTextFileSync(`${directory}/one.key`), `${key.toHex()}\n`);
    assert.equal(modeOf(`${directory}/one.key`), 0o600);
    assert.equal(modeOf(directory), 0o700);
    assert.notDeepEqual(new Keyring(directory).create("two"), key);
  });
});

Deno.test("Keyring never makes a second key of an election", async () => {
  await withKeys((directory) => {
    const key = new Keyring(directory).create("one");
    assert.deepEqual(new Keyring(directory).create("one"), key);
    assert.deepEqual(new Keyring(directory).master("one"), key);
  });
});

Deno.test("Keyring reads a key that was put there, with or without a line's end", async () => {
  await withKeys((directory) => {
    Deno.mkdirSync(directory);
    for (const end of ["", "\n", "\r\n"]) {
      Deno.writeTextFileSync(`${directory}/one.key`, "5a".repeat(32) + end);
      assert.deepEqual(new Keyring(directory).master("one"), new Uint8Array(32).fill(0x5a));
    }
  });
});

Deno.test("Keyring names the file of a key that is missing", async () => {
  await withKeys((directory) => {
    assert.throws(
      () => new Keyring(directory).master("one"),
      new RegExp(
        `^OfficeError: Cannot read the master key of election one from ${directory}/one\\.key \\(.*\\); ` +
          "KEYS_DIRECTORY must name the directory that holds it$",
      ),
    );
  });
});

for (
  const [what, text] of [
    ["empty", ""],
    ["too short", "5a".repeat(31)],
    ["too long", "5a".repeat(33)],
    ["in upper case", "5A".repeat(32)],
    ["no hex", "zz".repeat(32)],
  ]
) {
  Deno.test(`Keyring refuses a key that is ${what}, without repeating it`, async () => {
    await withKeys((directory) => {
      Deno.mkdirSync(directory);
      Deno.writeTextFileSync(`${directory}/one.key`, text);
      const keyring = new Keyring(directory);
      assert.throws(() => keyring.master("one"), (error) => {
        assert.ok(error instanceof OfficeError, String(error));
        assert.equal(
          error.message,
          `Cannot use the master key in ${directory}/one.key: it must be 32 bytes in lower-case hex`,
        );
        return true;
      });
      assert.throws(() => keyring.create("one"), "it is not written over either");
      assert.equal(Deno.readTextFileSync(`${directory}/one.key`), text);
    });
  });
}

Deno.test("Keyring says of which elections it has a key", async () => {
  await withKeys((directory) => {
    const keyring = new Keyring(directory);
    assert.equal(keyring.has("one"), false);
    keyring.create("one");
    assert.equal(keyring.has("one"), true);
    assert.equal(new Keyring(directory).has("one"), true);
    assert.equal(keyring.has("two"), false);
  });
});

Deno.test("Keyring.destroy() removes an election's keys, and no others", async () => {
  await withDirectory(async (directory) => {
    const keyring = new Keyring(directory);
    const [town, other] = [keyring.create("town"), keyring.create("other")];
    Deno.mkdirSync(`${directory}/sync`);
    await Deno.writeTextFile(`${directory}/sync/town.json`, "{}");
    for (let i = 0; i < 2; i++) keyring.destroy("town");
    assert.ok(!keyring.has("town"));
    assert.throws(() => Deno.statSync(`${directory}/sync/town.json`), Deno.errors.NotFound);
    assert.deepEqual(keyring.master("other"), other);
    assert.notDeepEqual(keyring.create("town"), town, "another key");
  });
});
