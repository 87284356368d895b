import assert from "assert";
import { stringify } from "yaml";
import { testDefinition } from "../../tests/fixture.ts";
import { openPglite } from "../database/pglite.ts";
import { createAccount, requestRole } from "../office/access/accounts.ts";
import { newKeyFile, publicKeyOf } from "../office/access/keys.ts";
import { runCommand as run } from "../../tests/aggregator_command.ts";
import { longTest } from "../../tests/runs.ts";

longTest(
  "deno task office sets an office up, signs in with key files, and verifies the trail against a signed head",
  async () => {
    const data = await Deno.makeTempDir();
    try {
      const alone = await run(data, "office", "init", "--admin", "root");
      assert.deepEqual([alone.code, alone.err.includes("must name two or more")], [2, true]);
      const made = await run(data, "office", "init", "--admin", "root", "second");
      assert.equal(made.code, 0, made.err);
      assert.match(made.out, /verifier key: pollwire-office\+[0-9a-f]{8}\+/);
      assert.equal((await Deno.stat(`${data}/keys/office/office.key`)).mode! & 0o777, 0o600);
      const as = (account: string) => ["--as", `${data}/office/${account}.json`];
      const made2 = await run(data, "office", "key", "--account", "second", "--out", `${data}/new.json`);
      const key = /public key: (\S+)/.exec(made2.out)![1]!;
      const added = await run(data, "office", "add-key", ...as("root"), "--account", "second", "--key", key);
      const { keyId, grantedAt } = JSON.parse(added.out);
      assert.equal(grantedAt, null, "an administrator's key takes two administrators");
      const approving = ["office", "approve-key", "--account", "second", "--key-id", keyId];
      const own = await run(data, ...approving, ...as("root"));
      assert.deepEqual([own.code, /another administrator must approve it/.test(own.err)], [1, true], own.err);
      const waiting = await run(data, "office", "accounts", "--as", `${data}/new.json`);
      assert.match(waiting.err, /no account has a key .* that is good/);
      assert.equal((await run(data, ...approving, ...as("second"))).code, 0);
      assert.equal((await run(data, "office", "accounts", "--as", `${data}/new.json`)).code, 0);
      const head = await run(data, "office", "audit", "head", "--as", `${data}/office/root.json`);
      assert.match(head.out, /^pollwire audit office\n8\n/, head.err);
      await Deno.writeTextFile(`${data}/head.txt`, head.out);
      const whole = await run(data, "office", "audit", "verify", "--head", `${data}/head.txt`);
      assert.match(whole.out, /the trail is whole, and fits 1 signed heads/, whole.err);
      await Deno.writeTextFile(`${data}/head.txt`, head.out.replace("\n8\n", "\n9\n"));
      const forged = await run(data, "office", "audit", "verify", "--head", `${data}/head.txt`);
      assert.deepEqual([forged.code, forged.err.includes("no signature of pollwire-office")], [1, true]);
    } finally {
      await Deno.remove(data, { recursive: true });
    }
  },
);

longTest(
  "deno task office change replaces a draft's definition, and says what is wrong with a file by line and column",
  async () => {
    const data = await Deno.makeTempDir();
    try {
      const definition = testDefinition({ election: "town" });
      await Deno.writeTextFile(`${data}/town.yml`, stringify(definition));
      const made = await run(data, "provision", "--definition", `${data}/town.yml`, "--draft");
      assert.equal(made.code, 0, made.err);
      assert.equal((await run(data, "office", "init", "--admin", "root", "second")).code, 0);
      const file = await newKeyFile("ann");
      await Deno.writeTextFile(`${data}/ann.json`, JSON.stringify(file));
      const db = await openPglite(`${data}/db`);
      try {
        await createAccount(db, "ann", "Ann", await publicKeyOf(file.key), new Date());
        await requestRole(db, "ann", "official", "town", undefined, new Date());
      } finally {
        await db.close();
      }
      const change = async (path: string) =>
        await run(
          data,
          ...[
            "office",
            "change",
            "--as",
            `${data}/ann.json`,
            "--election",
            "town",
            "--file",
            path,
            "--reason",
            "Court",
          ],
        );
      const text = stringify({ ...definition, name: "Town of Elm" });
      await Deno.writeTextFile(`${data}/wrong.yml`, text.replace("votesAllowed: 1", "votesAllowed: none"));
      const wrong = await change(`${data}/wrong.yml`);
      const line = text.split("\n").findIndex((each) => each.includes("votesAllowed")) + 1;
      assert.equal(wrong.code, 1);
      assert.match(wrong.err, new RegExp(`line ${line}, column 19: contests.0.votesAllowed: `));
      await Deno.writeTextFile(`${data}/right.yml`, text);
      const right = await change(`${data}/right.yml`);
      assert.deepEqual(JSON.parse(right.out), { election: "town", manifestVersion: 2 }, right.err);
    } finally {
      await Deno.remove(data, { recursive: true });
    }
  },
);
