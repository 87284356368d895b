import assert from "assert";
import { freePorts, holdPort, holdPortFrom } from "./ports.ts";

Deno.test("freePorts() gives ports that can be listened on, each once, none that connections get", () => {
  const ports = freePorts(20);
  assert.equal(new Set(ports).size, 20);
  for (const port of ports) {
    assert.ok(port < 32_768);
    Deno.listen({ hostname: "127.0.0.1", port }).close();
  }
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
