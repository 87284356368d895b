import assert from "assert";
import { MASTER, testDefinition } from "../tests/fixture.ts";
import { writeMigratedDatabase } from "../tests/database_snapshot.ts";
import { withDirectory } from "../tests/directory.ts";
import { openPglite } from "./database/pglite.ts";
import { createElection } from "./registry/elections.ts";
import { Keyring } from "./registry/keyring.ts";

Deno.test.sanitizer({ ops: true, resources: true });

/** Runs a command of the aggregator, with its data in a directory. */
async function run(directory: string, ...args: string[]): Promise<{ code: number; errors: string[] }> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "-A", new URL("./main.ts", import.meta.url).pathname, ...args],
    env: { POLLWIRE_DATA: directory },
  }).output();
  return { code, errors: new TextDecoder().decode(stderr).trim().split("\n") };
}

Deno.test("recount and rebuild without an election's master key say in one line where it must be", async () => {
  await withDirectory(async (directory) => {
    await writeMigratedDatabase(`${directory}/db`);
    const db = await openPglite(`${directory}/db`);
    await createElection(db, testDefinition(), MASTER, new Date());
    await db.close();
    for (const command of ["recount", "rebuild"]) {
      const { code, errors } = await run(directory, command);
      assert.equal(code, 1);
      assert.equal(errors.length, 1, errors.join("\n"));
      assert.match(
        errors[0],
        /^error: Cannot read the master key of election test-2026 from .*\/keys\/test-2026\.key \(.*\); KEYS_DIRECTORY must name the directory that holds it$/,
      );
    }
  });
});

Deno.test("recount and rebuild take no election by themselves where there are several", async () => {
  await withDirectory(async (directory) => {
    await writeMigratedDatabase(`${directory}/db`);
    const db = await openPglite(`${directory}/db`);
    for (const election of ["county", "town"]) {
      const master = new Keyring(`${directory}/keys`).create(election);
      await createElection(db, testDefinition({ election }), master, new Date());
    }
    await db.close();
    const which = /several elections; name one with --election, or take --all: county, town$/;
    for (const command of ["recount", "rebuild"]) {
      const refused = await run(directory, command);
      assert.equal(refused.code, 2);
      assert.match(refused.errors.at(0)!, which);
      const both = await run(directory, command, "--all", "--election", "town");
      assert.equal(both.code, 2);
      assert.match(both.errors.at(0)!, /--all means every election, and --election town one of them/);
      for (const which of [["--all"], ["--election", "town"]]) {
        const { code, errors } = await run(directory, command, ...which);
        assert.equal(code, 0, errors.join("\n"));
      }
    }
  });
});

Deno.test("aggregate refuses unknown roles, and a part of the roles with the embedded database", async () => {
  await withDirectory(async (directory) => {
    for (
      const [roles, message] of [
        [
          "counter",
          /^error: --roles has no role counter: it must be one or more of count, index, serve, receipts, sync, office$/,
        ],
        [
          "office",
          /^error: --roles names office, and with the embedded database one process must run every role/,
        ],
        [
          "count,serve",
          /^error: --roles names count, serve, and with the embedded database one process must run every role/,
        ],
      ] as const
    ) {
      const { code, errors } = await run(directory, "aggregate", "--roles", roles);
      assert.equal(code, 2);
      assert.equal(errors.length, 1, errors.join("\n"));
      assert.match(errors[0], message);
    }
    assert.deepEqual([...Deno.readDirSync(directory)], [], "nothing was opened");
  });
});
