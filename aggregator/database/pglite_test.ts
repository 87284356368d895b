import assert from "assert";
import { databaseContract } from "../../tests/database_contract.ts";
import { startChild } from "../../tests/child.ts";
import { writeMigratedDatabase } from "../../tests/database_snapshot.ts";
import { DatabaseBroken, DatabaseInUse, openPglite } from "./pglite.ts";
import { withDirectory } from "../../tests/directory.ts";

databaseContract("pglite", "one", async () => {
  const parent = await Deno.makeTempDir();
  let db = await openPglite(`${parent}/db`);
  return {
    db,
    sessions: "one",
    async reopen() {
      await db.close();
      return db = await openPglite(`${parent}/db`);
    },
    async cleanup() {
      await db.close();
      await Deno.remove(parent, { recursive: true });
    },
  };
});

const refusal = (directory: string) => (error: unknown) => {
  assert.ok(error instanceof DatabaseInUse, String(error));
  assert.equal(
    error.message,
    `Cannot open the database ${directory}: another process has it open; stop that one, or use PostgreSQL to share a database`,
  );
  return true;
};

Deno.test("openPglite() refuses a directory that another process has open, and takes it once that is killed", async () => {
  await withDirectory(async (parent) => {
    const directory = `${parent}/db`;
    const child = startChild(`
      const { openPglite } = await import("./aggregator/database/pglite.ts");
      const db = await openPglite(${JSON.stringify(directory)});
      await db.query("CREATE TABLE kept (value text)");
      await db.transaction((query) => query("INSERT INTO kept VALUES ('committed')"));
      await db.transaction(async (query) => {
        await query("INSERT INTO kept VALUES ('under way')");
        say("open");
        await go();
      });
    `);
    try {
      assert.equal(await child.said(), "open");
      assert.equal((await Deno.stat(directory)).mode! & 0o077, 0, "it is kept from other users");
      await assert.rejects(openPglite(directory), refusal(directory));
      // However it is spelt: two locks on one directory would be none.
      await Deno.symlink(directory, `${parent}/link`);
      for (const spelling of [`${directory}/`, `${parent}/./db`, `${parent}/link`]) {
        await assert.rejects(openPglite(spelling), refusal(spelling));
      }
    } finally {
      child.kill();
      await child.ended();
    }
    const db = await openPglite(directory);
    try {
      assert.deepEqual(await db.query("SELECT value FROM kept"), [{ value: "committed" }]);
    } finally {
      await db.close();
    }
  });
});

Deno.test("openPglite() releases a directory that is no database, and says so", async () => {
  await withDirectory(async (parent) => {
    await Deno.mkdir(`${parent}/db`);
    await Deno.writeTextFile(`${parent}/db/PG_VERSION`, "9\n");
    await assert.rejects(openPglite(`${parent}/db`), (error) => {
      assert.ok(error instanceof DatabaseBroken, String(error));
      assert.match(
        error.message,
        new RegExp(
          `^Cannot use the database ${parent}/db: it cannot continue \\(.+\\); its files must be complete and writable$`,
        ),
      );
      return true;
    });
    using file = await Deno.open(`${parent}/db.lock`, { write: true });
    assert.ok(await file.tryLock(true), "the lock is free");
  });
});

Deno.test("openPglite() keeps a table small that is filled and emptied over and over", async () => {
  const db = await openPglite();
  try {
    await db.query("CREATE TABLE filled (value text)");
    for (let round = 0; round < 600; round++) {
      await db.transaction(async (query) => {
        await query("INSERT INTO filled SELECT 'value-' || i FROM generate_series(1, 100) AS i");
        await query("DELETE FROM filled");
      });
    }
    const [{ bytes }] = await db.query<{ bytes: number }>(
      "SELECT pg_relation_size('filled')::float8 AS bytes",
    );
    // All that was ever in it takes over 2 MB.
    assert.ok(bytes < 1_000_000, `${bytes} bytes`);
  } finally {
    await db.close();
  }
});

Deno.test("openPglite() sets no timers, and leaves those of others alone", async () => {
  const { setTimeout } = globalThis;
  const set: number[] = [];
  const noted = ((callback: () => void, ms = 0) => {
    set.push(ms);
    return setTimeout(callback, ms);
  }) as typeof setTimeout;
  globalThis.setTimeout = noted;
  try {
    const opening = openPglite();
    const waited = new Promise<void>((resolve) => void globalThis.setTimeout(resolve, 7));
    const db = await opening;
    await waited;
    await db.query("CREATE TABLE kept (value integer)");
    await db.query("INSERT INTO kept VALUES (1)");
    await db.close();
    assert.deepEqual(set, [7]);
    assert.equal(globalThis.setTimeout, noted);
  } finally {
    globalThis.setTimeout = setTimeout;
  }
});

/** Makes the disk seem full: the probe file, which is written to find out, is a link to a device that is always full. */
const fillDisk = (directory: string) => Deno.symlink("/dev/full", `${directory}.probe`);

const isFullDisk = (directory: string) => (error: unknown) => {
  assert.ok(error instanceof DatabaseBroken, String(error));
  assert.equal(
    error.message,
    `Cannot use the database ${directory}: its disk is full; make room and start again`,
  );
  return true;
};

Deno.test("openPglite() says that the disk is full when it cannot start, and frees the directory", async () => {
  await withDirectory(async (parent) => {
    const directory = `${parent}/db`;
    await Deno.mkdir(directory);
    await Deno.writeTextFile(`${directory}/PG_VERSION`, "9\n");
    await fillDisk(directory);
    await assert.rejects(openPglite(directory), isFullDisk(directory));
    using file = await Deno.open(`${directory}.lock`, { write: true });
    assert.ok(await file.tryLock(true), "the lock is free");
  });
});

Deno.test("queries and transactions say that the disk is full, and pass on other errors as they are", async () => {
  await withDirectory(async (parent) => {
    const directory = `${parent}/db`;
    await writeMigratedDatabase(directory);
    const db = await openPglite(directory);
    const fail = (code: string) =>
      `DO $$ BEGIN RAISE 'could not extend file' USING ERRCODE = '${code}'; END $$`;
    try {
      for (
        const run of [
          () => db.query(fail("53100")),
          () => db.transaction((query) => query(fail("53100"))),
        ]
      ) {
        await fillDisk(directory);
        await assert.rejects(run(), isFullDisk(directory));
      }
      await assert.rejects(db.query(fail("53200")), { code: "53200", message: "could not extend file" });
      assert.deepEqual(await db.query("SELECT 1 AS one"), [{ one: 1 }]);
    } finally {
      await db.close();
    }
  });
});
