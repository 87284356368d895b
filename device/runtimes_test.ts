/** A device's maker may have Node or a browser. Browsers: tests/browser/device_test.ts. */
import assert from "assert";
import { deviceProgram, FOUND } from "../tests/device_program.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("the client, bundled for browsers, asks for nothing of Node's, and runs under Node", async () => {
  const program = await deviceProgram();
  assert.doesNotMatch(program, /^import .* from ["']node:/m);
  const file = await Deno.makeTempFile({ suffix: ".mjs" });
  try {
    await Deno.writeTextFile(file, program);
    const { stdout, stderr } = await new Deno.Command("node", { args: [file] }).output();
    assert.equal(new TextDecoder().decode(stderr), "");
    assert.deepEqual(JSON.parse(new TextDecoder().decode(stdout)), FOUND);
  } finally {
    await Deno.remove(file);
  }
});
