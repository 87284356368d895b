import assert from "assert";
import fc from "fast-check";
import { RecentMap } from "./recent.ts";

Deno.test.sanitizer({ ops: true, resources: true });

Deno.test("RecentMap remembers the last half of its limit for certain, and never more than the limit", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 9 }), fc.array(fc.nat(15), { maxLength: 60 }), (max, keys) => {
      const map = new RecentMap<number>(max);
      keys.forEach((key, at) => {
        map.set(String(key), at);
        const lastSet = [...new Set(keys.slice(0, at + 1).reverse())];
        for (const recent of lastSet.slice(0, Math.floor(max / 2))) {
          assert.equal(map.get(String(recent)), keys.lastIndexOf(recent, at));
        }
        const held = lastSet.filter((each) => map.get(String(each)) !== undefined);
        assert.ok(held.length <= max, `${held.length} of ${max}`);
        for (const each of held) assert.equal(map.get(String(each)), keys.lastIndexOf(each, at));
      });
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("RecentMap.set() of a key that is there makes it the youngest", () => {
  const map = new RecentMap<number>(4);
  map.set("a", 1);
  for (const key of ["b", "c", "d", "e", "f", "g"]) {
    map.set(key, 0);
    map.set("a", 1);
  }
  assert.equal(map.get("a"), 1);
  assert.equal(map.get("b"), undefined);
});

Deno.test("RecentMap.use() makes an entry the youngest, and finds what get() finds", () => {
  const map = new RecentMap<number>(4);
  map.set("a", 1);
  for (const key of ["b", "c", "d", "e", "f", "g"]) {
    map.set(key, 0);
    assert.equal(map.use("a"), 1, key);
  }
  assert.equal(map.get("a"), 1);
  assert.equal(map.use("b"), undefined);
});

Deno.test("RecentMap.delete() deletes from both generations", () => {
  const map = new RecentMap<number>(2);
  map.set("a", 1);
  map.set("b", 2);
  map.set("b", 3);
  map.delete("a");
  map.delete("b");
  assert.equal(map.get("a"), undefined);
  assert.equal(map.get("b"), undefined);
  map.set("a", 1);
  map.set("b", 1);
  map.set("a", 2);
  map.delete("a");
  assert.equal(map.get("a"), undefined, "the older value is not found again");
});

Deno.test("RecentMap remembers null as a value", () => {
  const map = new RecentMap<number | null, number>(2);
  map.set(1, 1);
  map.set(1, null);
  assert.equal(map.get(1), null);
});
