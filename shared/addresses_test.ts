import assert from "assert";
import { Addresses } from "./addresses.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("ask() goes to the next address when one has no answer, and stays with the one that had", async () => {
  const asked: string[] = [];
  const away = new Set(["a"]);
  const addresses = new Addresses(["a", "b", "c"]);
  const ask = (signal?: AbortSignal) =>
    addresses.ask((address) => {
      asked.push(address);
      return Promise.resolve(away.has(address) ? { fault: "it is away" } : { answer: address });
    }, signal);
  assert.deepEqual(await ask(), { answer: "b" });
  assert.deepEqual(await ask(), { answer: "b" });
  away.add("b").add("c").delete("a");
  assert.deepEqual(await ask(), { answer: "a" });
  assert.deepEqual(asked.splice(0), ["a", "b", "b", "b", "c", "a"]);
  away.add("a");
  assert.deepEqual(await ask(), { fault: "a: it is away; b: it is away; c: it is away" });
  asked.length = 0;
  await ask(AbortSignal.abort());
  assert.deepEqual(asked, []);
});
