import assert from "assert";
import { z } from "zod";
import { ConfigError, integer, readConfig } from "./config.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const SHAPE = { PORT: integer(1, 65_535).default(8080), DATABASE_URL: z.string().startsWith("postgres://") };

/** Runs with a file of this content, and removes it. */
async function withFile(content: string, run: (path: string) => void): Promise<void> {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, content);
    run(path);
  } finally {
    await Deno.remove(path);
  }
}

function complaintOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message;
  }
  assert.fail("it takes the settings");
}

Deno.test("readConfig() reads settings and gives what is not set its default", () => {
  const read = readConfig(SHAPE, { DATABASE_URL: "postgres://a", OTHER: "1" });
  assert.deepEqual(read, { PORT: 8080, DATABASE_URL: "postgres://a" });
  assert.equal(readConfig(SHAPE, { DATABASE_URL: "postgres://a", PORT: "9000" }).PORT, 9000);
});

Deno.test("readConfig() takes an empty setting for one that is not set", () => {
  const read = readConfig(SHAPE, { DATABASE_URL: "postgres://a", PORT: "", DATABASE_URL_FILE: "" });
  assert.deepEqual(read, { PORT: 8080, DATABASE_URL: "postgres://a" });
});

Deno.test("readConfig() reads a setting from the file that NAME_FILE names, without the line's end", async () => {
  await withFile("postgres://secret\n", (path) => {
    assert.equal(readConfig(SHAPE, { DATABASE_URL_FILE: path }).DATABASE_URL, "postgres://secret");
  });
});

Deno.test("readConfig() takes an empty file for a setting that is not set", async () => {
  await withFile("\n", (path) => {
    assert.equal(readConfig(SHAPE, { DATABASE_URL: "postgres://a", PORT_FILE: path }).PORT, 8080);
    assert.match(
      complaintOf(() => readConfig(SHAPE, { DATABASE_URL_FILE: path })),
      /DATABASE_URL \(not set\): /,
    );
  });
});

Deno.test("readConfig() does not take a setting's own name for a file's", async () => {
  await withFile("no", (path) => {
    assert.deepEqual(readConfig({ KEY: z.string().optional(), KEY_FILE: z.string() }, { KEY_FILE: path }), {
      KEY_FILE: path,
    });
  });
});

Deno.test("readConfig() names the file that it cannot read", () => {
  const message = complaintOf(() => readConfig(SHAPE, { DATABASE_URL_FILE: "/nowhere/at/all" }));
  assert.match(message, /^Cannot start: DATABASE_URL_FILE names \/nowhere\/at\/all, which cannot be read/);
});

Deno.test("readConfig() names every wrong setting, and which are not set", () => {
  const message = complaintOf(() => readConfig(SHAPE, { PORT: "http" }));
  assert.match(
    message,
    /^Cannot start: PORT: must be a whole number from 1 to 65535; DATABASE_URL \(not set\): /,
  );
});

Deno.test("readConfig() does not repeat a wrong value, which may be a secret", () => {
  const message = complaintOf(() => readConfig(SHAPE, { DATABASE_URL: "mysql://root:hunter2@db" }));
  assert.match(message, /DATABASE_URL: /);
  assert.doesNotMatch(message, /hunter2/);
});

for (const text of ["0", "65536", "80.5", "http", "-1", "NaN", "Infinity", "80 81"]) {
  Deno.test(`integer() refuses ${text} as a port`, () => {
    assert.match(
      complaintOf(() => readConfig(SHAPE, { DATABASE_URL: "postgres://a", PORT: text })),
      /PORT: must be/,
    );
  });
}

for (const [text, port] of [["1", 1], ["65535", 65_535]] as const) {
  Deno.test(`integer() takes ${text} as a port`, () => {
    assert.equal(readConfig(SHAPE, { DATABASE_URL: "postgres://a", PORT: text }).PORT, port);
  });
}
