import { MemoryIndex } from "./memory_index.ts";
import { testTallyIndex } from "./tally_index_contract.ts";

Deno.test.sanitizer({ ops: true, resources: true });

testTallyIndex("MemoryIndex", async () => {
  const index = new MemoryIndex();
  return { index, drop: async (name) => index.drop(name), end: async () => {} };
});
