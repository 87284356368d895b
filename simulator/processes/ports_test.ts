import assert from "assert";
import { withDirectory } from "../../tests/directory.ts";
import { freePorts, freeRange, holdPort, holdPortFrom } from "./ports.ts";

Deno.test("freePorts() gives ports that can be listened on, each once, none that connections get", () => {
  const ports = freePorts(20);
  assert.equal(new Set(ports).size, 20);
  for (const port of ports) {
    assert.ok(port < 32_768);
    Deno.listen({ hostname: "127.0.0.1", port }).close();
  }
});

Deno.test("freePorts() gives a port to one process, also while nobody listens on it yet", async () => {
  await withDirectory(async (directory) => {
    const code = `
      import { freePorts } from ${JSON.stringify(new URL("./ports.ts", import.meta.url).href)};
      const ports = Array.from({ length: 20 }, () => freePorts(10)).flat();
      console.log(ports.join());
    `;
    await Deno.writeTextFile(`${directory}/take.ts`, code);
    const taken = await Promise.all([1, 2, 3].map(async () => {
      const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", `${directory}/take.ts`],
      }).output();
      assert.ok(success, new TextDecoder().decode(stderr));
      return new TextDecoder().decode(stdout).trim().split(",");
    }));
    assert.equal(new Set(taken.flat()).size, 600);
  });
});

Deno.test("freeRange() gives free ports in a row, and none of them again", () => {
  const first = freeRange(20);
  for (let port = first; port < first + 20; port++) holdPort(port)!.release();
  const next = freePorts(5);
  assert.ok(next.every((port) => port < first || port >= first + 20), `${first}: ${next}`);
});

Deno.test("holdPortFrom() passes over ports that are held, until they are released", () => {
  const wanted = freePorts(1)[0]!;
  const first = holdPortFrom(wanted);
  assert.equal(first.port, wanted);
  assert.equal(holdPort(wanted), undefined);
  const second = holdPortFrom(wanted);
  assert.ok(second.port > wanted);
  first.release();
  second.release();
  const again = holdPort(wanted);
  assert.equal(again?.port, wanted);
  again?.release();
});
