import assert from "assert";
import { freePorts } from "./ports.ts";

Deno.test("freePorts() gives ports that can be listened on, each once, none that connections get", () => {
  const ports = freePorts(20);
  assert.equal(new Set(ports).size, 20);
  for (const port of ports) {
    assert.ok(port < 32_768);
    Deno.listen({ hostname: "127.0.0.1", port }).close();
  }
});
