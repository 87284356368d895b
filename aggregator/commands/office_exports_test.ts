import assert from "assert";
import { runCommand as run } from "../../tests/aggregator_command.ts";
import { testDefinition } from "../../tests/fixture.ts";
import { longTest } from "../../tests/runs.ts";

/** Sets an office and an election up, works, and removes both. */
async function withOffice(
  work: (office: (...args: string[]) => ReturnType<typeof run>, data: string) => Promise<void>,
): Promise<void> {
  const data = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${data}/definition.json`, JSON.stringify(testDefinition()));
    const made = await run(data, "provision", "--definition", `${data}/definition.json`);
    assert.equal(made.code, 0, made.err);
    const office = (...args: string[]) => run(data, "office", ...args);
    assert.equal((await office("init", "--admin", "root", "second")).code, 0);
    await work(office, data);
  } finally {
    await Deno.remove(data, { recursive: true });
  }
}

longTest("deno task office export writes files that sha256sum checks, and needs no sign-in", async () => {
  await withOffice(async (office, data) => {
    const of = ["--election", "test-2026", "--out", `${data}/out`];
    const exported = await office("export", ...of);
    assert.equal(exported.code, 0, exported.err);
    assert.match(exported.out, /SHA256SUMS is signed by pollwire-office/);
    const files = [...Deno.readDirSync(`${data}/out`)].map(({ name }) => name).toSorted();
    assert.deepEqual(files, ["SHA256SUMS", "err-v2.json", "openelections.csv", "turnout.csv"]);
    const sums = await new Deno.Command("sha256sum", { args: ["--check", "SHA256SUMS"], cwd: `${data}/out` })
      .output();
    assert.equal(sums.code, 0, new TextDecoder().decode(sums.stderr));
    assert.match(
      new TextDecoder().decode(sums.stdout),
      /err-v2.json: OK\nopenelections.csv: OK\nturnout.csv: OK/,
    );
    const none = await office("export", ...of, "--certified", "1");
    assert.deepEqual([none.code, /no such certified version/.test(none.err)], [1, true], none.err);
  });
});

longTest(
  "deno task office check, export and recount work for an auditor without a running aggregator",
  async () => {
    await withOffice(async (office, data) => {
      const key = await office("key", "--account", "cyd", "--out", `${data}/cyd.json`);
      const x = /public key: (\S+)/.exec(key.out)![1]!;
      const root = ["--as", `${data}/office/root.json`];
      await office("add", ...root, "--account", "cyd", "--name", "Cyd", "--key", x);
      const role = ["--role", "auditor", "--election", "test-2026"];
      const granted = await office("grant", ...root, "--account", "cyd", ...role);
      assert.equal(granted.code, 0, granted.err);
      const cyd = ["--as", `${data}/cyd.json`, "--election", "test-2026"];
      const checked = await office("check", ...cyd);
      assert.equal(checked.code, 0, checked.err);
      assert.match(checked.out, /^definition_complete: ok, 5 compared/m);
      assert.match(checked.out, /nothing holds up certification/);
      const exported = await office("export", ...cyd, "--out", `${data}/out`);
      assert.match(exported.out, /event-log.json/, exported.err);
      const recounted = await office("recount", ...cyd, "--out", `${data}/recount.json`);
      assert.equal(recounted.code, 0, recounted.err);
      assert.equal(JSON.parse(await Deno.readTextFile(`${data}/recount.json`)).differences, 0);
    });
  },
);
