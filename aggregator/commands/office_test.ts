import assert from "assert";
import { runCommand as run } from "../../tests/aggregator_command.ts";

Deno.test("deno task office sets an office up, signs in with key files, and verifies the trail against a signed head", async () => {
  const data = await Deno.makeTempDir();
  try {
    const alone = await run(data, "office", "init", "--admin", "root");
    assert.deepEqual([alone.code, alone.err.includes("must name two or more")], [2, true]);
    const made = await run(data, "office", "init", "--admin", "root", "second");
    assert.equal(made.code, 0, made.err);
    assert.match(made.out, /verifier key: pollwire-office\+[0-9a-f]{8}\+/);
    assert.equal((await Deno.stat(`${data}/keys/office/office.key`)).mode! & 0o777, 0o600);
    const head = await run(data, "office", "audit", "head", "--as", `${data}/office/root.json`);
    assert.match(head.out, /^pollwire audit office\n6\n/, head.err);
    await Deno.writeTextFile(`${data}/head.txt`, head.out);
    const whole = await run(data, "office", "audit", "verify", "--head", `${data}/head.txt`);
    assert.match(whole.out, /the trail is whole, and fits 1 signed heads/, whole.err);
    await Deno.writeTextFile(`${data}/head.txt`, head.out.replace("\n6\n", "\n7\n"));
    const forged = await run(data, "office", "audit", "verify", "--head", `${data}/head.txt`);
    assert.deepEqual([forged.code, forged.err.includes("no signature of pollwire-office")], [1, true]);
  } finally {
    await Deno.remove(data, { recursive: true });
  }
});
