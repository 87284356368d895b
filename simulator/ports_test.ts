import assert from "assert";
import { freePortFrom, freePorts, isFree } from "./ports.ts";

Deno.test("freePorts() gives ports that can be listened on, each once, none that connections get", () => {
  const ports = freePorts(20);
  assert.equal(new Set(ports).size, 20);
  for (const port of ports) {
    assert.ok(port < 32_768);
    Deno.listen({ hostname: "127.0.0.1", port }).close();
  }
});

Deno.test("freePortFrom() passes over ports that are taken", () => {
  const [port] = freePorts(1);
  assert.equal(freePortFrom(port), port);
  using _taken = Deno.listen({ hostname: "127.0.0.1", port });
  assert.equal(isFree(port), false);
  assert.ok(freePortFrom(port) > port);
});
