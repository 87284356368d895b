import assert from "assert";
import { SizedLru } from "./sized_lru.ts";

Deno.test("SizedLru forgets the least recently used value when there are too many", () => {
  const cache = new SizedLru<number>({ entries: 2, bytes: 100 });
  cache.set("a", 1, 10);
  cache.set("b", 2, 10);
  assert.equal(cache.get("a"), 1);
  cache.set("c", 3, 10);
  assert.deepEqual([cache.get("a"), cache.get("b"), cache.get("c")], [1, undefined, 3]);
  assert.deepEqual(cache.held, { entries: 2, bytes: 20 });
});

Deno.test("SizedLru forgets as many values as it takes to make room for bytes, and keeps none that is larger than all", () => {
  const cache = new SizedLru<number>({ entries: 10, bytes: 100 });
  for (const [key, bytes] of [["a", 40], ["b", 40], ["c", 90]] as const) cache.set(key, bytes, bytes);
  assert.deepEqual([cache.get("a"), cache.get("b"), cache.get("c")], [undefined, undefined, 90]);
  cache.set("c", 101, 101);
  assert.equal(cache.get("c"), undefined);
  assert.deepEqual(cache.held, { entries: 0, bytes: 0 });
});
