import assert from "assert";
import { run } from "./run.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const options = { limitMs: 20_000, missing: "install it" };

Deno.test("run() returns what a program writes, given its input and environment", async () => {
  const code = 'read line; echo "$line $NAME"';
  const said = await run("sh", ["-c", code], { ...options, input: "hello\n", environment: { NAME: "you" } });
  assert.equal(said, "hello you\n");
});

Deno.test("run() says how a program failed, with what it wrote", async () => {
  await assert.rejects(
    run("sh", ["-c", "echo one; echo two >&2; exit 4"], options),
    /^Failure: sh ended with code 4:\none\n\ntwo$/,
  );
});

Deno.test("run() kills a program that takes too long", async () => {
  await assert.rejects(
    run("sleep", ["600"], { ...options, limitMs: 1 }),
    /sleep took more than 0\.001 s:\n\(it said nothing\)/,
  );
});

Deno.test("run() says what to do when there is no such program", async () => {
  await assert.rejects(run("no-such-program", [], options), /there is no no-such-program here: install it/);
});

Deno.test("run() does not mind a program that does not read its input", async () => {
  assert.equal(await run("true", [], { ...options, input: "x".repeat(1_000_000) }), "");
});
